"""Forks over HTTP: what one would keep and do again, and the fork itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from console.runs import actions, forks
from console.runs.api import check_metadata, run_out
from console.runs.models import Run
from console.runs.shapes import RunOut
from console.tenants import access, display
from console.tenants.access import actor_of

Json = Any
router = Router(tags=["runs"])

_RUN = Run.objects.select_related("workflow", "revision")
StepNumber = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True, description="The step's seq")]


class ForkIn(Schema):
    """``from_step`` is a step's ``seq``. ``input`` can be edited from step 1; ``answer`` is what a model is taken to have
    said there (text), or what a tool that only reads had found. ``repeat_effects``: you have seen what may happen again."""

    model_config = ConfigDict(extra="forbid")

    from_step: StepNumber
    input: Json = None
    answer: Json = None
    repeat_effects: Annotated[bool, Field(strict=True)] = False
    metadata: dict[str, Json] | None = None


class EffectOut(Schema):
    """An effect on the world that a fork may have again. ``state``: it is done, it is unknown whether it is, or the old
    run is waiting to do it. ``step`` is its ``seq`` in the old run."""

    step: int
    scope: str
    index: int
    tool: str
    title: str
    state: Literal["done", "unknown", "waiting"]


class ForkOut(Schema):
    """``kept_steps`` are not done again; ``open_steps`` of them are calls about which a person is asked. ``effects`` may
    happen again; ``once`` are effects that do not, since their tools name what they do and the ledger has it. ``editable``
    is what may be edited here, with what it is now."""

    from_step: int
    kept_steps: int
    open_steps: int
    effects: list[EffectOut]
    once: list[EffectOut]
    editable: dict[Literal["input", "answer"], Json]


@router.get("/runs/{run_id}/fork", response=ForkOut, summary="What a fork from a step would keep, and do again")
def preview_fork(
    request: HttpRequest,
    run_id: str,
    from_step: Annotated[int, Query(ge=1, le=2**31 - 1, description="The step's seq")],
) -> Any:
    actor = actor_of(request)
    run = access.get(_RUN, actor, pk=run_id)
    found, shown = forks.plan(run, from_step), display.of(actor)
    return {
        "from_step": from_step,
        "kept_steps": len(found.kept),
        "open_steps": len(found.open),
        "effects": [{**effect.out(), "title": shown.of(effect.title)} for effect in found.effects],
        "once": [{**effect.out(), "title": shown.of(effect.title)} for effect in found.once],
        "editable": shown.of(found.editable) if shown.shown else dict.fromkeys(found.editable),
    }


@router.post("/runs/{run_id}/fork", response={202: RunOut}, summary="A new run from any step of an old one")
def fork_run(request: HttpRequest, run_id: str, body: ForkIn) -> Any:
    """409 lists the effects on the world that the fork may have again, unless ``repeat_effects`` is true."""
    actor = actor_of(request)
    access.require(actor, "operator", "admin")
    run = access.get(_RUN, actor, pk=run_id)
    check_metadata(body.metadata)
    edits = {name: value for name in (forks.INPUT, forks.ANSWER) if (value := getattr(body, name)) is not None}
    again = actions.fork(
        actor, run, body.from_step, repeat_effects=body.repeat_effects, metadata=body.metadata, **edits
    )
    return Status(202, run_out(access.get(_RUN, actor, pk=again.pk), display.of(actor)))
