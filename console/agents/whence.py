"""What a call to the world says about where it comes from: its place in the trace of its run, and the id to correlate by."""

from __future__ import annotations

from typing import Any

from console import tracing
from console.durable.bodies import CALL


def headers() -> dict[str, str]:
    """For a tool: the span of the step that calls it, and the id of the request that its run was started with."""
    run = tracing.RUN.get()
    known = {"X-Request-ID": run.request_id} if run is not None and run.request_id else {}
    return {**trace(), **known}


def trace() -> dict[str, str]:
    """For a model's provider: the span of the step alone. Empty where nobody traces the run."""
    call = CALL.get()
    return {} if call is None else tracing.headers("step", call.scope, call.n)


async def tell(request: Any) -> None:
    """A hook of a model's HTTP client: what each request says besides."""
    for name, value in trace().items():
        request.headers.setdefault(name, value)
