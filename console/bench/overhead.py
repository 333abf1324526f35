"""``bench overhead``: what a journaled turn costs beside stock AutoGen, and what replaying it costs.

One agent, three tools, one tool call a turn, a model in the process that answers at once. Stock: the team on AutoGen as it
comes. Journaled: the worker's own path (claim, rebuild, engine, journal, live feed) on the instance's Postgres. Replay: the
same path with the whole journal there. CPU is that of this process, all its threads; the database's own is not in it.
Stock and journaled once more with a hundred runs side by side on one loop.
"""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta
from typing import Any
from uuid import UUID

from autogen_core.models import ChatCompletionClient
from django.utils import timezone

from console import startup
from console.agents import quiet
from console.agents.breakers import Breakers
from console.agents.clients import Clients
from console.bench import leavings, plain, scripted
from console.bench.figures import Spent, Stopwatch, middle, ms
from console.bench.tenant import bench_actor, workflow_of
from console.durable.loop import Loop, new_loop
from console.hosting import advancing
from console.hosting.advancing import Means, Turn
from console.hosting.database import Database
from console.hosting.pricing import PriceLists
from console.runs import actions
from console.runs.models import Run, RunStatus
from console.runs.writer import Writer, connect
from console.tenants.access import Actor
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import catalogue
from console.workflows.models import Workflow

STEPS = 2  # a turn: the model's call and the tool's
LEASE = timedelta(seconds=2 * actions.LEASE_S - 1)  # nobody renews it here, and a longer one no sweep believes
ROUNDS = {20: 15, 400: 3}
CROWD, CROWD_TURNS, CROWD_ROUNDS = 100, 10, 3  # runs side by side
BUSY = 10  # other runs beside the one whose replay is timed


class _Answering(Clients):
    """Lends the scripted model, whatever the credential."""

    def get(self, **place: Any) -> ChatCompletionClient:
        return scripted.Scripted()


class _Worker:
    """What a worker process has, without Celery in front of it."""

    def __init__(self) -> None:
        self.loop: Loop = new_loop()
        self.database = Database()
        self.writer = Writer()
        self.means = Means(
            "bench",
            self.database,
            self.writer,
            _Answering(),
            Breakers(),
            lambda topic, kind, payload: None,
            PriceLists(self.database),
        )

    def take(self, *turns: Turn) -> list[Spent]:
        """Let the runs be advanced side by side; what each took from the common start."""

        async def one(turn: Turn) -> Spent:
            with Stopwatch() as watch:
                await turn.take()
            return watch.spent

        async def all_of_them() -> list[Spent]:
            return await asyncio.gather(*(one(turn) for turn in turns))

        return self.loop.run_until_complete(all_of_them())

    def close(self) -> None:
        self.writer.close()
        self.database.close()
        self.loop.close()


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    for spec in scripted.specs().values():
        catalogue.register(spec)
    actor = bench_actor()
    startup.settle(startup.WORKER)
    worker = _Worker()
    figures: dict[str, Any] = {"commit_ms": ms(commit_seconds())}
    ratios: dict[str, float] = {}
    runs: list[UUID] = []
    try:
        for turns, rounds in ROUNDS.items():
            workflow = workflow_of(actor, f"overhead-{turns}", scripted.body(turns))
            stock(turns)  # once for warmth, both of them
            runs.append(_journaled(worker, actor, workflow)[0])
            bare, journaled, replayed, load = [], [], [], []
            for _ in range(rounds):
                bare.append(stock(turns).per(turns))
                run_id, spent = _journaled(worker, actor, workflow)
                runs.append(run_id)
                journaled.append(spent.per(turns))
                loading, replaying = _replayed(worker, run_id)
                load.append(loading.per(turns))
                replayed.append(replaying.per(turns))
            found = {"stock": bare, "journaled": journaled, "replay": replayed, "load_of_journal": load}
            per_turn = {name: _middle(spent) for name, spent in found.items()}
            for name, spent in per_turn.items():
                figures[f"{name}_{turns}_turns"] = {
                    "cpu_ms_per_turn": ms(spent.cpu),
                    "wall_ms_per_turn": ms(spent.wall),
                }
            allowed = per_turn["stock"].wall + 1.3 * STEPS * figures["commit_ms"] / 1000
            ratios |= {
                f"cpu_journaled_to_stock_{turns}": round(per_turn["journaled"].cpu / per_turn["stock"].cpu, 3),
                f"wall_journaled_to_stock_and_1.3_commits_{turns}": round(per_turn["journaled"].wall / allowed, 3),
                f"cpu_replay_to_stock_{turns}": round(per_turn["replay"].cpu / per_turn["stock"].cpu, 3),
            }
        workflow = workflow_of(actor, f"overhead-{CROWD_TURNS}", scripted.body(CROWD_TURNS))
        many: dict[str, list[Spent]] = {"stock": [], "journaled": []}
        for _ in range(CROWD_ROUNDS):
            many["stock"].append(stock(CROWD_TURNS, CROWD).per(CROWD * CROWD_TURNS))
            gc.collect()  # what so many leave behind is taken from neither
            made, spent = _side_by_side(worker, actor, workflow, CROWD)
            runs += made
            many["journaled"].append(spent.per(CROWD * CROWD_TURNS))
        crowd = {name: _middle(found) for name, found in many.items()}
        for name, spent in crowd.items():
            figures[f"{name}_{CROWD}_runs"] = {"cpu_ms_per_turn": ms(spent.cpu), "wall_ms_per_turn": ms(spent.wall)}
        ratios[f"cpu_journaled_to_stock_{CROWD}_runs"] = round(crowd["journaled"].cpu / crowd["stock"].cpu, 3)
        ratios[f"wall_journaled_to_stock_{CROWD}_runs"] = round(crowd["journaled"].wall / crowd["stock"].wall, 3)
        alone, beside = _crowded(worker, runs[1 : BUSY + 2])
        figures["replay_alone_ms"], figures[f"replay_beside_{BUSY}_busy_ms"] = ms(alone), ms(beside)
        ratios["replay_beside_busy_to_fair_share"] = round(beside / (alone * (BUSY + 1)), 3)
    finally:
        worker.close()
        leavings.forget(actor, runs)
    return figures, ratios


def commit_seconds() -> float:
    """Seconds of one durable transaction with one small row: the middle of 200."""
    times = []
    with connect() as connection:
        connection.execute("DELETE FROM django_session WHERE session_key LIKE 'bench-%%'", [])
        for number in range(200):
            with Stopwatch() as watch:
                connection.execute(
                    "INSERT INTO django_session (session_key, session_data, expire_date) VALUES (%s, %s, now())",
                    [f"bench-{number}", "x" * 1000],
                )
            times.append(watch.spent.wall)
        connection.execute("DELETE FROM django_session WHERE session_key LIKE 'bench-%%'", [])
    return middle(times)


def stock(turns: int, count: int = 1) -> Spent:
    """Building and running the team, or so many at once, on AutoGen as it comes, on asyncio's own loop."""

    async def one() -> int:
        result = await scripted.stock_team(turns).run(task="Keep notes.")
        return sum(message.source == "notary" for message in result.messages)

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(one() for _ in range(count)))

    loop = asyncio.new_event_loop()
    gc.set_threshold(*plain.COLLECTOR)
    try:
        with quiet.loud(), Stopwatch() as watch:
            told = loop.run_until_complete(all_of_them())
    finally:
        loop.close()
        gc.set_threshold(*startup.WORKER)
    if set(told) != {3 * turns}:  # a request, its execution and a summary a turn
        raise RuntimeError(f"stock AutoGen told {sorted(set(told))} messages in {turns} turns")
    return watch.spent


def _journaled(worker: _Worker, actor: Actor, workflow: Workflow) -> tuple[UUID, Spent]:
    """A run from its claim to its end; the claim itself is not in the time."""
    [run_id], spent = _side_by_side(worker, actor, workflow, 1)
    return run_id, spent


def _side_by_side(worker: _Worker, actor: Actor, workflow: Workflow, count: int) -> tuple[list[UUID], Spent]:
    """So many runs at once, each from its claim to its end; the claims are not in the time."""
    turns = []
    for _ in range(count):
        with tenant_scope(actor.tenant):
            # Started and claimed in one transaction: no other worker ever sees it ready.
            turns.append(_claim(worker, actions.start(actor, workflow, "Keep notes.").id))
    with Stopwatch() as watch:
        worker.take(*turns)
    made = [turn.run_id for turn in turns]
    with tenant_scope(actor.tenant):
        for ended in Run.objects.filter(pk__in=made, tenant=actor.tenant).exclude(status=RunStatus.COMPLETED):
            raise RuntimeError(f"the run {ended.status}: {ended.stop_reason} {ended.stop_detail}")
    return made, watch.spent


def _middle(spent: list[Spent]) -> Spent:
    return Spent(middle([each.cpu for each in spent]), middle([each.wall for each in spent]))


def _replayed(worker: _Worker, run_id: UUID) -> tuple[Spent, Spent]:
    """The run again from its whole journal: what loading it and what replaying it takes."""
    with Stopwatch() as load:
        turn = _again(worker, run_id)
    (spent,) = worker.take(turn)
    return load.spent, spent


def _crowded(worker: _Worker, runs: list[UUID]) -> tuple[float, float]:
    """Wall seconds of one replay: alone, and started together with others of the same length (the middle of them)."""
    alone = middle([_replayed(worker, run_id)[1].wall for run_id in runs])
    together = worker.take(*(_again(worker, run_id) for run_id in runs))
    return alone, middle([spent.wall for spent in together])


def _again(worker: _Worker, run_id: UUID) -> Turn:
    with system_scope("bench replays a run"):
        Run.objects.filter(pk=run_id).update(
            status=RunStatus.QUEUED, stop_reason="", sealed_result=None, ended_at=None, ready_at=timezone.now()
        )
        return _claim(worker, run_id)


def _claim(worker: _Worker, run_id: UUID) -> Turn:
    claimed = advancing._claim(str(run_id), "bench")
    if claimed is None:
        raise RuntimeError("a run of the benchmark was taken by somebody else")
    with system_scope("bench keeps its lease"):
        Run.objects.filter(pk=run_id).update(lease_until=timezone.now() + LEASE)
    return Turn(worker.means, claimed)
