"""``bench cycles``: pause, decide, resume: how many a second one worker process goes through.

A run of three steps: a model's call (it answers at once), a person's yes, a tool. One real worker process takes the run to
its gate and parks it; this process decides by function, as the web does behind its pages; the worker claims the run again,
replays it, calls the tool and ends it. All runs are there when the clock begins, with their wake-ups; it ends with the last
run. CPU is told for the worker, for deciding (the web's share) and for Postgres: of whichever is used up first there are no more
cycles.

Beside it: what AutoGen takes for its own part of a cycle. A team is put together twice, once to come to the gate and once to
go on behind it, and both times plays its turn; ``autogen_alone_cpu_ms_each`` is a stock team's building and playing the same
turn twice, with no journal, no gate and no database: no number of cycles a second above its inverse can be had in one process.

Where LangGraph is installed (here, or for the interpreter that SAYSO_BENCH_LANGGRAPH names) the same runs beside it on the same
Postgres, with its own saver, as many side by side as serve it best; see ``graph``: once with the same team as its node, and
once with nodes that do next to nothing. Its pausing, deciding and resuming are one process, and nothing but checkpoints is
written: no request, no feed, no audit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, connections

from approvals import actions as approvals
from console.bench import crew, leavings, lent, scripted
from console.bench.concurrency import AHEAD, Stock, workflow
from console.bench.crew import Crew, postgres_cpu
from console.bench.figures import middle, ms
from console.bench.tenant import bench_actor, reviewer
from console.runs import actions as runs
from console.runs.models import RunStatus
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope

CYCLES, WARM, ROUNDS = 300, 20, 3
BESIDE = (1, 8, 32)  # cycles of LangGraph side by side
GOAL = 150  # a second
POLL = 0.05  # seconds between two looks: each takes from Postgres what is measured there
LANGGRAPH = "SAYSO_BENCH_LANGGRAPH"
SCHEMA = "bench_langgraph"


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    lent.register()
    actor = bench_actor()
    flow = workflow(actor, "crew-cycles", body())
    decider = reviewer(actor)
    figures: dict[str, Any] = {"cycles": CYCLES}
    ratios: dict[str, float] = {}
    rival = Path(os.environ.get(LANGGRAPH) or sys.executable)
    theirs: dict[str, list[list[float]]] = {"langgraph_same_team": [], "langgraph_trivial_nodes": []}
    ours: list[dict[str, Any]] = []
    alone: list[float] = []
    with Crew(1) as worker, Stock(runs=CYCLES, calls=1, latency=0, processes=1) as stock:
        _cycles(actor, decider, worker, flow, WARM)
        for _ in range(ROUNDS):
            ours.append(_cycles(actor, decider, worker, flow, CYCLES))
            alone.append(2 * stock.run().cpu / CYCLES)
            for kind, rounds in theirs.items():
                rounds.append(_langgraph(rival, team=kind == "langgraph_same_team"))
    figures["sayso"] = sorted(ours, key=lambda each: each["a_second"])[ROUNDS // 2]
    figures["sayso_best_a_second"] = max(each["a_second"] for each in ours)
    middling = figures["sayso"]["a_second"]
    figures["autogen_alone_cpu_ms_each"] = ms(middle(alone))
    ratios["worker_cpu_to_autogen_alone"] = round(figures["sayso"]["worker_cpu_ms_each"] / ms(middle(alone)), 3)
    for kind, rounds in theirs.items():
        if all(rounds):
            # As many side by side as serve it best; of each number, like of ours, the round in the middle.
            best = max(middle(list(each)) for each in zip(*rounds, strict=True))
            figures[f"{kind}_a_second"] = round(best, 1)
            ratios[f"a_second_to_{kind}"] = round(middling / best, 3)
        else:
            figures[f"{kind}_a_second"] = f"not installed; {LANGGRAPH} may name an interpreter that has it"
    ratios[f"a_second_to_{GOAL}"] = round(middling / GOAL, 3)
    return figures, ratios


def body() -> dict[str, Any]:
    """The revision: one turn, whose tool asks a person."""
    found = scripted.body(1)
    return {**found, "tools": {**found["tools"], "take_note": lent.ASKING}}


def _cycles(actor: Actor, decider: Actor, worker: Crew, flow: Any, count: int) -> dict[str, Any]:
    crew.hold(actor, flow)
    made: list[UUID] = []
    for _ in range(count):
        with tenant_scope(actor.tenant):
            made.append(runs.start(actor, flow, "Keep notes.").id)
            crew.ready(actor, made[-1:], AHEAD)
    with tenant_scope(actor.tenant):
        crew.ready(actor, made)
    crew.serve(actor, flow)
    busy, postgres, deciding = worker.cpu()[0], postgres_cpu(), 0.0
    began, decided = time.time(), 0
    crew.loose()
    while decided < count:
        waiting = _waiting(actor, made)
        cpu = time.process_time()
        for request in waiting:
            with tenant_scope(actor.tenant):
                approvals.decide(decider, request, "approve")
        deciding += time.process_time() - cpu
        decided += len(waiting)
        if not waiting:
            crew.states(actor, made)  # raises when one has failed
            time.sleep(POLL)
    crew.settled(actor, made, RunStatus.COMPLETED, every=POLL)
    took = crew.last_end(actor, made) - began
    busy, after = worker.cpu()[0] - busy, postgres_cpu()
    leavings.forget(actor, made)
    return {
        "a_second": round(count / took, 1),
        "worker_cpu_ms_each": ms(busy / count),
        "deciding_cpu_ms_each": ms(deciding / count),
        "postgres_cpu_ms_each": None if after is None or postgres is None else ms((after - postgres) / count),
    }


def _waiting(actor: Actor, made: list[UUID]) -> list[UUID]:
    with tenant_scope(actor.tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM approvals_approvalrequest WHERE tenant_id = %s AND status = 'pending' AND run_id = ANY(%s)",
            [actor.tenant.id, made],
        )
        return [row[0] for row in cursor.fetchall()]


def _langgraph(interpreter: Path, *, team: bool) -> list[float]:
    """Cycles a second, for each number side by side; none where it is not installed. ``team`` needs a Python like ours."""
    owner = connections["owner"]
    with owner.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
        parameters = owner.connection.info.get_parameters()
    line = " ".join(f"{name}='{parameters[name]}'" for name in ("host", "port", "dbname", "user") if name in parameters)
    line += f" options='-c search_path={SCHEMA}'"
    environment = {**os.environ, "PGPASSWORD": owner.settings_dict.get("PASSWORD") or ""}
    runs, more = [str(interpreter), str(Path(__file__).with_name("graph.py"))], []
    if team:
        runs, more = [sys.executable, "-W", "ignore", "-m", "console.bench.graph"], [_packages(interpreter)]
    found = []
    try:
        for beside in BESIDE:
            argv = [*runs, line, str(CYCLES), str(beside), *more]
            place = settings.BASE_DIR if team else "/"
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, cwd=place)
            if done.returncode == 1 and "not installed" in done.stderr:
                return []
            if done.returncode:
                raise RuntimeError(f"LangGraph failed: {done.stderr[-2000:]}")
            found.append(CYCLES / json.loads(done.stdout)["wall"])
    finally:
        with owner.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    return found


def _packages(interpreter: Path) -> str:
    """Where an interpreter keeps its packages."""
    asked = [str(interpreter), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    return subprocess.run(asked, capture_output=True, text=True, check=True, cwd="/").stdout.strip()
