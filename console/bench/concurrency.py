"""``bench concurrency``: two hundred runs at once, two worker processes, beside stock AutoGen without a journal.

Each run makes ten model calls of 50 ms, and a tool call after each. Ours: two real worker processes of the instance's
kind, on a queue of their own; the runs and their wake-ups are there beforehand, and the clock runs from the moment the
workers may take them to the last run's end in the database: broker, claims, journal, feed and locks are all in it. Stock:
two processes with a hundred teams each, as AutoGen comes, on asyncio's own loop, with no journal at all; its collector is
set as a worker's. Both are warm, take turns, and build their teams within the time.

The same again with the real OpenAI client over the loopback, which the demo's model answers after 50 ms; there AutoGen's
teams of a process share one client, as a worker's runs do. The model's server takes a part of the machine from both.
CPU is of the two processes together, and what Postgres takes is told beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any
from uuid import UUID

from django.conf import settings

from console.bench import crew, leavings, lent, plain, scripted
from console.bench.crew import Crew, postgres_cpu
from console.bench.figures import Spent, middle
from console.bench.tenant import bench_actor, workflow_of
from console.demo.documents import assistant, component, tool, until
from console.runs import actions as runs
from console.runs.models import RunStatus
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope
from console.workflows.models import Workflow

RUNS, CALLS, LATENCY, PROCESSES = 200, 10, 50, 2
ROUNDS = {"scripted": 3, "client": 2}
WARM = 20
AHEAD = timedelta(hours=1)  # runs that are held are ready later, so that no sweep wakes them again


@dataclass(frozen=True)
class Round:
    """What the runs took together: CPU of the processes, wall; Postgres's CPU, where it can be seen, and its commits."""

    spent: Spent
    postgres: float | None = None
    commits: float = 0.0  # for each effect: a model's call, a tool's


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    url = settings.DEMO_MODEL_URL.replace("/v1", f"/latency-{LATENCY}/v1") if settings.DEMO_MODEL_URL else ""
    actor = bench_actor(url)
    lent.register()
    kinds = {"scripted": workflow(actor, "crew-scripted", scripted.body(CALLS, LATENCY))}
    if url:
        kinds["client"] = workflow(actor, "crew-client", clerk(CALLS))
    figures: dict[str, Any] = {"runs": RUNS, "calls_each": CALLS, "ideal_wall_s": CALLS * LATENCY / 1000}
    ratios: dict[str, float] = {}
    with Crew(PROCESSES) as workers:
        for kind, flow in kinds.items():
            with Stock(url if kind == "client" else "") as stock:
                _ours(actor, workers, flow, WARM)
                found: dict[str, list[Round]] = {"stock": [], "journaled": []}
                for _ in range(ROUNDS[kind]):
                    found["stock"].append(Round(stock.run()))
                    found["journaled"].append(_ours(actor, workers, flow, RUNS))
            for name, rounds in found.items():
                figures[f"{kind}_{name}"] = _told(rounds)
            for part in ("wall", "cpu"):
                ours, theirs = (
                    middle([getattr(each.spent, part) for each in found[name]]) for name in ("journaled", "stock")
                )
                ratios[f"{kind}_{part}_to_stock"] = round(ours / theirs, 3)
    return figures, ratios


def _told(rounds: Sequence[Round]) -> dict[str, Any]:
    told = {
        "wall_s": round(middle([each.spent.wall for each in rounds]), 3),
        "cpu_s": round(middle([each.spent.cpu for each in rounds]), 3),
        "cpu_ms_per_call": round(middle([each.spent.cpu for each in rounds]) * 1000 / RUNS / CALLS, 3),
    }
    beside = [each.postgres for each in rounds if each.postgres is not None]
    if rounds[0].commits:  # far below one: what many runs have waiting is committed together
        told["commits_an_effect"] = round(middle([each.commits for each in rounds]), 3)
    return {**told, "postgres_cpu_s": round(middle(beside), 3)} if beside else told


def workflow(actor: Actor, slug: str, body: dict[str, Any]) -> Workflow:
    """A workflow whose runs go to the crew."""
    flow = workflow_of(actor, slug, body)
    crew.serve(actor, flow)
    return flow


def clerk(calls: int) -> dict[str, Any]:
    """The revision of ``plain.clerk``."""
    tools = [tool("lookup_order", "Look an order up."), tool("calculator", "Do arithmetic.")]
    agent = assistant("clerk", "Looks orders up.", plain.CLERK.format(turns=calls - 2), tools)
    agent["config"] |= {"reflect_on_tool_use": False, "model_client_stream": False}
    config = {"participants": [agent], "termination_condition": until("TERMINATE", 10 * calls)}
    return {
        "team": component("team", "autogen_agentchat.teams.RoundRobinGroupChat", config),
        "credential": "default",
        "tools": {"lookup_order": "lookup_order", "calculator": lent.FREE},
        "oversight": {"mode": "NEVER"},
        "output_contract": {"type": "string"},
        "limits": {"max_turns": calls + 10, "max_tokens": 10**12, "run_timeout": "PT1H"},
    }


def _ours(actor: Actor, workers: Crew, flow: Workflow, count: int) -> Round:
    crew.hold(actor, flow)
    made: list[UUID] = []
    for _ in range(count):
        with tenant_scope(actor.tenant):
            run = runs.start(actor, flow, "Keep notes.")
            made.append(run.id)
            crew.ready(actor, [run.id], AHEAD)
    with tenant_scope(actor.tenant):
        crew.ready(actor, made)
    crew.serve(actor, flow)
    committed = crew.commits()
    cpu, postgres, began = sum(workers.cpu()), postgres_cpu(), time.time()
    crew.loose()
    crew.settled(actor, made, RunStatus.COMPLETED)
    spent, after = sum(workers.cpu()) - cpu, postgres_cpu()
    took = crew.last_end(actor, made) - began
    time.sleep(1.1)  # until the backends have told what they committed
    committed = crew.commits() - committed
    leavings.forget(actor, made)
    beside = None if postgres is None or after is None else after - postgres
    return Round(Spent(spent, took), beside, committed / (2 * CALLS * count))


class Stock:
    """Processes of ``plain``, which share the runs between them; ``latency`` is in milliseconds."""

    def __init__(
        self, url: str = "", runs: int = RUNS, calls: int = CALLS, latency: int = LATENCY, processes: int = PROCESSES
    ) -> None:
        self._messages = runs // processes * (3 * calls + 1)  # of each process
        self._runs = runs
        argv = [sys.executable, "-W", "ignore", "-m", "console.bench.plain"]
        argv += ["--runs", str(runs // processes), "--calls", str(calls)]
        argv += ["--url", url] if url else ["--latency", str(latency)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": settings.BASE_DIR}
        self._processes = [subprocess.Popen(argv, text=True, **pipes) for _ in range(processes)]

    def __enter__(self) -> Stock:
        for process in self._processes:
            self._line(process)  # ready
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        for process in self._processes:
            process.communicate(timeout=60)  # the end of its input is its end

    def run(self) -> Spent:
        """All of them at once."""
        began = time.time()
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(self._line(process)) for process in self._processes]
        if any(abs(each["messages"] - self._messages) > 3 * self._runs for each in told):
            said = [each["messages"] for each in told]
            raise RuntimeError(f"stock AutoGen told {said} messages, not {self._messages}")
        return Spent(sum(each["cpu"] for each in told), max(each["ended"] for each in told) - began)

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None  # noqa: S101
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("a process of stock AutoGen ended")
        return line
