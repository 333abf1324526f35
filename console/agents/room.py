"""The room that a running team works in: what its wrapped parts share, found through a context variable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from autogen_core.models import ChatCompletionClient

from console.agents import usage
from console.agents.breakers import Breaker
from console.agents.deeds import Ledger
from console.agents.limits import Limits
from console.agents.oversight import Oversight
from console.agents.pacing import Pace
from console.agents.providers import SPEAKERS
from console.agents.tools import ToolSpec
from console.durable.run import Run

SCOPE = 240  # characters; gates and doubts put something behind it


@dataclass(frozen=True)
class Route:
    """One way to a model: its name there, the credential, how to get a client, and whether the provider keeps failing.

    ``open`` raises what keeps the credential from being used.
    """

    model: str
    credential: str
    open: Callable[[], ChatCompletionClient]
    breaker: Breaker


class Reservation(Protocol):
    """Money put aside for one call. ``refused`` says in a sentence why there is none; then nothing is settled."""

    @property
    def refused(self) -> str: ...

    def settle(self, cost: Decimal) -> None:
        """What the call has cost in the end. Never blocks, never raises."""


@dataclass(frozen=True, slots=True)
class Price:
    """What something has cost: US dollars as a decimal string, and whose price that is."""

    cost: str
    by: str


class Prices(Protocol):
    """The prices that hold for a call."""

    def of(self, model: str, usage: Mapping[str, Any]) -> Price | None:
        """Of a call that used so many tokens (see usage.py). None where nobody knows the model, or what it used."""


class Environment(Protocol):
    """What the host lends to a team."""

    @property
    def ways(self) -> int:
        """How many routes there are at most."""

    def tool(self, name: str, version: int) -> ToolSpec:
        """The pinned tool of the catalogue. Raises KeyError when there is none, or it was revoked."""

    def routes(self, agent: str, config: Mapping[str, Any]) -> Sequence[Route]:
        """The ways to the agent's model: as the document says, and then those to fall back on."""

    async def prices(self) -> Prices:
        """Those that hold for a call that begins now."""

    async def reserve(self, cost: Decimal) -> Reservation:
        """Put the price of a call aside in the tenant's budget."""

    def tool_breaker(self, name: str) -> Breaker:
        """Whether a tool keeps failing."""

    @property
    def ledger(self) -> Ledger | None:
        """Of deeds that are done once; None where nothing is really done."""

    def broken_off(self, cost: Decimal) -> None:
        """A model call that nothing will be recorded of has cost about so many US dollars."""


@dataclass
class Room:
    """One advance of one run: its journal's handle, its limits, and what it has spent so far."""

    run: Run
    environment: Environment
    limits: Limits = field(default_factory=Limits)
    oversight: Oversight = field(default_factory=Oversight)
    pace: Pace = field(default_factory=Pace)
    reviewer: str = "reviewer"  # the name under which a person speaks to the team
    tokens: int = 0
    cost: Decimal = Decimal(0)
    spoken: bool = False  # a reviewer has said something: termination conditions must be kept from it
    fired: list[str] = field(default_factory=list)  # what ended the team: "completed", or the stop reason of a guard
    held_tokens: int = 0  # of calls that are under way
    held_cost: Decimal = Decimal(0)
    _repeated: dict[str, tuple[str, int]] = field(default_factory=dict)  # by who does what: the last, and how often

    _turns: dict[str, datetime] = field(default_factory=dict)  # by agent: when its turn began, by the run's clock

    def scope(self, place: str) -> str:
        """The scope of an effect at ``place`` in the document: below the call of the agent or team that is at work."""
        return shortened(f"{_inside.get()}{place}")

    async def check_budget(self) -> None:
        """Stop the run (never returns) when its tokens or its money are used up."""
        if self.limits.max_tokens is not None and self.tokens >= self.limits.max_tokens:
            await self.run.stop("budget", f"{self.tokens} of {self.limits.max_tokens} tokens are used.")
        if self.limits.max_cost is not None and self.cost >= self.limits.max_cost:
            await self.run.stop("budget", f"{self.cost} of {self.limits.max_cost} US dollars are used.")

    def hold(self, tokens: int, cost: Decimal) -> str | None:
        """Reckon with a call that is about to be made; or why it must not be, seen what is spent and under way."""
        used, spent = self.tokens + self.held_tokens, self.cost + self.held_cost
        self.held_tokens += tokens
        self.held_cost += cost
        if self.limits.max_tokens is not None and used >= self.limits.max_tokens:
            return f"{used} of {self.limits.max_tokens} tokens are used, or set aside for calls that are under way."
        if self.limits.max_cost is not None and spent >= self.limits.max_cost:
            return f"{spent} of {self.limits.max_cost} US dollars are used, or set aside for calls that are under way."
        return None

    def let_go(self, tokens: int, cost: Decimal) -> None:
        """The call is over, or was not made."""
        self.held_tokens -= tokens
        self.held_cost -= cost

    async def notice(self, who: str, what: str, told: str) -> None:
        """Stop the run (never returns) when the same comes once more than it may in a row."""
        last, times = self._repeated.get(who, ("", 0))
        times = times + 1 if last == what else 1
        self._repeated[who] = (what, times)
        if times > self.limits.max_repeats:
            await self.run.stop("repetition", f"{told} {times} times in a row; {self.limits.max_repeats} are allowed.")

    async def left_of_turn(self, agent: str, timeout: timedelta) -> timedelta:
        """How long an effect of the agent may take that may take ``timeout`` by itself.

        Stops the run (never returns) when the agent's turn, which begins with its first effect after it last said
        something, has used up its time by the run's own clock.
        """
        limit = self.limits.turn_timeout
        if limit is None or agent in SPEAKERS.values():  # who picks the next speaker has no turn
            return timeout
        began = self._turns.setdefault(agent, self.run.now())
        left = limit - (self.run.now() - began)
        if left <= timedelta(0):
            said = f"A turn of {agent} took more than the {limit.total_seconds():g} s that it may."
            await self.run.stop("timeout", said)
        return min(timeout, left)

    def said(self, agent: str) -> None:
        """The agent has said something: its turn is over."""
        self._turns.pop(agent, None)

    def forget(self, who: str) -> None:
        """It is something else now."""
        self._repeated.pop(who, None)

    def spend(self, used: Mapping[str, Any], cost: str | None) -> None:
        """Count a model call, live or handed back alike: at what is reckoned where its provider did not say."""
        self.tokens += sum(usage.tokens(used))
        for amount in (cost, usage.reckoned_cost(used)):
            if amount is not None:
                self.cost += Decimal(amount)


_room: ContextVar[Room] = ContextVar("sayso_room")
_inside: ContextVar[str] = ContextVar("sayso_inside", default="")


@contextmanager
def inside(scope: str) -> Iterator[None]:
    """What this context, and every task that it starts, does happens inside the call at ``scope``."""
    before = _inside.get()
    _inside.set(f"{scope}/")
    try:
        yield
    finally:
        _inside.set(before)  # not by token: a generator may be closed from another context


def shortened(scope: str) -> str:
    """The scope itself, or its beginning and a digest when it is longer than a journal keeps."""
    if len(scope) <= SCOPE:
        return scope
    return f"{scope[: SCOPE - 20]}~{hashlib.sha256(scope.encode()).hexdigest()[:16]}"


def enter(room: Room) -> None:
    """Make this the room of the current context, and of every task it starts."""
    _room.set(room)


def here() -> Room:
    """The room of the current context. Raises LookupError outside of a run."""
    return _room.get()
