"""What requests like this one got before: figures for the card, in two queries that stay small in a large tenant.

Alike are requests of the same workflow, kind, tool and rule, probes aside. They count where they were made in the 90 days
before this one and had been decided by the time that this one was: a card shows what could be known then, later too. Of
very many, the latest ``MOST`` are counted, and the card says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, Count, DurationField, ExpressionWrapper, F, Q, QuerySet
from django.utils import timezone

from approvals.models import ApprovalRequest, RequestStatus
from console.tenants import access
from console.tenants.access import Actor

DAYS = 90
MOST = 1000  # like requests that are counted
LAST = 3  # shown one by one


class Median(Aggregate):
    """Postgres' percentile_cont(0.5)."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    name = "Median"


@dataclass(frozen=True, slots=True)
class Like:
    """One like request: what it was, what it got, from whom and when."""

    id: str
    title: str
    verdict: str  # of words.py, or "expired"
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Precedents:
    """Counts by outcome, the median time to decide of those that people decided (seconds), and the latest few."""

    approved: int = 0
    edited: int = 0
    rejected: int = 0
    answered: int = 0
    stopped: int = 0
    expired: int = 0
    median_s: float | None = None
    last: tuple[Like, ...] = ()

    @property
    def total(self) -> int:
        """How many were counted."""
        return self.approved + self.edited + self.rejected + self.answered + self.stopped + self.expired

    @property
    def bounded(self) -> bool:
        """Whether there may be more than were counted."""
        return self.total >= MOST


def of(actor: Actor, row: ApprovalRequest) -> Precedents:
    """What requests like ``row`` got before it, in the actor's tenant alone."""
    like = _like(actor, row)
    decided = Q(status=RequestStatus.DECIDED)
    latest = like.annotate(took=_TOOK).values("status", "verdict", "took")[:MOST]
    figures: dict[str, Any] = latest.aggregate(
        approved=Count("status", filter=decided & Q(verdict="approve")),
        edited=Count("status", filter=decided & Q(verdict="edit")),
        rejected=Count("status", filter=decided & Q(verdict="reject")),
        answered=Count("status", filter=decided & Q(verdict="respond")),
        stopped=Count("status", filter=decided & Q(verdict="terminate")),
        expired=Count("status", filter=Q(status=RequestStatus.EXPIRED)),
        median=Median("took", filter=decided, output_field=DurationField()),
    )
    median: timedelta | None = figures.pop("median")
    last = tuple(
        Like(str(one["pk"]), one["title"], _outcome(one), one["decided_by_name"], one["decided_at"])
        for one in (like.values("pk", "title", "status", "verdict", "decided_by_name", "decided_at")[:LAST])
    )
    return Precedents(**figures, median_s=None if median is None else median.total_seconds(), last=last)


_TOOK = ExpressionWrapper(F("decided_at") - F("created_at"), output_field=DurationField())


def _like(actor: Actor, row: ApprovalRequest) -> QuerySet[ApprovalRequest]:
    """Latest first. Its filters and its order are those of the index request_like."""
    return (
        access.all(ApprovalRequest, actor)
        .filter(
            workflow=row.workflow_id,
            kind=row.kind,
            tool=row.tool,
            rule_name=str((row.rule or {}).get("name") or ""),
            status__in=(RequestStatus.DECIDED, RequestStatus.EXPIRED),
            probe=False,
            created_at__lt=row.created_at,
            created_at__gte=row.created_at - timedelta(days=DAYS),
            decided_at__lte=row.decided_at or timezone.now(),
        )
        .order_by("-created_at")
    )


def _outcome(one: dict[str, Any]) -> str:
    return "expired" if one["status"] == RequestStatus.EXPIRED else str(one["verdict"])
