"""The way of a wake-up through the broker, for a collector: spans by OpenTelemetry's messaging conventions 1.41.

::

    POST /api/v1/runs
    |-- send runs              the message is in the queue "runs"
    |   `-- process runs       a worker has taken it, and looks at the run
    `-- invoke_workflow ...    what came of that (telemetry/outwards/trees.py)

Between the two is the time in the queue. A wake-up is a hint, so a run may go on without one, and one may find nothing to
do: told is what was really sent, and really taken. One that no HTTP request sent (a sweep's, a worker's that lets go) is
in nobody's trace. Told as they happen, like HTTP requests: no journal has them.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

from celery import signals

from console import tracing

TASK = "console.worker.advance_run"
_under_way = threading.local()  # the span of the message that this thread sends, and of the one that it handles


def connect() -> None:
    """Tell of each from now on; where a collector is named. Twice is once."""
    signals.worker_init.connect(_otlp)
    signals.before_task_publish.connect(_send)
    signals.after_task_publish.connect(_sent)
    signals.task_prerun.connect(_take)
    signals.task_postrun.connect(_taken)


def _otlp(**_: Any) -> Any:
    """Imported by name: large, and needed only where there is a collector. A worker has it before its first message."""
    return import_module("telemetry.outwards.otlp")


def _send(sender: Any = None, headers: Any = None, body: Any = None, routing_key: str = "", **_: Any) -> None:
    """The message goes on under its own span, in the trace of the HTTP request."""
    here = tracing.HERE.get()
    _under_way.sent = None
    if sender == TASK and here is not None:
        hop = _otlp().Hop("send", routing_key, here, headers["id"], str(body[0][0]))
        headers.update(tracing.carried(hop.place))
        _under_way.sent = hop


def _sent(sender: Any = None, **_: Any) -> None:
    """Not said where the broker could not be told: then the span is dropped."""
    hop = getattr(_under_way, "sent", None)
    if sender == TASK and hop is not None:
        hop.end()
        _under_way.sent = None


def _take(task: Any = None, task_id: str = "", args: Any = (), **_: Any) -> None:
    _under_way.taken = None
    if task.name != TASK:
        return
    told = task.request.headers or {}
    came = tracing.read(str(told.get("traceparent") or ""), str(told.get("tracestate") or ""))
    if came is not None:
        queue = (task.request.delivery_info or {}).get("routing_key") or ""
        _under_way.taken = _otlp().Hop("process", queue, came, task_id, str(args[0]) if args else "")


def _taken(state: Any = None, retval: Any = None, **_: Any) -> None:
    hop = getattr(_under_way, "taken", None)
    if hop is not None:
        hop.end(type(retval).__name__ if isinstance(retval, BaseException) else "")
        _under_way.taken = None
