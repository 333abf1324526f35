"""Who saw which request, and how much of it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from approvals.errors import Invalid
from approvals.models import ApprovalRequest, Sighting
from console.tenants.access import Actor

# Who has read it has opened it, and who has opened it was shown it.
_IMPLIES = {
    "shown": ("shown_at",),
    "opened": ("shown_at", "opened_at"),
    "read": ("shown_at", "opened_at", "read_at"),
}


@transaction.atomic
def saw(actor: Actor, request: ApprovalRequest, what: str) -> Sighting:
    """Record that ``actor`` was "shown" the request, "opened" it, or "read" it to its end. The first time counts.

    Raises Invalid for any other word, and for an actor who is nobody.
    """
    if what not in _IMPLIES:
        raise Invalid("what", "must be shown, opened or read")
    if actor.id is None:
        raise Invalid("viewer", "only people and their tokens see requests")
    now = timezone.now()
    key = {"tenant_id": request.tenant_id, "request_id": request.pk, "viewer_id": actor.id}
    Sighting.objects.bulk_create([Sighting(**key, viewer_name=actor.name)], ignore_conflicts=True)
    first = {name: Coalesce(F(name), now) for name in _IMPLIES[what]}
    Sighting.objects.filter(**key).update(**first)
    return Sighting.objects.get(**key)
