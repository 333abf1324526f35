"""A benchmark's own worker processes: real ones, started as ``up`` starts them, on a queue of their own.

They take wake-ups from the broker, claim, rebuild, journal and let go as every worker does; only the scripted models are
lent to them (see ``enlisted``). What they take is read from ``/proc``, so this needs Linux.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from console.celery import app
from console.hosting.leases import heartbeat_key
from console.runs import feed
from console.runs.models import TERMINAL, Run, RunStatus
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope
from console.up.processes import leash
from console.up.workers import CELERY
from console.workflows import actions as workflows
from console.workflows.models import Workflow

QUEUE = "bench-crew"
HELD = "bench-held"  # to which nobody listens: where wake-ups gather until the crew is to have them all
PATIENCE = 300.0  # seconds for whatever is waited for
TICK = os.sysconf("SC_CLK_TCK")


class Crew:
    """``with Crew(2) as crew``: so many workers, ready and listening."""

    def __init__(self, count: int) -> None:
        self._host = f"bench-{os.getpid()}"
        self.names = [f"crew{number}@{self._host}" for number in range(count)]
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Crew:
        argv = [*CELERY, "worker", "-P", "threads", "-c", "16", "-Q", QUEUE, "-l", "error"]
        argv += ["--include", "console.bench.enlisted", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
        for name in self.names:
            self.processes.append(
                subprocess.Popen(
                    [*argv, "-n", name], cwd=settings.BASE_DIR, env=quiet, stdout=sys.stderr, preexec_fn=leash()
                )
            )
        until(lambda: self._answering() == len(self.names), "the workers do not answer", every=0.3)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)

    def _answering(self) -> int:
        if any(process.poll() is not None for process in self.processes):
            raise RuntimeError("a worker of the benchmark did not start")
        beating = sum(bool(feed.redis_client().exists(heartbeat_key(name))) for name in self.names)
        return len(app.control.ping(self.names, timeout=1)) if beating == len(self.names) else 0

    def kill(self, number: int) -> None:
        """End a worker as a power cut would."""
        self.processes[number].send_signal(signal.SIGKILL)
        self.processes[number].wait()

    def cpu(self) -> list[float]:
        """CPU seconds of each so far."""
        return [cpu_of(process.pid) for process in self.processes]

    def rss(self) -> list[int]:
        """Resident bytes of each."""
        pages = [int(Path(f"/proc/{each.pid}/statm").read_text().split()[1]) for each in self.processes]
        return [count * os.sysconf("SC_PAGE_SIZE") for count in pages]


def hold(actor: Actor, flow: Workflow) -> None:
    """Have the wake-ups of the workflow's runs gather where nobody listens."""
    with tenant_scope(actor.tenant):
        workflows.put_queue(actor, HELD, flow)


def serve(actor: Actor, flow: Workflow) -> None:
    """Have those that come from now on go to the crew; what has gathered waits for ``loose``."""
    with tenant_scope(actor.tenant):
        workflows.put_queue(actor, QUEUE, flow)


def loose() -> None:
    """Give the crew what has gathered, all at once: it listens, so nobody waits to be told to."""
    feed.redis_client().rename(HELD, QUEUE)


def cpu_of(pid: int, *, children: bool = False) -> float:
    """CPU seconds of a process; with ``children``, and of those that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15] if children else fields[11:13])) / TICK


def postgres_cpu() -> float | None:
    """CPU seconds of all of the database's processes so far; None where it is on another machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    try:
        server = _parent(backend)
        if not Path(f"/proc/{server}/comm").read_text().startswith("postgres"):
            return None
        spent = cpu_of(server, children=True)
    except OSError:
        return None
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and _parent(int(place.name)) == server:
                spent += cpu_of(int(place.name))
        except OSError:  # it has ended
            continue
    return spent


def commits() -> int:
    """Transactions that the database has committed so far, as it has been told of within the last second."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until(holds: Callable[[], bool], otherwise: str, every: float = 0.1, patience: float = PATIENCE) -> None:
    """Wait for something. Raises RuntimeError, with ``otherwise``, when it does not come."""
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{otherwise} after {patience:g} s")
        time.sleep(every)


def settled(actor: Actor, runs: Sequence[UUID], status: str, every: float = 0.1) -> None:
    """Wait until all of the runs are in that status. Raises RuntimeError when one of them ends otherwise."""
    until(lambda: states(actor, runs).get(status, 0) == len(runs), f"not all runs are {status}", every)


def states(actor: Actor, runs: Sequence[UUID], expected: str = "") -> Mapping[str, int]:
    """How many of the runs are in which status. Raises RuntimeError when one failed."""
    with tenant_scope(actor.tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, COUNT(*), MAX(stop_reason || ' ' || stop_detail) FROM runs_run WHERE tenant_id = %s"
            " AND id = ANY(%s) GROUP BY status",
            [actor.tenant.id, list(runs)],
        )
        rows = cursor.fetchall()
    for status, _, why in rows:
        if status in TERMINAL and status != RunStatus.COMPLETED:
            raise RuntimeError(f"a run {status}: {why}")
    return {status: count for status, count, _ in rows}


def ready(actor: Actor, runs: Sequence[UUID], ahead: timedelta = timedelta(0)) -> None:
    """Count the runs as ready from now on, or later: then no sweep wakes them again. Call inside the tenant's scope."""
    access.all(Run, actor).filter(pk__in=list(runs)).update(ready_at=timezone.now() + ahead)


def last_end(actor: Actor, runs: Sequence[UUID]) -> float:
    """When the last of the runs ended, in seconds since the epoch."""
    with tenant_scope(actor.tenant):
        ended: datetime = access.all(Run, actor).filter(pk__in=list(runs)).aggregate(last=Max("ended_at"))["last"]
    return ended.timestamp()
