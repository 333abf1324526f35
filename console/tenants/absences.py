"""Being away: until when, and who stands in. What standing in means is in groups.py.

Nothing is handed on twice: whoever stands in does so with the absent person's own groups, and is there themselves.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from console.audit import log
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.actions import Conflict, Invalid
from console.tenants.models import Absence, Membership, Role, User

LONGEST = timedelta(days=366)


def open_ones(tenant_id: UUID, now: datetime | None = None) -> QuerySet[Absence]:
    """The absences that last or are to come, soonest first, with their people."""
    rows = Absence.objects.filter(tenant_id=tenant_id, ends__gt=now or timezone.now())
    return rows.select_related("user", "delegate").order_by("starts", "id")


def put_absence(
    actor: Actor, user_id: UUID, starts: datetime, ends: datetime, delegate: UUID | str, now: datetime | None = None
) -> Absence:
    """Say that a reviewer is away, and who stands in (an id or a user name). For oneself; admins for anybody.

    Raises Forbidden, NotFound, Invalid.
    """
    _may(actor, user_id)
    now = now or timezone.now()
    if ends <= starts:
        raise Invalid("ends", "The end is after the beginning.")
    if starts <= now - timedelta(days=1):
        raise Invalid("starts", "It begins today at the earliest: who could decide in the past does not change.")
    if ends <= now:
        raise Invalid("ends", "That is over already.")
    if ends - starts > LONGEST or starts - now > LONGEST:
        raise Invalid("ends", "An absence begins within a year, and is at most 366 days long.")
    with transaction.atomic():
        # The lock keeps two forms sent at once from saying two things about the same days.
        rows = Membership.objects.select_related("user")
        member = access.get(rows, actor, for_update=True, user_id=user_id, active=True)
        if member.role != Role.REVIEWER:
            raise Invalid("user", f"{member.user.name} is {member.role} here and decides nothing, so nobody stands in.")
        stand_in = _stand_in(actor, member.user, delegate)
        meanwhile = access.all(Absence, actor).filter(starts__lt=ends, ends__gt=starts)
        for other in meanwhile.filter(Q(user_id=user_id) | Q(user=stand_in)):
            if other.user_id == user_id:
                raise Invalid("starts", f"An absence {_days(other)} is set already; end that one first.")
            raise Invalid(
                "delegate", f"{stand_in.name} is away {_days(other)}, and standing in is not handed on: choose another."
            )
        absence = Absence.objects.create(
            tenant=actor.tenant, user=member.user, delegate=stand_in, starts=starts, ends=ends
        )
        log.record(
            actor, "absence.set", "user", user_id,
            name=member.user.name, delegate=stand_in.username, starts=starts, ends=ends,
        )  # fmt: skip
    return absence


def end_absence(actor: Actor, absence_id: UUID | str, now: datetime | None = None) -> None:
    """End an absence now, or take back one that has not begun. Raises Forbidden, NotFound, Conflict when it is over."""
    now = now or timezone.now()
    with transaction.atomic():
        rows = Absence.objects.select_related("user", "delegate")
        absence = access.get(rows, actor, for_update=True, id=absence_id)
        _may(actor, absence.user_id)
        if absence.ends <= now:
            raise Conflict("This absence is over already.")
        begun = absence.starts < now
        if begun:
            absence.ends = now
            absence.save(update_fields=["ends"])
        log.record(
            actor, "absence.ended" if begun else "absence.taken_back", "user", absence.user_id,
            name=absence.user.name, delegate=absence.delegate.username,
        )  # fmt: skip
        if not begun:
            absence.delete()


def _may(actor: Actor, user_id: UUID) -> None:
    """A person speaks for themselves, with the page or with their own token; an admin for everybody."""
    if actor.id is None or actor.id != user_id:
        access.require(actor, Role.ADMIN)


def _stand_in(actor: Actor, user: User, given: UUID | str) -> User:
    if isinstance(given, str) and ("\x00" in given or not given.strip()):
        raise Invalid("delegate", "Say who stands in: a reviewer.")
    wanted = {"user_id": given} if isinstance(given, UUID) else {"user__username": given.strip()}
    rows = access.all(Membership, actor).select_related("user")
    member = rows.filter(active=True, role=Role.REVIEWER, **wanted).first()
    if member is None:
        raise Invalid("delegate", "Whoever stands in is a reviewer here, too.")
    if member.user_id == user.id:
        raise Invalid("delegate", "Somebody else has to stand in.")
    return member.user


def _days(absence: Absence) -> str:
    last = absence.ends - timedelta(seconds=1)
    return f"from {absence.starts:%Y-%m-%d} to {last:%Y-%m-%d}"
