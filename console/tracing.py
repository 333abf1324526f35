"""Where a piece of work stands among other programs': W3C trace context, and the id that a caller correlates by.

Ids are never drawn where something is recorded: the trace of a run is what its HTTP request came with, or comes of the
run's own id, and a span's id comes of what it is about. So a crash, another worker or telling twice changes none of them.

Standard library only: each process imports it, whether traces are exported or not.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

STATE_LIMIT = 512  # characters of a tracestate, as the W3C demands at least; a longer one is dropped
REQUEST_ID_LIMIT = 64  # characters
SAMPLED = 1
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{REQUEST_ID_LIMIT}}}\Z")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def exported() -> bool:
    """Whether this installation tells a collector: OpenTelemetry's own variables say so."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not off and any(os.environ.get(name, "").strip() for name in _ENDPOINTS)


@dataclass(frozen=True, slots=True)
class Trace:
    """A place in a trace: ids in hexadecimal, W3C flags, and what vendors add to it."""

    trace_id: str
    span_id: str
    flags: int = SAMPLED
    state: str = ""

    @property
    def parent(self) -> str:
        """As a traceparent header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & 0xFF:02x}"

    @property
    def sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def kept(self) -> str:
        """As a run keeps it: the traceparent, and the tracestate behind it."""
        return f"{self.parent} {self.state}".rstrip()


def read(parent: str, state: str = "") -> Trace | None:
    """The place that headers name; None where there is none or it makes no sense, as the W3C says."""
    found = _PARENT.match(parent.strip().lower()) if len(parent) < 200 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    fits = len(state) <= STATE_LIMIT and state.isascii() and state.isprintable()
    return Trace(trace_id, span_id, int(flags, 16) & SAMPLED, state.strip() if fits else "")


def unkept(text: str) -> Trace | None:
    """What ``Trace.kept`` wrote."""
    parent, _, state = text.partition(" ")
    return read(parent, state)


def request_id(given: str | None) -> str:
    """The caller's own id where it is one that can stand in a header and in a log; else a new one."""
    if given is not None and _REQUEST_ID.match(given):
        return given
    return secrets.token_hex(8)


# What belongs to a run.


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a run comes from. ``asked``: the place that it was started at, or None where nobody named one."""

    run_id: str
    trace_id: str
    asked: Trace | None
    request_id: str

    @property
    def sampled(self) -> bool:
        """What was decided where the trace began; runs that began one by themselves are all told."""
        return self.asked is None or self.asked.sampled

    def span_id(self, *what: object) -> str:
        """The id of the span that is about this: ("run",), ("step", scope, n), ("agent", scope, n), ..."""
        return span_id(self.run_id, *what)

    def at(self, *what: object) -> Trace:
        """The place of that span."""
        state = self.asked.state if self.asked else ""
        return Trace(self.trace_id, self.span_id(*what), SAMPLED if self.sampled else 0, state)


def origin(run_id: UUID | str, kept: str, request: str = "") -> Origin:
    """The origin of a run, of what it keeps (``Run.trace_context``, ``Run.request_id``)."""
    asked = unkept(kept) if kept else None
    trace_id = asked.trace_id if asked else hashlib.sha256(f"sayso trace {run_id}".encode()).hexdigest()[:32]
    return Origin(str(run_id), trace_id, asked, request)


def span_id(run_id: UUID | str, *what: object) -> str:
    """The same id for the same thing, always: 16 hexadecimal digits."""
    text = "\x1f".join([str(run_id), *map(str, what)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# What the code that runs now is doing.

HERE: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("sayso_trace", default=None)
REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("sayso_request_id", default="")
RUN: contextvars.ContextVar[Origin | None] = contextvars.ContextVar("sayso_origin", default=None)


@contextlib.contextmanager
def about(run_id: UUID | str, kept: str) -> Iterator[None]:
    """While something is done for this run; ``kept`` is its ``trace_context``."""
    token = RUN.set(origin(run_id, kept))
    try:
        yield
    finally:
        RUN.reset(token)


def kept() -> str:
    """What a run that starts here keeps of where it came from; empty outside a traced request."""
    here = HERE.get()
    return here.kept() if here is not None else ""


def parent() -> str:
    """The traceparent of the request that is being answered; empty outside a traced one."""
    here = HERE.get()
    return here.parent if here is not None else ""


def headers(*what: object) -> dict[str, str]:
    """Headers of a call that this run's span ``what`` makes; none outside a run, or in one that nobody traces."""
    run = RUN.get()
    if run is None or (run.asked is None and not exported()):
        return {}
    return carried(run.at(*what))


def carried(place: Trace) -> dict[str, str]:
    """A place as the headers that name it."""
    return {"traceparent": place.parent, **({"tracestate": place.state} if place.state else {})}


def message() -> dict[str, str]:
    """The same for a message to a worker, with the id to correlate by."""
    here, request = HERE.get(), REQUEST.get()
    told = carried(here) if here is not None else {}
    return {**told, **({"request_id": request} if request else {})}
