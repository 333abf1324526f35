"""Runs of fifty tenants over ninety days, and the rollups that the projector would have made of them, by set-based SQL.

``bench_raw`` has a row a run with what the questions need of it, of its calls and of its request; it is unlogged, leaner
than ``runs_run`` (so quicker to read), and indexed as that is, by tenant and end. The calls of a run are alike: one agent, one
model, one tool. Buckets are those of ``histogram.sql``. Hourly rows are made for the last HOURS days alone: no measured question
asks for older ones, and making them takes longer than all the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, connections

from approvals.models import ApprovalRequest
from console.runs.models import Run
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope
from console.workflows.models import Revision, Workflow
from telemetry import histogram
from telemetry.figures import APPROVALS, PLATFORM_CUTS, RUNS, STEPS
from telemetry.models import ALL, EVERY_PART, PLATFORM, ROLLUPS

TENANTS, WORKFLOWS, REVISIONS, DAYS = 50, 4, 3, 90
HOURS = 16  # days: seven, the seven before them, and what begins within them
LARGEST = 0.3  # of all runs are the first tenant's
WAITING = 1_000  # runs that wait for a person, each with a request: what is asked of them is asked live
MEMORY = "256MB"
Groups = dict[str, str]


def id_of(kind: str, *numbers: int) -> UUID:
    """The id that SQL makes of the same numbers."""
    return UUID(hashlib.md5("-".join([kind, *map(str, numbers)]).encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True)
class Facts:
    """Rows that are added to one rollup: when, under which part, with which measures and histograms of milliseconds."""

    at: str
    part: str = "''"
    where: str = "true"
    measures: Groups = field(default_factory=dict)
    histograms: dict[str, tuple[str, str]] = field(default_factory=dict)  # name: (milliseconds, condition)
    times: str = "1"  # how often each counts
    cuts: Groups = field(default_factory=dict)


_OPENED = "made + open_ms * interval '1 ms'"
_DECIDED = "made + wait_ms * interval '1 ms'"
_BY_REQUEST = {"all": "''", "rule": "rule", "group": "grp", "tool": "tool", "agent": "agent"}
_BY_CALL = {"all": "''", "revision": "revision::text", "agent": "agent"}
FACTS: dict[str, list[Facts]] = {
    RUNS: [
        Facts(
            "made", measures={"started": "1", "retries": "retry::int"}, cuts={"all": "''", "revision": "revision::text"}
        ),
        Facts(
            "ended_at",
            "stop_reason",
            measures={
                "ended": "1",
                "completed": "(status = 'completed')::int",
                "failed": "(status = 'failed')::int",
                "cancelled": "(status = 'cancelled')::int",
                "abnormal": "(status = 'failed')::int",
                "input_tokens": "input_tokens",
                "output_tokens": "output_tokens",
                "cost_micros": "cost_micros",
                "queue_ms": "queue_ms",
                "waiting_ms": "waiting_ms",
                "active_ms": "active_ms",
                "total_ms": "total_ms",
            },
            histograms={
                "machine": ("active_ms", "true"),
                "human": ("waiting_ms", "waiting_ms > 0"),
                "queue": ("queue_ms", "true"),
                "total": ("total_ms", "true"),
            },
            cuts={"all": "''", "revision": "revision::text"},
        ),
    ],
    STEPS: [
        Facts(
            "ended_at",
            "'model'",
            measures={
                "calls": "calls",
                "failed": "failed_calls",
                "again": "failed_calls",
                "input_tokens": "input_tokens",
                "output_tokens": "output_tokens",
                "cost_micros": "cost_micros",
                "duration_ms": "call_ms * calls",
            },
            histograms={"duration": ("call_ms", "true"), "first_token": ("first_ms", "true")},
            times="calls",
            cuts={**_BY_CALL, "model": "model"},
        ),
        Facts(
            "ended_at",
            "'tool'",
            measures={"calls": "tools", "duration_ms": "tool_ms * tools"},
            histograms={"duration": ("tool_ms", "true")},
            times="tools",
            cuts={**_BY_CALL, "tool": "tool"},
        ),
    ],
    APPROVALS: [
        Facts("made", where="verdict <> ''", measures={"raised": "1"}, cuts=_BY_REQUEST),
        Facts(
            _OPENED,
            where="verdict <> '' AND open_ms > 0",
            measures={"opened": "1"},
            histograms={"to_open": ("open_ms", "true")},
            cuts=_BY_REQUEST,
        ),
        Facts(
            _DECIDED,
            "verdict",
            "verdict <> ''",
            {
                "decided": "(verdict <> 'expired')::int",
                "expired": "(verdict = 'expired')::int",
                "unopened": "(open_ms = 0 AND verdict <> 'expired')::int",
                "wait_ms": "wait_ms",
            },
            {"wait": ("wait_ms", "true"), "to_decide": ("wait_ms - open_ms", "open_ms > 0 AND verdict <> 'expired'")},
            cuts=_BY_REQUEST,
        ),
        Facts(
            _OPENED,
            where="verdict <> '' AND open_ms > 0",
            measures={"opened": "1"},
            histograms={"to_open": ("open_ms", "true")},
            cuts={"reviewer": "reviewer"},
        ),
        Facts(
            _DECIDED,
            "verdict",
            "verdict NOT IN ('', 'expired')",
            {"decided": "1", "unopened": "(open_ms = 0)::int"},
            {"wait": ("wait_ms", "true"), "to_decide": ("wait_ms - open_ms", "open_ms > 0")},
            cuts={"reviewer": "reviewer"},
        ),
    ],
}
CUTS = {table: list(dict.fromkeys(cut for one in facts for cut in one.cuts)) for table, facts in FACTS.items()}


def people(now: datetime) -> None:
    """The tenants, their workflows, and what waits right now."""
    with system_scope("bench"):
        tenants = [Tenant(id=id_of("tenant", n), slug=f"bench-{n}", name=f"Tenant {n}") for n in range(TENANTS)]
        Tenant.objects.bulk_create(tenants)
        pairs = [(t, w) for t in range(TENANTS) for w in range(WORKFLOWS)]
        Workflow.objects.bulk_create(
            Workflow(id=id_of("workflow", t, w), tenant=tenants[t], slug=f"work-{w}", name=f"Work {w}")
            for t, w in pairs
        )
        Revision.objects.bulk_create(
            Revision(
                id=id_of("revision", t, w), tenant=tenants[t], workflow_id=id_of("workflow", t, w), number=1, body={}
            )
            for t, w in pairs
        )
        places = [(n, *pairs[(n * n) % len(pairs)]) for n in range(WAITING)]
        Run.objects.bulk_create(
            Run(
                id=id_of("waiting", n), tenant=tenants[t], workflow_id=id_of("workflow", t, w),
                revision_id=id_of("revision", t, w), status="waiting", sealed_input=b"",
            )
            for n, t, w in places
        )  # fmt: skip
        ApprovalRequest.objects.bulk_create(
            ApprovalRequest(
                id=id_of("request", n), tenant=tenants[t], workflow_id=id_of("workflow", t, w), run_id=id_of("waiting", n),
                scope="team", n=1, kind="tool", title="Refund", sealed_request=b"", digest="d", agent="agent-1",
                tool="tool-1", rule={"name": f"rule-{n % 3}"}, group="finance",
            )
            for n, t, w in places
        )  # fmt: skip
        ApprovalRequest.objects.update(created_at=now - timedelta(hours=7))


def fill(runs: int, now: datetime) -> dict[str, int]:
    """Make so many runs and their rollups in the place of what there was. Returns how many rows each table has."""
    end = f"'{now.replace(minute=0, second=0, microsecond=0).isoformat()}'::timestamptz"
    _run([f"SELECT setseed(0.6); {_RAW.format(runs=runs, end=end, **_SHAPE)}", "ANALYZE bench_raw"])
    with ThreadPoolExecutor(2) as threads:
        # The largest first: the other two are about as long as it.
        for done in [threads.submit(_run, list(_rollup(table, now))) for table in (STEPS, RUNS, APPROVALS)]:
            done.result()
    _run([f"VACUUM (ANALYZE) {table}" for table in FACTS])
    found = {}
    with system_scope("bench"), connection.cursor() as cursor:
        for table in ("bench_raw", *FACTS):
            cursor.execute(f"SELECT COUNT(*) FROM {table}")  # noqa: S608
            found[table.removeprefix("telemetry_")] = cursor.fetchone()[0]
    return found


def _run(statements: list[str]) -> None:
    owner = connections["owner"]  # this thread's
    try:
        with owner.cursor() as cursor:
            cursor.execute(
                f"SET work_mem = '{MEMORY}'; SET maintenance_work_mem = '{MEMORY}'; SET synchronous_commit = off;"
                " SET TIME ZONE 'UTC'; SET jit = off"
            )
            for sql in statements:
                cursor.execute(sql)
    finally:
        owner.close()


def _rollup(table: str, now: datetime) -> Iterator[str]:
    """The statements that fill one rollup. Its wall does not hold for its owner meanwhile, and its key is made last."""
    yield f"TRUNCATE {table}; ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey"
    for grain, unit in (("d", "day"), ("h", "hour")):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        since = midnight - timedelta(days=HOURS if grain == "h" else DAYS + 1)
        yield from _fine(table, unit, since)
        for cut in CUTS[table]:
            yield from _cells(table, grain, cut, "tenant", "workflow")
            if cut != "revision":
                yield from _cells(table, grain, cut, "tenant")
            if cut in PLATFORM_CUTS:
                yield from _cells(table, grain, cut)
    yield f"ALTER TABLE {table} ADD PRIMARY KEY (tenant_id, grain, cut, workflow_id, at, key, part)"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"


def _fine(table: str, unit: str, since: datetime) -> Iterator[str]:
    """The facts of a rollup by hour or day, by all it is cut by at once: its sums, and the counts of its buckets."""
    names = _measures(table)
    sums, counts = [], []
    for one in FACTS[table]:
        cuts = ", ".join(f"({one.cuts.get(cut, 'NULL')})::text AS by_{cut}" for cut in CUTS[table])
        keys = f"tenant, workflow, date_trunc('{unit}', {one.at}) AS at, ({one.part})::text AS part, {cuts}"
        where = f"FROM bench_raw {{more}} WHERE {one.where} AND {one.at} >= '{since.isoformat()}'"
        group = ", ".join(map(str, range(1, 5 + len(CUTS[table]))))
        adding = ", ".join(f"SUM({one.measures.get(name, '0')})::bigint AS {name}" for name in names)
        sums.append(f"SELECT {keys}, {adding} {where.format(more='')} GROUP BY {group}")
        if one.histograms:
            values = ", ".join(
                f"('{name}', {histogram.sql(f'({ms})::float8')}, {there})"
                for name, (ms, there) in one.histograms.items()
            )
            counts.append(
                f"SELECT {keys}, name, bucket, SUM({one.times}) AS many"
                f" {where.format(more=f'CROSS JOIN LATERAL (VALUES {values}) AS each(name, bucket, there)')} AND there"
                f" GROUP BY {group}, name, bucket"
            )
    for kind, selects in (("sums", sums), ("counts", counts)):
        yield f"DROP TABLE IF EXISTS {table}_{kind}"
        yield f"CREATE UNLOGGED TABLE {table}_{kind} AS {' UNION ALL '.join(selects)}"
        yield f"ANALYZE {table}_{kind}"


def _cells(table: str, grain: str, cut: str, *of: str) -> Iterator[str]:
    """Rows of one grain and cut: of each tenant's each workflow, of each tenant, or of all of them; by part, and of all parts."""
    tenant = "md5('tenant-' || tenant)::uuid" if of else f"'{PLATFORM}'::uuid"
    workflow = "md5('workflow-' || tenant || '-' || workflow)::uuid" if len(of) > 1 else f"'{ALL}'::uuid"
    names, spreads = _measures(table), _histograms(table)
    for part, grouped in (("part", "part"), (f"'{EVERY_PART}'", "")):
        keys = ", ".join([*of, "at", f"by_{cut}", *filter(None, [grouped])])
        counted = (
            f"(SELECT {keys}, name, bucket, SUM(many) AS many FROM {table}_counts WHERE by_{cut} IS NOT NULL"  # noqa: S608
            f" GROUP BY {keys}, name, bucket)"
        )
        packed = ", ".join(f"(array_agg(packed) FILTER (WHERE name = '{name}'))[1]" for name in spreads)
        yield (
            f"INSERT INTO {table} (tenant_id, grain, cut, workflow_id, at, key, part, {', '.join((*names, *spreads))})"  # noqa: S608
            f" SELECT {tenant}, '{grain}', '{cut}', {workflow}, at, by_{cut}, {part},"
            f" {', '.join(f'SUM({name})' for name in names)}, {packed}"
            f" FROM (SELECT {keys}, {', '.join(f'SUM({name}) AS {name}' for name in names)}, '' AS name, NULL::bytea AS packed"
            f" FROM {table}_sums WHERE by_{cut} IS NOT NULL GROUP BY {keys}"
            f" UNION ALL SELECT {keys}, {', '.join('0' for _ in names)}, name, packed"
            f" FROM ({_packed(counted, f'{keys}, name')}) AS packed) AS both_of"
            f" GROUP BY {keys}"
        )


def _packed(counted: str, keys: str) -> str:
    """What histogram.pack gives, as ``packed`` beside ``keys``, of a relation that has those, and ``bucket`` and ``many``."""
    place = f"CASE bucket WHEN '{histogram.ZERO}' THEN 0 ELSE bucket::int - {histogram.BOTTOM - 1} END"
    gap = "decode(repeat('0000000000000000', place - COALESCE(below, place - 1) - 1), 'hex')"
    return (
        f"SELECT {keys}, int2send(MIN(place)::int2) || string_agg(int8send(many::int8) || {gap}, ''::bytea ORDER BY place DESC)"  # noqa: S608
        f" AS packed FROM (SELECT {keys}, place, many, LAG(place) OVER (PARTITION BY {keys} ORDER BY place) AS below"
        f" FROM (SELECT {keys}, {place} AS place, many FROM {counted} AS counted) AS placed) AS spaced GROUP BY {keys}"
    )


def _measures(table: str) -> list[str]:
    return next(list(model.MEASURES) for model in ROLLUPS if model._meta.db_table == table)


def _histograms(table: str) -> list[str]:
    return next(list(model.HISTOGRAMS) for model in ROLLUPS if model._meta.db_table == table)


def _spread(middle_ms: int, width: float, seed: str) -> str:
    """Milliseconds about a middle, as durations lie: many small, a few very long. ``seed`` names three uniform columns."""
    a, b, c = list(seed)
    return f"LEAST({middle_ms} * EXP({width} * 2 * ({a} + {b} + {c} - 1.5)), 2000000000)::int"


_SHAPE = {
    "largest": LARGEST,
    "tenants": TENANTS,
    "workflows": WORKFLOWS,
    "revisions": REVISIONS,
    "days": DAYS,
    "active": _spread(9_000, 0.8, "abc"),
    "queue": _spread(120, 1.0, "bcd"),
    "waiting": _spread(1_800_000, 1.2, "cde"),
    "first": _spread(700, 0.5, "def"),
    "tool": _spread(250, 0.7, "efg"),
    "opening": _spread(900_000, 1.0, "gha"),
}
# Twice the same call of random() is another number, so all are drawn once a row, in the innermost query.
_RAW = """
    DROP TABLE IF EXISTS bench_raw;
    CREATE UNLOGGED TABLE bench_raw AS
    SELECT *, md5('tenant-' || tenant)::uuid AS tenant_id, md5('workflow-' || tenant || '-' || workflow)::uuid AS workflow_id,
           made + total_ms * interval '1 ms' AS ended_at, call_ms / 2 AS first_ms, open_at * (waited)::int AS open_ms,
           CASE WHEN NOT waited THEN '' WHEN stop_reason = 'rejected' THEN 'reject' WHEN stop_reason = 'expired' THEN 'expired'
                WHEN revision = 2 THEN 'edit' ELSE 'approve' END AS verdict
    FROM (
      SELECT tenant, workflow, revision, made, retry, active_ms, queue_ms, waiting_ms, waiting_ms > 0 AS waited,
             active_ms + queue_ms + waiting_ms AS total_ms, waiting_ms AS wait_ms, LEAST(open_raw, waiting_ms) AS open_at,
             call_ms, tool_ms, calls, tools, failed_calls, agent, model, tool, rule, grp, reviewer, stop_reason,
             calls * 1500 AS input_tokens, calls * 300 AS output_tokens, calls * price AS cost_micros,
             CASE stop_reason WHEN 'completed' THEN 'completed' WHEN 'rejected' THEN 'completed'
                  WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END AS status
      FROM (
        SELECT CASE WHEN a < {largest} THEN 0 ELSE 1 + FLOOR(POWER(b, 1.3) * ({tenants} - 1)) END::int AS tenant,
               FLOOR(POWER(c, 1.5) * {workflows})::int AS workflow, 1 + FLOOR(d * {revisions})::int AS revision,
               {end} - interval '1 second' * (3600 + i * ({days} * 86400.0 - 3600) / {runs}) AS made,
               h < 0.03 AS retry, {active} AS active_ms, {queue} AS queue_ms,
               CASE WHEN i % 5 = 0 THEN {waiting} ELSE 0 END AS waiting_ms, {first} AS call_ms, {tool} AS tool_ms,
               CASE WHEN h < 0.3 THEN 0 ELSE {opening} END AS open_raw,
               2 + FLOOR(e * 5)::int AS calls, 1 + FLOOR(f * 3)::int AS tools, (g < 0.04)::int AS failed_calls,
               400 + FLOOR(f * 5000)::int AS price,
               'agent-' || FLOOR(f * 4)::int AS agent, 'model-' || FLOOR(POWER(g, 1.5) * 3)::int AS model,
               'tool-' || FLOOR(h * 4)::int AS tool, 'rule-' || FLOOR(a * 30)::int % 3 AS rule,
               CASE WHEN d < 0.5 THEN 'finance' ELSE '' END AS grp,
               md5('reviewer-' || FLOOR(e * 6)::int)::uuid::text AS reviewer,
               (ARRAY['completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed',
                      'max_turns', 'timeout', 'budget', 'model_error', 'tool_error', 'rejected', 'expired', 'cancelled']
               )[CASE WHEN e < 0.7 THEN 1 ELSE 1 + FLOOR((e - 0.7) / 0.3 * 16)::int END] AS stop_reason
        FROM (SELECT i, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e, random() AS f,
                     random() AS g, random() AS h FROM generate_series(0, {runs} - 1) AS i) AS drawn
      ) AS shaped
    ) AS timed;
    CREATE INDEX bench_raw_ended ON bench_raw (tenant_id, ended_at DESC)
"""
