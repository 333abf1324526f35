"""The room that a running team works in: what its wrapped parts share, found through a context variable."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from autogen_core.models import ChatCompletionClient

from console.agents.limits import Limits
from console.agents.oversight import Oversight
from console.agents.tools import ToolSpec
from console.durable.run import Run

SCOPE = 240  # characters; gates and doubts put something behind it


class Environment(Protocol):
    """What the host lends to a team."""

    def tool(self, name: str, version: int) -> ToolSpec:
        """The pinned tool of the catalogue. Raises KeyError when there is none, or it was revoked."""

    def model_client(self, agent: str, config: Mapping[str, Any]) -> ChatCompletionClient:
        """A client for the agent's model with the tenant's credential, see clients.py."""

    def price(self, model: str, usage: Mapping[str, int]) -> str | None:
        """US dollars for a call's usage as a decimal string; None when the model has no known price."""


@dataclass(frozen=True)
class Pace:
    """How retries take their time; tests bring their own."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    tries: int = 4
    longest: float = 30.0  # seconds that a provider's Retry-After may ask for


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

    def scope(self, place: str) -> str:
        """The scope of an effect at ``place`` in the document: below the call of the agent or team that is at work."""
        return shortened(f"{_inside.get()}{place}")

    async def check_budget(self) -> None:
        """Stop the run (never returns) when its tokens or its money are used up."""
        if self.limits.max_tokens is not None and self.tokens >= self.limits.max_tokens:
            await self.run.stop("budget", f"{self.tokens} of {self.limits.max_tokens} tokens are used.")
        if self.limits.max_cost is not None and self.cost >= self.limits.max_cost:
            await self.run.stop("budget", f"{self.cost} of {self.limits.max_cost} US dollars are used.")

    def spend(self, usage: Mapping[str, int], cost: str | None) -> None:
        """Count a model call, live or handed back alike."""
        self.tokens += usage["input_tokens"] + usage["output_tokens"]
        if cost is not None:
            self.cost += Decimal(cost)


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
