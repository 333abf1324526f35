"""One recorded effect in full: its prompt or arguments, what came of it, and each of its tries."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.durable.steps import Kind
from console.runs import forks, prompts, reading, told
from console.runs.models import FeedEvent, Run, Step, StepPayload
from console.tenants import access, crypto, display
from console.tenants.access import Actor, actor_of
from console.tenants.display import Display

_RUN = Run.objects.select_related("workflow", "revision")
STARTERS = ("operator", "admin")


@require_safe
def step(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """A step: inside the run's page, or as a page of its own."""
    actor = actor_of(request)
    run = access.get(_RUN, actor, pk=run_id)
    context = of(actor, run, seq, display.of(actor))
    if context is None:
        raise Http404("No such step.")
    whole_page = not request.headers.get("HX-Request")
    return render(request, "runs/step.html" if whole_page else "runs/_step_detail.html", context)


@require_safe
def message(request: HttpRequest, run_id: UUID, index: int) -> HttpResponse:
    """One message of the feed, for a viewer whose socket is not sent contents."""
    actor = actor_of(request)
    run = access.get(Run, actor, pk=run_id)
    rows = access.all(FeedEvent, actor).filter(topic=f"run:{run.pk}", kind="message", index__gte=index)
    events = told.events(rows.order_by("index")[:1])
    event = next((each for each in events if each.kind == told.MESSAGE and each.index == index), None)
    if event is None:
        raise Http404("No such message.")
    return render(request, "runs/_message.html", {"message": seen(event.payload, display.of(actor)), "run": run})


def seen(message: dict[str, Any], shown: Display) -> dict[str, Any]:
    """A message of the feed as a viewer may see it."""
    return {**message, "content": shown.of(message.get("content")), "hidden": not shown.shown}


def of(actor: Actor, run: Run, seq: int, shown: Display, *, outcome: bool = True) -> dict[str, Any] | None:
    """What a template shows of a step; None where there is no such step. ``outcome`` is False to leave out how it ended."""
    found = reading.one(run.pk, seq)
    row = access.all(Step, actor).filter(run=run, seq=seq).first()
    if found is None or row is None:
        return None
    one = found.step
    late = access.all(StepPayload, actor).filter(run=run, seq=seq).values_list("evidence", flat=True).first()
    heard = crypto.unseal_json(run.tenant_id, "step.evidence", bytes(late)) if late else None
    model = one.kind is Kind.MODEL
    result = one.error if one.error is not None else one.result
    neighbours = access.all(Step, actor).filter(run=run)
    return {
        "section": "runs",
        "step": one,
        "row": row,
        "run": run,
        "display": shown,
        "outcome": outcome,
        "may_fork": actor.role in STARTERS and forks.refusal(run) == "",
        "prompt": prompts.prompt(found, shown) if model else None,
        "answer": prompts.answer(found, shown) if model and outcome and one.error is None else None,
        "request_json": shown.of(found.request),
        "result_json": shown.of(result) if outcome else None,
        "evidence_json": shown.of(heard) if outcome else None,
        "earlier": neighbours.filter(seq__lt=seq).order_by("-seq").values_list("seq", flat=True).first(),
        "later": neighbours.filter(seq__gt=seq).order_by("seq").values_list("seq", flat=True).first(),
    }
