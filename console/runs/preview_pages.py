"""What an agent hears: its filters and its context, tried on the talk of a run that has been, and kept as a revision."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from console.agents import anatomy
from console.agents.preview import preview
from console.runs import feed
from console.runs.models import Run
from console.tenants import access, display
from console.tenants.access import Actor, actor_of
from console.tenants.display import Display
from console.workflows import actions, registry
from console.workflows import body as bodies
from console.workflows.errors import Finding, Refused
from console.workflows.models import Workflow

Json = Any
RUNS = 20  # to choose from
CONTEXTS = {
    "": ("everything", ()),
    "BufferedChatCompletionContext": ("the last messages", ("buffer_size",)),
    "HeadAndTailChatCompletionContext": ("the first and the last messages", ("head_size", "tail_size")),
    "TokenLimitedChatCompletionContext": ("as much as fits", ("token_limit",)),
}
SIZES = {"buffer_size": "messages", "head_size": "first", "tail_size": "last", "token_limit": "tokens"}


@require_http_methods(["GET", "HEAD", "POST"])
def hears(request: HttpRequest, slug: str) -> HttpResponse:
    """Try filters and a context for an agent of the current revision; an admin may keep them."""
    actor = actor_of(request)
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    if workflow.current is None:
        raise Http404("There is no revision yet.")
    given = request.POST if request.method == "POST" else request.GET
    body = copy.deepcopy(workflow.current.body)
    assistants = [one for one in anatomy.agents(body["team"]) if "model_client" in one["config"]]
    if not assistants:
        raise Http404("No agent of this team asks a model.")
    agent = next((one for one in assistants if one["config"]["name"] == given.get("agent")), None) or assistants[0]
    name = agent["config"]["name"]
    changed = "filters" in given
    errors = _change(body, agent, given) if changed else {}
    errors = errors or _faults(actor, body, name)
    if request.method == "POST" and not errors:
        try:
            revision, _ = actions.create_revision(
                actor, workflow, _plain(body), reason=f"What {name} hears was changed."
            )
            return redirect(f"/workflows/{slug}/compare/?to={revision.number}")
        except Refused as refused:  # a limit that was lowered further up since, for one
            errors = _told(refused.findings)
    runs = list(
        access.all(Run, actor).filter(workflow=workflow, smoke_test=None, probe=False).order_by("-created_at")[:RUNS]
    )
    shown = display.of(actor)
    for one in runs:
        one.title = shown.title(one.title)
    run = next((one for one in runs if str(one.pk) == given.get("run")), runs[0] if runs else None)
    filters = (body.get("filters") or {}).get(name) or []
    context = {
        "section": "workflows",
        "workflow": workflow,
        "agents": [one["config"]["name"] for one in assistants],
        "agent": name,
        "runs": runs,
        "run": run,
        "filters": given.get("filters", "") if changed else json.dumps(filters, indent=2) if filters else "",
        "kinds": [(kind, words) for kind, (words, _) in CONTEXTS.items()],
        "kind": given.get("context", "") if changed else _kind(agent),
        "sizes": [(size, words, _size(agent, given, size, changed)) for size, words in SIZES.items()],
        "errors": errors,
        "seen": [] if errors or run is None else _seen(agent, filters, run, shown),
        "may_keep": actor.role == "admin",
        "changed": changed,
    }
    return render(request, "runs/hears.html", context, status=422 if errors else 200)


def _change(body: dict[str, Json], agent: Mapping[str, Json], given: Mapping[str, str]) -> dict[str, str]:
    """Put what was typed into the body. Faults by field."""
    config, text = agent["config"], given.get("filters", "").strip()
    try:
        entries = json.loads(text) if text else []
    except (ValueError, RecursionError) as error:
        return {"filters": f"This is no JSON: {error}"}
    filters = {**(body.get("filters") or {}), config["name"]: entries}
    body["filters"] = {agent: found for agent, found in filters.items() if found}
    kind = given.get("context", "")
    if kind not in CONTEXTS:
        return {"context": "There is no such context."}
    config.pop("model_context", None)
    if kind:
        wanted = {size: _whole(given.get(size, "")) for size in CONTEXTS[kind][1]}
        if not all(wanted.values()):
            return {"context": "Say how much: whole numbers from 1 up."}
        if kind == "TokenLimitedChatCompletionContext":
            wanted["model_client"] = config["model_client"]
        config["model_context"] = {
            "provider": f"autogen_core.model_context.{kind}",
            "component_type": "chat_completion_context",
            "config": wanted,
        }
    return {}


def _faults(actor: Actor, body: Json, agent: str) -> dict[str, str]:
    kept, found = bodies.examine(_plain(body), registry.of(actor.tenant.id).all())
    return {} if kept is not None else _told(found)


def _told(findings: Iterable[Finding]) -> dict[str, str]:
    wrong = [each for each in findings if each.level == "error"]
    return {"filters": "; ".join(f"{each.path} {each.message}" for each in wrong[:3])}


def _plain(body: Mapping[str, Json]) -> dict[str, Json]:
    """A kept body as one that can be given: its tools are named by the catalogue's names already."""
    return {key: value for key, value in body.items() if key != "tools"}


def _seen(agent: Mapping[str, Json], filters: Json, run: Run, shown: Display) -> list[dict[str, Json]]:
    events = feed.read(feed.run_topic(run.pk), 0, 2000, kind="message")
    talk = [
        {"source": str(one["payload"].get("source")), "content": shown.of(one["payload"]["content"])}
        for one in events
        if isinstance(one["payload"].get("content"), str) and one["payload"].get("type") in _TALK
    ]
    return asyncio.run(preview(agent, filters, talk))


_TALK = ("TextMessage", "HandoffMessage", "ToolCallSummaryMessage", "StructuredMessage", "MultiModalMessage")


def _kind(agent: Mapping[str, Json]) -> str:
    node = agent["config"].get("model_context")
    kind = str(node["provider"]).rsplit(".", 1)[-1] if node else ""
    return kind if kind in CONTEXTS else ""


def _size(agent: Mapping[str, Json], given: Mapping[str, str], size: str, changed: bool) -> Json:
    if changed:
        return given.get(size, "")
    return ((agent["config"].get("model_context") or {}).get("config") or {}).get(size) or ""


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0
