"""A worker in a test's own hands: it takes one turn with a run when told to, and things happen to it at failpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from django.db import connection

from approvals.models import ApprovalRequest
from console import sweeper
from console.agents.breakers import Breakers
from console.agents.clients import Clients
from console.durable import failpoints
from console.durable.loop import Loop
from console.hosting import advancing
from console.hosting.advancing import Means, Turn
from console.hosting.database import Database
from console.hosting.pricing import PriceLists
from console.runs.models import Run
from console.runs.writer import Writer
from console.tenants.scopes import system_scope


class Crash(BaseException):
    """The process is gone."""


class Worker:
    """What a worker process is to a run: its own loop, writer and database threads."""

    def __init__(self, name: str) -> None:
        self.database = Database(2)
        self._writer = Writer()
        self._clients = Clients()
        self._means = Means(
            name, self.database, self._writer, self._clients, Breakers(), lambda *_: None, PriceLists(self.database)
        )
        self._runner = asyncio.Runner(loop_factory=Loop)
        self.turn: Turn | None = None  # the one that is being taken

    def advance(self, run_id: UUID) -> bool:
        """Claim the run and advance it as far as it goes; False when there was nothing to claim."""
        return self._runner.run(self._advance(run_id))

    async def _advance(self, run_id: UUID) -> bool:
        self.turn = await advancing.claim(self._means, str(run_id))
        if self.turn is None:
            return False
        try:
            await self.turn.take()
        finally:
            self.turn = None
        return True

    def soon(self, call: Callable[..., Any], *args: Any) -> None:
        """Have the worker do something to itself, as its threads have it: from a failpoint, on its loop."""
        self._runner.get_loop().call_soon_threadsafe(call, *args)

    def close(self) -> None:
        self._writer.close()
        self.database.close()
        self._runner.run(self._clients.close())
        self._runner.close()


class Elsewhere:
    """Another thread, for what happens meanwhile: at a failpoint the worker's own is busy in its loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    def do(self, work: Callable[[], Any]) -> Any:
        """Do it and return when it is done."""
        return self._thread.submit(work).result(30)

    def close(self) -> None:
        self._thread.submit(lambda: connection.close()).result(10)
        self._thread.shutdown()


def at_point(number: int, happens: Callable[[str], None], dead: bool = False) -> None:
    """Have ``happens`` called at the ``number``-th failpoint that is passed from now on; with ``dead``, nobody gets past
    it or any later one. What happens meanwhile passes failpoints of its own freely."""
    left, inside = number, False

    def hook(name: str) -> None:
        nonlocal left, inside
        if inside:
            return
        left -= 1
        if left == 0:
            inside = True
            try:
                happens(name)
            finally:
                inside = False
        if left <= 0 and dead:
            raise Crash(name)

    failpoints.arm(hook)


def expire_lease(run: Run) -> int:
    """The lease of whoever holds the run has run out, and the sweeper has seen it."""
    with system_scope("test"):
        Run.objects.filter(pk=run.pk, status="running").update(lease_until="2026-01-01T00:00Z")
    return sweeper.expired_leases()


def hours_pass(run: Run) -> None:
    """All that was begun or waits for its time is two hours old."""
    with system_scope("test"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET started_at = started_at - interval '2 hours' WHERE run_id = %s AND settled IS NULL",
            [run.pk],
        )
        cursor.execute(
            "UPDATE runs_run SET wake_at = clock_timestamp() WHERE id = %s AND wake_at IS NOT NULL", [run.pk]
        )


def pending(run: Run) -> list[ApprovalRequest]:
    """The requests of a run that wait, oldest first."""
    with system_scope("test"):
        return list(ApprovalRequest.objects.filter(run=run, status="pending").order_by("created_at", "id"))
