"""Who is in which group, and who can therefore decide. Readers only: group_actions.py changes.

Being in a group gives no right by itself. A reviewer who is in it decides what a rule asks of it; so does, while an
absence lasts, the reviewer who stands in for one of them. Standing in is not handed on: a delegate who is away as well
has handed on their own groups alone.

Each reader filters by tenant itself, and is called inside a scope that shows the tenant's rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from console.tenants.access import Actor
from console.tenants.models import Absence, Group, GroupMember, Membership, Role


@dataclass(frozen=True, slots=True)
class Member:
    """An active member of the tenant, as a group has them.

    ``stands_in``: only there for somebody who is away. ``away``: absent at the moment asked about; may decide still.
    """

    user_id: UUID
    name: str
    role: str
    username: str = ""
    stands_in: bool = False
    away: bool = False


def names(tenant_id: UUID) -> list[str]:
    """The names of a tenant's groups, sorted."""
    return sorted(Group.objects.filter(tenant_id=tenant_id).values_list("name", flat=True))


def of(actor: Actor, now: datetime | None = None) -> frozenset[str]:
    """The names of the groups that the acting person counts as a member of, those they stand in for included.

    A person's token counts as the person. Service accounts and the product itself are in none.
    """
    if actor.id is None or actor.kind == "system":
        return frozenset()
    tenant_id = actor.tenant.id
    absent = _absences(tenant_id, now).filter(delegate_id=actor.id)
    found = GroupMember.objects.filter(
        Q(user_id=actor.id) | Q(user_id__in=absent.values("user_id")),
        Exists(_active(tenant_id).filter(user_id=actor.id)),
        tenant_id=tenant_id,
        group__tenant_id=tenant_id,
    )
    return frozenset(found.values_list("group__name", flat=True))


def members(tenant_id: UUID, name: str, now: datetime | None = None) -> list[Member]:
    """The tenant's active members, of any role, who are in a group; by name. Nobody where there is no such group."""
    return _people(_active(tenant_id).filter(_in_group(tenant_id, name)), tenant_id, now)


def everybody(tenant_id: UUID, now: datetime | None = None) -> dict[str, list[Member]]:
    """The members of each of a tenant's groups, as ``members`` gives them, in two queries."""
    found: dict[str, list[Member]] = {name: [] for name in names(tenant_id)}
    role = _active(tenant_id).filter(user_id=OuterRef("user_id")).values("role")[:1]
    away = Exists(_absences(tenant_id, now).filter(user_id=OuterRef("user_id")))
    rows = GroupMember.objects.filter(tenant_id=tenant_id, group__tenant_id=tenant_id)
    for row in rows.select_related("user", "group").annotate(role=Subquery(role), away=away).exclude(role=None):
        who = Member(row.user_id, row.user.name, row.role, row.user.username, away=row.away)
        found[row.group.name].append(who)
    return {name: sorted(people, key=_by_name) for name, people in found.items()}


def reviewers(tenant_id: UUID, name: str, now: datetime | None = None) -> list[Member]:
    """The people who can decide what is asked of a group: its reviewers, and whoever stands in for one; by name."""
    inside = _in_group(tenant_id, name)
    stand_ins = _absences(tenant_id, now).filter(inside).values("delegate_id")
    people = _active(tenant_id).filter(Q(inside) | Q(user_id__in=stand_ins), role=Role.REVIEWER)
    return _people(people, tenant_id, now, direct=inside)


def empty(tenant_id: UUID, names: Iterable[str]) -> set[str]:
    """Which of these groups nobody can decide for: they do not exist, or have no reviewer."""
    wanted = set(names)
    if not wanted:
        return set()
    # Whoever stands in does so for a reviewer, so a group without reviewers has no stand-in either.
    reviewing = _active(tenant_id).filter(user_id=OuterRef("user_id"), role=Role.REVIEWER)
    filled = GroupMember.objects.filter(
        Exists(reviewing), tenant_id=tenant_id, group__tenant_id=tenant_id, group__name__in=wanted
    )
    return wanted - set(filled.values_list("group__name", flat=True))


def standing_in(actor: Actor, group: str | None = None, now: datetime | None = None) -> list[str]:
    """The names of the absent people for whom the actor stands in (in one group, where it is named); for the record.

    Sorted. Empty for a ``group`` that the actor is in themselves: there they decide in their own name.
    """
    if actor.id is None or actor.kind == "system":
        return []
    tenant_id = actor.tenant.id
    absences = _absences(tenant_id, now).filter(delegate_id=actor.id)
    if group is not None:
        mine = GroupMember.objects.filter(tenant_id=tenant_id, group__name=group, user_id=actor.id)
        absences = absences.filter(_in_group(tenant_id, group)).exclude(Exists(mine))
    return sorted({each.user.name for each in absences.select_related("user")})


def _active(tenant_id: UUID) -> QuerySet[Membership]:
    return Membership.objects.filter(tenant_id=tenant_id, active=True)


def _in_group(tenant_id: UUID, name: str) -> Exists:
    """Whether the ``user_id`` of the row asked about is in the group."""
    return Exists(
        GroupMember.objects.filter(
            tenant_id=tenant_id, group__tenant_id=tenant_id, group__name=name, user_id=OuterRef("user_id")
        )
    )


def _absences(tenant_id: UUID, now: datetime | None) -> QuerySet[Absence]:
    """Absences that last at ``now``, of people who are reviewers still: others have nothing to hand over."""
    now = now or timezone.now()
    return Absence.objects.filter(
        Exists(_active(tenant_id).filter(user_id=OuterRef("user_id"), role=Role.REVIEWER)),
        tenant_id=tenant_id,
        starts__lte=now,
        ends__gt=now,
    )


def _people(
    rows: QuerySet[Membership], tenant_id: UUID, now: datetime | None, direct: Exists | None = None
) -> list[Member]:
    away = Exists(_absences(tenant_id, now).filter(user_id=OuterRef("user_id")))
    rows = rows.select_related("user").annotate(away=away)
    if direct is not None:
        rows = rows.annotate(direct=direct)
    people = [
        Member(
            user_id=row.user_id,
            name=row.user.name,
            role=row.role,
            username=row.user.username,
            stands_in=direct is not None and not row.direct,
            away=row.away,
        )
        for row in rows
    ]
    return sorted(people, key=_by_name)


def _by_name(who: Member) -> tuple[str, str]:
    return who.name.casefold(), who.username
