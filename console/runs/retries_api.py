"""Retrying many runs over HTTP: all that ended for one reason, as its page does."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict

from console.runs import reasons
from console.tenants.access import actor_of
from console.workflows.reasons import StopReason

router = Router(tags=["runs"])


class RetriesIn(Schema):
    """``stop_reason``: why the runs ended. Meant are those of the last 30 days that nobody has retried yet."""

    model_config = ConfigDict(extra="forbid")

    stop_reason: StopReason


class RetriedOut(Schema):
    """``retry`` is the id of the new run; where it is null, ``problem`` says why there is none."""

    run: str
    retry: str | None
    problem: str


class RetriesOut(Schema):
    """What became of each, oldest first. ``left``: so many more were not looked at this time."""

    items: list[RetriedOut]
    left: int


@router.post("/runs/retries", response={202: RetriesOut}, summary="Retry the runs that ended for a reason, 100 at most")
def retry_runs(request: HttpRequest, body: RetriesIn) -> Any:
    """Each is retried by itself. Where a limit of the organisation is met, the rest is left as it is. 409 where the reason
    allows no retry."""
    actor = actor_of(request)
    many = reasons.retriable(actor, body.stop_reason).count()
    outcomes = reasons.retry_all(actor, body.stop_reason)
    items = [
        {"run": str(one.run.pk), "retry": str(one.again.pk) if one.again else None, "problem": one.refusal}
        for one in outcomes
    ]
    return Status(202, {"items": items, "left": max(many - len(items), 0)})
