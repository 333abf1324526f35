"""``bench parked``: a hundred thousand runs that wait for a person, and what they cost those that do not wait.

A hundred real runs are brought to a gate, half of them after 4 steps and half after 20, and copied in SQL with all that a
waiting run has: its row, steps, sealed payloads (sealed for the tenant, so a copy opens), feed and request. (The audit's one
row and the queue feed's one event for each are left out.) Compared with before: how long a resume takes (as in ``bench
resume``, after 20 steps), the resident memory of the instance's workers, and the bytes in Postgres of each kind, after VACUUM,
beside the run's messages as JSON: the text of its feed. Room that an earlier trial left in the tables would be used again, so
measure on a fresh instance. SAYSO_BENCH_PARKED sets another number of runs, for a trial.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, connections, models

from approvals.models import ApprovalRequest
from console.bench import leavings, resume
from console.bench.figures import middle, ms
from console.bench.tenant import bench_actor
from console.celery import app
from console.runs import feed, told
from console.runs.models import FeedEvent, FeedTopic, Run, Step, StepPayload
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope

PARKED = int(os.environ.get("SAYSO_BENCH_PARKED", "100000"))
REAL = 100
STEPS = (4, 20)
SAMPLES = 30  # resumes timed, before and after
BATCH = 20  # copies of each run in one transaction
GOAL, FACTS = 1.2, 1024  # bytes in Postgres for one of messages, and for facts

_TABLES: tuple[type[models.Model], ...] = (Run, Step, StepPayload, FeedTopic, FeedEvent, ApprovalRequest)
_TWIN = "md5({0}::text || '/' || i)::uuid"  # of a run's id: the same in each table
_TOPIC = "'run:' || " + _TWIN.format("substr({0}, 5)")
_CHANGED = {
    "runs_run": {"id": _TWIN.format("id")},
    "runs_feedtopic": {"name": _TOPIC.format("name")},
    "runs_feedevent": {"topic": _TOPIC.format("topic")},
    "approvals_approvalrequest": {"id": _TWIN.format("id"), "run_id": _TWIN.format("run_id")},
}


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    if not settings.DEMO_MODEL_URL:
        raise RuntimeError("this benchmark needs the demo's model, as `bench resume` does")
    actor = bench_actor(settings.DEMO_MODEL_URL.replace("/v1", f"/latency-{resume.LATENCY}/v1"))
    figures: dict[str, Any] = {"parked": PARKED}
    ratios: dict[str, float] = {}
    real: list[UUID] = []
    each = -(-PARKED // REAL)  # copies of each run
    try:
        before, after = (resume._to_the_gate(actor, STEPS[-1], SAMPLES) for _ in range(2))
        real += before + after
        seeds = {steps: resume._to_the_gate(actor, steps, REAL // len(STEPS)) for steps in STEPS}
        real += [run_id for kind in seeds.values() for run_id in kind]
        empty = middle([sample.whole for sample in resume._decide(actor, before)])
        memory = _memory()
        bytes_of = {}
        for steps, kind in seeds.items():
            size = _size()
            _copy(actor, kind, each)
            bytes_of[steps] = (_size() - size) / (each * len(kind))
            said = _messages(actor, kind)
            figures[f"after_{steps}_steps"] = {"bytes": round(bytes_of[steps]), "bytes_of_messages": round(said)}
            ratios[f"bytes_to_{GOAL}_messages_and_1_kB_{steps}"] = round(bytes_of[steps] / (GOAL * said + FACTS), 3)
        full = middle([sample.whole for sample in resume._decide(actor, after)])
        time.sleep(5)  # some sweeps over all of them
        figures |= {"resume_p50_ms_empty": ms(empty), "resume_p50_ms_full": ms(full)}
        figures["workers_rss_mb"] = {"before": memory >> 20, "after": _memory() >> 20}
        ratios["resume_full_to_empty"] = round(full / empty, 3)
        ratios["rss_full_to_empty"] = round(_memory() / memory, 3)
        few, many = STEPS
        ratios["bytes_a_step_many_to_few"] = round(bytes_of[many] / many / (bytes_of[few] / few), 3)
    finally:
        leavings.clear(actor.tenant)
    return figures, ratios


def _copy(actor: Actor, seeds: Sequence[UUID], count: int) -> None:
    """So many copies of each run, with all that belongs to it."""
    for first in range(0, count, BATCH):
        numbers = [first, min(first + BATCH, count) - 1]
        with tenant_scope(actor.tenant), connection.cursor() as cursor:
            for model in _TABLES:
                table = model._meta.db_table
                changed = _CHANGED.get(table, {"run_id": _TWIN.format("run_id")})
                fields = [field for field in model._meta.concrete_fields if not isinstance(field, _NO_COLUMN)]
                columns = [str(field.column) for field in fields]
                named = ", ".join(f'"{column}"' for column in columns)
                values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
                cursor.execute(
                    f"INSERT INTO {table} ({named}) SELECT {values} FROM {table}, generate_series(%s, %s) AS i"  # noqa: S608
                    f" WHERE tenant_id = %s AND {_whose(table)} = ANY(%s)",
                    [*numbers, actor.tenant.id, _keys(table, seeds)],
                )


_NO_COLUMN = (models.GeneratedField, models.CompositePrimaryKey)


def _whose(table: str) -> str:
    return {"runs_run": "id", "runs_feedtopic": "name", "runs_feedevent": "topic"}.get(table, "run_id")


def _keys(table: str, seeds: Sequence[UUID]) -> list[Any]:
    return [feed.run_topic(each) for each in seeds] if "feed" in table else list(seeds)


def _size() -> int:
    """Bytes of the tables with their indexes, after VACUUM; the planner hears of them, as within a minute it would."""
    tables = [model._meta.db_table for model in _TABLES]
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {', '.join(tables)}")
        cursor.execute("SELECT SUM(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name", [tables])
        return int(cursor.fetchone()[0])


def _messages(actor: Actor, runs: Sequence[UUID]) -> float:
    """Bytes of a run's messages as JSON, on the average."""
    topics = [feed.run_topic(run_id) for run_id in runs]
    with tenant_scope(actor.tenant):
        rows = FeedEvent.objects.filter(tenant=actor.tenant, topic__in=topics, kind="message")
        return sum(len(json.dumps(event.payload)) for event in told.messages(rows)) / len(runs)


def _memory() -> int:
    """Resident bytes of the instance's workers."""
    stats = app.control.inspect(timeout=2).stats() or {}
    if not stats:
        raise RuntimeError("no worker of the instance answers")
    pages = [int(Path(f"/proc/{each['pid']}/statm").read_text().split()[1]) for each in stats.values()]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")
