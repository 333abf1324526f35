"""A world for runs to act on: effects that take as long as a seeded hand lets them, a clock, and a count of it all."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from console.durable import (
    Call,
    Decision,
    Done,
    Gate,
    Handle,
    Json,
    Kind,
    Loop,
    MemoryGates,
    MemoryStore,
    Outcome,
    Run,
    Safety,
    Settled,
    Step,
    Suspended,
    advance,
)

START = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
Main = Callable[[Run], Awaitable[Json]]


class Clock:
    """Moves only when it is told to, and a millisecond at each look."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def forward(self, **span: float) -> None:
        self.time += timedelta(**span)


class World:
    """What effects act on. Bodies end in an order that only the seed decides, never the time."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.began: Counter[tuple[str, int]] = Counter()
        self.done: Counter[tuple[str, int]] = Counter()
        self.keys: list[str] = []
        self.log: list[str] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._ticking = False

    async def act(self, call: Call) -> Done:
        """A body: takes its time, then counts as done."""
        self.began[call.scope, call.n] += 1
        self.keys.append(call.key)
        await self.latency()
        self.done[call.scope, call.n] += 1
        return Done({"scope": call.scope, "n": call.n, "arguments": call.arguments})

    async def latency(self) -> None:
        """Wait until the seed says so."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if not self._ticking:
            self._ticking = True
            loop.call_soon(self._tick, context=contextvars.Context())
        await future

    def _tick(self) -> None:
        self._waiting = [future for future in self._waiting if not future.done()]
        if self._waiting and self.random.random() < 0.5:
            self._waiting.pop(self.random.randrange(len(self._waiting))).set_result(None)
        self._ticking = bool(self._waiting)
        if self._ticking:
            asyncio.get_running_loop().call_soon(self._tick, context=contextvars.Context())


class Lab:
    """One run with its journal, gates and clock, advanced as often as a test likes."""

    def __init__(self, main: Main, *, seed: int = 0, gates: MemoryGates | None = None) -> None:
        self.main = main
        self.world = World(seed)
        self.store = MemoryStore()
        self.gates = gates or MemoryGates()
        self.clock = Clock()
        self.handle = Handle()
        self.left: set[asyncio.Task[Any]] = set()  # tasks that outlived the last advance

    async def turn(self, **options: Any) -> Outcome:
        """One worker's turn, on the running loop."""
        self.handle = Handle()
        before = asyncio.all_tasks()
        settings: dict[str, Any] = {
            "journal": options.get("journal") or self.store.claim(),
            "gates": self.gates,
            "clock": self.clock,
            "handle": self.handle,
            "started_at": START,
            "stall": timedelta(0),
            "grace": timedelta(0),
        }
        try:
            return await advance(self.main, run_id="run", **{**settings, **options})
        finally:
            self.left = asyncio.all_tasks() - before

    def advance(self, **options: Any) -> Outcome:
        """One worker's turn, in a loop of its own."""
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(self.turn(**options))

    def approve(self, outcome: Outcome, verdict: str = "approve", **fields: Any) -> None:
        """Decide everything a suspended run waits for."""
        assert isinstance(outcome, Suspended) and outcome.parked
        for ask in outcome.parked:
            self.gates.decide(ask.scope, ask.n, Decision(verdict, **fields))

    @property
    def record(self) -> list[Step]:
        return self.store.snapshot()

    def story(self) -> list[str]:
        """The journal in short: what is the same for two runs that did the same."""
        return [f"{step.scope}#{step.n} {step.status}" for step in sorted(self.record, key=lambda s: (s.scope, s.n))]


async def look(run: Run, world: World, scope: str, request: Json = None, **options: Any) -> Settled:
    """A read-only effect."""
    return await run.effect(scope, kind=Kind.MODEL, request=request, **{"body": world.act, **options})


async def pay(
    run: Run,
    world: World,
    scope: str,
    arguments: Json = None,
    *,
    safety: Safety = Safety.NEITHER,
    gated: bool = True,
    **options: Any,
) -> Settled:
    """A payment: gated, unless told otherwise."""
    gate = Gate("tool", {"tool": "pay", "arguments": arguments}, agent="payer", tool="pay", digest_of=arguments)
    options = {"body": world.act, "name": "pay", "gate": gate if gated else None, **options}
    return await run.effect(scope, kind=Kind.TOOL, request=arguments, safety=safety, **options)
