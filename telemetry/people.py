"""Do the humans still look? Figures of a tenant's decisions in a window, straight from what was recorded of them.

A decision is a request that a person decided: not by a yes in advance, not by time, and no probe. Its time counts from
when the decider opened the request to the decision; where they never opened it there is none. Who opened what is known
of pages alone: a decision over the API counts as unopened.

Three statements, each bounded by the tenant and the window through the index request_decided. Call inside the tenant's
scope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from math import exp, log
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from approvals.models import Calendar
from console.tenants.access import Actor
from console.tenants.models import Role
from telemetry.people_stats import Agreement, Share, agreement, share

WORDS_A_MINUTE = 238  # silent reading of English non-fiction by adults: Brysbaert 2019, a meta-analysis of 190 studies
RAPID = 5  # seconds between two approvals of the same person
BINS = 16 / log(2)  # of times, for each unit of their logarithm: 16 an octave
SAMPLE = 400  # points of the scatter
SEE_NAMES = (Role.ADMIN, Role.OPERATOR)  # who answers for how work is done; others see themselves, and the team
LENGTHS = (50, 100, 200, 400)  # words: the last of each row of the table but one

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


def reading_s(words: float) -> float:
    """Seconds that it takes to read so many words at the usual speed."""
    return words * 60 / WORDS_A_MINUTE


def figures(actor: Actor, window: Window) -> Figures:
    """Everything, as the actor may see it: admins and operators see each person, others themselves and the team."""
    zone = Calendar.objects.filter(tenant=actor.tenant).values_list("zone", flat=True).first() or "UTC"
    given = {"tenant": actor.tenant.id, "since": window.since, "until": window.until, "zone": zone}
    given |= {
        "rapid": RAPID,
        "speed": 60 / WORDS_A_MINUTE,
        "sample": SAMPLE,
        "bins": BINS,
        "lengths": [n + 1 for n in LENGTHS],
    }
    with connection.cursor() as cursor:
        cursor.execute(_ROOM)
        cursor.execute(_DECISIONS, given)
        counted, rows, heat, sample = cursor.fetchone()
        cursor.execute(_PAIRS, given)
        pairs = [_pair(row) for row in cursor.fetchall()]
        cursor.execute(_AROUND, given)
        wasted, expired, probes = cursor.fetchone()
    bins, orders = _read(counted), {each["who"]: (each["streak"], each["rapid"]) for each in _read(rows)}
    found = Figures(window, zone, _reader(None, bins, orders), expired=expired or 0, names=actor.role in SEE_NAMES)
    own = [who for who in sorted(orders) if found.names or str(actor.id) == who]
    readers = [_reader(who, [each for each in bins if each["who"] == who], orders) for who in own]
    found.readers = sorted(readers, key=lambda each: (-each.decisions, each.name))
    found.lengths = [_length(place, bins) for place in sorted({each["place"] for each in bins if _measured(each)})]
    found.measured = sum(one.faster.n for one in found.lengths)
    found.heat = _heat(_read(heat), ZoneInfo(zone))
    found.points = [
        Point(each["id"], each["title"], each["words"], each["took"], each["verdict"]) for each in _read(sample)
    ]
    found.shared = agreement(*(sum(row[1][n] for row in pairs) for n in range(4)))
    shown = [pair for pair, _ in pairs if found.names or actor.id in (pair.first, pair.second)]
    found.pairs = sorted(shown, key=lambda pair: -pair.said.n)[:50]
    found.wasted = [_wasted(each) for each in _read(wasted)]
    found.probes = [_caught(each) for each in _read(probes)]
    return found


def _heat(quarters: list[dict[str, Json]], zone: ZoneInfo) -> dict[tuple[int, int], tuple[int, int]]:
    """Quarters of an hour by the hour of the week in a zone."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for each in quarters:
        here = datetime.fromisoformat(each["quarter"]).astimezone(zone)
        place = (here.isoweekday(), here.hour)
        n, unopened = found.get(place, (0, 0))
        found[place] = (n + each["n"], unopened + each["unopened"])
    return found


def _read(value: Json) -> list[dict[str, Json]]:
    return (json.loads(value) if isinstance(value, str | bytes) else value) or []


def _reader(who: str | None, bins: list[dict[str, Json]], orders: Mapping[str, tuple[int, int]]) -> Reader:
    """A person's decisions, counted by length and time; the team's where ``who`` is None."""
    mine = list(orders.values()) if who is None else [orders[who]]
    worded = [each for each in bins if each["place"] is not None]
    words = sum(each["n"] for each in worded)
    decisions = sum(each["n"] for each in bins)
    return Reader(
        id=UUID(who) if who else None,
        name=max((each["name"] for each in bins), default="") if who else "",
        decisions=decisions,
        approvals=sum(each["yes"] for each in bins),
        unopened=share(sum(each["n"] for each in bins if each["bin"] is None), decisions),
        faster=_faster(bins),
        median_s=_median(bins),
        mean_words=sum(each["words"] for each in worded) / words if words else None,
        streak=max((streak for streak, _ in mine), default=0),
        rapid=sum(rapid for _, rapid in mine),
    )


def _length(place: int, bins: list[dict[str, Json]]) -> Length:
    mine = [each for each in bins if each["place"] == place and _measured(each)]
    least = LENGTHS[place - 1] + 1 if place else 0
    most = LENGTHS[place] if place < len(LENGTHS) else None
    faster = _faster(mine)
    words = sum(each["words"] for each in mine) / faster.n
    return Length(least, most, faster, _median(mine) or 0.0, reading_s(words))


def _measured(each: Mapping[str, Json]) -> bool:
    return each["bin"] is not None and each["place"] is not None


def _faster(bins: list[dict[str, Json]]) -> Share:
    return share(sum(each["faster"] for each in bins), sum(each["n"] for each in bins if _measured(each)))


def _median(bins: list[dict[str, Json]]) -> float | None:
    """The middle of the bin in which the median lies: 2.2 % off at most."""
    counts: dict[int, int] = {}
    for each in bins:
        if each["bin"] is not None:
            counts[each["bin"]] = counts.get(each["bin"], 0) + each["n"]
    left = (sum(counts.values()) + 1) // 2
    for place in sorted(counts):
        left -= counts[place]
        if left <= 0:
            return round(exp((place + 0.5) / BINS), 3)
    return None


def _pair(row: tuple[Any, ...]) -> tuple[Pair, tuple[int, int, int, int]]:
    first, second, name, other, *cells = row
    return Pair(first, second, (name, other), agreement(*cells)), tuple(cells)


def _wasted(row: Mapping[str, Json]) -> Wasted:
    cost = Decimal(row["cost"])
    return Wasted(row["reason"], row["runs"], cost, row["unpriced"], row["machine_s"], row["waiting_s"])


def _caught(row: Mapping[str, Json]) -> Caught:
    return Caught(row["by"], row["name"] or "", share(row["caught"], row["answered"]), row["expired"])


# Narrow rows, and memory for them: a window of tens of thousands is sorted three times, and none of it goes to disk.
_ROOM = "SELECT set_config('work_mem', '48MB', true)"
# Of each person the decisions in order: an island is what lies between two that were no approvals. Hours are told apart
# by the quarter, as zones are, and put into the tenant's zone afterwards: that is done once for each of them.
_DECISIONS = """
WITH d AS MATERIALIZED (
    SELECT q.id, q.decided_by_id AS who, q.decided_by_name COLLATE "C" AS name, q.decided_at AS at,
        q.verdict = 'approve' AS yes, q.shown_words AS words,
        CASE WHEN g.opened_at <= q.decided_at THEN date_part('epoch', q.decided_at - g.opened_at) END AS took
    FROM approvals_approvalrequest q
    LEFT JOIN approvals_sighting g
        ON g.tenant_id = q.tenant_id AND g.request_id = q.id AND g.viewer_id = q.decided_by_id
    WHERE q.tenant_id = %(tenant)s AND q.status = 'decided' AND NOT q.probe AND q.standing_id IS NULL
        AND q.decided_by_id IS NOT NULL AND q.decided_at >= %(since)s AND q.decided_at < %(until)s),
o AS (SELECT who, yes, COUNT(*) FILTER (WHERE NOT yes) OVER p AS island,
        yes AND at - LAG(CASE WHEN yes THEN at END) OVER p <= %(rapid)s * interval '1 second' AS rapid
    FROM d WINDOW p AS (PARTITION BY who ORDER BY at ROWS UNBOUNDED PRECEDING)),
s AS (SELECT who, MAX(n) AS streak, SUM(rapid) AS rapid FROM (
        SELECT who, COUNT(*) FILTER (WHERE yes) AS n, COUNT(*) FILTER (WHERE rapid) AS rapid FROM o GROUP BY who, island
    ) AS islands GROUP BY who),
h AS (SELECT who, width_bucket(words, %(lengths)s::int[]) AS place,
        floor(ln(CASE WHEN took < 0.001::float8 THEN 0.001::float8 ELSE took END) * %(bins)s)::int AS bin,
        MAX(name) AS name, COUNT(*) AS n,
        COUNT(*) FILTER (WHERE yes) AS yes, COUNT(*) FILTER (WHERE took < words * %(speed)s) AS faster, SUM(words) AS words
    FROM d GROUP BY 1, 2, 3),
m AS (SELECT id, words, took, at FROM d WHERE took IS NOT NULL AND words IS NOT NULL
        AND uuid_hash(id) & 65535 < 65536 * %(sample)s::float8
            / GREATEST((SELECT SUM(n)::float8 FROM h WHERE bin IS NOT NULL AND place IS NOT NULL), 1)
    ORDER BY at DESC LIMIT %(sample)s)
SELECT
    (SELECT json_agg(row_to_json(h)) FROM h),
    (SELECT json_agg(row_to_json(s)) FROM s),
    (SELECT json_agg(row_to_json(x)) FROM (
        SELECT date_bin('15 minutes', at, '2000-01-01T00:00:00Z') AS quarter, COUNT(*) AS n,
            COUNT(*) FILTER (WHERE took IS NULL) AS unopened FROM d GROUP BY 1) AS x),
    (SELECT json_agg(row_to_json(x)) FROM (
        SELECT q.id, q.title, m.words, m.took, q.verdict FROM m
        JOIN approvals_approvalrequest q ON q.tenant_id = %(tenant)s AND q.id = m.id ORDER BY m.at DESC) AS x)
"""
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
