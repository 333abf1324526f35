"""``/operations/`` for members of a tenant, and ``/platform/operations/``, numbers only, for platform admins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.live.facts import KINDS, STATUSES, Filters, Unclear
from console.operations import figures, heartbeats, recent, verdicts
from console.tenants import access, display
from console.tenants.access import actor_of
from console.tenants.scopes import system_scope
from console.workflows.models import Workflow
from console.workflows.reasons import StopReason

REASONS = tuple(StopReason)
WORKFLOWS = 500  # in the filter


@never_cache
@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    """The machinery and the tenant's own work; below it, what its runs do, as they do it."""
    actor = actor_of(request)
    fault = ""
    try:
        filters = Filters.of({name: value for name, value in request.GET.items() if value}, REASONS)
    except Unclear as error:
        filters, fault = Filters(), str(error)
    part, shown = bool(request.headers.get("HX-Request")), display.of(actor)
    if not shown.shown and filters.text:  # what is hidden cannot be guessed at by looking for it either
        filters, fault = replace(filters, text=""), "text: it looks in titles, which your organisation hides from you."
    found = figures.read(actor.tenant.id)
    found = replace(found, flying=tuple(replace(one, title=shown.title(one.title)) for one in found.flying))
    context: dict[str, Any] = _machinery(found) | {
        "section": "operations",
        "figures": found,
        "more": found.counts["running"] - len(found.flying),
        "fault": fault,
    }
    if part:
        return render(request, "operations/_machinery.html", context)
    query = {name: value for name, value in _typed(request, fault).items() if value}
    context |= {
        "typed": _typed(request, fault),
        "query": urlencode(query),
        "filtered": bool(query),
        "events": recent.events(actor.tenant.id, filters, shown.title),
        "workflows": access.all(Workflow, actor).order_by("slug").values_list("slug", flat=True)[:WORKFLOWS],
        "kinds": KINDS,
        "statuses": STATUSES[1:],
        "reasons": [each for each in REASONS if each not in STATUSES],
    }
    return render(request, "operations/operations.html", context, status=422 if fault else 200)


@never_cache
@require_safe
def platform(request: HttpRequest) -> HttpResponse:
    """The same of all tenants together. TenantMiddleware lets platform admins alone come here."""
    with system_scope("the platform's operations"):
        found = figures.read(None)
    context = _machinery(found) | {"figures": found, "platform": True}
    part = bool(request.headers.get("HX-Request"))
    return render(request, "operations/_machinery.html" if part else "operations/platform.html", context)


def _machinery(found: figures.Figures) -> dict[str, Any]:
    heard = heartbeats.listen()
    judged = verdicts.judge(found, heard, verdicts.swept_ago(heard))
    state, says = verdicts.overall(judged)
    return {
        "verdicts": judged,
        "state": state,
        "tone": verdicts.TONES[state],
        "says": says,
        "heard": heard,
        "crew": [(worker, held, state, verdicts.TONES[state]) for worker, held, state in verdicts.crew(found, heard)],
    }


def _typed(request: HttpRequest, fault: str) -> dict[str, str]:
    """The filters as they were typed; none where they mean nothing."""
    names = ("workflow", "kind", "agent", "status", "text")
    return {name: "" if fault else request.GET.get(name, "").strip() for name in names}
