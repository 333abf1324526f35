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
from typing import Any
from uuid import UUID

from django.db import connection

from approvals.models import Calendar
from console.tenants.access import Actor
from telemetry.people_stats import Agreement, Share, agreement, share

WORDS_A_MINUTE = 238  # silent reading of English non-fiction by adults: Brysbaert 2019, a meta-analysis of 190 studies
RAPID = 5  # seconds between two approvals of the same person
SAMPLE = 400  # points of the scatter
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
    median_words: float | None
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
    """Everything, as the actor may see it: admins see each person, others themselves and the team."""
    zone = Calendar.objects.filter(tenant=actor.tenant).values_list("zone", flat=True).first() or "UTC"
    given = {"tenant": actor.tenant.id, "since": window.since, "until": window.until, "zone": zone}
    given |= {"rapid": RAPID, "speed": 60 / WORDS_A_MINUTE, "sample": SAMPLE, "lengths": [n + 1 for n in LENGTHS]}
    with connection.cursor() as cursor:
        cursor.execute(_DECISIONS, given)
        people, heat, lengths, sample, measured = cursor.fetchone()
        cursor.execute(_PAIRS, given)
        pairs = [_pair(row) for row in cursor.fetchall()]
        cursor.execute(_AROUND, given)
        wasted, expired, probes = cursor.fetchone()
    readers = [_reader(each) for each in _read(people)]
    team = next((each for each in readers if each.id is None), None) or _reader(_NOBODY)
    found = Figures(window, zone, team, measured=measured or 0, expired=expired or 0, names=actor.role == "admin")
    found.readers = [each for each in readers if each.id is not None and _may_see(actor, each.id)]
    found.heat = {(each["day"], each["hour"]): (each["n"], each["unopened"]) for each in _read(heat)}
    found.lengths = [_length(each) for each in _read(lengths)]
    found.points = [
        Point(each["id"], each["title"], each["words"], each["took"], each["verdict"]) for each in _read(sample)
    ]
    found.shared = agreement(*(sum(row[1][n] for row in pairs) for n in range(4)))
    shown = [pair for pair, _ in pairs if found.names or actor.id in (pair.first, pair.second)]
    found.pairs = sorted(shown, key=lambda pair: -pair.said.n)[:50]
    found.wasted = [_wasted(each) for each in _read(wasted)]
    found.probes = [_caught(each) for each in _read(probes)]
    return found


def _may_see(actor: Actor, person: UUID) -> bool:
    return actor.role == "admin" or actor.id == person


def _read(value: Json) -> list[dict[str, Json]]:
    return (json.loads(value) if isinstance(value, str | bytes) else value) or []


_NOBODY = {"who": None, "name": "", "n": 0, "yes": 0, "unopened": 0, "timed": 0, "faster": 0, "median": None,
           "words": None, "streak": 0, "rapid": 0}  # fmt: skip


def _reader(row: Mapping[str, Json]) -> Reader:
    return Reader(
        id=UUID(row["who"]) if row["who"] else None,
        name=row["name"] or "",
        decisions=row["n"],
        approvals=row["yes"],
        unopened=share(row["unopened"], row["n"]),
        faster=share(row["faster"], row["timed"]),
        median_s=row["median"],
        median_words=row["words"],
        streak=row["streak"] or 0,
        rapid=row["rapid"],
    )


def _length(row: Mapping[str, Json]) -> Length:
    place = row["place"]
    least = LENGTHS[place - 1] + 1 if place else 0
    most = LENGTHS[place] if place < len(LENGTHS) else None
    return Length(least, most, share(row["faster"], row["n"]), row["median"], reading_s(row["words"]))


def _pair(row: tuple[Any, ...]) -> tuple[Pair, tuple[int, int, int, int]]:
    first, second, name, other, *cells = row
    return Pair(first, second, (name, other), agreement(*cells)), tuple(cells)


def _wasted(row: Mapping[str, Json]) -> Wasted:
    cost = Decimal(row["cost"])
    return Wasted(row["reason"], row["runs"], cost, row["unpriced"], row["machine_s"], row["waiting_s"])


def _caught(row: Mapping[str, Json]) -> Caught:
    return Caught(row["by"], row["name"] or "", share(row["caught"], row["answered"]), row["expired"])


# Of each person the decisions in order: an island is what lies between two that were no approvals.
_DECISIONS = """
WITH d AS MATERIALIZED (
    SELECT q.id, q.title, q.decided_by_id AS who, q.decided_by_name AS name, q.decided_at AS at, q.verdict,
        q.verdict = 'approve' AS yes, q.shown_words AS words,
        CASE WHEN g.opened_at <= q.decided_at THEN EXTRACT(EPOCH FROM q.decided_at - g.opened_at)::float8 END AS took
    FROM approvals_approvalrequest q
    LEFT JOIN approvals_sighting g
        ON g.tenant_id = q.tenant_id AND g.request_id = q.id AND g.viewer_id = q.decided_by_id
    WHERE q.tenant_id = %(tenant)s AND q.status = 'decided' AND NOT q.probe AND q.standing_id IS NULL
        AND q.decided_by_id IS NOT NULL AND q.decided_at >= %(since)s AND q.decided_at < %(until)s),
o AS (SELECT who, at, yes,
        COUNT(*) FILTER (WHERE NOT yes) OVER p AS island,
        yes AND LAG(yes) OVER p AND at - LAG(at) OVER p <= %(rapid)s * interval '1 second' AS rapid
    FROM d WINDOW p AS (PARTITION BY who ORDER BY at, id)),
s AS (SELECT who, MAX(n) AS streak, SUM(rapid) AS rapid FROM (
        SELECT who, COUNT(*) FILTER (WHERE yes) AS n, COUNT(*) FILTER (WHERE rapid) AS rapid FROM o GROUP BY who, island
    ) AS islands GROUP BY who),
p AS (SELECT who, MAX(name) AS name, COUNT(*) AS n, COUNT(*) FILTER (WHERE yes) AS yes,
        COUNT(*) FILTER (WHERE took IS NULL) AS unopened,
        COUNT(*) FILTER (WHERE took IS NOT NULL AND words IS NOT NULL) AS timed,
        COUNT(*) FILTER (WHERE took < words * %(speed)s) AS faster,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS median,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY words) AS words
    FROM d GROUP BY GROUPING SETS ((), (who))),
m AS (SELECT * FROM d WHERE took IS NOT NULL AND words IS NOT NULL),
l AS (SELECT width_bucket(words, %(lengths)s::int[]) AS place, COUNT(*) AS n,
        COUNT(*) FILTER (WHERE took < words * %(speed)s) AS faster,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS median, AVG(words)::float8 AS words
    FROM m GROUP BY place ORDER BY place)
SELECT
    (SELECT json_agg(row_to_json(x)) FROM (
        SELECT p.who, p.name, p.n, p.yes, p.unopened, p.timed, p.faster, p.median, p.words,
            CASE WHEN p.who IS NULL THEN (SELECT MAX(streak) FROM s) ELSE s.streak END AS streak,
            CASE WHEN p.who IS NULL THEN (SELECT COALESCE(SUM(rapid), 0) FROM s) ELSE s.rapid END AS rapid
        FROM p LEFT JOIN s ON s.who = p.who WHERE p.n > 0 ORDER BY p.n DESC, p.name LIMIT 201) AS x),
    (SELECT json_agg(row_to_json(x)) FROM (
        SELECT EXTRACT(ISODOW FROM at AT TIME ZONE %(zone)s)::int AS day,
            EXTRACT(HOUR FROM at AT TIME ZONE %(zone)s)::int AS hour, COUNT(*) AS n,
            COUNT(*) FILTER (WHERE took IS NULL) AS unopened FROM d GROUP BY 1, 2) AS x),
    (SELECT json_agg(row_to_json(l)) FROM l),
    (SELECT json_agg(row_to_json(x)) FROM (
        SELECT id, title, words, took, verdict FROM m
        WHERE hashtext(id::text) & 65535 < 65536 * %(sample)s::float8 / GREATEST((SELECT COUNT(*) FROM m), 1)
        ORDER BY at DESC LIMIT %(sample)s) AS x),
    (SELECT COUNT(*) FROM m)
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
