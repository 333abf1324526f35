"""``bench resume``: from the HTTP call that decides to the first live effect after it, on a running instance.

Runs of one agent are brought to a gate after 4, 20, 100 or 400 steps; then one at a time is approved over HTTP, and what
its journal and feed say is compared with when the call began. All clocks are this machine's.

    http      the call arrives, is authenticated, and the decision is made
    commit    one durable transaction, measured by itself
    broker    from the decision's commit to the claim's: message, admission, thread
    claim     reading the run, its revision and its journal, and unsealing it
    rebuild   the team is put together; replay: the journal is handed back (told apart by a line through the lengths)
"""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings

from approvals.models import ApprovalRequest, RequestStatus
from console.bench.figures import middle, ms, percentile
from console.bench.overhead import commit_seconds
from console.bench.tenant import bench_actor, reviewer_token, workflow_of
from console.demo.documents import assistant, component, tool, until
from console.runs import actions, feed
from console.runs.models import TERMINAL, FeedEvent, Run, RunStatus, Step
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope

SAMPLES = {20: 100, 4: 30, 100: 20, 400: 10}  # steps before the gate: decisions timed
BUSY, BUSY_SAMPLES, BUSY_LATENCY = 50, 50, 1000  # runs beside, decisions timed, milliseconds of their model
LATENCY = 5  # milliseconds of the model on the way to a gate
PAUSE = 0.1  # seconds of quiet before each decision
PATIENCE = 300  # seconds for all runs to reach their gates


@dataclass(frozen=True)
class Sample:
    """One decision: seconds of each part, which together are the whole."""

    http: float
    handover: float  # commit and broker
    claim: float
    rebuild_and_replay: float

    @property
    def whole(self) -> float:
        return sum(astuple(self))


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    commit = commit_seconds()
    figures: dict[str, Any] = {"commit_ms": ms(commit)}
    started: list[UUID] = []
    if not settings.DEMO_MODEL_URL:
        raise RuntimeError(
            "this benchmark needs an instance with the demo's model: one that `up` started with its own stores"
        )
    actor = bench_actor(
        *(settings.DEMO_MODEL_URL.replace("/v1", f"/latency-{latency}/v1") for latency in (LATENCY, BUSY_LATENCY))
    )
    try:
        taken: dict[int, list[Sample]] = {}
        for steps, count in SAMPLES.items():
            waiting = _to_the_gate(actor, steps, count)
            started += waiting
            taken[steps] = _decide(actor, waiting)
            figures[f"after_{steps}_steps"] = _figures(taken[steps])
        rebuild, replay = _line({n: middle([s.rebuild_and_replay for s in taken[n]]) for n in taken if n <= 100})
        figures["rebuild_ms"], figures["replay_ms_per_step"] = ms(rebuild), ms(replay)
        waiting = _to_the_gate(actor, 20, BUSY_SAMPLES)
        busy = _start(actor, _workflow(actor, "busy", 100_000, "busy"), BUSY)
        started += waiting + busy
        time.sleep(3)
        beside = _decide(actor, waiting)
        figures[f"after_20_steps_beside_{BUSY}_busy_runs"] = _figures(beside)
    finally:
        _forget(actor, started)
    idle = taken[20]
    parts = {part: middle([getattr(sample, part) for sample in idle]) for part in ("http", "handover", "claim")}
    whole = middle([sample.whole for sample in idle])
    together = middle([sample.rebuild_and_replay for sample in idle])
    replayed = min(20 * replay, together)
    figures["shares_after_20_steps"] = {
        "http": round(parts["http"] / whole, 3),
        "commit": round(commit / whole, 3),
        "broker": round((parts["handover"] - commit) / whole, 3),
        "claim": round(parts["claim"] / whole, 3),
        "rebuild": round((together - replayed) / whole, 3),
        "replay": round(replayed / whole, 3),
    }
    ours = middle([sample.claim + sample.rebuild_and_replay for sample in idle])
    ratios = {
        "p50_to_25_ms": round(whole / 0.025, 3),
        "p99_to_80_ms": round(percentile([sample.whole for sample in idle], 99) / 0.080, 3),
        "claim_rebuild_replay_to_12_ms": round(ours / 0.012, 3),
        "beside_busy_to_idle_p50": round(middle([sample.whole for sample in beside]) / whole, 3),
    }
    return figures, ratios


def _figures(samples: list[Sample]) -> dict[str, Any]:
    whole = [sample.whole for sample in samples]
    parts = {
        f"{name}_ms": ms(middle(list(values)))
        for name, values in zip(_PARTS, zip(*map(astuple, samples), strict=True), strict=True)
    }
    return {"decisions": len(samples), "p50_ms": ms(middle(whole)), "p99_ms": ms(percentile(whole, 99)), **parts}


_PARTS = ("http", "handover", "claim", "rebuild_and_replay")


def _line(points: dict[int, float]) -> tuple[float, float]:
    """The straight line through the points, by least squares: its start and its slope."""
    n, xs, ys = len(points), list(points), list(points.values())
    mx, my = sum(xs) / n, sum(ys) / n
    slope = sum((x - mx) * (y - my) for x, y in points.items()) / sum((x - mx) ** 2 for x in xs)
    return max(my - slope * mx, 0.0), slope


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
            _until(actor, [run_id], RunStatus.COMPLETED)
            samples.append(_sample(actor, run_id, pending.id, began, queued))
    return samples


def _sample(actor: Actor, run_id: UUID, request_id: UUID, began: float, queued: float) -> Sample:
    with tenant_scope(actor.tenant):
        decided = ApprovalRequest.objects.get(tenant=actor.tenant, pk=request_id).decided_at
        waited = Run.objects.values_list("queue_s", flat=True).get(tenant=actor.tenant, pk=run_id) - queued
        effect = (
            Step.objects.filter(tenant=actor.tenant, run=run_id, name="calculator", kind="tool")
            .latest("seq")
            .started_at
        )
        # The worker says "running" when it has the run in its hands.
        told = FeedEvent.objects.filter(
            tenant=actor.tenant, topic=feed.run_topic(run_id), kind="status", at__gt=decided
        )
        taken = told.filter(at__lte=effect).latest("at").at
    if decided is None:
        raise RuntimeError("the request is not decided")
    claimed = decided + timedelta(seconds=waited)
    parts = (claimed - decided, taken - claimed, effect - taken)
    return Sample(decided.timestamp() - began, *(part.total_seconds() for part in parts))


def _forget(actor: Actor, runs: list[UUID]) -> None:
    """End what still goes on, and delete it all."""
    with tenant_scope(actor.tenant):
        for run in Run.objects.filter(tenant=actor.tenant, pk__in=runs).exclude(status__in=TERMINAL):
            actions.finish(run, None, RunStatus.CANCELLED, "cancelled", "the benchmark is over")
        Run.objects.filter(tenant=actor.tenant, pk__in=runs).delete()
