"""What changed between revisions, and which of them new runs take."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import actions, rollouts, smoke
from console.workflows.diff import diff
from console.workflows.errors import Invalid
from console.workflows.models import Promotion, Revision, Rollout, Workflow

Json = Any
SHOWN = 20  # promotions on the page


@require_safe
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """What changed from one revision to another; from the one before, when none is named."""
    actor = actor_of(request)
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    newer = _revision(actor, workflow, request.GET.get("to", ""), workflow.current)
    earlier = access.all(Revision, actor).filter(workflow=workflow, number__lt=newer.number).order_by("-number").first()
    older = _revision(actor, workflow, request.GET.get("from", ""), earlier)
    context = {
        "section": "workflows",
        "workflow": workflow,
        "older": older,
        "newer": newer,
        "sections": diff(older.body, newer.body),
        "revisions": workflow.revisions.defer("body").order_by("-number")[:50],
        "promotions": access.all(Promotion.objects.select_related("revision", "previous"), actor)
        .filter(workflow=workflow)
        .order_by("-id")[:SHOWN],
        "barrier": smoke.barrier(workflow, newer) if newer.pk != workflow.current_id else "",
        "may_promote": actor.role == "admin" and newer.pk != workflow.current_id,
        "error": request.GET.get("error", "")[:300],
    }
    return render(request, "workflows/compare.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def canary(request: HttpRequest, slug: str) -> HttpResponse:
    """Try a revision on some of the new runs, and see how it does beside the old one."""
    actor = actor_of(request)
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    error = ""
    if request.method == "POST":
        try:
            _change_canary(actor, workflow, request)
            return redirect("workflow-canary", slug)
        except Invalid as fault:
            error = f"The {fault.field} {fault.message}."
    rows = access.all(Rollout.objects.select_related("revision", "baseline"), actor).filter(workflow=workflow)
    found = list(rows.order_by("-started_at")[:SHOWN])
    context = {
        "section": "workflows",
        "workflow": workflow,
        "rollouts": [_rollout(one) for one in found],
        "running": any(one.status == "running" for one in found),
        "candidates": workflow.revisions.exclude(pk=workflow.current_id).defer("body").order_by("-number")[:50],
        "thresholds": [(name, _ABOUT[name], value) for name, value in rollouts.THRESHOLDS.items()],
        "typed": request.POST,
        "error": error,
    }
    return render(request, "workflows/canary.html", context, status=422 if error else 200)


def _change_canary(actor: Actor, workflow: Workflow, request: HttpRequest) -> None:
    post = request.POST
    if post.get("do") in ("promote", "give_up"):
        reason = post.get("reason", "")
        actions.end_rollout(actor, workflow, promoted=post["do"] == "promote", reason=reason or "Ended by hand.")
        return
    typed = {name: post.get(f"t:{name}", "").strip() for name in rollouts.THRESHOLDS}
    wanted = {
        "revision": _number(post.get("revision", "")),
        "share": _number(post.get("share", "") or "0"),
        "sources": [line.strip() for line in post.get("sources", "").splitlines() if line.strip()],
        "thresholds": {name: _number(text) for name, text in typed.items() if text},
    }
    actions.start_rollout(actor, workflow, wanted)


def _number(text: str) -> Json:
    """A number as one; what is none stays text, and is refused by name."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


_ABOUT = {
    "min_runs": "runs ended before anything is said",
    "failure_rate": "failed runs, above the old revision's share",
    "abnormal_rate": "abnormal stop reasons, above the old revision's share",
    "rejection_rate": "rejected by people, above the old revision's share",
    "cost_ratio": "times the old revision's median cost",
    "latency_ratio": "times the old revision's median machine time",
    "promote_after": "good runs, then it is promoted by itself",
}
_ROWS = (
    ("runs", "runs that have ended"),
    ("failure_rate", "failed"),
    ("abnormal_rate", "abnormal stop reason"),
    ("rejection_rate", "rejected by people"),
    ("cost", "median cost"),
    ("latency", "median machine time"),
)


def _rollout(one: Rollout) -> dict[str, Json]:
    tried, old = one.figures.get("tried") or {}, one.figures.get("old") or {}
    rows = [(name, label, tried.get(name), old.get(name)) for name, label in _ROWS] if tried else []
    return {"it": one, "rows": rows, "wants": f"{one.thresholds.get('promote_after', 0):g}"}


@require_POST
def promote(request: HttpRequest, slug: str) -> HttpResponse:
    """New runs take another revision; ``number`` says which, nothing means the one before."""
    actor = actor_of(request)
    workflow = access.get(Workflow, actor, slug=slug)
    number, reason = request.POST.get("number", ""), request.POST.get("reason", "")
    try:
        if number:
            actions.promote(actor, workflow, int(number) if number.isdecimal() and len(number) < 9 else 0, reason)
        else:
            actions.roll_back(actor, workflow, reason)
    except Invalid as fault:
        context = {"section": "workflows", "workflow": workflow, "error": f"The {fault.field} {fault.message}."}
        return render(request, "workflows/refused.html", context, status=422)
    return redirect("workflow", slug)


def _revision(actor: Actor, workflow: Workflow, number: str, otherwise: Revision | None) -> Revision:
    if not number:
        if otherwise is None:
            raise Http404("There is no other revision to compare with.")
        return otherwise
    return access.get(
        Revision, actor, workflow=workflow, number=int(number) if number.isdecimal() and len(number) < 9 else 0
    )
