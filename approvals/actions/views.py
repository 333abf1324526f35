"""What a person arranges for themselves alone: saved views of the queue, and requests put off until later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals.errors import Invalid, TooLate
from approvals.models import ApprovalRequest, RequestStatus, SavedView, Snooze
from console.tenants import access
from console.tenants.access import Actor

MOST_VIEWS = 20
LONGEST = timedelta(days=31)


@transaction.atomic
def keep_view(actor: Actor, name: str, filters: Mapping[str, str]) -> SavedView:
    """Keep filters of the queue under a name; the same name again replaces them. Raises access.Forbidden, Invalid."""
    owner = _person(actor)
    name = " ".join(name.split()) if isinstance(name, str) else ""
    if not 0 < len(name) <= 60 or "\x00" in name:
        raise Invalid("name", "must be 1 to 60 characters")
    mine = access.all(SavedView, actor).filter(owner_id=owner)
    if not mine.filter(name=name).exists() and mine.count() >= MOST_VIEWS:
        raise Invalid("name", f"would be your view number {MOST_VIEWS + 1}: forget one first")
    found, _ = SavedView.objects.update_or_create(
        tenant=actor.tenant, owner_id=owner, name=name, defaults={"filters": dict(filters)}
    )
    return found


def forget_view(actor: Actor, view_id: UUID | str) -> None:
    """Delete one of one's own views. Raises access.NotFound, access.Forbidden."""
    access.get(SavedView, actor, pk=view_id, owner_id=_person(actor)).delete()


@transaction.atomic
def snooze(actor: Actor, request_id: UUID | str, until: datetime | None) -> None:
    """Put a pending request off one's own list until a time; None takes it back. Its reminders and its end stay as they
    are. Raises access.NotFound, access.Forbidden, TooLate, Invalid."""
    owner = _person(actor)
    request = access.get(ApprovalRequest.objects.select_related("workflow"), actor, pk=request_id)
    mine = Snooze.objects.filter(tenant=actor.tenant, request=request, owner_id=owner)
    if until is None:
        mine.delete()
        return
    if request.status != RequestStatus.PENDING:
        raise TooLate(request)
    now = timezone.now()
    if not now < until <= now + LONGEST:
        raise Invalid("until", f"must lie ahead, and at most {LONGEST.days} days")
    if request.due_at is not None and until >= request.due_at:
        raise Invalid("until", "must be before it falls due")
    Snooze.objects.update_or_create(tenant=actor.tenant, request=request, owner_id=owner, defaults={"until": until})


def _person(actor: Actor) -> UUID:
    if actor.id is None:
        raise access.Forbidden("Only people and their tokens have lists of their own.")
    return actor.id
