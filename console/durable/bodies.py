"""The execution of an effect's body, and what can become of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .errors import EffectFailed, OutcomeUnknown
from .steps import Done, Json

log = logging.getLogger(__name__)

NUDGES = 3  # cancellations of a body, the first one included, before it is left to itself
NUDGE = 5 / 3  # seconds that it gets after each to clean up behind itself


class Call:
    """One execution of an effect, as its body sees it.

    A body that tries more than once counts its tries in ``attempt``, and puts each that is over into ``attempts``: they
    are kept when the call is broken off, too, and so are ``cost``, what it has spent so far (US dollars), and
    ``priced_by``. ``dropped`` is called when the run lets go of the call in the middle and nothing of it will be recorded.
    """

    __slots__ = (
        "_chunk", "again", "arguments", "attempt", "attempts", "cost", "dropped", "key", "n", "priced_by", "scope",
    )  # fmt: skip

    def __init__(
        self,
        scope: str,
        n: int,
        key: str,
        arguments: Json,
        chunk: Callable[..., None] | None,
        again: str = "",
    ) -> None:
        self.scope = scope
        self.n = n
        self.key = key  # idempotency key: the same whenever this effect is done again
        self.arguments = arguments  # None, or what a person made of them
        self.again = again  # why it is done again: "worker_lost", or "in_doubt" when a person said it did not happen
        self.attempt = 1  # the body counts its own retries here, so that chunks name their attempt
        self.attempts: list[Json] = []
        self.cost: str | None = None
        self.priced_by = ""
        self.dropped: Callable[[], None] | None = None
        self._chunk = chunk

    def emit(self, text: str) -> None:
        """Show a piece of streamed text in the live feed. Never journaled."""
        if self._chunk is not None:
            self._chunk(self.scope, self.n, self.attempt, text)


CALL: contextvars.ContextVar[Call | None] = contextvars.ContextVar("sayso_call", default=None)

Body = Callable[[Call], Awaitable[Done]]


@dataclass(slots=True, frozen=True)
class Tried:
    """How it went: ``done``, or ``error`` as the step records it. ``unknown``: it may have happened all the same.

    ``cause`` is a short word for what was wrong with the last try.
    """

    done: Done | None = None
    error: Json = None
    failed: EffectFailed | None = None
    unknown: bool = False
    cause: str | None = None


class _Attempt:
    """One body in a task of its own, so that one that will not be cancelled can be left behind."""

    __slots__ = ("_body", "_call", "_stop", "asked")

    def __init__(self, body: Body, call: Call, stop: str) -> None:
        self._body = body
        self._call = call
        self._stop = stop
        self.asked = False  # to end, by us

    async def run(self) -> Tried:
        """What the body raises is an outcome; SystemExit, too, which out of a task would end the loop and all its runs."""
        try:
            return Tried(await self._body(self._call))
        except EffectFailed as failed:
            error = {"type": "Error", "message": "", **failed.error, "stop": failed.stop}
            return Tried(error=error, failed=failed, cause="error")
        except OutcomeUnknown as lost:
            error = {"type": "OutcomeUnknown", "message": str(lost), "stop": None}
            return Tried(error=error, unknown=True, cause="no_answer")
        except asyncio.CancelledError:
            if self.asked:
                raise
            # Not ours: a library cancelled its caller.
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
            return self.inside()
        except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as raised:
            log.warning("%s#%s failed", self._call.scope, self._call.n, exc_info=True)
            error = {"type": type(raised).__name__, "message": _words(raised), "stop": self._stop}
            return Tried(error=error, cause=type(raised).__name__)

    def inside(self) -> Tried:
        error = {"type": "CancelledError", "message": "the call was cancelled from within", "stop": self._stop}
        return Tried(error=error, unknown=True, cause="cancelled")


async def attempt(body: Body, call: Call, seconds: float, model: bool, letting_go: Callable[[], bool]) -> Tried:
    """Run a body for at most ``seconds``, and a little more to let it clean up; then it is left to itself.

    Raises CancelledError when it was cancelled because the run lets go.
    """
    CALL.set(call)
    loop = asyncio.get_running_loop()
    own = _Attempt(body, call, "model_error" if model else "tool_error")
    task = loop.create_task(own.run(), name=f"{call.scope}#{call.n}")
    until, nudges, cancelled, expired = loop.time() + seconds, 0, False, False
    while True:
        try:
            await asyncio.wait((task,), timeout=max(until - loop.time(), 0))
        except asyncio.CancelledError:
            cancelled = True
        if task.done():
            break
        expired = expired or not cancelled
        if nudges == NUDGES:
            log.error("%s#%s will not be cancelled, and is left to itself", call.scope, call.n)
            break
        nudges += 1
        own.asked = True
        task.cancel()
        until = loop.time() + NUDGE
    if cancelled:
        _forget_cancellation()
    if task.done() and not task.cancelled():
        return task.result()
    if cancelled and not expired:
        if not letting_go():
            return own.inside()
        if call.dropped is not None:
            call.dropped()
        raise asyncio.CancelledError
    if not expired:
        return own.inside()
    error = {"type": "Timeout", "message": f"no answer within {seconds:g} s", "stop": own._stop if model else None}
    return Tried(error=error, unknown=True, cause="timeout")


def _forget_cancellation() -> None:
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "an exception that cannot be read"
