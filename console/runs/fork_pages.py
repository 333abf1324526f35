"""The page on which a run is forked: from which step, with what edited, and what would happen again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from console.durable.run import GATES
from console.durable.steps import Kind
from console.runs import actions, forks, inputs
from console.runs.forks import ANSWER, INPUT, Plan
from console.runs.models import TERMINAL, Run
from console.tenants import access, display
from console.tenants.access import actor_of
from console.tenants.display import Display
from console.workflows.errors import Invalid

_RUN = Run.objects.select_related("workflow", "revision")
OFFERED = 500  # steps to choose from; others by their number in the address


@require_http_methods(["GET", "HEAD", "POST"])
def fork(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The form of a fork, and the fork."""
    actor = actor_of(request)
    access.require(actor, "operator", "admin")
    run, shown = access.get(_RUN, actor, pk=run_id), display.of(actor)
    given = request.POST if request.method == "POST" else request.GET
    typed = {name: given.get(name, "") for name in ("edit", INPUT, ANSWER)}
    errors: dict[str, str] = {}
    status = 200
    try:
        try:
            found = forks.plan(run, _number(given.get("from_step", "1")))
        except Invalid as fault:
            found, errors, status = forks.plan(run, 1), {"from_step": _sentence(fault)}, 422
    except actions.Refused as refusal:
        return _refused(run, refusal)
    if request.method == "POST" and not errors:
        try:
            known = given.get("repeat_effects") == "yes"
            again = actions.fork(actor, run, found.from_step, repeat_effects=known, **_edits(found, typed))
            return redirect("run", again.pk)
        except actions.Refused as refusal:
            return _refused(run, refusal)
        except (Invalid, actions.Repeats, actions.AtLimit) as fault:
            errors, status = _fault(fault)
    return render(request, "runs/fork.html", _context(run, found, typed, errors, shown), status=status)


def _context(run: Run, found: Plan, typed: dict[str, str], errors: dict[str, str], shown: Display) -> dict[str, Any]:
    at = found.at
    known = {name: inputs.written(shown.of(value)) if shown.shown else "" for name, value in found.editable.items()}
    run.title = shown.title(run.title)
    there = {one.old for one in found.kept}
    return {
        "section": "runs",
        "run": run,
        "over": run.status in TERMINAL,
        "plan": found,
        "display": shown,
        "effects": [replace(each, title=shown.of(each.title)) for each in found.effects],
        "once": [replace(each, title=shown.of(each.title)) for each in found.once],
        "at": at,
        "is_model": at is not None and at.kind is Kind.MODEL,
        "choices": found.steps[:OFFERED] + ([at] if at is not None and at not in found.steps[:OFFERED] else []),
        "anew": len([step for step in found.steps if step.seq not in there]),
        "decisions": len([step for step in found.steps if step.seq not in there and step.kind in GATES]),
        "edit": typed["edit"] if typed["edit"] in found.editable else "",
        "answer": typed[ANSWER] if typed["edit"] else known.get(ANSWER, ""),
        "input": typed[INPUT] if typed["edit"] else known.get(INPUT, ""),
        "errors": errors,
    }


def _edits(found: Plan, typed: dict[str, str]) -> dict[str, Any]:
    """What was typed for the edit that was chosen. Raises Invalid."""
    name = typed["edit"]
    if not name:
        return {}
    if name not in found.editable:
        raise Invalid("edit", "cannot be made at this step")
    schema = name == INPUT and found.run.revision.body.get("input_schema")
    as_json = bool(schema) or not isinstance(found.editable[name], str)
    return {name: inputs.read(typed[name], as_json, name)}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Invalid("from_step", "must be the number of a step, as the journal shows it")
    return int(text)


def _fault(fault: Exception) -> tuple[dict[str, str], int]:
    """What is said beside which field, and the status of the answer."""
    if isinstance(fault, Invalid):
        return {fault.field.partition(".")[0].partition("[")[0]: _sentence(fault)}, 422
    if isinstance(fault, actions.Repeats):
        return {"repeat_effects": "Look at what may happen again, and say that you know."}, 409
    return {"form": f"Nothing was started. {fault}"}, 429


def _sentence(fault: Invalid) -> str:
    named = {"from_step": "The step", ANSWER: "The answer", INPUT: "The input", "edit": "This edit"}
    return f"{named.get(fault.field, fault.field)} {fault.message}."


def _refused(run: Run, refusal: actions.Refused) -> HttpResponse:
    return redirect(f"/runs/{run.pk}/?" + urlencode({"refused": str(refusal)}))
