"""``bench rollup``: how many steps a second the projector takes in, and how soon a run that ends is in the figures.

Runs of 50 steps, over two days, with six agents, three models and two tools, are written at once into the bench tenant, while
every other projector is kept out; then one process projects them, with a commit a batch. After that the instance's own projector
is watched: from a run's end to the moment in which the figure has it. All of it is taken out of the figures again.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connection, connections
from django.utils import timezone

from console.bench import leavings
from console.bench.crew import postgres_cpu
from console.bench.figures import Stopwatch, ms, percentile
from console.bench.tenant import NOBODY, bench_actor
from console.demo.documents import WORKFLOWS
from console.runs import actions as runs
from console.runs.models import Run, Step
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows.models import Workflow
from telemetry import projector
from telemetry.kept import held

RUNS, STEPS = 2_000, 50
ENDS = 20
TARGET = 5_000  # steps a second
LAG = 5.0  # seconds
PATIENCE = 60.0


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    actor = bench_actor()
    template = _template(actor)
    try:
        with held():
            _drain()
            made = _fill(actor, template, RUNS)
            with connections["owner"].cursor() as cursor:
                cursor.execute("ANALYZE runs_run; ANALYZE runs_step")
            with Stopwatch() as reading_raw:
                raw = _raw(made)
            before = postgres_cpu()
            batches, watch = _project(RUNS * STEPS)
            after = postgres_cpu()
        took = watch.spent
        lags = _lags(actor, template)
    finally:
        leavings.clear(actor.tenant)
    many = RUNS * STEPS
    stored = (after or 0.0) - (before or 0.0)
    figures = {
        "steps": many,
        "batches": batches,
        "steps_per_second": round(many / took.wall),
        "cpu_us_per_step": round(took.cpu / many * 1e6, 1),
        "postgres_cpu_us_per_step": round(stored / many * 1e6, 1),
        "steps_per_cpu_second": round(many / (took.cpu + stored)),
        "share_of_a_cpu_had": round((took.cpu + stored) / took.wall, 3),  # of one: they take turns
        "raw_groups": raw,
        "raw_question_ms": ms(reading_raw.spent.wall),
        "lag_p50_s": round(percentile(lags, 50), 3),
        "lag_p95_s": round(percentile(lags, 95), 3),
    }
    ratios = {
        "steps_per_second_to_target": round(many / took.wall / TARGET, 2),
        "steps_per_cpu_second_to_target": round(many / (took.cpu + stored) / TARGET, 2),
        "lag_p95_to_target": round(percentile(lags, 95) / LAG, 3),
    }
    return figures, ratios


def _template(actor: Actor) -> Run:
    """A run that no worker takes, to be copied."""
    with tenant_scope(actor.tenant):
        workflow = access.all(Workflow, actor).select_related("current").filter(slug="bench-rollup").first()
        if workflow is None:
            workflow = workflows.create_workflow(actor, "bench-rollup", "bench-rollup")
            workflows.create_revision(actor, workflow, WORKFLOWS[1].body)
            workflows.put_queue(actor, NOBODY, workflow)
        return runs.start(actor, workflow, "A run to copy")


def _fill(actor: Actor, template: Run, count: int) -> list[str]:
    skip = {"id", "status", "stop_reason", "started_at", "ended_at", "created_at", "active_s", "ready_at", "changed"}
    columns = ", ".join(f'"{field.column}"' for field in Run._meta.concrete_fields if field.name not in skip)
    given = {field.column for field in Step._meta.concrete_fields}
    more = {"worker": "''", "safety": "''", "key": "''"}
    extra = {name: value for name, value in more.items() if name in given}
    with system_scope("bench"), connection.cursor() as cursor:
        cursor.execute(_RUNS.format(columns=columns), [timezone.now(), count, template.pk])
        made = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            _STEPS.format(more=", ".join(extra), values=", ".join(extra.values())), [actor.tenant.id, STEPS, made]
        )
    return made


def _drain() -> None:
    while projector.project().more:
        pass


def _project(steps: int) -> tuple[int, Stopwatch]:
    """Project so many steps; how many batches that took."""
    batches = 0
    with Stopwatch() as watch:
        while steps > 0:
            steps -= projector.project().steps
            batches += 1
    return batches, watch


def _raw(made: list[str]) -> int:
    """What a dashboard would have to ask without rollups, of these runs alone."""
    with system_scope("bench"), connection.cursor() as cursor:
        cursor.execute(_RAW, [made])
        return len(cursor.fetchall())


def _lags(actor: Actor, template: Run) -> list[float]:
    """From the commit of a run's end to its figure, with the instance's own projector."""
    lags = []
    for number in range(ENDS):
        time.sleep(0.37 * (number % 3))  # at every phase of its round
        [made] = _fill(actor, template, 1)
        began = time.perf_counter()
        while not _counted(made):
            if time.perf_counter() - began > PATIENCE:
                raise RuntimeError("a run that has ended is in no figure: does a worker of this instance run?")
            time.sleep(0.02)
        lags.append(time.perf_counter() - began)
    return lags


def _counted(run_id: str) -> bool:
    with system_scope("bench"), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM telemetry_runfact WHERE run_id = %s AND seen = %s", [run_id, STEPS])
        return cursor.fetchone() is not None


_RUNS = """
    INSERT INTO runs_run (id, status, stop_reason, created_at, started_at, ended_at, active_s, {columns})
    SELECT gen_random_uuid(), 'completed', 'completed', made, made + interval '1 second', made + interval '60 seconds',
           50 + i %% 17, {columns}
    FROM runs_run, LATERAL (SELECT i, %s - interval '2 minutes' - (i %% 2880) * interval '1 minute' AS made
                            FROM generate_series(1, %s) AS i) AS copies
    WHERE id = %s RETURNING id::text
"""
_STEPS = """
    INSERT INTO runs_step (run_id, tenant_id, seq, settled, scope, n, kind, status, name, agent, digest, attempts, usage, cost,
                           inherited, started_at, ended_at, token, {more})
    SELECT r.id, %s, i, i, 'team', i, CASE WHEN i %% 3 = 0 THEN 'tool' ELSE 'model' END, 'done',
           CASE WHEN i %% 3 = 0 THEN 'tool-' || i %% 2 ELSE 'model-' || i %% 5 %% 3 END, 'agent-' || i %% 6, 'd',
           CASE WHEN i %% 3 = 0 THEN '[]'::jsonb ELSE '[{{"cause": null}}]'::jsonb END,
           CASE WHEN i %% 3 > 0 THEN '{{"input_tokens": 1200, "output_tokens": 300, "cached_tokens": 64}}'::jsonb END,
           CASE WHEN i %% 3 > 0 THEN 0.0042 END, false,
           r.created_at + i * interval '1 second', r.created_at + i * interval '1 second' + (i * 31 %% 977) * interval '1 ms',
           0, {values}
    FROM generate_series(1, %s) AS i, runs_run r WHERE r.id = ANY(%s::uuid[])
"""
_RAW = """
    SELECT date_trunc('hour', ended_at), agent, name, COUNT(*), SUM(cost), SUM((usage ->> 'input_tokens')::bigint),
           percentile_cont(0.95) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM ended_at - started_at))
    FROM runs_step WHERE run_id = ANY(%s::uuid[]) GROUP BY 1, 2, 3
"""
