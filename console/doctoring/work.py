"""Whether work is taken up: queues and their age, the sweeper, and runs that nothing will move any more."""

from __future__ import annotations

import time
from datetime import timedelta

import redis
from django.db import connection
from django.db.models import Model
from kombu.exceptions import OperationalError

from console import queues
from console.celery import app
from console.doctoring.findings import Ailing
from console.runs import feed, wakeups
from console.sweeper import SWEPT
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope
from console.workflows.models import Workflow

PATIENCE = 1.0  # seconds in which a worker says what it listens to
LONG = timedelta(minutes=5)  # that a ready run may wait for a worker
UNSWEPT = 15.0  # seconds without a sweep, of which there is one a second


def listened() -> str:
    """That some worker listens to every queue that is named."""
    with system_scope("doctor: the queues that are named"):
        named = {queues.DEFAULT, *_names(Workflow), *_names(Tenant)}
    try:
        told = app.control.inspect(timeout=PATIENCE).active_queues() or {}
    except OperationalError:
        raise Ailing("the broker cannot be asked", "Start Valkey, and see that REDIS_URL leads to it.") from None
    idle = sorted(named - {queue["name"] for listened in told.values() for queue in listened})
    if idle:
        raise Ailing(
            f"no worker says that it listens to {', '.join(idle)}: what is sent there waits",
            f"Start a worker for it: celery -A console.celery worker -P threads -c 16 -Q {','.join(idle)}.",
        )
    return f"there are workers for {', '.join(sorted(named))}"


def _names(model: type[Model]) -> list[str]:
    return list(model._default_manager.exclude(queue="").values_list("queue", flat=True).distinct())


def age() -> str:
    """How long the oldest ready run of each queue has waited, and the oldest request."""
    with system_scope("doctor: the age of queues"), connection.cursor() as cursor:
        cursor.execute(_READY)
        ready = cursor.fetchall()
        cursor.execute(_PENDING)
        pending, oldest = cursor.fetchone()
    said = [
        f"{queue or queues.DEFAULT}: {many:,} ready, the oldest for {_long(waited)}" for queue, many, waited in ready
    ]
    late = [queue or queues.DEFAULT for queue, _, waited in ready if waited > LONG]
    if late:
        raise Ailing(
            "; ".join(said), f"Start more workers for {', '.join(late)}, or raise SAYSO_SLOTS of those that are there."
        )
    said.append(f"{pending:,} requests wait for people" + (f", the oldest for {_long(oldest)}" if pending else ""))
    return "; ".join(said)


def swept() -> str:
    """That what time does is done: beat ticks, and some worker sweeps."""
    told = feed.redis_client().get(SWEPT)
    ago = time.time() - float(told) if told else None  # type: ignore[arg-type]  # bytes of a number
    if ago is None or ago > UNSWEPT:
        raise Ailing(
            "nothing has been swept lately" if ago is None else f"nothing has been swept for {ago:.0f} s",
            "Start one `celery -A console.celery beat` and a worker of the queue runs; see the worker's log for `a sweep"
            " failed`.",
        )
    return f"swept {max(ago, 0):.0f} s ago"


def stuck() -> str:
    """That no run is where nothing moves it."""
    with system_scope("doctor: stuck runs"), connection.cursor() as cursor:
        cursor.execute(_STUCK)
        expired, aimless, late = cursor.fetchone()
    for many, says, remedy in (
        (
            expired,
            "running under a lease that ran out more than a minute ago",
            "See `sweeper`: a sweep takes such a run from its worker within seconds.",
        ),
        (
            aimless,
            "waiting, and neither a request nor a time will wake it",
            "Run `manage.py verify_runs` to learn which; cancel it, or retry it after that.",
        ),
        (
            late,
            "in an action that began longer ago than its time limit and five minutes",
            "See the log of its worker; when that worker is ended another takes the run up, and asks where it is in doubt.",
        ),
    ):
        if many:
            raise Ailing(f"{many:,} run{'s are' if many > 1 else ' is'} {says}", remedy)
    return "no run is stuck"


def _long(waited: timedelta) -> str:
    seconds = int(waited.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def alive() -> list[str]:
    """The names of the workers that are heard of; empty where Valkey does not answer."""
    try:
        return sorted(
            key.decode().rpartition(":")[2] for key in feed.redis_client().scan_iter("sayso:worker:*", count=500)
        )
    except (redis.RedisError, OSError):
        return []


_READY = f"""
SELECT queue, COUNT(*), clock_timestamp() - MIN(ready_at) FROM (
    SELECT {wakeups.QUEUE} AS queue, ready_at FROM runs_run WHERE status = 'queued' AND ready_at IS NOT NULL
) AS ready GROUP BY queue ORDER BY queue
"""  # noqa: S608  # a text of ours
_PENDING = """
SELECT COUNT(*), clock_timestamp() - MIN(created_at) FROM approvals_approvalrequest WHERE status = 'pending' AND NOT probe
"""
_STUCK = """
SELECT (SELECT COUNT(*) FROM runs_run WHERE status = 'running' AND lease_until < clock_timestamp() - interval '1 minute'),
       (SELECT COUNT(*) FROM runs_run r WHERE r.status = 'waiting' AND NOT r.probe AND r.wake_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM approvals_approvalrequest q WHERE q.tenant_id = r.tenant_id AND q.run_id = r.id
            AND q.status = 'pending')),
       (SELECT COUNT(DISTINCT r.id) FROM runs_run r JOIN runs_step s ON s.run_id = r.id
        WHERE r.status = 'running' AND s.status = 'intent' AND s.kind = 'tool' AND s.safety <> 'read_only'
          AND s.started_at < clock_timestamp() - interval '5 minutes'
              - COALESCE(r.limits ->> 'tool_timeout', 'PT1H')::interval)
"""
