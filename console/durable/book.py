"""The journal as the live side writes it: one write at a time, because the places in it are dense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from .errors import Fenced
from .failpoints import hit
from .steps import Journal, Json, Observer, Status, Step


class Book:
    """Writes steps, in the order in which they are ready, and tells the observer."""

    __slots__ = ("_clock", "_journal", "_last", "_observer", "_writing", "ending")

    def __init__(self, journal: Journal, clock: Callable[[], datetime], observer: Observer | None, last: int) -> None:
        self._journal = journal
        self._clock = clock
        self._observer = observer
        self._last = last  # the last place taken
        self._writing = asyncio.Lock()
        self.ending = False  # nothing new is begun; what was begun may still be recorded

    async def open(self, step: Step) -> bool:
        """Append an intent, or a gate that waits; False, and nothing is written, when the run is ending."""
        async with self._writing:
            if self.ending:
                return False
            step.seq = self._last + 1
            await self._journal.append(step)
            self._last += 1
        return True

    def opened(self, step: Step) -> None:
        """Tell that a step has begun."""
        if self._observer is not None:
            self._observer.step_opened(step)

    async def close(self, step: Step, status: Status, result: Json = None, error: Json = None) -> None:
        """Write the end of a step; one that is not open yet is born with it. Raises Fenced."""
        step.status, step.result, step.error = status, result, error
        step.ended_at = self._clock()
        if step.seq:
            try:
                async with self._writing:
                    step.settled = self._last + 1
                    await self._journal.settle(step)
                    self._last += 1
            except Fenced:
                # Whoever has the run now sees an intent only. What came of it must not be lost.
                await self._journal.keep_late(step)
                raise
        else:
            async with self._writing:
                step.seq = step.settled = self._last + 1
                await self._journal.append(step)
                self._last += 1
        hit("after_outcome")
        if self._observer is not None:
            self._observer.step_settled(step)

    async def rewrite(self, step: Step) -> None:
        """Write what has changed about an open step: it is in doubt, or begun anew. Raises Fenced."""
        try:
            async with self._writing:
                await self._journal.settle(step)
        except Fenced:
            if step.status is Status.IN_DOUBT:
                await self._journal.keep_late(step)  # that no answer came says something, too
            raise
        if self._observer is None:
            return
        if step.status is Status.IN_DOUBT:
            self._observer.step_settled(step)
        else:
            self._observer.step_opened(step)
