"""What AutoGen 0.7.5 and the openai package waste, shout and trip over, put right knowingly and in this one place.

AutoGen's runtime serialises every message for traces and logs that nobody asked for, whatever the level: a third of a
replay. The openai package walks through each message of each request against the types of its parameters, to rename
and to format what never needs it in a chat: after two hundred turns that is four fifths of what a worker does. Both
can be switched off by private names only, so ``tests/agents/test_quiet.py`` notices when they move.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from autogen_agentchat.messages import BaseMessage, MessageFactory, StructuredMessage
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


def _trace_block(self: Any, *args: Any, **kwargs: Any) -> contextlib.AbstractContextManager[Span]:
    return _NO_SPAN


async def _no_attributes(self: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
    return {}


def _no_payload(self: Any, message: Any) -> str:
    return ""


async def _as_it_is(data: Any, expected_type: object) -> Any:
    """The parameters of a chat completion without those that were not given: what the package's walk comes to."""
    return {name: value for name, value in data.items() if not isinstance(value, NotGiven | Omit)}


def _short(self: Any) -> str:
    return f"<{type(self).__name__} of {self.source}>"


_is_registered = MessageFactory.is_registered


def _knows(self: MessageFactory, message_type: type[Any]) -> bool:
    """A team made from a document knows StructuredMessage, and refuses the very messages of its structured agents:
    their class is StructuredMessage[...], and a document has no place to say so. Only a saved team needs to know more,
    and teams are never saved here."""
    return _is_registered(self, message_type) or issubclass(message_type, StructuredMessage)


def hush() -> None:
    """Switch off tracing and eager serialisation, keep what torn-down runs complain about out of the logs, and let teams
    pass structured messages on."""
    TraceHelper.trace_block = _trace_block  # type: ignore[method-assign,assignment]
    runtime.SingleThreadedAgentRuntime._create_otel_attributes = _no_attributes  # type: ignore[method-assign,assignment]
    runtime.SingleThreadedAgentRuntime._try_serialize = _no_payload  # type: ignore[method-assign]
    completions.async_maybe_transform = _as_it_is  # type: ignore[assignment]
    MessageFactory.is_registered = _knows  # type: ignore[method-assign]
    # The runtime formats each message into a log line before it asks whether anybody wants the line.
    BaseMessage.__repr__ = _short  # type: ignore[method-assign]
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, DropTornDown) for present in logger.filters):
            logger.addFilter(DropTornDown())
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def trust_model_name(client: Any) -> None:
    """Keep AutoGen's client from warning at each call that the provider's name for the model is a longer one."""
    client._resolved_model = None


_STOCK: Any = (
    TraceHelper.trace_block,
    runtime.SingleThreadedAgentRuntime._create_otel_attributes,
    runtime.SingleThreadedAgentRuntime._try_serialize,
    BaseMessage.__repr__,
    completions.async_maybe_transform,
)


@contextlib.contextmanager
def loud() -> Iterator[None]:
    """AutoGen as it comes, for the length of a benchmark's baseline."""
    stock: Any = runtime.SingleThreadedAgentRuntime
    helper: Any = TraceHelper
    message: Any = BaseMessage
    helper.trace_block, stock._create_otel_attributes, stock._try_serialize, message.__repr__, walk = _STOCK
    completions.async_maybe_transform = walk
    try:
        yield
    finally:
        hush()
