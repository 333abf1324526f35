"""What changes groups. Each deed is an admin's, and writes its audit row in the same transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence, Set
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from console.audit import log
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.actions import Conflict, Invalid
from console.tenants.models import Group, GroupMember, Membership, Role, Tenant, User

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
DESCRIPTION_MAX = 500
MEMBERS_MAX = 1000

# What names groups stands above this package, and says so when Django starts: a group that is named stays.
InUse = Callable[[Tenant, str], Iterable[str]]
_checks: list[InUse] = []


def use(in_use: InUse) -> None:
    """Ask ``in_use`` before a group is deleted, too: (tenant, name) to sentences, each saying what names the group."""
    if in_use not in _checks:
        _checks.append(in_use)


def uses(tenant: Tenant, name: str) -> list[str]:
    """What names a group, each a sentence; empty where nothing does."""
    return [sentence for check in _checks for sentence in check(tenant, name)]


def put_group(actor: Actor, name: str, description: str = "", members: Iterable[UUID | str] | None = None) -> Group:
    """Make a group, or change the one of that name. Raises Forbidden, Invalid.

    ``members`` (ids or user names) are all that are in it from now on; None leaves them as they are.
    """
    access.require(actor, Role.ADMIN)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Invalid("name", "A group's name is 1 to 60 small letters, digits and hyphens, such as finance.")
    if len(description) > DESCRIPTION_MAX or not description.isprintable():
        raise Invalid("description", f"The description is one line of at most {DESCRIPTION_MAX} characters.")
    wanted = None if members is None else list(members)
    if wanted is not None and len(wanted) > MEMBERS_MAX:
        raise Invalid("members", f"A group has at most {MEMBERS_MAX} members.")
    people = None if wanted is None else _persons(actor, wanted)
    with transaction.atomic():
        found, made = Group.objects.get_or_create(tenant=actor.tenant, name=name)
        group = access.get(Group, actor, for_update=True, id=found.id)
        was, description = group.description, description.strip()
        access.all(Group, actor).filter(id=group.id).update(description=description)
        before = _inside(actor, group)
        now = before if people is None else people
        added, removed = _change(actor, group, now.keys() - before.keys(), before.keys() - now.keys())
        if made or added or removed or was != description:
            changed = {"description": description} if made or was != description else {}
            deed = "group.made" if made else "group.changed"
            log.record(actor, deed, "group", group.id, name=name, added=added, removed=removed, **changed)
    group.refresh_from_db()
    return group


def make_group(actor: Actor, name: str, description: str = "") -> Group:
    """Make a group that is not there yet. Raises Forbidden, Invalid."""
    access.require(actor, Role.ADMIN)
    if access.all(Group, actor).filter(name=name.replace("\x00", "\ufffd")).exists():
        raise Invalid("name", f"There is a group {name} already.")
    return put_group(actor, name, description)


def delete_group(actor: Actor, name: str) -> None:
    """Delete a group; its people stay members of the tenant. Raises Forbidden, NotFound, Conflict while it is named."""
    access.require(actor, Role.ADMIN)
    with transaction.atomic():
        group = access.get(Group, actor, for_update=True, name=name)
        named = uses(actor.tenant, name)
        if named:
            more = f" So do {len(named) - 3} more places." if len(named) > 3 else ""
            raise Conflict(f"The group {name} is in use: {'; '.join(named[:3])}.{more} Change that first.")
        people = sorted(user.username for user in _inside(actor, group).values())
        log.record(actor, "group.deleted", "group", group.id, name=name, members=people)
        group.delete()


def add_to_group(actor: Actor, name: str, person: UUID | str) -> bool:
    """Put a member (id or user name) into a group. False when they were in it. Raises Forbidden, NotFound, Invalid."""
    access.require(actor, Role.ADMIN)
    user_id = _person(actor, person)
    with transaction.atomic():
        group = access.get(Group, actor, for_update=True, name=name)
        inside = _inside(actor, group)
        if len(inside) >= MEMBERS_MAX and user_id not in inside:
            raise Invalid("members", f"A group has at most {MEMBERS_MAX} members.")
        return _record(actor, group, *_change(actor, group, {user_id} - inside.keys(), set()))


def remove_from_group(actor: Actor, name: str, person: UUID | str) -> bool:
    """Take a person (id or user name) out of a group. False when they were not in it. Raises Forbidden, NotFound."""
    access.require(actor, Role.ADMIN)
    with transaction.atomic():
        group = access.get(Group, actor, for_update=True, name=name)
        gone = {user.id for user in _inside(actor, group).values() if person in (user.id, user.username)}
        return _record(actor, group, *_change(actor, group, set(), gone))


def put_groups_of(actor: Actor, person: UUID | str, names: Iterable[str]) -> None:
    """Have a member (id or user name) be in these groups and in no other. Raises Forbidden, NotFound, Invalid."""
    access.require(actor, Role.ADMIN)
    user_id, wanted = _person(actor, person), set(names)
    there = set(access.all(Group, actor).values_list("name", flat=True))
    if wanted - there:
        raise Invalid("groups", f"There is no group {min(wanted - there)[:60]!r}.")
    with transaction.atomic():
        inside = access.all(GroupMember, actor).filter(user_id=user_id)
        before = set(inside.values_list("group__name", flat=True))
        for name in sorted(wanted - before):
            add_to_group(actor, name, user_id)
        for name in sorted(before - wanted):
            remove_from_group(actor, name, user_id)


def _persons(actor: Actor, given: Sequence[UUID | str]) -> dict[UUID, User]:
    """The active members of those ids or user names. Raises Invalid, which names the first who is none."""
    names = {each for each in given if isinstance(each, str) and "\x00" not in each}
    ids = {each for each in given if isinstance(each, UUID)}
    rows = access.all(Membership, actor).filter(Q(user_id__in=ids) | Q(user__username__in=names), active=True)
    people = {row.user_id: row.user for row in rows.select_related("user")}
    known = people.keys() | {user.username for user in people.values()}
    for each in given:
        if each not in known:
            who = repr(str(each)[:150])
            raise Invalid("members", f"{who} is not a member of {actor.tenant.name}; add them there first.")
    return people


def _person(actor: Actor, given: UUID | str) -> UUID:
    return next(iter(_persons(actor, [given])))


def _inside(actor: Actor, group: Group) -> dict[UUID, User]:
    rows = access.all(GroupMember, actor).filter(group=group).select_related("user")
    return {row.user_id: row.user for row in rows}


def _change(actor: Actor, group: Group, add: Set[UUID], remove: Set[UUID]) -> tuple[list[str], list[str]]:
    """Write who comes and who goes; their user names, sorted."""
    GroupMember.objects.bulk_create([GroupMember(tenant=actor.tenant, group=group, user_id=each) for each in add])
    access.all(GroupMember, actor).filter(group=group, user_id__in=remove).delete()
    people = User.objects.in_bulk([*add, *remove])
    return sorted(people[each].username for each in add), sorted(people[each].username for each in remove)


def _record(actor: Actor, group: Group, added: list[str], removed: list[str]) -> bool:
    if added or removed:
        log.record(actor, "group.changed", "group", group.id, name=group.name, added=added, removed=removed)
    return bool(added or removed)
