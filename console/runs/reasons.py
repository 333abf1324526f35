"""Runs by why they ended: how many, which, and going on with those that may be gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from console.runs import actions, retries
from console.runs.models import Run
from console.runs.retries import Retriable
from console.tenants import access
from console.tenants.access import Actor
from console.workflows.reasons import About, StopReason

LATELY = timedelta(days=30)
AT_ONCE = 100  # runs that are retried with one click


@dataclass(frozen=True, slots=True)
class Line:
    """A stop reason, and how many runs that were started lately ended so."""

    reason: StopReason
    about: About
    count: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of retrying ``run``: the new run, or why there is none."""

    run: Run
    again: Run | None
    refusal: str = ""


def since(now: datetime | None = None) -> datetime:
    """From when on runs count as late ones."""
    return (now or timezone.now()) - LATELY


def counted(actor: Actor) -> list[Line]:
    """Every reason, in the order of the enum. One query, of an index alone."""
    rows = access.all(Run, actor).filter(created_at__gte=since(), smoke_test=None, probe=False).exclude(stop_reason="")
    found = dict(rows.order_by().values_list("stop_reason").annotate(Count("id")))
    return [Line(reason, reason.about, found.get(str(reason), 0)) for reason in StopReason]


def ended_so(actor: Actor, reason: StopReason, rows: QuerySet[Run] | None = None) -> QuerySet[Run]:
    """The runs that ended for ``reason``; smoke tests and probes are nobody's work, and left out."""
    return access.all(Run.objects.all() if rows is None else rows, actor).filter(
        stop_reason=str(reason), smoke_test=None, probe=False
    )


def retriable(actor: Actor, reason: StopReason) -> Retriable:
    """Those of the last weeks that nobody has retried yet and that can be, and why others cannot."""
    return retries.retriable(ended_so(actor, reason).filter(created_at__gte=since(), retries=None))


def retry_all(actor: Actor, reason: StopReason) -> tuple[list[Outcome], Retriable]:
    """Retry those that nobody has retried, oldest first, at most AT_ONCE; each by itself, and each is told of. With what
    there was to be retried before: what is refused as things stand is not in it, and so never stands before the rest.
    Where a limit of the organisation is met, the rest is left as it is. Raises Forbidden, and Refused where the reason
    allows no retry."""
    access.require(actor, "operator", "admin")
    if not reason.about.retryable:
        raise actions.Refused(f"{reason.about.sentence} {reason.about.remedy}".strip())
    found = retriable(actor, reason)
    outcomes: list[Outcome] = []
    full = ""
    for run in found.rows.select_related("workflow", "revision").order_by("created_at", "id")[:AT_ONCE]:
        if full:
            outcomes.append(Outcome(run, None, full))
            continue
        try:
            with transaction.atomic():
                outcomes.append(Outcome(run, actions.retry(actor, run)))
        except actions.Refused as refusal:
            outcomes.append(Outcome(run, None, str(refusal)))
        except actions.AtLimit as limit:
            full = f"Left as it is: {limit}"
            outcomes.append(Outcome(run, None, full))
    return outcomes, found
