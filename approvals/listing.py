"""The queue as a list: its order, its pages, and its rows as the live feed carries them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, DateTimeField, IntegerField, Min, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from approvals.models import ApprovalRequest, RequestStatus, Vote
from console.tenants import access
from console.tenants.access import Actor

PAGE = 50
_FAR = datetime(9999, 1, 1, tzinfo=UTC)
_RISK = Case(
    When(risk="high", then=0),
    When(risk="medium", then=1),
    When(risk="low", then=2),
    default=3,
    output_field=IntegerField(),
)


def pending(actor: Actor, kind: str = "", workflow: str = "") -> QuerySet[ApprovalRequest]:
    """What waits in the actor's tenant, most pressing first: by risk, due date, age."""
    rows = (
        access.all(ApprovalRequest, actor)
        .filter(status=RequestStatus.PENDING)
        .annotate(pressing=_RISK, falls=Coalesce("due_at", Value(_FAR, DateTimeField())))
        .select_related("workflow")
        .defer("sealed_request", "sealed_decision")
        .order_by("pressing", "falls", "created_at", "id")
    )
    if kind:
        rows = rows.filter(kind=kind)
    return rows.filter(workflow__slug=workflow) if workflow else rows


def page(rows: QuerySet[ApprovalRequest], after: str = "") -> tuple[list[ApprovalRequest], str]:
    """One page of ``rows`` after the request with that id, and the id to go on after ("" at the end)."""
    if _is_id(after):
        last = rows.model.objects.annotate(pressing=_RISK, falls=Coalesce("due_at", Value(_FAR, DateTimeField())))
        edge = last.filter(pk=after, tenant__in=rows.values("tenant")).first()
        if edge is not None:
            place = {"pressing": edge.pressing, "falls": edge.falls, "created_at": edge.created_at, "pk": edge.pk}
            rows = rows.filter(_beyond(place))
    found = list(rows[: PAGE + 1])
    return found[:PAGE], str(found[PAGE - 1].pk) if len(found) > PAGE else ""


def _is_id(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _beyond(place: dict[str, Any]) -> Q:
    condition, same = Q(), Q()
    for name, value in place.items():
        condition |= same & Q(**{f"{name}__gt": value})
        same &= Q(**{name: value})
    return condition


def items(rows: list[ApprovalRequest]) -> list[dict[str, Any]]:
    """Rows as the queue's feed carries them, so that page and frame are the same HTML."""
    shared = [row.pk for row in rows if row.approvers > 1]
    votes: dict[Any, int] = {}
    if shared:
        counted = Vote.objects.filter(request__in=shared, voided=False).values("request").annotate(n=Count("id"))
        votes = {row["request"]: row["n"] for row in counted}
    return [item(row, votes.get(row.pk, 0)) for row in rows]


def item(row: ApprovalRequest, votes: int) -> dict[str, Any]:
    """One row in the shape of the queue's feed."""
    return {
        "id": str(row.pk),
        "title": row.title,
        "kind": row.kind,
        "status": row.status,
        "agent": row.agent,
        "tool": row.tool,
        "workflow": row.workflow.slug,
        "run": str(row.run_id),
        "risk": row.risk,
        "approvers": row.approvers,
        "votes": votes,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "escalated_at": row.escalated_at,
        "decided_by": row.decided_by_name,
        "verdict": row.verdict,
    }


def totals(actor: Actor) -> dict[str, Any]:
    """total, oldest (a time or None) and due_soon (within the hour) of everything that waits."""
    soon = timezone.now() + timedelta(hours=1)
    rows = access.all(ApprovalRequest, actor).filter(status=RequestStatus.PENDING)
    return rows.aggregate(total=Count("id"), oldest=Min("created_at"), due_soon=Count("id", filter=Q(due_at__lte=soon)))
