"""The pages of stop reasons: all of them with their counts, and each with its runs and what can be done there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from console import paging
from console.runs import actions, reasons
from console.runs.models import Run
from console.tenants import access, display
from console.tenants.access import Actor, actor_of
from console.workflows.reasons import StopReason

STARTERS = ("operator", "admin")
_LISTED = Run.objects.select_related("workflow", "revision").defer(
    "sealed_input", "sealed_result", "metadata", "limits", "oversight", "revision__body", "workflow__description"
)


@require_safe
def every(request: HttpRequest) -> HttpResponse:
    """Why runs ended lately."""
    lines = reasons.counted(actor_of(request))
    happened = [line for line in lines if line.count]
    context = {
        "section": "runs",
        "happened": sorted(happened, key=lambda line: (not line.about.abnormal, -line.count)),
        "others": [line for line in lines if not line.count],
        "total": sum(line.count for line in lines),
    }
    return render(request, "runs/reasons.html", context)


@require_safe
def one(request: HttpRequest, name: str) -> HttpResponse:
    """The runs that ended for one reason, newest first."""
    actor, reason = actor_of(request), _reason(name)
    try:
        found, after = paging.page(reasons.ended_so(actor, reason, _LISTED), request.GET.get("after"), paging.LIMIT)
    except paging.BadCursor:
        return redirect("run-reason", name)
    retried, shown = _retried(actor, found), display.of(actor)
    for run in found:
        run.title, run.stop_detail = shown.title(run.title), shown.words(run.stop_detail)
    context = {
        **_head(actor, reason),
        "runs": [(run, retried.get(run.pk)) for run in found],
        "next": "?" + urlencode({"after": after}) if after else "",
        "later": "after" in request.GET,
    }
    return render(request, "runs/reason.html", context)


@require_POST
def retry_all(request: HttpRequest, name: str) -> HttpResponse:
    """Retry what may be retried, and say what became of each."""
    actor, reason = actor_of(request), _reason(name)
    try:
        outcomes, _ = reasons.retry_all(actor, reason)
    except actions.Refused as refusal:
        context = {**_head(actor, reason), "problem": str(refusal)}
        return render(request, "runs/reason_retried.html", context, status=409)
    shown = display.of(actor)
    for one in outcomes:
        one.run.title = shown.title(one.run.title)
    context = {**_head(actor, reason), "outcomes": outcomes, "begun": sum(1 for one in outcomes if one.again)}
    return render(request, "runs/reason_retried.html", context)


def _head(actor: Actor, reason: StopReason) -> dict[str, Any]:
    about = reason.about
    may = actor.role in STARTERS and (about.retryable or bool(about.limit))
    found = reasons.retriable(actor, reason) if may and about.retryable else None
    left = found.left if found else 0
    return {
        "section": "runs",
        "reason": str(reason),
        "about": about,
        "may_retry": may,
        "left": left,
        "at_once": min(left, reasons.AT_ONCE),
        "refused": found.refused if found else [],
        "days": reasons.LATELY.days,
    }


def _retried(actor: Actor, found: list[Run]) -> dict[Any, Any]:
    """The latest retry of each run that has one."""
    rows = access.all(Run, actor).filter(retry_of__in=[run.pk for run in found]).order_by("created_at")
    return dict(rows.values_list("retry_of_id", "pk"))


def _reason(name: str) -> StopReason:
    try:
        return StopReason(name)
    except ValueError:
        raise Http404("No such stop reason.") from None
