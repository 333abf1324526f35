"""What every line of a log says besides its words, and what must not get into one.

Each line names the HTTP request that it comes of (``request_id``), the ``tenant``, the ``run`` and, inside an effect, its
``step`` (scope#n), where there is one: they are bound where work begins (console/requests.py, console/hosting/advancing.py).
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from console.durable.bodies import CALL

HIDDEN = "[hidden]"
SECRET = re.compile(r"(?i)(authorization|cookie|password|passwd|secret|api_?key|token|master_key)\Z")
# A scheme with its token, ours and a provider's tokens by themselves, and what stands before the @ of an address.
_SECRETS = re.compile(
    r"(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}|\bsayso_[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9_-]{16,}|(?<=://)[^/\s@]*:[^/\s@]+(?=@)"
)
SAY_EVERY = 60.0  # seconds

Line = MutableMapping[str, Any]


class WithoutQuery(logging.Filter):
    """Cuts the query off each address that uvicorn logs of a websocket: people try tokens there, though none is taken."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                each.partition("?")[0] if isinstance(each, str) and each.startswith("/") else each
                for each in record.args
            )
        return True


class Seldom(logging.Filter):
    """Lets OpenTelemetry complain about a collector once a minute, in a line of its own for each logger."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("opentelemetry"):
            return True
        now = self._clock()
        if now - self._said.get(record.name, -SAY_EVERY) < SAY_EVERY:
            return False
        self._said[record.name] = now
        if record.levelno >= logging.ERROR:  # it is the collector that fails, and nobody has to get up for it
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def bound() -> dict[str, Any]:
    """What lines say here, for work that is handed to a thread."""
    call = CALL.get()
    known = structlog.contextvars.get_contextvars()
    return known if call is None else {**known, "step": f"{call.scope}#{call.n}"}


def step(logger: Any, method: str, line: Line) -> Line:
    """Name the effect that is at work."""
    call = CALL.get()
    if call is not None:
        line.setdefault("step", f"{call.scope}#{call.n}")
    return line


def hide(logger: Any, method: str, line: Line) -> Line:
    """Leave out what looks like a secret, in values that are named so and in any text."""
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = HIDDEN if SECRET.search(name) and value else without_secrets(value)
    return line


def without_secrets(text: str) -> str:
    """A text, without what looks like a token, a key or a password in it."""
    return _SECRETS.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    scheme, space, _ = found[0].partition(" ")
    return f"{scheme} {HIDDEN}" if space else HIDDEN


def every_line() -> None:
    """Have warnings, and exceptions that nobody takes, logged as anything else is: for a log that programs read."""
    logging.captureWarnings(True)
    log = logging.getLogger("sayso.process")

    def uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("an exception ends the process", exc_info=(kind, error, trace))

    def in_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None:
            name = given.thread.name if given.thread is not None else "a thread"
            log.error("an exception ends %s", name, exc_info=(given.exc_type, given.exc_value, given.exc_traceback))

    sys.excepthook = uncaught
    threading.excepthook = in_thread
