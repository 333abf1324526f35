"""One live model call: the ways to a model in their order, the tries on each, what may be spent, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from autogen_core.models import AssistantMessage, ChatCompletionClient, CreateResult, LLMMessage

from console.agents import clients, failures, telling, usage, wire
from console.agents.limits import MOST_CALLS
from console.agents.room import Prices, Room, Route
from console.agents.telling import Heard
from console.agents.usage import Told
from console.durable.errors import EffectFailed
from console.durable.run import Call
from console.durable.steps import Done, Json

CHARS_PER_TOKEN = 4  # a local estimate: the real encodings would have to be downloaded
OUTPUT_TOKENS = 4096  # that a call is reckoned to need when its configuration does not say
EARLY = 2  # tries on a way that has another behind it


class _Unpriced:
    """Before anybody has been asked for prices."""

    def of(self, model: str, used: Mapping[str, Any]) -> None:
        """Nobody knows."""
        return None


UNPRICED = _Unpriced()


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer of a try, what was overheard of it, and when the try began."""

    result: CreateResult
    heard: Heard
    started: datetime


class Asking:
    """A call of ``agent``'s model; ``config`` is the client's in the document, ``asked`` an estimate of its tokens."""

    def __init__(
        self,
        room: Room,
        agent: str,
        config: Mapping[str, Any],
        messages: Sequence[LLMMessage],
        arguments: dict[str, Any],
        asked: int,
        stream: bool,
    ) -> None:
        self._room = room
        self._routes = room.environment.routes(agent, config)
        self._config = config
        self._messages = messages
        self._arguments = arguments
        self._asked = asked
        self._stream = stream
        self._attempts: list[Json] = []  # the call's own
        self._streamed = False  # the try under way has been answered in part
        self._prices: Prices = UNPRICED
        self._priced_by = ""  # whose price the last of what it cost is
        self._reckoned_by = ""  # whose price a try is reckoned at
        self._spent: Decimal | None = None  # on tries that came to nothing; None while nothing was charged

    async def answer(self, call: Call) -> Done:
        """Try each way until there is an answer. Raises EffectFailed, with all attempts, when none has one."""
        failure = failures.Failure("no_route", "There is no way to a model.")
        self._attempts = call.attempts
        self._prices = await self._room.environment.prices()
        for place, route in enumerate(self._routes):
            more = place + 1 < len(self._routes)
            tokens, cost = self._estimate(route.model)
            refused = self._room.hold(tokens, cost)
            try:
                held = None if refused else await self._room.environment.reserve(cost)
                refused = refused or (held.refused if held else "")
            except BaseException:
                self._room.let_go(tokens, cost)
                raise
            if refused or held is None:
                self._room.let_go(tokens, cost)
                raise self._failed({"type": "budget", "message": refused}, "budget")
            before = self._spent or Decimal(0)
            paid = Decimal(0)
            try:
                found = await self._on(route, call, more, cost)
                if not isinstance(found, failures.Failure):
                    done, paid = self._done(found, route, place)
                    return done
                failure = found
            except asyncio.CancelledError:
                call.dropped = self._dropped
                raise
            finally:
                # A call that was broken off from outside is charged at what it was reckoned: nobody knows better.
                call.cost, call.priced_by = _text(self._spent), self._priced_by
                self._room.let_go(tokens, cost)
                held.settle((self._spent or Decimal(0)) - before + paid)
        raise self._failed({"type": failure.cause, "message": failure.sentence}, "model_error")

    def _dropped(self) -> None:
        self._room.environment.broken_off(self._spent or Decimal(0))

    def _failed(self, error: Json, stop: str) -> EffectFailed:
        return EffectFailed(
            error, attempts=self._attempts, stop=stop, cost=_text(self._spent), priced_by=self._priced_by
        )

    async def _on(self, route: Route, call: Call, more: bool, reckoned: Decimal) -> Answered | failures.Failure:
        """The answer on one way, or the failure of the last try there. ``reckoned``: what a try may cost."""
        pace = self._room.pace
        tries = min(EARLY, pace.tries) if more else pace.tries
        for number in range(1, tries + 1):
            started = pace.clock()
            call.attempt = len(self._attempts) + 1
            wait = route.breaker.wait()
            if wait:
                failure = failures.resting(route.credential, wait)
            else:
                try:
                    found = await self._try(route, call)
                except asyncio.CancelledError:
                    self._note(route, started, "interrupted", reckoned)
                    raise
                if not isinstance(found, failures.Failure):
                    return Answered(*found, started)
                failure = found
            self._note(route, started, failure.cause, *self._charge(route, failure, reckoned))
            if failure.cause == failures.TOO_MANY:
                raise self._failed({"type": failure.cause, "message": failure.sentence}, "repetition")
            last = number >= tries or (failure.wait or 0) > pace.longest
            if not failure.transient or last or (more and failure.cause == failures.RESTING):
                return failure
            await pace.sleep(pace.pause(number, failure.wait))
        raise AssertionError("the last try returns")

    def _charge(
        self, route: Route, failure: failures.Failure, reckoned: Decimal
    ) -> tuple[Decimal | None, Mapping[str, Any] | None]:
        """What a failed try has cost: as the provider says, or what was reckoned where it broke off in the middle, or does
        not say what an answer took that cannot be used."""
        if failure.usage and not usage.is_missing(failure.usage):
            return self._cost_of(route.model, failure.usage), failure.usage
        worked = failure.broken_off or self._streamed or failure.usage
        return (reckoned if worked else None), None

    def _cost_of(self, model: str, used: Mapping[str, Any]) -> Decimal | None:
        """US dollars; None where nobody knows. The step says whose prices the last ones were."""
        price = self._prices.of(model, used)
        if price is None:
            return None
        self._priced_by = price.by
        return Decimal(price.cost)

    def _note(
        self,
        route: Route,
        started: datetime,
        cause: str,
        cost: Decimal | None = None,
        used: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a try that came to nothing. A cost without usage is what was reckoned, and says so."""
        told: dict[str, Json] = {}
        if cost:
            self._spent = (self._spent or Decimal(0)) + cost
            told["cost"] = _text(cost)
        if used:
            told["usage"] = dict(used)
        elif cost:
            told["reckoned"] = True
            self._priced_by = self._reckoned_by
        self._attempts.append({**self._told(route), **times(started, self._room.pace.clock()), "cause": cause, **told})

    async def _try(self, route: Route, call: Call) -> tuple[CreateResult, Heard] | failures.Failure:
        secrets: tuple[str, ...] = ()
        ok = False
        self._streamed = False
        try:
            # In here: a credential that cannot be used is a failure of the call, too.
            client = route.open()
            secrets = clients.secrets(client)
            with telling.listening(self._room.pace.clock) as heard:
                async with asyncio.timeout(self._room.limits.model_timeout.total_seconds()):
                    result = await self._once(call, client, heard)
            ok = True
            return result, heard
        except Exception as error:
            failure = failures.read(error, route.model, secrets, self._room.pace.clock())
            ok = not failure.transient  # the provider is there, it just does not want this
            return failure
        finally:
            route.breaker.told(ok)

    async def _once(self, call: Call, client: ChatCompletionClient, heard: Heard) -> CreateResult:
        messages = self._messages
        if messages and isinstance(messages[-1], AssistantMessage):
            # AutoGen's client strips the last message in place, for some models; ours is part of a digest.
            messages = [*messages[:-1], messages[-1].model_copy()]
        if not self._stream:
            return sane(await client.create(messages, **self._arguments), heard)
        extra = {"stream_options": {"include_usage": True}, **self._arguments.get("extra_create_args", {})}
        result: CreateResult | None = None
        async for chunk in client.create_stream(messages, **{**self._arguments, "extra_create_args": extra}):
            if isinstance(chunk, CreateResult):
                result = chunk
            else:
                self._streamed = True
                heard.first_token_at = heard.first_token_at or heard.clock()
                call.emit(chunk)
        # A complete stream names its reason to stop, and its usage; some providers have reasons of their own invention.
        if result is None or (result.finish_reason == "unknown" and usage.is_missing(_used(result, heard))):
            raise failures.CutShort("the stream ended before the answer did.")
        return sane(result, heard)

    def _done(self, found: Answered, route: Route, place: int) -> tuple[Done, Decimal]:
        """The answer, and what it has cost by itself, or is reckoned to have, in US dollars."""
        used = _used(found.result, found.heard)
        price = self._prices.of(route.model, used)
        told = {} if price is None else {"cost": price.cost}
        ended = self._room.pace.clock()
        self._attempts.append({**self._told(route), **times(found.started, ended), "cause": None, **told})
        paid = Decimal(0 if price is None else price.cost)
        by = self._priced_by if price is None else price.by
        if usage.is_missing(used):
            used, paid = self._reckoned(used, found.result, route.model)
        cost = price.cost if price and self._spent is None else None
        if self._spent is not None:
            cost = _text(self._spent + Decimal(0 if price is None else price.cost))
        value = {**wire.plain_result(found.result), "usage": used, "cost": cost}
        if place:
            value["answered_by"] = {"credential": route.credential, "model": route.model}
        first = found.heard.first_token_at if self._stream else None
        return Done(value, used, cost, self._attempts, first_token_at=first, priced_by=by), paid

    def _reckoned(self, used: Told, result: CreateResult, model: str) -> tuple[Told, Decimal]:
        """What an answer has used whose provider does not say, with what limits count instead, and its price."""
        guess: Told = {
            "input_tokens": self._asked,
            "output_tokens": max(len(str(result.content)) // CHARS_PER_TOKEN, 1),
        }
        price = self._prices.of(model, guess)
        if price is not None:
            guess["cost"] = price.cost
        return {**used, "reckoned": guess}, Decimal(0 if price is None else price.cost)

    def _told(self, route: Route) -> dict[str, Json]:
        """Which way it was, where there is more than one."""
        return {"credential": route.credential, "model": route.model} if len(self._routes) > 1 else {}

    def _estimate(self, model: str) -> tuple[int, Decimal]:
        """Tokens, and US dollars (0 when nobody knows the price), that the call may take."""
        most = {
            "input_tokens": self._asked,
            "output_tokens": int(self._config.get("max_tokens") or OUTPUT_TOKENS),
        }
        price = self._prices.of(model, most)
        self._reckoned_by = "" if price is None else price.by
        return sum(most.values()), Decimal(0 if price is None else price.cost)


def times(started: datetime, ended: datetime) -> dict[str, str]:
    """The times of an attempt."""
    return {"started_at": started.isoformat(), "ended_at": ended.isoformat()}


def _text(cost: Decimal | None) -> str | None:
    return None if cost is None else format(cost, "f")


def sane(result: CreateResult, heard: Heard) -> CreateResult:
    """The answer. Raises Nonsense when there is none in it."""
    used = _used(result, heard)
    fault = _fault(result)
    if fault:
        raise failures.Nonsense(fault, used)
    if not isinstance(result.content, str) and len(result.content) > MOST_CALLS:
        raise failures.TooManyCalls(len(result.content), used)
    return result


def _used(result: CreateResult, heard: Heard) -> Told:
    """As the provider told it; a client that cannot be overheard has only AutoGen's two figures."""
    return usage.read(heard.usage if heard.listened else result.usage)


def _fault(result: CreateResult) -> str:
    """Why this is no answer, or an empty text."""
    if isinstance(result.content, str):
        if result.content.strip():
            return ""
        if result.finish_reason == "content_filter":
            return "its content filter left nothing."
        if result.finish_reason == "length":
            return "it ran out of tokens before it said anything."
        return "it is empty."
    for call in result.content:
        if not all(isinstance(part, str) for part in (call.id, call.name, call.arguments)) or not call.name:
            return "a tool call in it has no name or no arguments."
    return "" if result.content else "it is empty."
