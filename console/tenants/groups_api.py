"""Members and groups over HTTP. Every member reads who is in which; admins change it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema
from pydantic import ConfigDict

from console.tenants import absences, access, group_actions, groups, people_actions
from console.tenants.access import Actor, actor_of
from console.tenants.models import Group, GroupMember, Membership, Role

router = Router(tags=["tenants"])

Username = Annotated[str, Field(max_length=150)]


class PersonOut(Schema):
    username: str
    name: str
    role: str


class AwayOut(Schema):
    """Until ``ends``, ``stands_in`` (a user name) counts as a member of this person's groups."""

    starts: datetime
    ends: datetime
    stands_in: str


class MemberOut(PersonOut):
    """``away``: absences that last or are to come. ``last_login`` is of the person, wherever they work."""

    groups: list[str]
    away: list[AwayOut]
    last_login: datetime | None


class MembersOut(Schema):
    items: list[MemberOut]
    next: str | None


class MemberIn(Schema):
    model_config = ConfigDict(extra="forbid")

    role: str


class GroupOut(Schema):
    """``empty``: no member is a reviewer, so nobody can decide what a rule asks of it."""

    name: str
    description: str
    members: list[PersonOut]
    empty: bool
    created_at: datetime


class GroupsOut(Schema):
    items: list[GroupOut]
    next: str | None


class GroupIn(Schema):
    """``members`` are the user names of all that are in it from now on; left out, they stay as they are."""

    model_config = ConfigDict(extra="forbid")

    description: str = ""
    members: list[Username] | None = Field(None, max_length=group_actions.MEMBERS_MAX)


class EndedOut(Schema):
    """The name of what is gone."""

    name: str


@router.get("/members", response=MembersOut, summary="All members, with their role and groups")
def list_members(request: HttpRequest) -> Any:
    return {"items": _members(actor_of(request)), "next": None}


@router.put("/members/{username}", response=MemberOut, summary="Give a member another role")
def put_member(request: HttpRequest, username: str, body: MemberIn) -> Any:
    actor = actor_of(request)
    member = people_actions.put_role(actor, username, body.role)
    return _members(actor, member.user_id)[0]


@router.delete("/members/{username}", response=EndedOut, summary="End a membership")
def end_membership(request: HttpRequest, username: str) -> Any:
    people_actions.end_membership(actor_of(request), username)
    return {"name": username}


@router.get("/groups", response=GroupsOut, summary="All groups, with their members")
def list_groups(request: HttpRequest) -> Any:
    actor = actor_of(request)
    people = groups.everybody(actor.tenant.id)
    rows = access.all(Group, actor).order_by("name")
    return {"items": [_out(each, people.get(each.name, [])) for each in rows], "next": None}


@router.get("/groups/{name}", response=GroupOut, summary="A group, with its members")
def get_group(request: HttpRequest, name: str) -> Any:
    actor = actor_of(request)
    return _out(access.get(Group, actor, name=name), groups.members(actor.tenant.id, name))


@router.put("/groups/{name}", response=GroupOut, summary="Make a group, or change it")
def put_group(request: HttpRequest, name: str, body: GroupIn) -> Any:
    actor = actor_of(request)
    group = group_actions.put_group(actor, name, body.description, body.members)
    return _out(group, groups.members(actor.tenant.id, name))


@router.delete("/groups/{name}", response=EndedOut, summary="Delete a group that no rule names")
def delete_group(request: HttpRequest, name: str) -> Any:
    group_actions.delete_group(actor_of(request), name)
    return {"name": name}


def _out(group: Group, people: list[groups.Member]) -> dict[str, Any]:
    return {
        "name": group.name,
        "description": group.description,
        "members": [{"username": each.username, "name": each.name, "role": each.role} for each in people],
        "empty": all(each.role != Role.REVIEWER for each in people),
        "created_at": group.created_at,
    }


def _members(actor: Actor, user_id: UUID | None = None) -> list[dict[str, Any]]:
    """The active members, by user name; or one of them."""
    rows = access.all(Membership, actor).filter(active=True).select_related("user").order_by("user__username")
    inside = access.all(GroupMember, actor).select_related("group").order_by("group__name")
    if user_id is not None:
        rows, inside = rows.filter(user_id=user_id), inside.filter(user_id=user_id)
    named, away = defaultdict(list), defaultdict(list)
    for each in inside:
        named[each.user_id].append(each.group.name)
    for absence in absences.open_ones(actor.tenant.id):
        said = {"starts": absence.starts, "ends": absence.ends, "stands_in": absence.delegate.username}
        away[absence.user_id].append(said)
    return [
        {
            "username": row.user.username,
            "name": row.user.name,
            "role": row.role,
            "groups": named[row.user_id],
            "away": away[row.user_id],
            "last_login": row.user.last_login,
        }
        for row in rows
    ]
