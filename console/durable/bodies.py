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


class Call:
    """One execution of an effect, as its body sees it."""

    __slots__ = ("_chunk", "arguments", "attempt", "key", "n", "scope")

    def __init__(self, scope: str, n: int, key: str, arguments: Json, chunk: Callable[..., None] | None) -> None:
        self.scope = scope
        self.n = n
        self.key = key  # idempotency key: the same whenever this effect is done again
        self.arguments = arguments  # None, or what a person made of them
        self.attempt = 1  # the body counts its own retries here, so that chunks name their attempt
        self._chunk = chunk

    def emit(self, text: str) -> None:
        """Show a piece of streamed text in the live feed. Never journaled."""
        if self._chunk is not None:
            self._chunk(self.scope, self.n, self.attempt, text)


CALL: contextvars.ContextVar[Call | None] = contextvars.ContextVar("sayso_call", default=None)

Body = Callable[[Call], Awaitable[Done]]


@dataclass(slots=True, frozen=True)
class Tried:
    """How it went: ``done``, or ``error`` as the step records it. ``unknown``: it may have happened all the same."""

    done: Done | None = None
    error: Json = None
    failed: EffectFailed | None = None
    unknown: bool = False


async def attempt(body: Body, call: Call, seconds: float, model: bool, letting_go: Callable[[], bool]) -> Tried:
    """Run a body for at most ``seconds``. Raises CancelledError when it was cancelled because the run lets go."""
    CALL.set(call)
    stop = "model_error" if model else "tool_error"
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return Tried(await body(call))
    except EffectFailed as failed:
        return Tried(error={"type": "Error", "message": "", **failed.error, "stop": failed.stop}, failed=failed)
    except OutcomeUnknown as lost:
        return Tried(error={"type": "OutcomeUnknown", "message": str(lost), "stop": None}, unknown=True)
    except asyncio.CancelledError:
        if letting_go():
            raise
        # Not ours: a library cancelled its caller.
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
        error = {"type": "CancelledError", "message": "the call was cancelled from within", "stop": stop}
        return Tried(error=error, unknown=True)
    except Exception as raised:
        if isinstance(raised, TimeoutError) and limit.expired():
            error = {"type": "Timeout", "message": f"no answer within {seconds:g} s"}
            return Tried(error={**error, "stop": stop if model else None}, unknown=True)
        log.warning("%s#%s failed", call.scope, call.n, exc_info=True)
        return Tried(error={"type": type(raised).__name__, "message": str(raised), "stop": stop})
