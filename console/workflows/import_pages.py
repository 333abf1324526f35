"""Bringing a team: paste or upload a document, see what is in it and what stands against it, map its tools, save it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from console.agents.oversight import MODES
from console.agents.shapes import MAX_BYTES, shape_fault
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.tenants.models import Credential
from console.workflows import actions, drawing, registry
from console.workflows import body as bodies
from console.workflows.errors import Finding, Invalid, Refused
from console.workflows.models import Revision, Workflow
from console.workflows.outline import config, mapping

Json = Any
_MODES = {
    "TERMINATE": "the result, before it counts",
    "ALWAYS": "every message, and every action that is more than reading",
    "NEVER": "only what tools and rules ask for; it takes two admins, and is TERMINATE until then",
}


@dataclass
class Form:
    """What was typed, and what came of it. ``errors`` by field."""

    text: str = ""
    workflow: str = ""  # a slug, or "" for a new one
    name: str = ""
    mode: str = ""
    reason: str = ""
    later: bool = False
    mapping: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    refused: list[Finding] = field(default_factory=list)  # when it was to be saved
    body: dict[str, Json] | None = None


@require_http_methods(["GET", "HEAD", "POST"])
def import_team(request: HttpRequest) -> HttpResponse:
    """The whole way from a file to a revision, on one page."""
    actor = actor_of(request)
    access.require(actor, "admin")
    if request.method != "POST":
        return _show(request, actor, Form(workflow=request.GET.get("workflow", "").replace("\x00", "")))
    form = _typed(request)
    if form.body is not None and request.POST.get("step") == "save":
        saved = _save(actor, form)
        if saved is not None:
            return redirect(f"/workflows/{saved.workflow.slug}/?revision={saved.number}")
    return _show(request, actor, form)


def _typed(request: HttpRequest) -> Form:
    """The form, with the document read as far as it can be."""
    post = request.POST
    form = Form(
        text=post.get("document", ""),
        workflow=post.get("workflow", "").replace("\x00", ""),
        name=post.get("name", "").strip(),
        mode=post.get("mode", ""),
        reason=post.get("reason", "").strip(),
        later=post.get("use") == "later",
        mapping={key.removeprefix("map:"): to for key, to in post.items() if key.startswith("map:") and to},
    )
    file = request.FILES.get("file")
    if file is not None:
        if file.size is not None and file.size > MAX_BYTES:
            form.errors["document"] = f"{file.name} has {file.size:,} bytes; the limit is {MAX_BYTES:,}."
            return form
        form.text = file.read().decode("utf-8", "replace")
        form.mapping = {}
    _parse(form)
    return form


def _parse(form: Form) -> None:
    if not form.text.strip():
        form.errors["document"] = "There is no document yet: choose a file, or paste it."
        return
    try:
        value = json.loads(form.text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        form.errors["document"] = f"This is no JSON: {error}"
        return
    if not isinstance(value, dict):
        form.errors["document"] = "A team is a JSON object, with provider and config."
        return
    body = value if "team" in value and "provider" not in value else {"team": value}
    if form.mode in MODES:
        body = {**body, "oversight": {**mapping(body.get("oversight")), "mode": form.mode}}
    else:
        form.mode = str(mapping(body.get("oversight")).get("mode") or "TERMINATE")
    form.mapping = {**{k: v for k, v in mapping(body.get("tools")).items() if isinstance(v, str)}, **form.mapping}
    form.body = {**body, "tools": form.mapping} if form.mapping else body


def _save(actor: Actor, form: Form) -> Revision | None:
    """The new revision, or None and the reasons in the form. Nothing is half-written."""
    workflow = access.all(Workflow, actor).filter(slug=form.workflow).first() if form.workflow else None
    try:
        checked, found = bodies.examine(form.body, registry.of(actor.tenant.id).all())
        if checked is None:
            raise Refused(found)
        workflow = workflow or actions.create_workflow(actor, slug_of(form.name), form.name)
        return actions.create_revision(actor, workflow, form.body, reason=form.reason, promote=not form.later)[0]
    except Refused as refused:
        form.refused = [each for each in refused.findings if each.level == "error"]
        form.errors["form"] = "It cannot be saved like this: see what stands against it below."
    except Invalid as fault:
        form.errors["name" if fault.field == "slug" else fault.field] = f"The {fault.field} {fault.message}."
    return None


def _show(request: HttpRequest, actor: Actor, form: Form) -> HttpResponse:
    tools = registry.of(actor.tenant.id).all()
    context: dict[str, Json] = {
        "section": "workflows",
        "form": form,
        "workflows": access.all(Workflow, actor).order_by("name"),
        "modes": [(mode, _MODES[mode]) for mode in ("TERMINATE", "ALWAYS", "NEVER")],
        "limit": f"{MAX_BYTES // 1000:,} kB",
        "status": 200 if not form.errors else 422,
    }
    if form.body is not None:
        context |= _seen(actor, form, tools)
    answer = render(request, "workflows/import.html", context, status=context["status"])
    # Back from the saved revision shows the form again as it was, instead of asking whether to send it again.
    answer.headers["Cache-Control"] = "private, max-age=600"
    return answer


def _seen(actor: Actor, form: Form, tools: Mapping[str, Json]) -> dict[str, Json]:
    """What is in the document, what stands against it, and what has to be mapped."""
    body = dict(form.body or {})
    bare = bodies.look({key: value for key, value in body.items() if key != "tools"}, tools).unmapped
    choices = _choices(tools)
    guesses = {name: _guess(name, choices) for name in bare if name not in form.mapping}
    guesses = {name: to for name, to in guesses.items() if to}
    if guesses:
        form.mapping = {**form.mapping, **guesses}
        body["tools"] = form.mapping
    seen = bodies.look(body, tools)
    errors: list[Finding] = [each for each in seen.findings if each.level == "error"]
    known = {each.path for each in errors}
    errors += [each for each in form.refused if each.path not in known]  # a limit above the organisation's, for one
    document = body.get("team")
    there = set(access.all(Credential, actor).values_list("name", flat=True))
    return {
        "figures": drawing.figures(document, seen.findings) if shape_fault(document) is None else [],
        "errors": [each for each in errors if each.path not in seen.unmapped.values()],
        "infos": [each for each in seen.findings if each.level == "info"],
        "maps": [_map(name, form, seen.unmapped, guesses) for name in {**bare, **seen.unmapped, **form.mapping}],
        "tools": list(choices.items()),
        "ready": not errors,
        "credential_missing": "default" not in there and not body.get("credential"),
        "suggested": form.name or _suggested(document),
        "kept": json.dumps({**body, "team": seen.team}, indent=2, ensure_ascii=False) if seen.team else "",
    }


def _choices(tools: Mapping[str, Json]) -> dict[str, str]:
    """What a name of the document may be mapped to, and what that does: a tool, or an MCP server with all of its tools."""
    servers = {name.partition(".")[0]: "every tool of this MCP server" for name in tools if "." in name}
    return {name: about for name, about in sorted({**{n: s.description for n, s in tools.items()}, **servers}.items())}


def _map(name: str, form: Form, unmapped: Mapping[str, str], guesses: Mapping[str, str]) -> dict[str, Json]:
    return {
        "name": name,
        "path": unmapped.get(name, ""),
        "chosen": form.mapping.get(name, ""),
        "guessed": name in guesses,
    }


def _guess(name: str, tools: Mapping[str, str]) -> str:
    """The tool of the catalogue with the same name, give or take how it is written."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((known for known in tools if re.sub(r"[^a-z0-9]", "", known.lower()) == plain), "")


def _suggested(document: Json) -> str:
    """A name for the workflow, as the document has one."""
    named = [mapping(document).get("label"), config(document).get("name")]
    return next((name for name in named if isinstance(name, str) and name), "My team")


def slug_of(name: str) -> str:
    """A slug made of a name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80].strip("-")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
