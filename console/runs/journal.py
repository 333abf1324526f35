"""The journal of one claimed run on Postgres: the engine's Journal, through the writer of this process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from console.durable.errors import Fenced
from console.durable.steps import Step
from console.runs.told import Draft
from console.runs.writer import Entry, Writer

log = logging.getLogger(__name__)

_encode = json.JSONEncoder(default=str).encode


class PostgresJournal:
    """One run under one token. ``load`` hands out what was read with the claim, or reads it by ``reader``.

    It also carries the run's feed: events are written behind, in order with the steps, and are there once ``flush`` has
    returned. ``worker`` is whose turn it is; ``late`` hears of evidence that has been kept. All methods are called on
    the loop.
    """

    def __init__(
        self,
        writer: Writer,
        run_id: UUID,
        tenant_id: UUID,
        token: int,
        reader: Callable[[], Awaitable[list[Step]]],
        worker: str = "",
        late: Callable[[Step], Awaitable[None]] | None = None,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self.run_id = run_id
        self.tenant_id = tenant_id
        self.token = token
        self._worker = worker
        self._late = late
        self.steps: dict[int, Step] = {}  # by seq: all that this journal has seen, for the run's totals

    async def load(self) -> list[Step]:
        """Every step of the run, by seq."""
        steps = await self._reader()
        self.steps = {step.seq: step for step in steps}
        return steps

    async def append(self, step: Step) -> None:
        """Add a step. Raises Fenced (token stale, or seq taken; or the writer closed while the database was away: it is
        the next worker's) and writer.JournalError (it cannot be recorded)."""
        await self._write("append", step)
        self.steps[step.seq] = step

    async def settle(self, step: Step) -> None:
        """Write the end of an open step. Raises Fenced and writer.JournalError."""
        await self._write("settle", step)
        self.steps[step.seq] = step

    async def keep_late(self, step: Step) -> None:
        """Keep an outcome that came under a stale token as evidence, beside the step that was open, and say that it is
        there. Nothing but the log says so where the process ends before that."""
        try:
            await self._write("late", step)
        except Fenced as error:
            log.warning("what came late of %s#%s is lost: %s", step.scope, step.n, error)
            return
        if self._late is not None:
            await self._late(step)

    async def flush(self) -> None:
        """Return when everything that was written behind is committed (or its run is fenced)."""
        await self._write("barrier", None)

    def tell(self, kind: str, payload: dict[str, Any], index: int | None = None) -> None:
        """Write an event of the run's topic behind: it is taken as it is now."""
        self._writer.submit(
            Entry(
                self.run_id,
                self.tenant_id,
                self.token,
                "event",
                draft=Draft(kind, index, datetime.now(UTC), _encode(payload)),
            )
        )

    async def _write(self, what: str, step: Step | None) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        means: dict[str, Any] = {"loop": loop, "future": future, "worker": self._worker}
        self._writer.submit(Entry(self.run_id, self.tenant_id, self.token, what, step, **means))
        await future
