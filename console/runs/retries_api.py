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


class CannotOut(Schema):
    """So many ``runs`` cannot be retried as things stand, and were not tried: ``problem`` says why."""

    problem: str
    runs: int


class RetriesOut(Schema):
    """What became of each, oldest first. ``left``: so many more that can be retried were not looked at this time."""

    items: list[RetriedOut]
    left: int
    refused: list[CannotOut]


@router.post("/runs/retries", response={202: RetriesOut}, summary="Retry the runs that ended for a reason, 100 at most")
def retry_runs(request: HttpRequest, body: RetriesIn) -> Any:
    """Each is retried by itself. Where a limit of the organisation is met, the rest is left as it is. What cannot be
    retried as things stand is counted in ``refused``, and takes no other's place. 409 where the reason allows no retry."""
    outcomes, found = reasons.retry_all(actor_of(request), body.stop_reason)
    items = [
        {"run": str(one.run.pk), "retry": str(one.again.pk) if one.again else None, "problem": one.refusal}
        for one in outcomes
    ]
    refused = [{"problem": why, "runs": many} for why, many in found.refused]
    return Status(202, {"items": items, "left": max(found.left - len(items), 0), "refused": refused})
