"""Pages of workflows: which there are, what each team may do without a person, what starts it and where its runs wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_duration
from django.views.decorators.http import require_POST, require_safe

from console import queues
from console.templatetags.sayso import duration
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import actions, contracts, limits, naming, registry, smoke, waived
from console.workflows.behaviour import behaviour
from console.workflows.catalogue import UnknownTool
from console.workflows.drawing import figures
from console.workflows.errors import Invalid
from console.workflows.models import Revision, Workflow
from console.workflows.outline import nodes
from console.workflows.oversight_panel import panel

Json = Any
_OPEN = ("queued", "running", "waiting")
_LONG = timedelta(minutes=1)  # for a run to wait for a worker


@require_safe
def workflows(request: HttpRequest) -> HttpResponse:
    """Every workflow of the tenant."""
    actor = actor_of(request)
    rows = access.all(Workflow.objects.select_related("current"), actor)
    work = Q(runs__status__in=_OPEN, runs__smoke_test=None, runs__probe=False)
    found = list(rows.annotate(open_runs=Count("runs", filter=work)).order_by("name"))
    tools = registry.of(actor.tenant.id)
    for one in found:
        first = behaviour(one.current.body, tools)[:1] if one.current else []
        one.says = one.description or (first[0] if first else "")  # type: ignore[attr-defined]
    return render(request, "workflows/list.html", {"section": "workflows", "workflows": found})


@require_safe
def workflow(request: HttpRequest, slug: str) -> HttpResponse:
    """One workflow: what its current revision, or an earlier one, lets the team do."""
    actor = actor_of(request)
    row = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    context = shown(actor, row, _revision(row, request.GET.get("revision", "")))
    saved = request.GET.get("saved")
    return render(
        request, "workflows/detail.html", {**context, "saved": saved == "queue", "just": saved == "oversight"}
    )


@require_POST
def name_form(request: HttpRequest, slug: str) -> HttpResponse:
    """Call the workflow something else, or describe it otherwise; its slug stays."""
    actor = actor_of(request)
    row = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    typed = {field: request.POST.get(field, "").strip() for field in ("name", "description")}
    try:
        naming.put_name(actor, row, typed["name"])
        naming.put_description(actor, row, typed["description"])
    except Invalid as fault:
        row.refresh_from_db(fields=["name"])
        context = {
            **shown(actor, row, row.current),
            "name_error": f"The {fault.field} {fault.message}.",
            "typed": typed,
        }
        return render(request, "workflows/detail.html", context, status=422)
    return redirect("workflow", row.slug)


@require_POST
def queue_form(request: HttpRequest, slug: str) -> HttpResponse:
    """Name the queue in which the workflow's runs wait for a worker; nothing for the organisation's."""
    actor = actor_of(request)
    access.require(actor, "admin")
    row = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    typed = request.POST.get("queue", "").strip()
    try:
        actions.put_queue(actor, typed, row)
    except Invalid as fault:
        context = {**shown(actor, row, row.current), "queue_error": f"It {fault.message}.", "queue_typed": typed}
        return render(request, "workflows/detail.html", context, status=422)
    return redirect(f"/workflows/{row.slug}/?saved=queue")


def shown(actor: Actor, row: Workflow, revision: Revision | None) -> dict[str, Any]:
    """What the page of a workflow shows, with one of its revisions."""
    body = revision.body if revision else {}
    tools = registry.of(actor.tenant.id)
    return {
        "section": "workflows",
        "workflow": row,
        "revision": revision,
        "is_current": revision is not None and revision.pk == row.current_id,
        "barrier": smoke.barrier(row, revision) if revision is not None and revision.pk != row.current_id else "",
        "revisions": row.revisions.defer("body").order_by("-number")[:50],
        **_contract(row, revision),
        **panel(actor, row, revision),
        "tools": _tools(body, tools),
        "rules": [_rule(rule) for rule in body.get("rules") or [] if isinstance(rule, dict)],
        "agents": list(_agents({**body, "oversight": waived.of_now(row, body)})),
        "figures": figures(body.get("team")),
        "trying": row.rollouts.select_related("revision").filter(status="running").first(),
        "can_go_back": revision is not None
        and row.promotions.filter(revision=revision, previous__isnull=False).exists(),
        "team_kind": str((body.get("team") or {}).get("provider", "")).rsplit(".", 1)[-1],
        "limits": _limits(actor, row, body),
        "may_start": actor.role in ("operator", "admin"),
        "topics": (row.current.body.get("topics") or []) if row.current else [],
        "queue": row.queue or actor.tenant.queue or queues.DEFAULT,
        "queue_typed": row.queue,
        "otherwise": actor.tenant.queue or queues.DEFAULT,
        "queued_since": _queued_since(row),
    }


def _contract(row: Workflow, revision: Revision | None) -> dict[str, Any]:
    """The paragraph that is true now; and the version that says so, where new runs take this revision."""
    text = contracts.text_of(row, revision) if revision else ""
    last = contracts.versions(row).first() if revision is not None and revision.pk == row.current_id else None
    return {
        "behaviour": text,
        "contract": last if last is not None and last.text == text else None,
        "contracts": row.contract,
    }


def _revision(row: Workflow, number: str) -> Revision | None:
    if not number:
        return row.current
    found = row.revisions.filter(number=int(number)).first() if number.isdecimal() and len(number) < 9 else None
    if found is None:
        raise Http404("No such revision.")
    return found


def _queued_since(row: Workflow) -> datetime | None:
    """Since when a run of it has waited for a worker, where that is long. Whether one listens, only workers can say."""
    waiting = row.runs.filter(status="queued", ready_at__lt=timezone.now() - _LONG)
    return waiting.order_by("ready_at").values_list("ready_at", flat=True).first()


def _agents(body: dict[str, Json]) -> Iterator[dict[str, str]]:
    stages = (body.get("oversight") or {}).get("stages") or {}
    modes = {"ALWAYS": "every message is reviewed", "TERMINATE": "its result is reviewed", "NEVER": "not reviewed"}
    for node in nodes(body.get("team"), "agent"):
        config = node.get("config") or {}
        name = str(config.get("name") or node.get("label") or "?")
        model = ((config.get("model_client") or {}).get("config") or {}).get("model") or ""
        about = str(config.get("description") or "").strip()
        yield {"name": name, "description": about, "model": model, "mode": modes.get(stages.get(name) or "", "")}


def _tools(body: dict[str, Json], tools: registry.Registry) -> list[dict[str, Json]]:
    found: dict[str, dict[str, Json]] = {}
    for node in nodes(body.get("team"), "tool"):
        config = node.get("config") or {}
        name = str(config.get("name") or "?")
        catalogued = str(config.get("catalogue") or (body.get("tools") or {}).get(name) or name)
        tool = {"name": name, "catalogue": catalogued, "version": config.get("version", 1), "risk": ""}
        try:
            spec = tools.get(catalogued, config.get("version"))
        except UnknownTool:
            tool |= {"description": "No longer in the catalogue: calls of it fail.", "safety": "", "alone": False}
        else:
            tool |= {
                "description": spec.description,
                "safety": str(spec.safety),
                "risk": spec.risk,
                "version": spec.version,
                "alone": spec.approval == "allow",
            }
        found.setdefault(name, tool)
    return list(found.values())


def _rule(rule: dict[str, Json]) -> dict[str, Json]:
    match = rule.get("match") or {}
    approvers = rule.get("approvers") or 1
    people = "a person is asked" if approvers == 1 else f"{approvers} people are asked"
    group = f", from {rule['group']}" if rule.get("group") else ""
    says = {"allow": "may run alone", "deny": "never runs"}.get(str(rule.get("effect")), f"{people}{group}")
    expires = shown_limit("timeout", rule["expires_in"]) if rule.get("expires_in") else ""
    expiry = {"terminate": "the run ends", "escalate": "it is escalated"}.get(
        str(rule.get("on_expiry")), "it is rejected"
    )
    return {
        "name": rule.get("name", ""),
        "effect": rule.get("effect", ""),
        "says": says,
        "tool": match.get("tool", "*"),
        "agent": match.get("agent", "*"),
        "when": rule.get("when", ""),
        "expires": expires,
        "on_expiry": expiry,
    }


def _limits(actor: Actor, row: Workflow, body: dict[str, Json]) -> list[tuple[str, str, str]]:
    """(name, limit, whose it is) of what holds for a run that starts now."""
    levels = [("the organisation's", limits.of_tenant(actor.tenant.id)), ("the workflow's", row.limits)]
    levels.append(("", body.get("limits") or {}))
    held = limits.effective(*(level for _, level in levels))
    found = []
    for name, value in held.items():
        whose = next((whose for whose, level in reversed(levels) if level.get(name) == value), "default")
        found.append((limits.NAMES[name], shown_limit(name, value), whose))
    return found


def shown_limit(name: str, value: Json) -> str:
    """A limit with its unit."""
    if name.endswith("timeout"):
        span = parse_duration(str(value))
        return duration(span.total_seconds()).replace(".0 s", " s") if span else str(value)
    if name == "max_cost":
        return f"${value}"
    return f"{value:,}" if isinstance(value, int) else str(value)
