"""Do the humans still look? Figures of a tenant's decisions in a window, straight from what was recorded of them.

A decision is a request that a person decided: not by a yes in advance, not by time, and no probe. Its time counts from
when the decider opened the request to the decision; where they never opened it there is none. Who opened what is known
of pages alone: a decision over the API counts as unopened.

Whole days come from what is kept of each person's (decider_days.py), so a month of tens of thousands costs as little as one
of a hundred; the rest is bounded by the tenant and the window. Call inside the tenant's scope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from approvals.models import Calendar
from console.tenants import display
from console.tenants.access import Actor
from console.tenants.models import Role
from telemetry import decider_days, deciders
from telemetry.deciders import LENGTHS, Drawn, Looked, Times, reading_s
from telemetry.people_stats import Agreement, Share, agreement, share
from telemetry.reading import ask

SAMPLE = 400  # points of the scatter
SEE_NAMES = (Role.ADMIN, Role.OPERATOR)  # who answers for how work is done; others see themselves, and the team

Json = Any


@dataclass(frozen=True, slots=True)
class Window:
    """From ``since`` up to, and without, ``until``."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Reader:
    """One person's decisions, or (``id`` None) the team's. Seconds; ``streak`` is of approvals in a row."""

    id: UUID | None
    name: str
    decisions: int
    approvals: int
    unopened: Share
    faster: Share  # than the length could be read, of those opened and with a length
    median_s: float | None
    mean_words: float | None
    streak: int
    rapid: int


@dataclass(frozen=True, slots=True)
class Point:
    """One decision of the scatter."""

    request: str
    title: str
    words: int
    seconds: float
    verdict: str

    @property
    def faster(self) -> bool:
        """Whether it was decided faster than it can be read."""
        return self.seconds < reading_s(self.words)


@dataclass(frozen=True, slots=True)
class Length:
    """Decisions about requests of like length: up to ``most`` words (None: more than the last)."""

    least: int
    most: int | None
    faster: Share
    median_s: float
    reading_s: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people who voted on the same requests."""

    first: UUID
    second: UUID
    names: tuple[str, str]
    said: Agreement


@dataclass(frozen=True, slots=True)
class Wasted:
    """Runs that ended because people said no, or nothing. US dollars, seconds."""

    reason: str
    runs: int
    cost: Decimal
    unpriced: int
    machine_s: float
    waiting_s: float


@dataclass(frozen=True, slots=True)
class Caught:
    """Probes of one kind (``by``: all, team, workflow, rule): how many were caught of those that somebody decided."""

    by: str
    name: str
    caught: Share
    expired: int


@dataclass(slots=True)
class Figures:
    """All of the page. ``heat`` is by (ISO weekday from 1, hour) in ``zone``: decisions, and of them unopened."""

    window: Window
    zone: str
    team: Reader
    readers: list[Reader] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    measured: int = 0  # decisions with a time and a length: of them the points are a sample
    lengths: list[Length] = field(default_factory=list)
    heat: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    shared: Agreement = field(default_factory=lambda: agreement(0, 0, 0, 0))
    wasted: list[Wasted] = field(default_factory=list)
    expired: int = 0
    probes: list[Caught] = field(default_factory=list)
    names: bool = False  # whether all the names are in it


def figures(actor: Actor, window: Window) -> Figures:
    """Everything, as the actor may see it: admins and operators see each person, others themselves and the team."""
    zone = Calendar.objects.filter(tenant=actor.tenant).values_list("zone", flat=True).first() or "UTC"
    looked = decider_days.between(actor.tenant.id, window.since, window.until)
    team = deciders.all_of(looked.values())
    given = {"tenant": actor.tenant.id, "since": window.since, "until": window.until}
    with connection.cursor() as cursor:
        cursor.execute(_PAIRS, given)
        pairs = [_pair(row) for row in cursor.fetchall()]
        cursor.execute(_AROUND, given)
        wasted, expired, probes = cursor.fetchone()
    # Rows are of one person: the team's longest is its people's longest.
    team.row.most = max((each.row.most for each in looked.values()), default=0)
    team.row.rapid = sum(each.row.rapid for each in looked.values())
    found = Figures(window, zone, _reader(None, team), expired=expired or 0, names=actor.role in SEE_NAMES)
    own = [_reader(who, each) for who, each in looked.items() if found.names or str(actor.id) == who]
    found.readers = sorted(own, key=lambda each: (-each.decisions, each.name))
    found.lengths = [_length(place, team.lengths[place]) for place in sorted(team.lengths)]
    found.measured = sum(one.faster.n for one in found.lengths)
    found.heat = _heat(team, ZoneInfo(zone))
    found.points = _points(actor, team.sample(SAMPLE))
    found.shared = agreement(*(sum(row[1][n] for row in pairs) for n in range(4)))
    shown = [pair for pair, _ in pairs if found.names or actor.id in (pair.first, pair.second)]
    found.pairs = sorted(shown, key=lambda pair: -pair.said.n)[:50]
    found.wasted = [_wasted(each) for each in _read(wasted)]
    found.probes = [_caught(each) for each in _read(probes)]
    return found


def _heat(looked: Looked, zone: ZoneInfo) -> dict[tuple[int, int], tuple[int, int]]:
    """Quarters of an hour by the hour of the week in a zone."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for quarter, (more, unseen) in looked.quarters.items():
        here = datetime.fromtimestamp(quarter * deciders.QUARTER, UTC).astimezone(zone)
        place = (here.isoweekday(), here.hour)
        n, unopened = found.get(place, (0, 0))
        found[place] = (n + more, unopened + unseen)
    return found


def _points(actor: Actor, drawn: list[Drawn]) -> list[Point]:
    """What is drawn, with what it was about; what is gone by now is left out."""
    about = {key: rest for key, *rest in ask(_ABOUT, [actor.tenant.id, [each.id for each in drawn]])}
    shown = display.of(actor)
    return [
        Point(each.id, shown.title(about[each.id][0]), each.words, each.took, about[each.id][1])
        for each in drawn
        if each.id in about
    ]


def _read(value: Json) -> list[dict[str, Json]]:
    return (json.loads(value) if isinstance(value, str | bytes) else value) or []


def _reader(who: str | None, looked: Looked) -> Reader:
    """A person's decisions, or where ``who`` is None the team's."""
    return Reader(
        id=UUID(who) if who else None,
        name=looked.name if who else "",
        decisions=looked.n,
        approvals=looked.yes,
        unopened=share(looked.n - looked.times.n, looked.n),
        faster=share(looked.times.faster, sum(each.n for each in looked.lengths.values())),
        median_s=looked.times.median_s,
        mean_words=looked.words / looked.worded if looked.worded else None,
        streak=looked.row.most,
        rapid=looked.row.rapid,
    )


def _length(place: int, times: Times) -> Length:
    least = LENGTHS[place - 1] + 1 if place else 0
    most = LENGTHS[place] if place < len(LENGTHS) else None
    return Length(least, most, share(times.faster, times.n), times.median_s or 0.0, reading_s(times.words / times.n))


def _pair(row: tuple[Any, ...]) -> tuple[Pair, tuple[int, int, int, int]]:
    first, second, name, other, *cells = row
    return Pair(first, second, (name, other), agreement(*cells)), tuple(cells)


def _wasted(row: Mapping[str, Json]) -> Wasted:
    cost = Decimal(row["cost"])
    return Wasted(row["reason"], row["runs"], cost, row["unpriced"], row["machine_s"], row["waiting_s"])


def _caught(row: Mapping[str, Json]) -> Caught:
    return Caught(row["by"], row["name"] or "", share(row["caught"], row["answered"]), row["expired"])


_ABOUT = """
SELECT id::text, title, verdict FROM approvals_approvalrequest WHERE tenant_id = %s AND id = ANY(%s::uuid[])"""
# What each said in the end. A yes that an edit made void, and that was not said again, is no yes to what was decided.
_PAIRS = """
WITH said AS (
    SELECT DISTINCT ON (v.request_id, v.voter_id) v.request_id, v.voter_id, v.voter_name,
        v.verdict IN ('approve', 'edit') AND NOT v.voided AS yes
    FROM approvals_approvalrequest q JOIN approvals_vote v ON v.tenant_id = q.tenant_id AND v.request_id = q.id
    WHERE q.tenant_id = %(tenant)s AND q.status = 'decided' AND NOT q.probe AND q.approvers > 1
        AND q.decided_at >= %(since)s AND q.decided_at < %(until)s AND v.verdict <> 'escalate'
    ORDER BY v.request_id, v.voter_id, v.at DESC)
SELECT a.voter_id, b.voter_id, MAX(a.voter_name), MAX(b.voter_name),
    COUNT(*) FILTER (WHERE a.yes AND b.yes), COUNT(*) FILTER (WHERE a.yes AND NOT b.yes),
    COUNT(*) FILTER (WHERE NOT a.yes AND b.yes), COUNT(*) FILTER (WHERE NOT a.yes AND NOT b.yes)
FROM said a JOIN said b ON b.request_id = a.request_id AND a.voter_id < b.voter_id
GROUP BY a.voter_id, b.voter_id
"""
_AROUND = """
WITH w AS (
    SELECT stop_reason AS reason, COUNT(*) AS runs, COALESCE(SUM(cost), 0)::text AS cost,
        COUNT(*) FILTER (WHERE unpriced_steps > 0) AS unpriced, SUM(model_s + tool_s) AS machine_s, SUM(waiting_s) AS waiting_s
    FROM runs_run WHERE tenant_id = %(tenant)s AND stop_reason IN ('rejected', 'expired', 'terminated')
        AND ended_at >= %(since)s AND ended_at < %(until)s AND NOT probe AND smoke_test_id IS NULL
    GROUP BY stop_reason ORDER BY stop_reason),
c AS (
    SELECT CASE GROUPING(q."group", w.slug, q.rule_name) WHEN 7 THEN 'all' WHEN 3 THEN 'team' WHEN 5 THEN 'workflow'
            ELSE 'rule' END AS by,
        COALESCE(q."group", w.slug, q.rule_name) AS name,
        COUNT(*) FILTER (WHERE g.outcome = 'caught') AS caught,
        COUNT(*) FILTER (WHERE g.outcome IN ('caught', 'missed')) AS answered,
        COUNT(*) FILTER (WHERE g.outcome = 'expired') AS expired
    FROM approvals_planting g
    JOIN approvals_approvalrequest q ON q.tenant_id = g.tenant_id AND q.id = g.request_id
    JOIN workflows_workflow w ON w.tenant_id = q.tenant_id AND w.id = q.workflow_id
    WHERE g.tenant_id = %(tenant)s AND g.concluded_at >= %(since)s AND g.concluded_at < %(until)s
        AND g.outcome IN ('caught', 'missed', 'expired')
    GROUP BY GROUPING SETS ((), (q."group"), (w.slug), (q.rule_name)) HAVING COUNT(*) > 0)
SELECT (SELECT json_agg(row_to_json(w)) FROM w),
    (SELECT COUNT(*) FROM approvals_approvalrequest WHERE tenant_id = %(tenant)s AND status = 'expired' AND NOT probe
        AND decided_at >= %(since)s AND decided_at < %(until)s),
    (SELECT json_agg(row_to_json(c) ORDER BY c.by, c.name) FROM c)
"""
