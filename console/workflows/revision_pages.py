"""What changed between revisions, and which of them new runs take."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import actions
from console.workflows.diff import diff
from console.workflows.errors import Invalid
from console.workflows.models import Promotion, Revision, Workflow

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
        "may_promote": actor.role == "admin" and newer.pk != workflow.current_id,
        "error": request.GET.get("error", "")[:300],
    }
    return render(request, "workflows/compare.html", context)


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
