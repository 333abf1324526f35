"""What every HTTP request has before anything else looks at it: an id to correlate by, a place in a trace, and a clock.

``X-Request-ID`` is taken from the caller where it can be (1 to 64 letters, digits and ._:/+=@-), else made, and said in the
answer. ``traceparent`` and ``tracestate`` are the W3C's. What the request starts keeps both, and they go on from there: with
the message to a worker, and to the tools that it calls.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponseBase

from console import tracing

HEADER = "X-Request-ID"
QUIET = ("/healthz", "/readyz", "/metrics", "/static/")  # what machines ask all the time is in no trace
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
MOST = 2000  # combinations of labels that are kept; there are fewer unless something is wrong


@dataclass(slots=True)
class Timing:
    """How long requests of one kind took: how many within each of BOUNDS (and beyond), and the seconds in all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0


class Timings:
    """Of this process, by (method, route, status)."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Timing] = {}
        self._lock = threading.Lock()

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """One more."""
        kind = (method if method in METHODS else "other", route, str(status))
        with self._lock:
            if kind not in self._kinds and len(self._kinds) >= MOST:
                kind = ("other", "", "")
            timing = self._kinds.setdefault(kind, Timing())
            timing.counts[bisect_left(BOUNDS, seconds)] += 1
            timing.seconds += seconds

    def all(self) -> dict[tuple[str, str, str], tuple[list[int], float]]:
        """As they are now."""
        with self._lock:
            return {kind: (list(timing.counts), timing.seconds) for kind, timing in self._kinds.items()}


timings = Timings()


class RequestMiddleware:
    """The outermost: everything that is logged of a request carries its id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        request_id = tracing.request_id(request.headers.get(HEADER))
        came = tracing.read(request.headers.get("traceparent", ""), request.headers.get("tracestate", ""))
        served = self._served(request, came)
        here = served.place if served is not None else came
        # Not taken back at the end: Django logs refusals when all middleware is done, in the request's own context.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if here is not None:
            structlog.contextvars.bind_contextvars(trace_id=here.trace_id)
        tokens = tracing.REQUEST.set(request_id), tracing.HERE.set(here)
        try:
            response = self.get_response(request)
        finally:
            tracing.REQUEST.reset(tokens[0])
            tracing.HERE.reset(tokens[1])
        response.headers[HEADER] = request_id
        method, route = request.method or "", route_of(request)
        timings.note(method, route, response.status_code, time.perf_counter() - began)
        if served is not None:
            tenant = getattr(getattr(request, "actor", None), "tenant", None)
            served.end(method, route, response.status_code, request_id, tenant.slug if tenant else "")
        return response

    @staticmethod
    def _served(request: HttpRequest, came: tracing.Trace | None) -> Any:
        """The span of this request, where a collector is told of it."""
        if not tracing.exported() or request.path_info.startswith(QUIET):
            return None
        # Imported here: large, and needed only where there is a collector.
        return import_module("telemetry.outwards.otlp").Served(request.method or "", request.path_info, came)


def route_of(request: HttpRequest) -> str:
    """The pattern of the request's address, such as ``/runs/<uuid:run_id>/``; empty where there is none."""
    found = request.resolver_match
    return f"/{found.route}" if found is not None and "^" not in found.route else ""
