"""One live tool call: its tries, and what comes of them.

Tried again is what is transient, within the time of the call: of a read-only or idempotent tool, whatever got no answer
(an idempotent one with the same key); of any other, only what surely did not happen.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from console.agents.asking import times
from console.agents.breakers import Breaker
from console.agents.pacing import Pace
from console.agents.results import NotJson, fit
from console.agents.tools import Failed, NoAnswer, ToolSpec, Unavailable, clip, words
from console.durable.errors import OutcomeUnknown
from console.durable.run import Call
from console.durable.steps import Done, Json, Safety

LONGEST = 2000  # characters of what a tool says about its failure
HUNG = (TimeoutError, ConnectionError)  # of the code's own tools: they say no more than that no answer came


async def do(
    spec: ToolSpec, arguments: Json, key: str, call: Call, pace: Pace, breaker: Breaker, seconds: float
) -> tuple[Done, str]:
    """Call the tool, within ``seconds``: the outcome, and whether that means done, failed (surely not) or unknown.

    What goes wrong is a result, too: the model is told, and the step is recorded as failed. Raises OutcomeUnknown when
    no answer came and it may have happened.
    """
    wait = breaker.wait()
    if wait:
        said = f"{spec.name} cannot be reached again and again, and is left alone for {wait:.0f} s."
        return Done(f"Nothing was done. {said}", failed=True), "failed"
    there, unsure, number, began = True, False, 0, pace.clock()
    try:
        while True:
            number += 1
            call.attempt = len(call.attempts) + 1
            started = pace.clock()
            try:
                value = await spec.call(arguments, key)
            except (Unavailable, *HUNG) as error:
                failure = _read(error)
            else:
                if call.attempts:
                    _note(call, spec, key, started, pace, None)
                there = True
                return _kept(spec, value), "done"
            there = False
            unsure = unsure or isinstance(failure, NoAnswer)
            _note(call, spec, key, started, pace, failure.cause)
            pause = pace.pause(number, failure.wait)
            left = seconds - (pace.clock() - began).total_seconds() - pause
            may = failure.again and (spec.safety is not Safety.NEITHER or not unsure)
            if not may or number >= pace.tries or (failure.wait or 0) > pace.longest or left <= 0:
                said = clip(words(failure), LONGEST)
                if unsure and spec.safety is not Safety.READ_ONLY:
                    raise OutcomeUnknown(f"{spec.name}: {said}") from failure
                return Done(f"{spec.name} failed: {said}", failed=True), "failed"
            await pace.sleep(pause)
    except Failed as error:
        there = True
        _note(call, spec, key, started, pace, "refused")
        # A no to the second try does not say that the first has come to nothing.
        return Done(
            f"{spec.name} failed: {clip(words(error), LONGEST)}", failed=True
        ), "unknown" if unsure else "failed"
    except (OutcomeUnknown, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        _note(call, spec, key, started, pace, type(error).__name__)
        # Nobody knows how far it got; the step says that it failed, and the ledger does not let it be done again.
        return Done(f"{spec.name} failed: {clip(words(error), LONGEST)}", failed=True), "unknown"
    finally:
        breaker.told(there)


def _read(error: Exception) -> Unavailable:
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, ConnectionRefusedError):
        return Unavailable(words(error), cause="connection")
    return NoAnswer(words(error), cause="timeout" if isinstance(error, TimeoutError) else "connection")


def _note(call: Call, spec: ToolSpec, key: str, started: datetime, pace: Pace, cause: str | None) -> None:
    told = {} if spec.safety is Safety.READ_ONLY else {"key": key}
    call.attempts.append({**times(started, pace.clock()), "cause": cause, **told})


def _kept(spec: ToolSpec, value: Json) -> Done:
    try:
        return Done(fit(value))
    except NotJson as error:
        why = clip(words(error), LONGEST)
        if spec.safety is Safety.READ_ONLY:
            return Done(f"{spec.name} failed: what it returned is no JSON. {why}", failed=True)
        # It was done, whatever it said about it: to call that a failure would have it done again.
        return Done(f"{spec.name} was called and came to an end, but what it returned cannot be read. {why}")
