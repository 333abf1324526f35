"""What a list of requests can be narrowed to: the same on the queue's page, in saved views and over the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from approvals.models import PRESSING, ApprovalRequest, Mention, RequestStatus
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Membership
from console.workflows.models import Workflow

FILTERS = (
    "whose", "kind", "workflow", "group", "risk", "tool", "agent", "starter", "due", "held", "mentions",
)  # fmt: skip
ME = "me"
_OF_WAITING = ("due", "held")  # what is asked of requests that wait, and of no others


def narrow(actor: Actor, rows: QuerySet[ApprovalRequest], filters: Mapping[str, str]) -> QuerySet[ApprovalRequest]:
    """Those of ``rows`` that fit all of: kind, workflow, group ("-" for none), risk, tool (its beginning), agent, starter
    (a user name, an id, or "me"), due ("soon": within the hour), held ("me", "nobody"), mentions ("me").

    Whose they are ("mine") is for listing.mine to say. What is empty or not known to it lets everything through.
    """
    rows = rows.filter(**_plain(filters))
    now = timezone.now()
    if any(filters.get(name) for name in _OF_WAITING):
        rows = rows.filter(status=RequestStatus.PENDING)
    if filters.get("due") == "soon":
        rows = rows.filter(pressing__in=(0, 1, 2, 3), falls__lte=now + timedelta(hours=1))
    if filters.get("held") == ME:
        rows = rows.filter(claimed_by_id=actor.id, claimed_until__gt=now)
    elif filters.get("held") == "nobody":
        rows = rows.filter(Q(claimed_until=None) | Q(claimed_until__lte=now))
    if filters.get("workflow"):  # by its id: a join would have the database sort what an index has in order
        named = access.all(Workflow, actor).filter(slug=filters["workflow"]).values_list("pk", flat=True).first()
        rows = rows.filter(workflow_id=named) if named is not None else rows.none()
    if filters.get("starter"):
        who = starter(actor, filters["starter"])
        rows = rows.filter(started_by_id=who) if who is not None else rows.none()
    if filters.get("mentions") == ME:
        mine = Mention.objects.filter(tenant=actor.tenant, user_id=actor.id)
        rows = rows.filter(pk__in=mine.values("request"))
    return rows


def starter(actor: Actor, named: str) -> UUID | None:
    """Whose id is meant by "me", an id, or the user name of somebody who is or was a member; None: nobody's."""
    if named == ME:
        return actor.id
    try:
        return UUID(named)
    except ValueError:
        rows = access.all(Membership, actor).filter(user__username=named)
        return rows.values_list("user_id", flat=True).first()


def marked(actor: Actor, rows: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
    """``rows`` with ``for_you``: whether a comment on it mentions the actor. For the rows of a page, not to be counted."""
    mine = Mention.objects.filter(tenant=actor.tenant, user_id=actor.id, request=OuterRef("pk"))
    return rows.annotate(for_you=Exists(mine))


def _plain(filters: Mapping[str, str]) -> dict[str, Any]:
    """The filters that are lookups of columns."""
    lookups = {"kind": "kind", "tool": "tool__startswith", "agent": "agent"}
    found: dict[str, Any] = {lookup: filters[name] for name, lookup in lookups.items() if filters.get(name)}
    if filters.get("risk"):
        found["pressing"] = PRESSING.get(filters["risk"], 3)  # where the index begins to be read
    if filters.get("group"):
        found["group"] = "" if filters["group"] == "-" else filters["group"]
    return found
