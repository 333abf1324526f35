"""The dashboards' figures over HTTP. Every member of a tenant may read them."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field, create_model

from console.tenants.access import actor_of
from telemetry import asking, query, retention
from telemetry.answers import Approvals, Three, Totals
from telemetry.people import SEE_NAMES
from telemetry.windows import Window

router = Router(tags=["telemetry"])
Text = Annotated[str, Field(max_length=200)]
Percentiles = Annotated[
    list[float | None], Field(description="p50, p95 and p99 in seconds", min_length=3, max_length=3)
]


class Asked(Schema):
    """Whose figures, and of when: ``from`` and ``to`` are times or dates (UTC), or ``range`` is 24h, 7d, 30d, 90d."""

    since: Text = Field("", alias="from")
    to: Text = ""
    range: Text = ""
    workflow: Text = ""
    revision: Text = ""
    agent: Text = ""
    model: Text = ""
    topic: Text = ""
    tool: Text = ""
    stop_reason: Text = ""

    def plain(self) -> dict[str, str]:
        """As it stood in the address."""
        return {**self.dict(), "from": self.since}


class SeriesAsked(Asked):
    """``figure`` is a name of GET /telemetry/figures, ``by`` what it is split by."""

    figure: Text
    by: Text = ""
    format: Literal["json", "csv"] = "json"


class WindowOut(Schema):
    """Whole hours or days of UTC; ``grain`` is hour or day."""

    since: datetime = Field(alias="from", serialization_alias="from")
    to: datetime
    grain: str


def _like(answer: type, **others: Any) -> Any:
    """A schema with the fields of one of telemetry.answers, in their order; ``others`` are told in another form."""
    hints = {**get_type_hints(answer), **others}
    told: dict[str, Any] = {
        each.name: (Percentiles if hints[each.name] == Three else hints[each.name], ...) for each in fields(answer)
    }
    return create_model(answer.__name__, __base__=Schema, **told)


class TotalsOut(_like(Totals)):  # type: ignore[misc]
    """Times in seconds, costs in US dollars; null: there is nothing to say it of."""


class ApprovalsOut(_like(Approvals, verdicts=dict[str, int])):  # type: ignore[misc]
    """Requests raised, opened, decided, expired, escalated and moot; waits count those that still wait."""


class SummaryOut(Schema):
    """The window, the one before it, and what is ready for a worker right now."""

    window: WindowOut
    totals: TotalsOut
    before: TotalsOut
    approvals: ApprovalsOut
    queue: dict[str, float | None]


class LineOut(Schema):
    """``points`` are pairs of a time and a value; ``rest``: the sum of the lines that are not shown."""

    key: str
    label: str
    rest: bool
    points: list[tuple[datetime, float | None]]


class SeriesOut(Schema):
    """A figure over time."""

    figure: str
    unit: str
    window: WindowOut
    items: list[LineOut]
    next: str | None


class FigureOut(Schema):
    """What can be asked for. ``unit``: count, share, seconds, dollars, tokens."""

    name: str
    title: str
    unit: str
    sentence: str
    by: list[str]


class FiguresOut(Schema):
    """All of them."""

    items: list[FigureOut]
    next: str | None


class KeptIn(Schema):
    """For how many days figures are kept by the hour, and by the day."""

    model_config = ConfigDict(extra="forbid")

    hours: int
    days: int


class KeptOut(Schema):
    """For how many days figures are kept by the hour, and by the day."""

    hours: int
    days: int


@router.get(
    "/telemetry/summary", response=SummaryOut, by_alias=True, summary="The headline figures of a stretch of time"
)
def summary(request: HttpRequest, asked: Annotated[Asked, Query()]) -> Any:
    actor, now = actor_of(request), timezone.now()
    window, scope = asking.window(asked.plain(), now), asking.scope(actor, asked.plain())
    approvals = query.approvals(_unreasoned(scope), window, now)
    return {
        "window": _window(window),
        "totals": asdict(query.totals(scope, window, now)),
        "before": asdict(query.totals(scope, window.before(), now)),
        "approvals": {**asdict(approvals), "verdicts": dict(approvals.verdicts)},
        "queue": asdict(query.queue_now(scope)),
    }


@router.get("/telemetry/series", response=SeriesOut, by_alias=True, summary="A figure over time, as JSON or CSV")
def series(request: HttpRequest, asked: Annotated[SeriesAsked, Query()]) -> Any:
    actor, now = actor_of(request), timezone.now()
    window, scope = asking.window(asked.plain(), now), asking.scope(actor, asked.plain())
    figure = query.find(asked.figure)
    if asked.by == "reviewer" and actor.role not in SEE_NAMES:
        raise PermissionDenied(
            "Who of the reviewers did what is for admins and operators; leave out “by”, or read /telemetry/people."
        )
    lines = query.series(scope, window, asked.figure, asked.by)
    if asked.format == "csv":
        return HttpResponse(
            asking.sheet(lines),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{figure.name}.csv"'},
        )
    return {
        "figure": figure.name,
        "unit": figure.unit,
        "window": _window(window),
        "items": [asdict(line) for line in lines],
        "next": None,
    }


@router.get("/telemetry/figures", response=FiguresOut, summary="The figures that can be asked for")
def figures(request: HttpRequest) -> Any:
    actor_of(request)
    items = [
        {"name": one.name, "title": one.title, "unit": one.unit, "sentence": one.sentence, "by": list(one.splits)}
        for one in query.FIGURES.values()
    ]
    return {"items": items, "next": None}


@router.get("/telemetry/retention", response=KeptOut, summary="How long figures are kept")
def get_retention(request: HttpRequest) -> Any:
    return asdict(retention.of(actor_of(request).tenant.id))


@router.put("/telemetry/retention", response=KeptOut, summary="Say how long figures are kept")
def put_retention(request: HttpRequest, body: KeptIn) -> Any:
    return asdict(retention.put(actor_of(request), body.hours, body.days))


def _unreasoned(scope: query.Scope) -> query.Scope:
    return scope if not scope.stop_reason else query.Scope(scope.tenant, scope.workflow)


def _window(window: Window) -> dict[str, Any]:
    return {"from": window.start, "to": window.end, "grain": {"h": "hour", "d": "day"}[window.grain]}
