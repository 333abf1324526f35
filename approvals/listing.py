"""The queue as a list: whose it is, its order, its pages, and its rows as the live feed carries them.

A page costs the same however much waits: it reads the first entries of an index in the queue's order (one index scan
for each group that the viewer is in), and what is counted is counted up to COUNTED.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from approvals import audience
from approvals.filters import narrow
from approvals.models import ApprovalRequest, RequestStatus, Snooze, Vote
from console.tenants import access, groups
from console.tenants.access import Actor

PAGE = 50
COUNTED = 1_000  # more than this is "1,000+": nobody works through them one by one, and counting on takes its time
_ORDER = ("pressing", "falls", F("blocks").desc(), "created_at", "id")
_KEYS = ("pressing", "falls", "blocks", "created_at", "pk")


def pending(actor: Actor, **filters: str) -> QuerySet[ApprovalRequest]:
    """What waits in the actor's tenant, most pressing first: by risk, due date, agents blocked, age.

    ``filters``: see filters.narrow. No workflow is joined: the database would sort what an index has in order.
    """
    rows = access.all(ApprovalRequest, actor).filter(status=RequestStatus.PENDING)
    return narrow(actor, rows, filters).defer("sealed_request", "sealed_decision").order_by(*_ORDER)


def mine(actor: Actor, rows: QuerySet[ApprovalRequest], of: Collection[str]) -> QuerySet[ApprovalRequest]:
    """Those of ``rows`` that the actor, who is in the groups ``of``, may decide and has not put off."""
    snoozed = Snooze.objects.filter(tenant=actor.tenant, owner_id=actor.id, until__gt=timezone.now())
    return rows.exclude(pk__in=snoozed.values("request")).filter(
        Q(started_by_id=None) | ~Q(started_by_id=actor.id) | Q(kind="question"), group__in=["", *sorted(of)]
    )


def waiting(actor: Actor) -> int:
    """How many requests wait for the actor, if they decide, or else in all; counted no further than COUNTED + 1."""
    rows = access.all(ApprovalRequest, actor).filter(status=RequestStatus.PENDING)
    if actor.role != "reviewer":
        return _count_of(rows.order_by(*_ORDER), None)
    of = groups.of(actor)
    return _count_of(mine(actor, rows, of).order_by(*_ORDER), of)


def page(
    rows: QuerySet[ApprovalRequest], after: str = "", of: Collection[str] | None = None
) -> tuple[list[ApprovalRequest], str]:
    """One page of ``rows`` after the request with that id, and the id to go on after ("" at the end).

    Where the rows are somebody's own, ``of`` names their groups: each group is read by itself, in its index's order.
    """
    edge = _edge(rows, after)
    found: list[ApprovalRequest] = []
    for part in _parts(rows, of):
        found += (part if edge is None else part.filter(_beyond(edge)))[: PAGE + 1]
    found.sort(key=_place)
    return found[:PAGE], str(found[PAGE - 1].pk) if len(found) > PAGE else ""


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
    held = audience.claimed(row, timezone.now()) and row.status == RequestStatus.PENDING
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
        "group": row.group,
        "blocks": row.blocks,
        "claimed_by": row.claimed_by_name if held else "",
        "holder": str(row.claimed_by_id) if held else "",
        "starter": str(row.started_by_id or ""),
        "for_you": getattr(row, "for_you", False),  # see filters.marked
        "claimed_until": row.claimed_until if held else None,
        "approvers": row.approvers,
        "votes": votes,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "escalated_at": row.escalated_at,
        "decided_by": row.decided_by_name,
        "verdict": row.verdict,
    }


def totals(rows: QuerySet[ApprovalRequest], of: Collection[str] | None = None) -> dict[str, Any]:
    """Of what waits: total and due_soon (within the hour), each counted up to COUNTED + 1, and oldest (a time or None).

    ``of`` as for ``page``.
    """
    soon = timezone.now() + timedelta(hours=1)
    total = _count_of(rows, of)
    return {
        "total": total,
        "counted": COUNTED,
        "oldest": _oldest(rows, of, total),
        "due_soon": _count_of(rows.filter(pressing__in=(0, 1, 2, 3), falls__lte=soon), of),
    }


def _parts(rows: QuerySet[ApprovalRequest], of: Collection[str] | None) -> list[QuerySet[ApprovalRequest]]:
    """The rows of each group by themselves, each in its index's order."""
    if of is None:
        return [rows]
    return [rows.filter(group=name) for name in ("", *sorted(of))]


def _first(rows: QuerySet[ApprovalRequest], of: Collection[str] | None, field: str) -> QuerySet[Any, Any]:
    """A field of the first COUNTED + 1 of each part, as one query."""
    first, *others = (part.values_list(field, flat=True)[: COUNTED + 1] for part in _parts(rows, of))
    return first.union(*others, all=True) if others else first


def _count_of(rows: QuerySet[ApprovalRequest], of: Collection[str] | None) -> int:
    """How many there are in all the parts, counted no further than COUNTED + 1; one query."""
    return min(_first(rows, of, "pk").count(), COUNTED + 1)


def _oldest(rows: QuerySet[ApprovalRequest], of: Collection[str] | None, total: int) -> datetime | None:
    """When the oldest was made. Few are all looked at; of many, one is soon met in the order of age."""
    if total > COUNTED:
        return rows.order_by("created_at", "id").values_list("created_at", flat=True).first()
    return min(_first(rows, of, "created_at"), default=None)


def _edge(rows: QuerySet[ApprovalRequest], after: str) -> ApprovalRequest | None:
    """The request to go on after; it may have been decided since."""
    try:
        key = UUID(after)
    except ValueError:
        return None
    return rows.model.objects.filter(pk=key, tenant__in=rows.values("tenant")).first()


def _beyond(edge: ApprovalRequest) -> Q:
    condition, same = Q(), Q()
    for name in _KEYS:
        value = getattr(edge, name)
        condition |= same & Q(**{f"{name}__{'lt' if name == 'blocks' else 'gt'}": value})
        same &= Q(**{name: value})
    return Q(pressing__gte=edge.pressing) & condition  # where the index begins to be read


def _place(row: ApprovalRequest) -> tuple[Any, ...]:
    return (row.pressing, row.falls, -row.blocks, row.created_at, str(row.pk))
