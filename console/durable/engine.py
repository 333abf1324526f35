"""``advance``: one worker's turn with a run, from loading its record to letting go of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from .book import Book
from .errors import EffectFailed, Fenced
from .failpoints import hit
from .flight import wake
from .live import Driver
from .loop import TRACKED, Loop
from .run import Run, describe
from .steps import Finished, Gates, Journal, Json, Kind, Lost, Observer, Outcome, Stopped, Suspended

log = logging.getLogger(__name__)

ROUNDS = 200  # of cancelling the tasks of a run that will not end


class Handle:
    """Another's hand on a run that is being advanced. To be used on its loop; may be used before it has begun.

    ``went_live`` is called when all of the record has been handed back and the run goes on live; it must not block.
    """

    def __init__(self, went_live: Callable[[], None] | None = None) -> None:
        self._run: Run | None = None
        self._asked: Outcome | None = None
        self._went_live = went_live

    def suspend(self) -> None:
        """Let go now: the process shuts down. Effects that are not read-only get the grace to finish."""
        if self._run is not None and self._run.closed:
            self._run.driver.flight.hasten()
        else:
            self._end(Suspended(shutdown=True))

    def cancel(self) -> None:
        """End the run: somebody cancelled it."""
        self.stop("cancelled")

    def stop(self, reason: str, detail: str = "") -> None:
        """End the run with a stop reason, from outside it: its time is up, its budget gone."""
        self._end(Stopped(reason, detail))

    def lose(self) -> None:
        """The lease is gone, as its keeper knows before the journal says so."""
        self._end(Lost())

    def poke(self) -> None:
        """Decisions may have arrived: ask for them as soon as the run has settled."""
        if self._run is not None and not self._run.closed:
            self._run.driver.poke()

    def _end(self, outcome: Outcome) -> None:
        if self._run is not None:
            self._run.end(outcome)
        elif self._asked is None:
            self._asked = outcome

    def _bind(self, run: Run | None) -> None:
        self._run = run
        if run is None:
            self._went_live = None  # it may be the caller's, who holds this hand
        else:
            run.went_live = self._went_live
        if run is not None and self._asked is not None:
            run.end(self._asked)


async def advance(
    main: Callable[[Run], Awaitable[Json]],
    *,
    run_id: str,
    journal: Journal,
    gates: Gates,
    clock: Callable[[], datetime],
    observer: Observer | None = None,
    handle: Handle | None = None,
    started_at: datetime | None = None,
    model_timeout: timedelta = timedelta(seconds=120),
    tool_timeout: timedelta = timedelta(seconds=60),
    grace: timedelta = timedelta(seconds=3),
    stall: timedelta = timedelta(seconds=5),
) -> Outcome:
    """Replay a run's record into ``main``, carry on live, and return what it came to.

    ``main`` runs in an empty context, so that nothing of the caller's flows into it. ``started_at`` is when the run
    first began, the zero of its clock; without it, the first record's start. ``model_timeout`` and ``tool_timeout``
    hold for effects that have none of their own; ``grace`` is what effects in flight that are not read-only get to
    finish when the run lets go; ``stall`` is how long the team may wait for something that is no effect. A run that
    was lost (somebody else has it, or a person ended it) gives such effects all of their own time: nobody waits for
    this turn, and what came of them is evidence.

    Returns with every task of the run done. Raises what journal, gates, clock or observer raise, other than Fenced
    (which is ``Lost``); the run can be advanced again then. Raises TypeError on a loop that is no ``Loop``.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise TypeError("runs are advanced on a console.durable.Loop")
    try:
        steps = await journal.load()
    except Fenced:
        return Lost()
    run = Run(run_id, started_at or (steps[0].started_at if steps else clock()), model_timeout, tool_timeout)
    run.prime(steps)
    last = max((max(step.seq, step.settled or 0) for step in steps), default=0)
    book = Book(journal, clock, observer, last)
    chunk = None if observer is None else observer.chunk
    run.driver = Driver(run, book, gates, clock, chunk, stall.total_seconds(), grace.total_seconds())
    context = contextvars.Context()
    context.run(TRACKED.set, run)
    run.main = loop.create_task(_call(main, run), context=context)
    run.main.add_done_callback(lambda task: _main_done(run, task), context=contextvars.Context())
    if handle is not None:
        handle._bind(run)
    allowed = 0.0
    try:
        outcome = await run.outcome
        allowed = grace.total_seconds()
        if isinstance(outcome, Lost):
            allowed = max(allowed, run.driver.flight.longest())
    except Exception:
        allowed = grace.total_seconds()
        raise
    finally:
        run.closed = True
        await _tear_down(run, allowed)
        if handle is not None:
            handle._bind(None)
        run.release()
    if isinstance(outcome, Finished | Stopped):
        hit("before_finish")
    return outcome


async def _call(main: Callable[[Run], Awaitable[Json]], run: Run) -> Json:
    return await main(run)


def _main_done(run: Run, task: asyncio.Task[Json]) -> None:
    if run.closed:
        return
    if task.cancelled():
        run.end(Stopped("tool_error", "the team cancelled itself"))
        return
    error = task.exception()
    if error is not None:
        log.error("run %s: the team raised", run.run_id, exc_info=error)
        if isinstance(error, EffectFailed):
            model = error.kind is Kind.MODEL
            run.end(Stopped("model_error" if model else "tool_error", describe(error.error), error.step))
        else:
            run.end(Stopped("tool_error", f"{type(error).__name__}: {error}"))
        return
    step = run.unasked()
    if step is not None:
        run.diverge(step, "is recorded and was not asked for")
    else:
        run.end(Finished(task.result()))


async def _tear_down(run: Run, grace: float) -> None:
    """Cancel the team, give effects in flight their grace, and return when nothing of the run is left."""
    run.driver.let_go()
    await _cancel_team(run)
    await run.driver.flight.land(grace)


async def _cancel_team(run: Run) -> None:
    loop = run.loop
    for _ in range(ROUNDS):
        tasks = [task for task in run.tasks if not task.done()]
        if not tasks:
            return
        for task in tasks:
            task.cancel()
            task.add_done_callback(_retrieve, context=contextvars.Context())
        # All of them are awake now; when the run has settled again, those still there swallowed it, or wait for
        # something outside the run to end.
        settled: asyncio.Future[None] = loop.create_future()
        run.torn = settled
        timer = loop.call_later(0.02, wake, settled)
        await settled
        timer.cancel()
    names = [task.get_name() for task in run.tasks if not task.done()]
    log.error("run %s: tasks that will not end: %s", run.run_id, names)


def _retrieve(task: asyncio.Task[object]) -> None:
    if not task.cancelled():
        task.exception()  # what it says about being torn down is of no interest
