"""The page on which admins define, plant and withdraw probes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals import fields
from approvals.errors import Conflict, Invalid
from approvals.probes import defining, planting, readout
from approvals.probes.judging import CATCHES
from approvals.probes.models import Probe
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows.behaviour import tools_of
from console.workflows.models import Workflow

SHOWN = 100  # probes; older ones are in the API
TYPED = ("workflow", "name", "tool", "arguments", "task", "why", "edit_field", "rule", "per_week")


@require_http_methods(["GET", "HEAD", "POST"])
def probes(request: HttpRequest) -> HttpResponse:
    """What is planted to see whether it is caught, and what became of it."""
    actor = actor_of(request)
    access.require(actor, "admin")
    status, error, fault, typed = 200, "", ("", ""), {name: request.POST.get(name, "") for name in TYPED}
    if request.method == "POST":
        try:
            return redirect(f"/probes/?done={_do(actor, request)}")
        except Conflict as refusal:
            status, error = 409, str(refusal)
        except Invalid as refusal:
            status, fault = 422, (refusal.field, refusal.message)
            if request.POST.get("do") != "define":
                error = f"{refusal.field.capitalize()} {refusal.message}."
    rows = access.all(Probe.objects.select_related("workflow"), actor).order_by("-created_at", "-id")[:SHOWN]
    found = readout.shown(actor, list(rows))
    context = {
        "section": "probes",
        "probes": [one for one in found if one["withdrawn_at"] is None],
        "over": [one for one in found if one["withdrawn_at"] is not None],
        "done": request.GET.get("done", ""),
        "error": error,
        "fault": fault,
        "typed": typed,
        "ticked": request.POST.getlist("catches") if fault[0] else ["reject", "terminate"],
        "catches": [(each, _WORDS[each]) for each in CATCHES],
        "choices": _choices(actor),
        "left": planting.left_this_week(actor),
        "bounds": (planting.PER_WEEK, planting.PER_REVIEWER),
        "most": range(defining.MOST_PER_WEEK + 1),
    }
    return render(request, "approvals/probes.html", context, status=status)


_WORDS = {"reject": "rejecting it", "terminate": "stopping the run", "escalate": "escalating it"}


def _do(actor: Actor, request: HttpRequest) -> str:
    """What the form asks for; the word of the answer. Raises Conflict, Invalid and access.NotFound."""
    typed, key = request.POST, request.POST.get("probe", "")
    match typed.get("do", ""):
        case "define":
            defining.define(actor, _said(typed))
            return "defined"
        case "plant":
            planting.plant(actor, key)
            return "planted"
        case "withdraw":
            planting.withdraw(actor, key)
            return "withdrawn"
    raise Invalid("do", "must be define, plant or withdraw")


def _said(typed: Any) -> dict[str, Any]:
    """The form as ``define`` takes it. Raises Invalid."""
    said: dict[str, Any] = {name: typed.get(name, "") for name in TYPED}
    said["tool"], _, said["agent"] = said["tool"].partition(" ")
    said["arguments"] = fields.read_json(said["arguments"])
    said["catches"] = typed.getlist("catches")
    number = said["per_week"] or "0"
    if not (number.isdecimal() and len(number) < 4):
        raise Invalid("per_week", "must be a whole number")
    said["per_week"] = int(number)
    return said


def _choices(actor: Actor) -> list[tuple[Workflow, list[tuple[str, str]]]]:
    """Each workflow with its team's tools, and the agents that hold them."""
    found = []
    for workflow in access.all(Workflow.objects.select_related("current"), actor).order_by("name"):
        body = workflow.current.body if workflow.current else {}
        held = sorted({(str(config["name"]), who) for who, config in tools_of(body.get("team"))})
        if held:
            found.append((workflow, held))
    return found
