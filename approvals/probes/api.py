"""Probes over HTTP, for admins: define, plant, withdraw, and what became of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict

from approvals.probes import defining, planting, readout
from approvals.probes.models import Probe
from console import paging
from console.tenants import access
from console.tenants.access import actor_of

Json = Any
router = Router(tags=["probes"])


class ProbeIn(Schema):
    """``catches``: of reject, terminate, escalate; ``edit_field``: an edit that changes this argument is a catch too.
    ``rule``: the rule that the call has to meet. ``per_week``: planted by itself so often, in business hours."""

    model_config = ConfigDict(extra="forbid")

    workflow: str
    name: str
    tool: str
    agent: str = ""
    arguments: dict[str, Json]
    task: str = ""
    why: str
    catches: list[str] = []
    edit_field: str = ""
    rule: str = ""
    per_week: int = 0


class ProbeOut(Schema):
    """``waiting``: the request that it is planted as now. ``outcomes``: how often it was caught, missed, expired and
    withdrawn."""

    id: str
    workflow: str
    name: str
    tool: str
    agent: str
    arguments: Json
    task: str
    why: str
    catches: list[str]
    edit_field: str
    rule: str
    per_week: int
    next_at: datetime | None
    author: str
    created_at: datetime
    withdrawn_at: datetime | None
    withdrawn_by: str
    waiting: str | None
    outcomes: dict[str, int]


class ProbesOut(Schema):
    items: list[ProbeOut]
    next: str | None


@router.get("/probes", response=ProbesOut, summary="Oversight probes, newest first")
def list_probes(
    request: HttpRequest,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    actor = actor_of(request)
    access.require(actor, "admin")
    found, after = paging.page(access.all(Probe.objects.select_related("workflow"), actor), cursor, limit)
    return {"items": readout.shown(actor, found), "next": after}


@router.post("/probes", response={201: ProbeOut}, summary="Define an oversight probe")
def post_probe(request: HttpRequest, body: ProbeIn) -> Any:
    """Nothing is planted by it. A call that does not fit its tool, or that would come before nobody, is a 422."""
    actor = actor_of(request)
    probe = defining.define(actor, body.dict())
    return Status(201, readout.shown(actor, [probe])[0])


@router.post("/probes/{probe_id}/plant", response={201: ProbeOut}, summary="Put a probe into the queue now")
def post_plant(request: HttpRequest, probe_id: str) -> Any:
    """Nothing is ever executed, whatever is decided. More than the bounds allow is a 409."""
    actor = actor_of(request)
    made = planting.plant(actor, probe_id)
    return Status(201, readout.shown(actor, [made.probe])[0])


@router.post("/probes/{probe_id}/withdraw", response=ProbeOut, summary="Withdraw a probe")
def post_withdraw(request: HttpRequest, probe_id: str) -> Any:
    actor = actor_of(request)
    return readout.shown(actor, [planting.withdraw(actor, probe_id)])[0]
