"""The way of a wake-up through the broker, for a collector: spans by OpenTelemetry's messaging conventions 1.41.

::

    POST /api/v1/runs
    |-- send runs              the message is in the queue "runs"
    |   `-- process runs       a worker has taken it, and looks at the run
    `-- invoke_workflow ...    what came of that (telemetry/outwards/trees.py)
        `-- send runs          one that no HTTP request sent: a sweep's, a worker's that lets go of the run
            `-- process runs

Between the two is the time in the queue. A wake-up is a hint, so a run may go on without one, and one may find nothing to
do: told is what was really sent, and really taken. Told as they happen, like HTTP requests: no journal has them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from celery import signals

from console import tracing

TASK = "console.worker.advance_run"
_under_way = threading.local()  # the span of the message that this thread sends


def connect() -> None:
    """Tell of each from now on; where a collector is named. Twice is once."""
    signals.worker_init.connect(_otlp)
    signals.before_task_publish.connect(_send)
    signals.after_task_publish.connect(_sent)


@contextmanager
def taken(message: Any, run_id: str) -> Iterator[None]:
    """While this message, which asks to look at a run, is handled. What is raised is told, and goes on."""
    headers = message.headers
    came = tracing.read(str(headers.get("traceparent") or ""), str(headers.get("tracestate") or ""))
    if came is None or not tracing.exported():
        yield
        return
    queue = (message.delivery_info or {}).get("routing_key") or ""
    hop, error = _otlp().Hop("process", queue, came, str(headers.get("id") or ""), run_id), ""
    try:
        yield
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        hop.end(error)


def _otlp(**_: Any) -> Any:
    """Imported by name: large, and needed only where there is a collector. A worker has it before its first message."""
    return import_module("telemetry.outwards.otlp")


def _send(sender: Any = None, headers: Any = None, body: Any = None, routing_key: str = "", **_: Any) -> None:
    """The message goes on under its own span, in the trace of the HTTP request, or else of the run that it is about."""
    _under_way.sent = None
    here = (tracing.HERE.get() or _of_run()) if sender == TASK else None
    if here is not None:
        hop = _otlp().Hop("send", routing_key, here, headers["id"], str(body[0][0]))
        headers.update(tracing.carried(hop.place))
        _under_way.sent = hop


def _of_run() -> tracing.Trace | None:
    """The run's own place, where its spans are told."""
    run = tracing.RUN.get()
    if run is None or not (run.sampled if run.asked else _otlp().samples(run.trace_id)):
        return None
    return run.at("run")


def _sent(sender: Any = None, **_: Any) -> None:
    """Not said where the broker could not be told: then the span is dropped."""
    hop = getattr(_under_way, "sent", None)
    if sender == TASK and hop is not None:
        hop.end()
        _under_way.sent = None
