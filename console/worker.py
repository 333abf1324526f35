"""The worker: Celery's tasks and signals, and the one Host of the process. It holds no rules.

Start it as ``celery -A console.celery worker -P threads``: tasks only hand a run to the host and return, so a few threads
are enough for hundreds of runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from celery import signals
from django.utils import timezone
from structlog.contextvars import bind_contextvars, clear_contextvars

from approvals.notices import spreading
from approvals.notices.sending import Sender
from approvals.notices.transports import Network
from console import idempotency, inbox, startup, sweeper, tracing
from console.celery import app
from console.hosting.host import SLOTS, Host, nothing
from console.once import once
from telemetry import projector, retention
from telemetry.alerts import checking

log = logging.getLogger(__name__)

SWEEP_S = 1.2  # seconds until the next sweep has surely begun; see celery.py
MOMENT = 0.02  # seconds after its end at which a lease is looked at
PROJECTING_S = 2.0  # seconds for which a round of projecting goes on: it takes one of the database's threads

_host: Host | None = None
_sweeping: Future[int] | None = None
_projecting: Future[int] | None = None
_alerting: Future[int] | None = None
_sender: Sender | None = None
_sending: threading.Thread | None = None
_telling: threading.Thread | None = None
_leaving = threading.Event()
_lock = threading.Lock()


def host() -> Host:
    """This process's host. Raises RuntimeError where the process is no worker."""
    if _host is None:
        raise RuntimeError(
            "this process is not a worker: runs are advanced by celery -A console.celery worker -P threads"
        )
    return _host


@app.task(name="console.worker.advance_run", ignore_result=True, Strategy="console.inbox:straight")
def advance_run(run_id: str, resume: bool = False, looked: Callable[[], object] = nothing) -> None:
    """Advance this run when there is a slot; ``resume`` says that it has begun. Deliveries may repeat. Must not block.

    ``looked`` is the inbox's; see there.
    """
    host().admit(run_id, resume, looked)


@app.task(name="console.worker.sweep", ignore_result=True)
def sweep() -> None:
    """What time does; see console.sweeper. Skipped while the sweep before it is under way."""
    global _sweeping
    with _lock:
        if _sweeping is None or _sweeping.done():
            _sweeping = host().database.submit(_sweep)


@app.task(name="console.worker.deliver", ignore_result=True)
def deliver() -> None:
    """Tell people and programs outside; see approvals.notices. Skipped while the round before it is under way.

    On a thread of its own, which borrows the database's only to claim and to record: a mail server that hangs holds up
    no run and no sweep. A daemon, so that it holds up no shutdown either: what it had is sent again.
    """
    global _sender, _sending
    with _lock:
        if _sender is None:
            run = host().database.submit
            _sender = Sender(
                Network(), timezone.now, random.random, lambda work, *given: run(lambda: work(*given)).result()
            )
        if _sending is None or not _sending.is_alive():
            _sending = threading.Thread(target=_deliver, args=(_sender,), name="notices", daemon=True)
            _sending.start()


def _deliver(sender: Sender) -> None:
    try:
        sender.round()
    except Exception:
        if not sender.stopped:  # else the process ends, and so did its database threads: another sends it again
            log.exception("a round of deliveries failed; the next one follows in a second")


@app.task(name="console.worker.project", ignore_result=True)
def project() -> None:
    """Bring the figures up to date; see telemetry.projector. Skipped while the time before it is under way."""
    global _projecting
    with _lock:
        if _projecting is None or _projecting.done():
            _projecting = host().database.submit(_project)


def _project() -> int:
    try:
        return projector.catch_up(PROJECTING_S).steps
    except Exception:
        log.exception("the figures could not be brought up to date; the next try follows in a second")
        return 0


@app.task(name="console.worker.alert", ignore_result=True)
def alert() -> None:
    """Hold the figures against the tenants' alert rules; see telemetry.alerts. Skipped while the time before is under way."""
    global _alerting
    with _lock:
        if _alerting is None or _alerting.done():
            _alerting = host().database.submit(_alert)


def _alert() -> int:
    try:
        return checking.round(timezone.now)
    except Exception:
        log.exception("the alerts could not be checked; the next try follows in a minute")
        return 0


@app.task(name="console.worker.tell", ignore_result=True)
def tell() -> None:
    """Tell a collector what runs did; see telemetry.outwards. Beat asks for it only where one is named.

    On a daemon thread of its own, as deliveries are: a collector that hangs holds up no run.
    """
    global _telling
    with _lock:
        if tracing.exported() and (_telling is None or not _telling.is_alive()):
            _telling = threading.Thread(target=_tell, name="telling", daemon=True)
            _telling.start()


def _tell() -> None:
    try:
        _teller().round()
    except Exception:
        if not _leaving.is_set():
            log.exception("a collector could not be told; the next round follows in two seconds")


@once
def _teller() -> Any:
    """Imported here: OpenTelemetry's packages are large, and most workers never need them."""
    otlp, sending = (import_module(f"telemetry.outwards.{name}") for name in ("otlp", "sending"))
    instruments = otlp.instruments()
    heard = {} if instruments is None else {"taken": instruments.take}
    run = host().database.submit
    return sending.Teller(otlp.Spans(), within=lambda work: run(work).result(), samples=otlp.samples, **heard)


@app.task(name="console.worker.prune", ignore_result=True)
def prune() -> None:
    """Delete what is kept for a while only; see console.idempotency, notices.spreading and telemetry.retention."""
    host().database.submit(_prune)


def _prune() -> int:
    try:
        now = timezone.now()
        return idempotency.prune() + spreading.prune(now) + retention.prune(now)
    except Exception:
        log.exception(
            "old idempotency records, notices or figures could not be deleted; the next try follows in minutes"
        )
        return 0


def _sweep() -> int:
    try:
        return sweeper.sweep()
    except Exception:
        log.exception("a sweep failed; the next one follows in a second")
        return 0
    finally:
        _look_in_time()


def _look_in_time() -> None:
    """Where a lease runs out before the next sweep, look at the moment at which it does."""
    left = sweeper.next_loss()
    if left is not None and left < SWEEP_S:
        timer = threading.Timer(left + MOMENT, _take_back)
        timer.daemon = True
        timer.start()


def _take_back() -> None:
    """Make the runs of a worker that is gone ready, unless a sweep is about to."""
    global _sweeping
    with _lock:
        if _host is not None and (_sweeping is None or _sweeping.done()):
            with contextlib.suppress(RuntimeError):  # the process is leaving: another worker's sweep finds them
                _sweeping = _host.database.submit(_recover)


def _recover() -> int:
    try:
        return sweeper.expired_leases()
    except Exception:
        log.exception("expired leases could not be looked at; the next sweep follows in a second")
        return 0
    finally:
        _look_in_time()


@signals.worker_init.connect
def _begin(sender: Any = None, **_: Any) -> None:
    # Celery swallows what is raised here, and the worker would take messages that it cannot use.
    global _host
    try:
        if sender is not None and "thread" not in str(getattr(sender, "pool_cls", "thread")):
            raise RuntimeError("a worker needs -P threads")
        startup.refuse_privilege()
        sys.setswitchinterval(0.001)  # seconds: the writer's thread waits for a busy loop this long at most
        _host = Host(
            str(getattr(sender, "hostname", "") or f"worker-{os.getpid()}"),
            int(os.environ.get("SAYSO_SLOTS", SLOTS)),
            list(app.amqp.queues.consume_from),
        )
        _host.start()
        startup.settle(startup.WORKER)
    except BaseException:
        log.critical("the worker cannot start", exc_info=True)
        logging.shutdown()
        os._exit(1)


@signals.task_prerun.connect
def _about_to(task: Any = None, **_: Any) -> None:
    clear_contextvars()
    bind_contextvars(**inbox.correlated(getattr(getattr(task, "request", None), "headers", None) or {}))


@signals.worker_shutting_down.connect
def _leave(**_: Any) -> None:
    _leaving.set()
    if _sender is not None:
        _sender.stopped = True
    if _host is not None:
        _host.leave()


@signals.worker_shutdown.connect
def _end(**_: Any) -> None:
    if _host is not None and not _host.close():
        log.warning("some runs could not be given back in time; their leases run out within seconds")
