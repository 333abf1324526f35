"""Alerts over HTTP: rules, what they found, and silences."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from console import paging
from console.tenants import access
from console.tenants.access import actor_of
from telemetry.alerts import actions, reading
from telemetry.alerts.models import AlertRule, Incident, Silence

router = Router(tags=["alerts"])
Whole = Annotated[int | None, Field(ge=0, le=10**9)]


class RuleIn(Schema):
    """``condition``: above or below ``threshold``, in the figure's unit, or unusual: against the same hours of ``weeks``
    weeks. ``narrowed`` as in GET /telemetry/series. Fewer than ``least`` events say nothing."""

    model_config = ConfigDict(extra="forbid")

    name: str
    figure: str
    narrowed: dict[str, str] = {}
    hours: int
    condition: str
    threshold: float | None = None
    weeks: Whole = None
    least: Whole = None
    for_minutes: Whole = None
    severity: str = "medium"
    remind_hours: Whole = None
    active: bool = True


class RuleOut(Schema):
    """``state``: ok, pending, firing or no_data; ``note`` says why nothing can be said. ``low`` and ``high`` bound ``value``."""

    id: str
    name: str
    figure: str
    narrowed: dict[str, str]
    hours: int
    condition: str
    threshold: float | None
    weeks: int
    least: int
    for_minutes: int
    severity: str
    remind_hours: int
    active: bool
    state: str
    value: float | None
    low: float | None
    high: float | None
    events: int
    flapping: bool
    checked_at: datetime | None
    note: str
    updated_at: datetime
    updated_by: str


class RulesOut(Schema):
    items: list[RuleOut]
    next: str | None


class AlertOut(Schema):
    """One firing. ``told`` are the notices that were sent: none where no channel listens, or a silence held."""

    id: str
    rule: str
    name: str
    figure: str
    narrowed: dict[str, str]
    severity: str
    began_at: datetime
    ended_at: datetime | None
    ended_because: str
    first: float
    worst: float
    latest: float
    low: float | None
    high: float | None
    because: str
    silenced: bool
    flapping: bool
    told_at: datetime | None
    recovery_told_at: datetime | None
    insights: str
    runs: str


class AlertsOut(Schema):
    items: list[AlertOut]
    next: str | None


class SilenceIn(Schema):
    """``rule`` is a rule's id; empty: all of them. ``until`` is a time at most 30 days ahead, or 1h, 8h, monday."""

    model_config = ConfigDict(extra="forbid")

    rule: str = ""
    reason: str
    until: str


class SilenceOut(Schema):
    id: str
    rule: str
    reason: str
    until: datetime
    created_at: datetime
    created_by: str
    ended_by: str


class SilencesOut(Schema):
    items: list[SilenceOut]
    next: str | None


@router.get("/alerts", response=AlertsOut, summary="What alert rules found, newest first")
def list_alerts(
    request: HttpRequest,
    firing: bool = False,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    rows = access.all(Incident, actor_of(request))
    found, after = paging.page(rows.filter(ended_at=None) if firing else rows, cursor, limit)
    return {"items": [reading.alert(row) for row in found], "next": after}


@router.get("/alerts/rules", response=RulesOut, summary="All alert rules, and how they stand")
def list_rules(request: HttpRequest) -> Any:
    rows = access.all(AlertRule, actor_of(request)).order_by("name")
    return {"items": [reading.rule(row) for row in rows], "next": None}


@router.post("/alerts/rules", response={201: RuleOut}, summary="Make an alert rule")
def add_rule(request: HttpRequest, body: RuleIn) -> Any:
    return Status(201, reading.rule(actions.add_rule(actor_of(request), body.dict(), timezone.now())))


@router.get("/alerts/rules/{rule_id}", response=RuleOut, summary="An alert rule, and how it stands")
def get_rule(request: HttpRequest, rule_id: str) -> Any:
    return reading.rule(access.get(AlertRule, actor_of(request), pk=rule_id))


@router.put("/alerts/rules/{rule_id}", response=RuleOut, summary="Replace an alert rule")
def put_rule(request: HttpRequest, rule_id: str, body: RuleIn) -> Any:
    return reading.rule(actions.change_rule(actor_of(request), rule_id, body.dict(), timezone.now()))


@router.delete("/alerts/rules/{rule_id}", response=RuleOut, summary="Delete an alert rule; what it found stays")
def delete_rule(request: HttpRequest, rule_id: str) -> Any:
    return reading.rule(actions.delete_rule(actor_of(request), rule_id, timezone.now()))


@router.get("/alerts/silences", response=SilencesOut, summary="Silences, newest first")
def list_silences(request: HttpRequest, cursor: str | None = None) -> Any:
    found, after = paging.page(access.all(Silence, actor_of(request)), cursor, paging.LIMIT)
    return {"items": [reading.silence(row) for row in found], "next": after}


@router.post("/alerts/silences", response={201: SilenceOut}, summary="Tell nobody for a while")
def add_silence(request: HttpRequest, body: SilenceIn) -> Any:
    made = actions.silence(actor_of(request), body.rule, body.reason, body.until, timezone.now())
    return Status(201, reading.silence(made))


@router.delete("/alerts/silences/{silence_id}", response=SilenceOut, summary="End a silence")
def end_silence(request: HttpRequest, silence_id: str) -> Any:
    return reading.silence(actions.wake(actor_of(request), silence_id, timezone.now()))
