"""``bench resume``: from the HTTP call that decides to the first live effect after it, on a running instance.

Runs of one agent are brought to a gate after 4, 20, 100 or 400 steps; then one at a time is approved over HTTP, and what
its journal and feed say is compared with when the call began. All clocks are this machine's.

    http      the call arrives, is authenticated, and the decision is written
    commit    the decision's transaction ends (as measured by itself); and the worker's, that notes it in the journal
    broker    from there to the claim: message, admission, thread
    claim     reading the run, its revision, its journal and its decisions, and unsealing them
    rebuild   the team is put together
    replay    the journal is handed back, up to the decision

Rebuild and replay are one stretch in a worker; the same runs, taken up once more in this process, say where to divide it.

Milliseconds say little about another machine, so they stand beside ``stock_turn_ms``: the CPU that AutoGen as it comes
takes here for one turn (a model's call and a tool's).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings
from django.utils import timezone

from approvals.models import ApprovalRequest, RequestStatus
from console import startup
from console.agents.breakers import Breakers
from console.agents.clients import Clients
from console.bench import leavings
from console.bench.figures import middle, ms, percentile
from console.bench.overhead import commit_seconds, stock
from console.bench.tenant import bench_actor, reviewer_token, workflow_of
from console.demo.documents import assistant, component, tool, until
from console.durable.loop import new_loop
from console.durable.run import Run as EngineRun
from console.durable.steps import Ask, Decision, Json
from console.hosting import advancing
from console.hosting.advancing import Means, Turn
from console.hosting.database import Database
from console.hosting.pricing import PriceLists
from console.runs import actions, feed
from console.runs.models import TERMINAL, Run, RunStatus, Step
from console.runs.writer import Writer
from console.tenants.access import Actor
from console.tenants.scopes import system_scope, tenant_scope

SAMPLES = {20: 100, 4: 20, 100: 15, 400: 5}  # steps before the gate: decisions timed
BUSY, BUSY_SAMPLES, BUSY_LATENCY = 50, 30, 1000  # runs beside, decisions timed, milliseconds of their model
APART = 10  # runs of each length that are taken up once more, to tell rebuild from replay
LATENCY = 5  # milliseconds of the model on the way to a gate
PAUSE = 0.1  # seconds of quiet before each decision
STOCK_TURNS, STOCK_ROUNDS = 20, 5  # of the baseline
PATIENCE = 300  # seconds for all runs to reach their gates


@dataclass(frozen=True)
class Sample:
    """One decision: seconds of each part, which together are the whole."""

    http: float
    handover: float  # commit and broker
    claim: float
    rebuild_and_replay: float
    record: float  # the decision's commit in the journal, before which nothing may be done

    @property
    def whole(self) -> float:
        return sum(astuple(self))


@dataclass(frozen=True)
class Apart:
    """Seconds of putting a team together, and of handing it its journal back."""

    rebuild: float
    replay: float


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    if not settings.DEMO_MODEL_URL:
        raise RuntimeError(
            "this benchmark needs an instance with the demo's model: one that `up` started with its own stores"
        )
    commit = commit_seconds()
    stock(STOCK_TURNS)  # once for warmth
    turn = middle([stock(STOCK_TURNS).per(STOCK_TURNS).cpu for _ in range(STOCK_ROUNDS)])
    figures: dict[str, Any] = {"commit_ms": ms(commit), "stock_turn_ms": ms(turn)}
    started: list[UUID] = []
    actor = bench_actor(
        *(settings.DEMO_MODEL_URL.replace("/v1", f"/latency-{latency}/v1") for latency in (LATENCY, BUSY_LATENCY))
    )
    try:
        taken: dict[int, list[Sample]] = {}
        apart: dict[int, Apart] = {}
        for steps, count in SAMPLES.items():
            waiting = _to_the_gate(actor, steps, count)
            started += waiting
            apart[steps] = _apart(waiting[:APART])
            taken[steps] = _decide(actor, waiting)
            figures[f"after_{steps}_steps"] = _figures(taken[steps], commit, apart[steps])
        waiting = _to_the_gate(actor, 20, BUSY_SAMPLES)
        busy = _start(actor, _workflow(actor, "busy", 100_000, "busy"), BUSY)
        started += waiting + busy
        time.sleep(3)
        beside = _decide(actor, waiting)
        figures[f"after_20_steps_beside_{BUSY}_busy_runs"] = _figures(beside, commit, apart[20])
    finally:
        leavings.forget(actor, started)
    idle = taken[20]
    whole = middle([sample.whole for sample in idle])
    ours = middle([sample.claim + sample.rebuild_and_replay for sample in idle])
    ratios = {
        "p50_to_25_ms": round(whole / 0.025, 3),
        "p99_to_80_ms": round(percentile([sample.whole for sample in idle], 99) / 0.080, 3),
        "claim_rebuild_replay_to_12_ms": round(ours / 0.012, 3),
        "p50_to_stock_turn": round(whole / turn, 3),
        "claim_rebuild_replay_to_stock_turn": round(ours / turn, 3),
        "beside_busy_to_idle_p50": round(middle([sample.whole for sample in beside]) / whole, 3),
    }
    return figures, ratios


def _figures(samples: Sequence[Sample], commit: float, apart: Apart) -> dict[str, Any]:
    whole = [sample.whole for sample in samples]
    part = {each.name: middle([getattr(sample, each.name) for sample in samples]) for each in fields(Sample)}
    committed = min(commit, part["handover"])
    rebuilt = part["rebuild_and_replay"] * apart.rebuild / (apart.rebuild + apart.replay)
    split = {
        "http": part["http"],
        "commit": committed + part["record"],
        "broker": part["handover"] - committed,
        "claim": part["claim"],
        "rebuild": rebuilt,
        "replay": part["rebuild_and_replay"] - rebuilt,
    }
    total = sum(split.values())
    return {
        "decisions": len(samples),
        "p50_ms": ms(middle(whole)),
        "p99_ms": ms(percentile(whole, 99)),
        **{f"{name}_ms": ms(seconds) for name, seconds in split.items()},
        "claim_rebuild_replay_ms": ms(middle([sample.claim + sample.rebuild_and_replay for sample in samples])),
        "shares": {name: round(seconds / total, 3) for name, seconds in split.items()},
    }


class _Timed(Turn):
    """A turn that notes when the team begins to be put together, says its first word, and meets its open gate."""

    marks: list[float]

    def watch(self) -> None:
        """Begin to note."""
        self.marks = []
        told, decisions = self._watcher.message, self.gates.decisions

        def first(message: dict[str, Any]) -> None:
            if len(self.marks) == 1:
                self.marks.append(time.perf_counter())
            told(message)

        async def met(asks: Sequence[Ask]) -> list[tuple[Ask, Decision]]:
            self.marks.append(time.perf_counter())
            return await decisions(asks)

        self._watcher.message, self.gates.decisions = first, met  # type: ignore[method-assign]

    async def _main(self, run: EngineRun) -> Json:
        self.marks.append(time.perf_counter())
        return await super()._main(run)


def _apart(runs: Sequence[UUID]) -> Apart:
    """Take waiting runs up in this process, as a worker would; they park again at the same gate."""
    startup.settle((20_000, 20, 50))  # as a worker does
    loop, database, writer = new_loop(), Database(1), Writer()
    lists = PriceLists(database)
    means = Means("bench", database, writer, Clients(), Breakers(), lambda topic, kind, payload: None, lists)
    rebuilt, replayed = [], []
    try:
        for run_id in [runs[0], *runs]:  # the first once more, for warmth
            with system_scope("bench replays a run"):
                # Made ready and claimed in one transaction: no other worker ever sees it ready.
                Run.objects.filter(pk=run_id, status=RunStatus.WAITING).update(
                    status=RunStatus.QUEUED, ready_at=timezone.now()
                )
                claimed = advancing._claim(str(run_id), "bench")
            if claimed is None:
                raise RuntimeError("a run of the benchmark was taken by somebody else")
            turn = _Timed(means, claimed)
            turn.watch()
            loop.run_until_complete(turn.take())
            began, spoke, met = turn.marks[:3]
            rebuilt.append(spoke - began)
            replayed.append(met - spoke)
    finally:
        writer.close()
        database.close()
        loop.close()
    return Apart(middle(rebuilt[1:]), middle(replayed[1:]))


def _workflow(actor: Actor, slug: str, turns: int, credential: str) -> Any:
    tools = [tool("lookup_order", "Look an order up."), tool("calculator", "Do arithmetic.")]
    agent = assistant("clerk", "Looks orders up.", f"You are the clerk of the benchmark: {turns} look-ups.", tools)
    agent["config"] |= {"reflect_on_tool_use": False, "model_client_stream": False}
    config = {"participants": [agent], "termination_condition": until("TERMINATE", 10 * turns + 10)}
    body = {
        "team": component("team", "autogen_agentchat.teams.RoundRobinGroupChat", config),
        "credential": credential,
        "tools": {"lookup_order": "lookup_order", "calculator": "calculator"},
        "oversight": {"mode": "NEVER"},
        "output_contract": {"type": "string"},
        "limits": {"max_turns": turns + 10, "max_tokens": 10**12, "run_timeout": "PT1H"},
    }
    return workflow_of(actor, slug, body)


def _start(actor: Actor, workflow: Any, count: int) -> list[UUID]:
    started = []
    for _ in range(count):
        with tenant_scope(actor.tenant):
            started.append(actions.start(actor, workflow, "Look the orders up, then add.").id)
    return started


def _to_the_gate(actor: Actor, steps: int, count: int) -> list[UUID]:
    """Runs that wait at a gate with so many steps in their journals: two a turn, the model's call and the review."""
    started = _start(actor, _workflow(actor, f"resume-{steps}", (steps - 2) // 2, "default"), count)
    _until(actor, started, RunStatus.WAITING)
    with tenant_scope(actor.tenant):
        found = Step.objects.filter(tenant=actor.tenant, run=started[0]).count()
    if found != steps:
        raise RuntimeError(f"{found} steps before the gate, not {steps}")
    return started


def _until(actor: Actor, runs: list[UUID], status: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with tenant_scope(actor.tenant):
            states = list(
                Run.objects.filter(tenant=actor.tenant, pk__in=runs).values_list("status", "stop_reason", "stop_detail")
            )
        over = [state for state in states if state[0] in TERMINAL and state[0] != status]
        if over:
            raise RuntimeError(f"a run ended: {over[0]}")
        if all(state[0] == status for state in states):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the runs are not {status} after {PATIENCE} s")


def _decide(actor: Actor, runs: list[UUID]) -> list[Sample]:
    """Approve the gates of the runs over HTTP, one after the other."""
    headers = {"Authorization": f"Bearer {reviewer_token(actor)}"}
    samples = []
    with httpx.Client(base_url=settings.PUBLIC_URL, headers=headers, timeout=30) as client:
        client.get("/api/v1/approvals").raise_for_status()
        for run_id in runs:
            with tenant_scope(actor.tenant):
                pending = ApprovalRequest.objects.get(tenant=actor.tenant, run=run_id, status=RequestStatus.PENDING)
                queued = Run.objects.values_list("queue_s", flat=True).get(tenant=actor.tenant, pk=run_id)
            time.sleep(PAUSE)
            began = time.time()
            client.post(f"/api/v1/approvals/{pending.id}/decisions", json={"verdict": "approve"}).raise_for_status()
            time.sleep(PAUSE)  # not to look while it is worked on
            _until(actor, [run_id], RunStatus.COMPLETED)
            samples.append(_sample(actor, run_id, began, queued))
    return samples


def _sample(actor: Actor, run_id: UUID, began: float, queued: float) -> Sample:
    with tenant_scope(actor.tenant):
        waited = Run.objects.values_list("queue_s", flat=True).get(tenant=actor.tenant, pk=run_id) - queued
        steps = Step.objects.filter(tenant=actor.tenant, run=run_id)
        effect = steps.filter(name="calculator", kind="tool").latest("seq").started_at
        recorded = steps.filter(kind="review").latest("seq").ended_at
        told = {event["payload"]["status"]: _at(event) for event in feed.read(feed.run_topic(run_id), kind="status")}
    # The web process says "queued" when the decision is written, the worker "running" when it has the run in its hands.
    decided, taken = told["queued"], told["running"]
    claimed = decided + timedelta(seconds=waited)
    parts = (claimed - decided, taken - claimed, recorded - taken, effect - recorded)
    return Sample(decided.timestamp() - began, *(part.total_seconds() for part in parts))


def _at(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(event["at"])
