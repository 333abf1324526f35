"""What AutoGen 0.7.5 and the openai package waste, shout and trip over, put right knowingly and in this one place.

AutoGen's runtime serialises every message for traces and logs that nobody asked for, whatever the level: a third of a
replay. It makes a task of each message for each who hears it, even where that is one; and an id for each from the system's
own chance, where every other thread may take the interpreter away meanwhile. For each team it looks four times through all
names of its classes for what they handle. What is left of a team holds itself, and waits for the garbage collector. The
openai package walks through each message of each request against the types of its parameters, to rename and to format what
never needs it in a chat: after two hundred turns that is four fifths of what a worker does. All of it can be switched off by
private names only, so ``tests/agents/test_quiet.py`` notices when they move.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import random
from collections.abc import Awaitable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from autogen_agentchat import messages
from autogen_agentchat.agents import _assistant_agent, _base_chat_agent
from autogen_agentchat.messages import BaseMessage, MessageFactory, StructuredMessage
from autogen_agentchat.teams._group_chat import _chat_agent_container
from autogen_core import RoutedAgent, SingleThreadedAgentRuntime
from autogen_core import _single_threaded_agent_runtime as runtime
from autogen_core._telemetry._tracing import TraceHelper
from openai import NotGiven, Omit
from openai.resources.chat.completions import completions
from opentelemetry.trace import INVALID_SPAN, Span

from console.durable.loop import DropTornDown

LOGGERS = ("autogen_core", "autogen_core.events", "autogen_core.trace", "autogen_agentchat", "autogen_agentchat.events")


class _NoSpan(contextlib.AbstractContextManager[Span]):
    def __enter__(self) -> Span:
        return INVALID_SPAN

    def __exit__(self, *exc: object) -> None:
        return None


_NO_SPAN = _NoSpan()


def _no_span(*args: Any, **kwargs: Any) -> contextlib.AbstractContextManager[Span]:
    return _NO_SPAN


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


def _gather(*awaited: Awaitable[Any]) -> Awaitable[Any]:
    """For whoever does not look at the outcome: one is awaited as it is."""
    return awaited[0] if len(awaited) == 1 else asyncio.gather(*awaited)


_chance = random.Random()  # noqa: S311 - begun with the system's chance; ids keep messages apart, and nobody out


def _uuid4() -> UUID:
    return UUID(int=_chance.getrandbits(128), version=4)


_IDS = SimpleNamespace(uuid4=_uuid4)


async def _no_attributes(self: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
    return {}


def _no_payload(self: Any, message: Any) -> str:
    return ""


async def _as_it_is(data: Any, expected_type: object) -> Any:
    """The parameters of a chat completion without those that were not given: what the package's walk comes to."""
    return {name: value for name, value in data.items() if not isinstance(value, NotGiven | Omit)}


def _short(self: Any) -> str:
    return f"<{type(self).__name__} of {self.source}>"


def _once(method: Any) -> Any:
    """A class method that says the same each time, looked up among a class's many names once."""
    found: Any = functools.cache(method.__func__)
    return classmethod(found)


_is_registered = MessageFactory.is_registered


def _knows(self: MessageFactory, message_type: type[Any]) -> bool:
    """A team made from a document knows StructuredMessage, and refuses the very messages of its structured agents:
    their class is StructuredMessage[...], and a document has no place to say so. Only a saved team needs to know more,
    and teams are never saved here."""
    return _is_registered(self, message_type) or issubclass(message_type, StructuredMessage)


_CHANGES: list[tuple[Any, str, Any]] = [
    (TraceHelper, "trace_block", _no_span),
    (_chat_agent_container, "trace_invoke_agent_span", _no_span),
    (_base_chat_agent, "trace_create_agent_span", _no_span),
    (runtime, "get_telemetry_envelope_metadata", _nothing),
    (runtime, "MessageEvent", _nothing),  # made before it is asked whether anybody wants it
    (runtime, "asyncio", SimpleNamespace(**{**vars(asyncio), "gather": _gather})),
    (runtime, "uuid", _IDS),
    (messages, "uuid", _IDS),
    (_assistant_agent, "uuid", _IDS),
    (RoutedAgent, "_discover_handlers", _once(vars(RoutedAgent)["_discover_handlers"])),
    (RoutedAgent, "_handles_types", _once(vars(RoutedAgent)["_handles_types"])),
    (runtime.SingleThreadedAgentRuntime, "_create_otel_attributes", _no_attributes),
    (runtime.SingleThreadedAgentRuntime, "_try_serialize", _no_payload),
    (BaseMessage, "__repr__", _short),  # each message is put into a log line before it is asked who wants the line
    (completions, "async_maybe_transform", _as_it_is),
]
_STOCK = [inspect.getattr_static(owner, name) for owner, name, _ in _CHANGES]


def hush() -> None:
    """Switch off tracing and eager serialisation, keep what torn-down runs complain about out of the logs, and let teams
    pass structured messages on."""
    for owner, name, ours in _CHANGES:
        setattr(owner, name, ours)
    MessageFactory.is_registered = _knows  # type: ignore[method-assign]
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, DropTornDown) for present in logger.filters):
            logger.addFilter(DropTornDown())
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def dismantle(team: Any) -> None:
    """Take a team apart that is over. Its runtime and its agents hold each other, so that it would all wait for the garbage
    collector, which stops every run of the process to look for such."""
    own = getattr(team, "_runtime", None)
    if isinstance(own, SingleThreadedAgentRuntime):
        own._instantiated_agents.clear()
        own._agent_factories.clear()
        # Of one that was broken off: its loop, and the error with all that was called down to it.
        own._run_context = own._background_exception = None


def trust_model_name(client: Any) -> None:
    """Keep AutoGen's client from warning at each call that the provider's name for the model is a longer one."""
    client._resolved_model = None


@contextlib.contextmanager
def loud() -> Iterator[None]:
    """AutoGen as it comes, for the length of a benchmark's baseline."""
    for (owner, name, _), stock in zip(_CHANGES, _STOCK, strict=True):
        setattr(owner, name, stock)
    try:
        yield
    finally:
        hush()
