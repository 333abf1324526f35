"""What is in flight of one advance: the tasks of its effects and consultations, begun, cut off and waited for."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from .book import Book
from .errors import Fenced
from .run import Pending, Run
from .steps import Lost

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for a cancelled effect to clean up behind itself


class Flight:
    """The tasks of one advance, each with the effect it is for. Empty is what the run's being quiet takes."""

    __slots__ = ("_book", "_grace", "_hurried", "_idle", "_run", "_tasks")

    def __init__(self, run: Run, book: Book, grace: float) -> None:
        self._run = run
        self._book = book
        self._grace = grace
        self._hurried = False  # the process leaves: nothing gets more than the grace any more
        self._idle: asyncio.Future[None] | None = None  # set by whoever waits for the flight to be over
        self._tasks: dict[asyncio.Task[None], Pending | None] = {}  # None: a consultation

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def consults(self) -> bool:
        """Whether people are being asked for decisions."""
        return any(pending is None for pending in self._tasks.values())

    def start(self, work: Coroutine[Any, Any, None], pending: Pending | None) -> None:
        """Do it in a task of its own, for an effect or (None) a consultation."""
        context = contextvars.Context() if pending is None or pending.context is None else pending.context
        task = self._run.loop.create_task(self._guard(work), context=context)
        self._tasks[task] = pending
        task.add_done_callback(self._landed, context=context)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Fenced:
            self._run.end(Lost())
        except Exception as error:
            # Journal, gates or observer failed: the worker must hear of it, the run itself is as good as before.
            self._run.fail(error)

    def _landed(self, task: asyncio.Task[None]) -> None:
        pending = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._run.fail(error)
        if task.cancelled() and not self._book.ending and not self._run.closed:
            self._run.fail(RuntimeError(f"somebody cancelled the effect {pending and pending.place}"))
        if self._idle is not None and not self._tasks and not self._idle.done():
            self._idle.set_result(None)
        if self._run.ready == 0:
            self._run.on_settled()

    def interrupt(self) -> None:
        """Cut off what is read-only and has not come to anything yet."""
        for task, pending in list(self._tasks.items()):
            if pending is not None and pending.interruptible:
                task.cancel()

    def longest(self) -> float:
        """Seconds that what is in flight, and is more than reading, may take by its own timeouts."""
        held = (pending for pending in self._tasks.values() if pending is not None and not pending.interruptible)
        return max((pending.timeout.total_seconds() for pending in held), default=0.0)

    def hasten(self) -> None:
        """What is still in flight of a run that is over gets the grace from now on, and no more."""
        self._hurried = True
        idle = self._idle
        if idle is not None:
            self._run.loop.call_later(self._grace, wake, idle)

    async def land(self, seconds: float) -> None:
        """Wait until nothing is in flight: at most so many ``seconds``, then with cancellations."""
        await self._wait(min(seconds, self._grace) if self._hurried else seconds)
        for _ in range(3):  # a body may swallow one
            for task in list(self._tasks):
                task.cancel()
            await self._wait(PATIENCE / 3)
        for task in self._tasks:
            log.error("run %s: an effect will not be cancelled: %r", self._run.run_id, task)

    async def _wait(self, seconds: float) -> None:
        if not self._tasks:
            return
        self._idle = self._run.loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._idle
        except TimeoutError:
            return


def wake(future: asyncio.Future[None]) -> None:
    """Have whoever waits for ``future`` go on."""
    if not future.done():
        future.set_result(None)
