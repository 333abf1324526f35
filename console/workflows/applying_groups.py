"""The groups of a folder into a tenant; a part of applying.py.

``members`` of a file are all that are in the group; a file without them leaves the group's people as they are. People are
never made here: somebody who is not a member of the tenant is a fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from console.tenants import access, group_actions
from console.tenants.models import Membership
from console.workflows import changes, exporting, files
from console.workflows.changes import Change
from console.workflows.files import Fault, same
from console.workflows.work import Work

Json = Any

_KNOWN = {"description": str, "members": list}
_EMPTY: Mapping[str, Json] = {"description": "", "members": []}


def put_groups(work: Work) -> None:
    """Make the groups that are not there, and change what differs in the others."""
    wanted = files.groups(work.documents)
    if not wanted:
        return
    people = access.all(Membership, work.actor).filter(active=True).values_list("user__username", flat=True)
    here, stored = set(people), exporting.groups(work.actor)
    for name, document in wanted.items():
        file = files.group_file(name)
        faults = [*_faults(work, name, document, here)]
        work.faults += faults
        if not (work.mistyped(file, document, _KNOWN) or work.exposed(file, document) or faults):
            _put(work, name, document, stored.get(name))


def _faults(work: Work, name: str, document: Mapping[str, Json], here: Set[str]) -> Iterator[Fault]:
    file = files.group_file(name)
    if not group_actions.NAME.fullmatch(name):
        yield Fault(file, "", "must be named with 1 to 60 small letters, digits and hyphens, such as finance.json")
    members = document.get("members")
    for place, who in enumerate(members if isinstance(members, list) else []):
        if not isinstance(who, str):
            yield Fault(file, f"$.members[{place}]", "must be a user name")
        elif who not in here:
            said = (
                f"{who[:150]!r} is not a member of {work.actor.tenant.name}: add them under People first, or take members "
                "out of the file, which leaves the group's people as they are"
            )
            yield Fault(file, f"$.members[{place}]", said)


def _put(work: Work, name: str, document: Mapping[str, Json], stored: Mapping[str, Json] | None) -> None:
    file, before = files.group_file(name), stored or _EMPTY
    after = {**before, **document}
    after = {"description": after["description"].strip(), "members": sorted(set(after["members"]))}
    if stored is not None and same(after, stored):
        return
    with work.at(file):
        members = after["members"] if "members" in document else None
        group_actions.put_group(work.actor, name, after["description"], members)
        if stored is None:
            work.changes.append(Change(file, "new group", "", name))
        said, says = ({"description": each["description"]} for each in (before, after))
        work.changes += changes.of_values(file, said, says)
        work.changes += _people(file, before["members"], after["members"])


def _people(file: str, before: Iterable[str], after: Iterable[str]) -> Iterator[Change]:
    """One line for each who comes or goes."""
    yield from (Change(file, "member", "", changes.plain(who)) for who in sorted(set(after) - set(before)))
    yield from (Change(file, "member", changes.plain(who), "") for who in sorted(set(before) - set(after)))
