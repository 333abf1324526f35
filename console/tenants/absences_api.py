"""Absences over HTTP: every member reads who is away; a reviewer says it of themselves, an admin of anybody."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import AwareDatetime, ConfigDict

from console.tenants import absences, access
from console.tenants.access import Actor, actor_of
from console.tenants.actions import Invalid
from console.tenants.models import Absence, Membership

router = Router(tags=["tenants"])

# What the action calls its fields, and what they are called here.
_FIELDS = {"user": "username", "delegate": "stands_in"}


class AbsenceIn(Schema):
    """``username``: who is away; left out, whoever the token is. ``stands_in``: the user name of another reviewer. Times
    are ISO 8601 with an offset; ``starts`` is at most a day ago, and the absence at most 366 days long."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(max_length=150)] | None = None
    starts: AwareDatetime
    ends: AwareDatetime
    stands_in: Annotated[str, Field(max_length=150)]


class AbsenceOut(Schema):
    """From ``starts`` until ``ends``, ``stands_in`` counts as a member of the groups of ``username``."""

    id: str
    username: str
    name: str
    starts: datetime
    ends: datetime
    stands_in: str


class AbsencesOut(Schema):
    items: list[AbsenceOut]
    next: str | None


class OverOut(Schema):
    """The id of the absence that is over, or was taken back."""

    id: str


@router.get("/absences", response=AbsencesOut, summary="Who is away or will be, and who stands in; soonest first")
def list_absences(request: HttpRequest) -> Any:
    rows = absences.open_ones(actor_of(request).tenant.id)
    return {"items": [_out(each) for each in rows], "next": None}


@router.post("/absences", response={201: AbsenceOut}, summary="Say that a reviewer is away, and who stands in")
def put_absence(request: HttpRequest, body: AbsenceIn) -> Any:
    actor = actor_of(request)
    try:
        made = absences.put_absence(actor, _away(actor, body.username), body.starts, body.ends, body.stands_in)
    except Invalid as fault:
        raise Invalid(_FIELDS.get(fault.field, fault.field), fault.message) from fault
    return Status(201, _out(made))


@router.delete("/absences/{id}", response=OverOut, summary="End an absence, or take back one that has not begun")
def end_absence(request: HttpRequest, id: str) -> Any:
    absences.end_absence(actor_of(request), id)
    return {"id": id}


def _away(actor: Actor, username: str | None) -> UUID:
    """Who is away: the member of that user name, or the actor. Raises Invalid."""
    wanted = {"user_id": actor.id} if username is None else {"user__username": username}
    member = access.all(Membership, actor).filter(active=True, **wanted).first()
    if member is not None:
        return member.user_id
    if username is None:
        raise Invalid("username", "Say who is away: this token is no person's.")
    raise Invalid("username", f"{username!r} is not a member of {actor.tenant.name}.")


def _out(absence: Absence) -> dict[str, Any]:
    return {
        "id": str(absence.id),
        "username": absence.user.username,
        "name": absence.user.name,
        "starts": absence.starts,
        "ends": absence.ends,
        "stands_in": absence.delegate.username,
    }
