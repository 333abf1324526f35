"""The process: one event loop in a thread of its own, slots for live runs, and a way to leave within seconds."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import UUID

from structlog.contextvars import bind_contextvars

from console.agents.breakers import Breakers
from console.agents.clients import Clients
from console.durable.loop import new_loop
from console.hosting import advancing
from console.hosting.advancing import Means, Turn
from console.hosting.database import Database
from console.hosting.leases import LeaseKeeper
from console.hosting.pricing import PriceLists
from console.hosting.stalls import StallWatch
from console.hosting.watching import Ephemerals
from console.runs import actions
from console.runs.writer import Writer
from console.tenants.scopes import system_scope
from console.workflows import http_tool

log = logging.getLogger(__name__)

SLOTS = 256  # live runs a process holds; what comes beyond waits here unclaimed, runs that have begun first
GRACE = 8.0  # seconds for all runs to let go when the process leaves


def nothing() -> None:
    """For whoever need not know when a run was looked at."""


class Host:
    """Advances runs. ``admit`` may be called from any thread; the rest of the work is done on the loop.

    ``queues``: those that the process listens to, for its heartbeat.
    """

    def __init__(self, name: str, slots: int = SLOTS, queues: Sequence[str] = ()) -> None:
        self.name = name
        self.slots = slots
        self._queues = sorted(queues)
        self._since = time.time()
        self.database = Database()
        self._loop = new_loop()
        self._writer = Writer()
        self._ephemerals = Ephemerals()
        self._clients = Clients()
        lists = PriceLists(self.database)
        self._means = Means(name, self.database, self._writer, self._clients, Breakers(), self._ephemerals.send, lists)
        self._live: dict[UUID, Turn] = {}
        self._busy: set[str] = set()  # claimed here, or on the way to it
        self._again: dict[str, bool] = {}  # asked for while busy
        self._looked: dict[str, Callable[[], object]] = {}  # on the way to be claimed: who wants to know when it was
        self._queue: list[tuple[bool, int, str]] = []
        self._queued: set[str] = set()
        self._order = itertools.count()
        self._leaving = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper = LeaseKeeper(name, self._held, self._renewed, self._nudged, self._tells)
        self._thread = threading.Thread(target=self._run, name="runs", daemon=True)
        self._stalls = StallWatch(self._loop, self._thread)

    # From any thread

    def start(self) -> None:
        """Start the loop and the lease keeper."""
        self._thread.start()
        self._keeper.start()
        self._stalls.start()

    def admit(self, run_id: str, resume: bool = False, looked: Callable[[], object] = nothing) -> None:
        """Advance this run when there is a slot. Saying so twice is harmless.

        ``looked`` is called once, on the loop: when the run's row was looked at, or when the run has to wait here.
        """
        self._post(self._admit, run_id, resume, looked)

    def leave(self) -> None:
        """Begin to leave: every run is suspended and given back, and nothing is admitted any more."""
        self._post(self._suspend_all)

    def close(self, timeout: float = GRACE) -> bool:
        """Leave, and return when every run is given back (False: some were not in time; their leases run out)."""
        if not self._thread.is_alive():
            return True
        done: Future[bool] = asyncio.run_coroutine_threadsafe(self._drain(timeout), self._loop)
        drained = done.result(timeout + 5)
        self._keeper.close()
        self._stalls.close()
        self._writer.close()
        self._ephemerals.close()
        self.database.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        return drained

    @property
    def live(self) -> int:
        """How many runs this process holds now."""
        return len(self._live)

    def _post(self, callback: Callable[..., object], *args: Any) -> None:
        self._loop.call_soon_threadsafe(callback, *args, context=contextvars.Context())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    # On the loop

    def _admit(self, run_id: str, resume: bool, looked: Callable[[], object] = nothing) -> None:
        if run_id in self._busy:
            self._again[run_id] = resume
        elif run_id not in self._queued and not self._leaving:  # else another worker's sweep finds it, still ready
            self._queued.add(run_id)
            heapq.heappush(self._queue, (not resume, next(self._order), run_id))
            self._fill()
            if run_id in self._busy:
                self._looked[run_id] = looked
                return
        looked()

    def _fill(self) -> None:
        while self._queue and len(self._busy) < self.slots and not self._leaving:
            _, _, run_id = heapq.heappop(self._queue)
            self._queued.discard(run_id)
            self._busy.add(run_id)
            task = self._loop.create_task(self._take(run_id), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, run_id: str) -> None:
        turn: Turn | None = None
        bind_contextvars(run=run_id)
        try:
            try:
                turn = await advancing.claim(self._means, run_id)
            finally:
                self._looked.pop(run_id, nothing)()
            if turn is not None:
                self._live[turn.run_id] = turn
                if self._leaving:
                    turn.handle.suspend()
                await turn.take()
        except Exception:
            # Whatever it was, the run is as good as its record: the lease runs out, somebody tries again, and after
            # three times in a row without a step the run ends as worker_lost.
            log.exception("run %s: its turn broke off", run_id)
        finally:
            if turn is not None:
                self._live.pop(turn.run_id, None)
            self._busy.discard(run_id)
            again = self._again.pop(run_id, None)
            if again is not None:
                self._admit(run_id, again)
            self._fill()

    def _suspend_all(self) -> None:
        self._leaving = True
        for turn in list(self._live.values()):
            turn.handle.suspend()

    async def _drain(self, timeout: float) -> bool:
        self._suspend_all()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)
        await self._clients.close()
        await http_tool.close()
        return not self._tasks

    # The lease keeper's threads

    def _tells(self) -> dict[str, Any]:
        return {
            "since": self._since,
            "queues": self._queues,
            "slots": self.slots,
            "used": len(self._busy),
            "held": len(self._live),
            "queued": len(self._queued),
            "leaving": self._leaving,
        }

    def _held(self) -> list[tuple[UUID, int]]:
        return [(turn.run_id, turn.token) for turn in list(self._live.values())]

    def _renewed(self, held: list[tuple[UUID, int]], found: dict[UUID, tuple[int, bool]]) -> None:
        self._post(self._heard, held, found)

    def _nudged(self, run_id: str) -> None:
        self._post(self._look, run_id)

    # On the loop again

    def _heard(self, held: list[tuple[UUID, int]], found: dict[UUID, tuple[int, bool]]) -> None:
        for run_id, token in held:
            turn = self._live.get(run_id)
            if turn is None or turn.token != token:
                continue
            if run_id in found:
                turn.seen(*found[run_id])
            else:
                turn.handle.lose()

    def _look(self, run_id: str) -> None:
        turn = next((turn for turn in self._live.values() if str(turn.run_id) == run_id), None)
        if turn is not None and not self._leaving:
            task = self._loop.create_task(self._look_at(turn), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _look_at(self, turn: Turn) -> None:
        held = [(turn.run_id, turn.token)]
        self._heard(held, await self.database.run(_renew, held))


def _renew(held: list[tuple[UUID, int]]) -> dict[UUID, tuple[int, bool]]:
    with system_scope("a worker looks at a run it holds"):
        return actions.renew(held)
