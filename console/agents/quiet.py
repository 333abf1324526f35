"""What AutoGen 0.7.5 wastes and shouts, switched off knowingly and in this one place.

Its runtime serialises every message for traces and logs that nobody asked for, whatever the level: a third of a
replay. It can be switched off by private names only, so ``tests/agents/test_quiet.py`` notices when they move.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from autogen_agentchat.messages import BaseMessage
from autogen_core import _single_threaded_agent_runtime as runtime
from autogen_core._telemetry._tracing import TraceHelper
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


def _short(self: Any) -> str:
    return f"<{type(self).__name__} of {self.source}>"


def hush() -> None:
    """Switch off tracing and eager serialisation, and keep what torn-down runs complain about out of the logs."""
    TraceHelper.trace_block = _trace_block  # type: ignore[method-assign,assignment]
    runtime.SingleThreadedAgentRuntime._create_otel_attributes = _no_attributes  # type: ignore[method-assign,assignment]
    runtime.SingleThreadedAgentRuntime._try_serialize = _no_payload  # type: ignore[method-assign]
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
)


@contextlib.contextmanager
def loud() -> Iterator[None]:
    """AutoGen as it comes, for the length of a benchmark's baseline."""
    stock: Any = runtime.SingleThreadedAgentRuntime
    helper: Any = TraceHelper
    message: Any = BaseMessage
    helper.trace_block, stock._create_otel_attributes, stock._try_serialize, message.__repr__ = _STOCK
    try:
        yield
    finally:
        hush()
