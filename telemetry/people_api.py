"""The figures of the people page over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema

from approvals.errors import Invalid
from console.tenants.access import actor_of
from telemetry import deciders, people, people_query
from telemetry.people_stats import Agreement, Share

router = Router(tags=["telemetry"])


class ShareOut(Schema):
    """``hits`` of ``n``; ``share`` with its 95 % interval (Wilson), from 0 to 1. No share of nothing."""

    hits: int
    n: int
    share: float | None
    low: float
    high: float


class ReaderOut(Schema):
    """``name`` is empty for the team. ``median_s`` is off by 2.2 % at most; ``streak`` is of approvals in a row, ``rapid`` counts
    approvals within seconds of the one before."""

    name: str
    decisions: int
    approvals: int
    unopened: ShareOut
    faster_than_read: ShareOut
    median_s: float | None
    mean_words: float | None
    streak: int
    rapid: int


class LengthOut(Schema):
    least_words: int
    most_words: int | None
    faster_than_read: ShareOut
    median_s: float
    reading_s: float


class PointOut(Schema):
    request: str
    words: int
    seconds: float
    verdict: str


class HourOut(Schema):
    """``day`` from 1 (Monday) to 7, ``hour`` from 0 to 23, in ``zone``."""

    day: int
    hour: int
    decisions: int
    unopened: int


class AgreementOut(Schema):
    """``kappa`` is Cohen's, and null where ``n`` is too small to say."""

    names: list[str]
    n: int
    agreed: int
    kappa: float | None


class WastedOut(Schema):
    """Runs that ended so. US dollars; runs with ``unpriced`` steps cost more than that."""

    stop_reason: str
    runs: int
    cost: str
    unpriced: int
    machine_s: float
    waiting_s: float


class CaughtOut(Schema):
    """``by``: all, team (the group that is asked), workflow or rule. ``expired`` are not in ``caught``."""

    by: str
    name: str
    caught: ShareOut
    expired: int


class PeopleOut(Schema):
    """``people`` and ``pairs`` hold everybody for admins and operators, and for others what is their own."""

    since: datetime
    until: datetime
    zone: str
    words_a_minute: int
    team: ReaderOut
    people: list[ReaderOut]
    lengths: list[LengthOut]
    measured: int
    points: list[PointOut]
    hours: list[HourOut]
    agreement: AgreementOut
    pairs: list[AgreementOut]
    wasted: list[WastedOut]
    expired: int
    probes: list[CaughtOut]


@router.get("/telemetry/people", response=PeopleOut, summary="Do the humans still look?")
def get_people(
    request: HttpRequest,
    since: str = Query("", alias="from"),  # type: ignore[type-arg]
    until: str = Query("", alias="to"),  # type: ignore[type-arg]
) -> Any:
    """Of the decisions from one time to another (thirty days up to now), as you may see them."""
    actor = actor_of(request)
    try:
        window = people_query.between(since, until, timezone.now())
    except people_query.BadQuery as fault:
        raise Invalid(fault.field, fault.message) from None
    it = people.figures(actor, window)
    return {
        "since": window.since,
        "until": window.until,
        "zone": it.zone,
        "words_a_minute": deciders.WORDS_A_MINUTE,
        "team": _reader(it.team),
        "people": [_reader(each) for each in it.readers],
        "lengths": [
            {"least_words": one.least, "most_words": one.most, "faster_than_read": _share(one.faster),
             "median_s": one.median_s, "reading_s": one.reading_s}
            for one in it.lengths
        ],
        "measured": it.measured,
        "points": [asdict(point) for point in it.points],
        "hours": [
            {"day": day, "hour": hour, "decisions": n, "unopened": unopened}
            for (day, hour), (n, unopened) in sorted(it.heat.items())
        ],
        "agreement": _agreement([], it.shared),
        "pairs": [_agreement(list(pair.names), pair.said) for pair in it.pairs],
        "wasted": [{**asdict(one), "stop_reason": one.reason, "cost": str(one.cost)} for one in it.wasted],
        "expired": it.expired,
        "probes": [
            {"by": one.by, "name": one.name, "caught": _share(one.caught), "expired": one.expired} for one in it.probes
        ],
    }  # fmt: skip


def _reader(one: people.Reader) -> dict[str, Any]:
    return {**asdict(one), "unopened": _share(one.unopened), "faster_than_read": _share(one.faster)}


def _share(one: Share) -> dict[str, Any]:
    return {**asdict(one), "share": one.share}


def _agreement(names: list[str], said: Agreement) -> dict[str, Any]:
    return {"names": names, **asdict(said)}
