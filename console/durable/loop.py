"""An event loop that knows, exactly, when a run has settled.

Each callback that becomes ready in the context of a run is counted, and counted off when it has run or was cancelled.
At zero nothing of the run can move by itself: the run is told at once, in the same callback, before anything else
happens. No guess, no ``sleep(0)``.

Work that a run hands to a thread of an executor counts as ready until its outcome has been told: AutoGen calls plain
functions that way, a handoff among them.

Not counted: timers, and what else other threads post with ``call_soon_threadsafe``. Both belong into effects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context, ContextVar
from selectors import BaseSelector
from typing import Any, TypeVar, cast

_T = TypeVar("_T")

CROWD = 64  # tasks of a run after which those that are done are forgotten


class Tracked:
    """What the loop counts for: the base of a run."""

    __slots__ = ("__weakref__", "closed", "crowd", "ready", "tasks")

    def __init__(self) -> None:
        self.ready = 0  # callbacks that are ready and have not run
        self.tasks: list[asyncio.Task[Any]] = []  # every task made in this context that may not be done
        self.crowd = CROWD  # how many there may be before those that are done are forgotten
        self.closed = False  # torn down: what its tasks still complain about is noise

    def on_settled(self) -> None:
        """``ready`` has come to zero. Called inside the last callback, in the run's context; must not block."""
        raise NotImplementedError


TRACKED: ContextVar[Tracked | None] = ContextVar("sayso_run", default=None)


class Counted:
    """A callback of a run, and the handle that ``call_soon`` returns for it: counted off once, whatever happens."""

    __slots__ = ("_args", "_callback", "_handle", "_loop", "_run")

    def __init__(self, loop: Loop, run: Tracked, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._loop = loop
        self._run = run
        self._callback = callback
        self._args = args
        self._handle: asyncio.Handle | None = None  # None again once it ran; kept when cancelled

    def __call__(self) -> None:
        run = self._run
        self._handle = None
        try:
            self._callback(*self._args)
        except Exception:
            # AutoGen's queues complain when they are torn down ("task_done() called too many times").
            if not run.closed:
                raise
        finally:
            run.ready -= 1
            if run.ready == 0:
                run.on_settled()

    def cancel(self) -> None:
        handle = self._handle
        if handle is None or handle.cancelled():
            return
        handle.cancel()
        run = self._run
        run.ready -= 1
        if run.ready == 0:  # cancelled from outside the run: nobody else would notice
            self._loop.call_soon(_recheck, run, context=Context())

    def cancelled(self) -> bool:
        return self._handle is not None and self._handle.cancelled()

    def __repr__(self) -> str:
        return f"<Counted {self._callback!r}>"


def _recheck(run: Tracked) -> None:
    if run.ready == 0:
        run.on_settled()


def _make_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **kwargs: Any
) -> asyncio.Task[Any]:
    context: Context | None = kwargs.get("context")
    run = TRACKED.get() if context is None else context.get(TRACKED)
    task: asyncio.Task[Any] = asyncio.Task(cast(Coroutine[Any, Any, Any], coro), loop=loop, **kwargs)
    if run is not None:
        run.tasks.append(task)
        if len(run.tasks) > run.crowd:
            # Not a WeakSet: a run makes and ends twenty tasks a turn, and each entry and exit of one would cost as much
            # as the task's own start. Doubling keeps it to a constant for each task.
            run.tasks = [each for each in run.tasks if not each.done()]
            run.crowd = max(CROWD, 2 * len(run.tasks))
    return task


class Loop(asyncio.SelectorEventLoop):
    """The loop that runs are advanced on. Any number of runs, and of things that are no run, share one."""

    def __init__(self, selector: BaseSelector | None = None) -> None:
        super().__init__(selector)
        self.set_task_factory(_make_task)

    def call_soon(  # type: ignore[override]  # the handle is a look-alike
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle | Counted:
        run = TRACKED.get() if context is None else context.get(TRACKED)
        if run is None:
            return super().call_soon(callback, *args, context=context)
        counted = Counted(self, run, callback, args)
        counted._handle = super().call_soon(counted, context=context)
        run.ready += 1
        return counted

    def run_in_executor(  # type: ignore[override]  # typeshed says Any where this says what it returns
        self, executor: Executor | None, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        future = super().run_in_executor(executor, func, *args)
        run = TRACKED.get()
        if run is not None:
            run.ready += 1
            # Called back through call_soon, as whoever awaits the outcome is: so zero comes after them, not before.
            future.add_done_callback(lambda _: _count_off(run))
        return future


def _count_off(run: Tracked) -> None:
    # Inside a counted callback: the count cannot come to zero here, only when that callback has run.
    run.ready -= 1


def new_loop() -> Loop:
    """A loop for a worker or a test; the caller closes it."""
    return Loop()


class DropTornDown(logging.Filter):
    """Keeps out of the logs what the tasks of a torn-down run complain about. For the handlers of a worker."""

    def filter(self, record: logging.LogRecord) -> bool:
        run = TRACKED.get()
        return run is None or not run.closed
