"""``bench recovery``: a worker is killed with -9 in the middle of its runs; how soon each is live again.

Two real worker processes; the models of the runs think for minutes, so each run is in the middle of a call. A run is live
again when another worker has claimed it, under a new token, by the database's clock. The lease is ten seconds, renewed every
second, and whoever dies has renewed it up to a second ago; the sweep that finds it comes once a second.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from console.bench import crew, leavings, lent, scripted
from console.bench.concurrency import workflow
from console.bench.crew import Crew, until
from console.bench.figures import middle
from console.bench.tenant import bench_actor
from console.runs import actions as runs
from console.runs.models import Run, RunStatus
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope

RUNS = 100
LATENCY = 600_000  # milliseconds: longer than anything here
GOAL = 11.0  # seconds


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    lent.register()
    actor = bench_actor()
    body = scripted.body(2, LATENCY)
    body["limits"] |= {"model_timeout": "PT1H"}
    flow = workflow(actor, "crew-recovery", body)
    made: list[UUID] = []
    try:
        with Crew(2) as workers:
            for _ in range(RUNS):
                with tenant_scope(actor.tenant):
                    made.append(runs.start(actor, flow, "Keep notes.").id)
            crew.settled(actor, made, RunStatus.RUNNING)
            time.sleep(2)  # in the middle of the calls, and of the renewals
            lost = max((_held(actor, made, name) for name in workers.names), key=len)
            workers.kill(workers.names.index(_owner(actor, lost[0])))
            killed = time.time()
            until(lambda: len(_again(actor, lost)) == len(lost), "the runs are not claimed again")
            took = sorted(at - killed for at in _again(actor, lost))
            leavings.forget(actor, made)
    finally:
        leavings.forget(actor, made)
    figures = {
        "runs": RUNS,
        "lost_with_the_worker": len(lost),
        "first_s": round(took[0], 2),
        "p50_s": round(middle(took), 2),
        "last_s": round(took[-1], 2),
    }
    return figures, {f"last_to_{GOAL:g}_s": round(took[-1] / GOAL, 3)}


def _held(actor: Actor, made: list[UUID], owner: str) -> list[UUID]:
    with tenant_scope(actor.tenant):
        return list(access.all(Run, actor).filter(pk__in=made, lease_owner=owner).values_list("id", flat=True))


def _owner(actor: Actor, run_id: UUID) -> str:
    with tenant_scope(actor.tenant):
        return access.get(Run, actor, pk=run_id).lease_owner


def _again(actor: Actor, lost: list[UUID]) -> list[float]:
    """When each of the runs that has another worker by now was claimed by it, in seconds since the epoch."""
    with tenant_scope(actor.tenant):
        rows = access.all(Run, actor).filter(pk__in=lost, token__gt=1, status=RunStatus.RUNNING)
        return [at.timestamp() for at in rows.values_list("leased_at", flat=True)]
