"""Who watches a team: the form for its modes, and the waivers without which NEVER does not hold."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from console.tenants import access
from console.tenants.access import Actor, Forbidden, actor_of
from console.workflows import actions, contracts, limits, waived
from console.workflows import waivers as deeds
from console.workflows.errors import Conflict, Invalid, Refused
from console.workflows.models import Waiver, Workflow
from console.workflows.oversight import lacking, says_never, where
from console.workflows.oversight_panel import agents, panel
from console.workflows.pages import shown, shown_limit

Json = Any
_LISTED = 50


@require_POST
def oversight_form(request: HttpRequest, slug: str) -> HttpResponse:
    """Another mode for the team or a stage, as a revision of its own. NEVER leads to what it takes."""
    actor = actor_of(request)
    access.require(actor, "admin")
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    post, number = request.POST, request.POST.get("revision", "")
    of = int(number) if number.isdecimal() and len(number) < 9 else 0
    try:
        made = actions.put_oversight(actor, workflow, _wanted(workflow, post), of=of, reason=post.get("reason", ""))
    except (Conflict, Invalid, Refused) as fault:
        workflow.refresh_from_db(fields=["current"])
        typed = panel(actor, workflow, workflow.current, post)
        context = {**shown(actor, workflow, workflow.current), **typed, "oversight_error": _said(fault)}
        return render(request, "workflows/detail.html", context, status=409 if isinstance(fault, Conflict) else 422)
    if says_never({"oversight": made.body.get("oversight")}) and made.body["oversight"] != waived.of_now(
        workflow, made.body
    ):
        return redirect("workflow-waivers", slug)
    return redirect(f"/workflows/{slug}/?saved=oversight#oversight")


def _wanted(workflow: Workflow, post: Any) -> dict[str, Json]:
    reviews = post.get("max_reviews", "").strip()
    wanted: dict[str, Json] = {"mode": post.get("mode", "")}
    names = agents(workflow.current.body) if workflow.current else []
    stages = {name: post.get(f"stage:{name}", "") for name in names}
    if chosen := {name: mode for name, mode in stages.items() if mode}:
        wanted["stages"] = chosen
    if reviews:
        wanted["max_reviews"] = int(reviews) if reviews.isdecimal() and len(reviews) < 9 else reviews
    return wanted


@require_http_methods(["GET", "HEAD", "POST"])
def waivers(request: HttpRequest, slug: str) -> HttpResponse:
    """Where NEVER is asked for, who stands for it and until when; and the form that asks another admin."""
    actor = actor_of(request)
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    if request.method != "POST":
        return render(request, "workflows/waivers.html", _shown(actor, workflow))
    access.require(actor, "admin")
    post = request.POST
    try:
        deeds.propose(
            actor, workflow, post.get("stage", ""), post.get("risk_assessment", ""), post.get("expires_at", "")
        )
    except (Invalid, Conflict, Forbidden) as fault:
        field = fault.field if isinstance(fault, Invalid) else ""
        context = {**_shown(actor, workflow), "typed": post, "error": _said(fault), "wrong": field}
        return render(request, "workflows/waivers.html", context, status=_status(fault))
    return redirect("workflow-waivers", slug)


@require_POST
def decide(request: HttpRequest, slug: str, key: UUID) -> HttpResponse:
    """Consent to a waiver, or revoke it."""
    actor = actor_of(request)
    access.require(actor, "admin")
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    waiver = access.get(Waiver.objects.select_related("workflow"), actor, pk=key, workflow=workflow)
    try:
        if request.POST.get("do") == "consent":
            deeds.consent(actor, waiver)
        else:
            deeds.revoke(actor, waiver, request.POST.get("why", ""))
    except (Invalid, Conflict, Forbidden) as fault:
        context = {**_shown(actor, workflow), "said": _said(fault)}
        return render(request, "workflows/waivers.html", context, status=_status(fault))
    return redirect("workflow-waivers", slug)


def _shown(actor: Actor, workflow: Workflow) -> dict[str, Any]:
    body = workflow.current.body if workflow.current else {}
    own = limits.of_tenant(actor.tenant.id)
    rows = access.all(Waiver.objects.select_related("revision"), actor).filter(workflow=workflow)
    past = waived.outgrown(workflow)
    kept = [
        {"it": one, "state": _state(one, past), "where": where(one.stage), "beyond": past.get(one.pk, [])}
        for one in rows.order_by("-proposed_at")[:_LISTED]
    ]
    taken = {one["it"].stage for one in kept if one["state"] == "proposed"}
    held = limits.effective(own, workflow.limits, body.get("limits") or {})
    return {
        "section": "workflows",
        "workflow": workflow,
        "never": [(stage, where(stage)) for stage in says_never(body) if stage not in taken],
        "says_never": says_never(body),
        "missing": lacking(body, own, workflow.limits),
        "asked": [one for one in kept if one["state"] == "proposed"],
        "held_now": [one for one in kept if one["state"] == "in_force"],
        "outgrown": [one for one in kept if one["state"] == "outgrown"],
        "over": [one for one in kept if one["state"] not in ("proposed", "in_force", "outgrown")],
        "output_contract": body.get("output_contract"),
        "held": [
            (limits.NAMES[name], shown_limit(name, held[name])) for name in ("max_turns", "max_tokens", "max_cost")
        ],
        "behaviour": contracts.text_of(workflow),
        "typed": {},
        "shortest": deeds.SHORTEST,
        "may": actor.role == "admin",
        "me": actor.id,
    }


def _state(waiver: Waiver, past: dict[Any, list[str]]) -> str:
    return "outgrown" if waiver.pk in past else waived.state(waiver)


def _status(fault: Exception) -> int:
    return 409 if isinstance(fault, Conflict) else 403 if isinstance(fault, Forbidden) else 422


def _said(fault: Exception) -> str:
    if isinstance(fault, Invalid):
        named = fault.field if "." in fault.field else f"The {fault.field.replace('_', ' ')}"
        return f"{named} {fault.message}."
    if isinstance(fault, Refused):
        return "; ".join(f"{each.path} {each.message}" for each in fault.findings[:3]) + "."
    return str(fault)
