"""What runs may take: the form for the organisation's limits and a workflow's, beside what was spent today; and the queue
in which the organisation's runs wait."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from console import queues
from console.runs import spending
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import actions, limits
from console.workflows.errors import Invalid, Refused
from console.workflows.models import Workflow

_HELP = {
    "max_turns": "of the team's members, in one run",
    "run_timeout": "such as PT10M; a person's thinking does not count",
    "turn_timeout": "until the agent has said something; a person's thinking does not count",
    "model_timeout": "each try, such as PT30S",
    "tool_timeout": "such as PT10S, all tries together; a tool's own may be shorter",
    "max_tokens": "asked and answered, in one run",
    "max_cost": "US dollars, in one run",
    "max_repeats": "the same call, the same message, or failing calls",
    "max_cost_per_day": "US dollars, from midnight UTC; empty: no limit",
    "max_runs": "those that wait for a person do not count",
    "starts_per_minute": "retries count, too",
}


@require_http_methods(["GET", "HEAD", "POST"])
def limit_form(request: HttpRequest, slug: str = "") -> HttpResponse:
    """The organisation's limits, or one workflow's."""
    actor = actor_of(request)
    access.require(actor, "admin")
    workflow = access.get(Workflow, actor, slug=slug) if slug else None
    if request.method != "POST":
        return render(request, "runs/limits.html", _shown(actor, workflow) | {"saved": request.GET.get("saved", "")})
    typed = {name: request.POST.get(name, "").strip() for name in _names(workflow)}
    errors = _save(actor, typed, workflow)
    if not errors:
        return redirect(f"{request.path}?saved=1")
    return render(request, "runs/limits.html", _shown(actor, workflow, typed, errors), status=422)


@require_POST
def queue_form(request: HttpRequest) -> HttpResponse:
    """Name the queue in which the organisation's runs wait for a worker; nothing for the default one."""
    actor = actor_of(request)
    access.require(actor, "admin")
    typed = request.POST.get("queue", "").strip()
    try:
        actions.put_queue(actor, typed)
    except Invalid as fault:
        context = _shown(actor) | {"queue_error": f"It {fault.message}.", "queue_typed": typed}
        return render(request, "runs/limits.html", context, status=422)
    return redirect("/limits/?saved=queue")


def _names(workflow: Workflow | None) -> tuple[str, ...]:
    return limits.OF_RUN if workflow else limits.OF_TENANT


def _shown(
    actor: Actor,
    workflow: Workflow | None = None,
    typed: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> dict[str, Any]:
    """What the page shows; what was typed, and its faults by field, where that was refused."""
    own = limits.of_tenant(actor.tenant.id)
    kept, upper = (workflow.limits, own) if workflow else (own, {})
    typed = typed or {name: kept.get(name, "") for name in _names(workflow)}
    return {
        "section": "limits",
        "workflow": workflow,
        "fields": [_field(name, typed, errors or {}, upper) for name in typed],
        "workflows": [] if workflow else access.all(Workflow, actor).order_by("name"),
        "default_queue": queues.DEFAULT,
        "queue_typed": actor.tenant.queue,
        **({} if workflow else _spent(actor, own)),
    }


def _save(actor: Actor, typed: dict[str, Any], workflow: Workflow | None) -> dict[str, str]:
    """Faults by field; none when it is saved."""
    value = {name: _read(name, text) for name, text in typed.items() if text}
    try:
        actions.put_limits(actor, value, workflow)
    except Refused as refused:
        return {each.path.removeprefix("$."): f"It {each.message}." for each in refused.findings}
    return {}


def _read(name: str, text: str) -> Any:
    """A count as a number; what is none stays text, and is refused."""
    counted = name in limits.COUNTS or name in ("max_runs", "starts_per_minute")
    return int(text) if counted and re.fullmatch(r"[0-9]{1,18}", text) else text


def _field(name: str, typed: dict[str, Any], errors: dict[str, str], upper: dict[str, Any]) -> dict[str, Any]:
    default = limits.DEFAULTS.get(name)
    return {
        "name": name,
        "label": limits.NAMES[name],
        "help": _HELP[name],
        "value": typed[name],
        "error": errors.get(name, ""),
        "otherwise": upper.get(name) or default or "",
        "whose": "the organisation's" if upper.get(name) else "the default",
    }


def _spent(actor: Actor, kept: dict[str, Any]) -> dict[str, Any]:
    day = spending.today(actor.tenant.id)
    cap = kept.get("max_cost_per_day")
    share = min(100, round(100 * float(day.spent + day.reserved) / float(cap))) if cap else None
    return {"day": day, "cap": cap, "share": share}
