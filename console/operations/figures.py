"""What Postgres says of the work: a fixed number of queries, whatever there is; lists are bounded and say how many more.

With a tenant, everything is that tenant's; without, there are numbers only, of all of them. Pages ask every two seconds,
so what was just read is good for all who look at the same, and what takes a scan for longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from console import queues
from console.durable import SCHEMA_VERSION
from console.runs import wakeups
from console.runs.actions import LEASE_S

SHOWN = 30  # runs in flight in the list, the oldest first
FRESH, SLOW = 1.0, 30.0  # seconds
KEPT = 2_000  # answers
LATE = LEASE_S - 4.0  # seconds before its end at which a lease has gone without for twice as long as it should


@dataclass(frozen=True, slots=True)
class InFlight:
    """A run that a worker holds. Times in seconds; ``step`` is the last one that is in its journal."""

    id: UUID
    title: str
    workflow: str
    owner: str
    held_s: float
    left_s: float
    step_kind: str
    step_name: str
    step_agent: str
    step_status: str
    step_s: float | None

    @property
    def lease(self) -> str:
        """well, look or trouble."""
        return "trouble" if self.left_s <= 0 else "look" if self.left_s < LATE else "well"


@dataclass(frozen=True, slots=True)
class Queue:
    """Runs that wait for a worker. ``oldest`` in seconds, None where there are none."""

    name: str
    ready: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it. ``took`` is how long the first, smallest query took, in seconds."""

    took: float
    flying: tuple[InFlight, ...]
    counts: dict[str, int]  # queued, running, waiting, late, expired, newer, aimless
    longest_s: float | None
    owners: dict[str, int]  # leases by worker
    queues: tuple[Queue, ...]
    outbox: dict[str, int]  # pending, failed, dead, unspread
    outbox_oldest_s: float | None


def read(tenant: UUID | None, now: Callable[[], float] = time.monotonic) -> Figures:
    """Call inside the tenant's scope, or, for all, inside a system scope. As of at most FRESH seconds ago."""
    found: Figures = _kept(("all", tenant), FRESH, now, lambda: _read(tenant, now))
    return found


def _read(tenant: UUID | None, now: Callable[[], float]) -> Figures:
    given: dict[str, Any] = {"tenant": tenant, "late": LATE, "schema": SCHEMA_VERSION, "shown": SHOWN}
    began = time.perf_counter()
    _rows("SELECT 1", {})
    took = time.perf_counter() - began
    flying = tuple(InFlight(*row) for row in _rows(_FLYING, given)) if tenant is not None else ()
    *counts, longest = _rows(_COUNTS, given)[0]
    ready = [Queue(name or queues.DEFAULT, many, oldest) for name, many, oldest in _rows(_READY, given)]
    *out, oldest = _rows(_OUTBOX, given)[0]
    aimless, dead = _kept(("slow", tenant), SLOW, now, lambda: _rows(_SLOW, given)[0])
    return Figures(
        took=took,
        flying=flying,
        counts=dict(zip(_STATES, [*counts, aimless], strict=True)),
        longest_s=longest,
        owners=dict(_rows(_OWNERS, given)),
        queues=tuple(ready),
        outbox=dict(zip(("pending", "failed", "unspread", "dead"), [*out, dead], strict=True)),
        outbox_oldest_s=oldest,
    )


_last: dict[Hashable, tuple[float, Any]] = {}


def _kept(key: Hashable, lasts: float, now: Callable[[], float], read: Callable[[], Any]) -> Any:
    """What ``read`` gave less than ``lasts`` seconds ago, or gives now."""
    known = _last.get(key)
    if known is not None and 0 <= now() - known[0] < lasts:
        return known[1]
    found = read()
    if len(_last) > KEPT:
        _last.clear()
    _last[key] = (now(), found)
    return found


def forget() -> None:
    """Read everything anew, in tests."""
    _last.clear()


def _rows(sql: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchall()


_STATES = ("queued", "running", "waiting", "late", "expired", "newer", "aimless")
_WHOSE = "(%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid)"
_SINCE = "extract(epoch FROM clock_timestamp() - {})::float8"
_FLYING = f"""
SELECT r.id, r.title, w.slug, r.lease_owner, {_SINCE.format("COALESCE(r.leased_at, r.created_at)")},
       -{_SINCE.format("r.lease_until")},
       COALESCE(s.kind, ''), COALESCE(s.name, ''), COALESCE(s.agent, ''), COALESCE(s.status, ''),
       {_SINCE.format("COALESCE(s.ended_at, s.started_at)")}
FROM (SELECT * FROM runs_run WHERE status = 'running' AND tenant_id = %(tenant)s ORDER BY leased_at LIMIT %(shown)s) r
JOIN workflows_workflow w ON w.id = r.workflow_id AND w.tenant_id = r.tenant_id
LEFT JOIN LATERAL (SELECT kind, name, agent, status, started_at, ended_at FROM runs_step
    WHERE run_id = r.id AND tenant_id = r.tenant_id ORDER BY seq DESC LIMIT 1) s ON true
ORDER BY r.leased_at
"""  # noqa: S608  # texts of ours
_COUNTS = f"""
SELECT COUNT(*) FILTER (WHERE status = 'queued'), COUNT(*) FILTER (WHERE status = 'running'),
       COUNT(*) FILTER (WHERE status = 'waiting'),
       COUNT(*) FILTER (WHERE status = 'running' AND lease_until >= clock_timestamp()
           AND lease_until < clock_timestamp() + %(late)s * interval '1 second'),
       COUNT(*) FILTER (WHERE status = 'running' AND lease_until < clock_timestamp()),
       COUNT(*) FILTER (WHERE status = 'queued' AND journal_version > %(schema)s),
       {_SINCE.format("MIN(leased_at) FILTER (WHERE status = 'running')")}
FROM runs_run r WHERE status IN ('queued', 'running', 'waiting') AND {_WHOSE}
"""  # noqa: S608
_OWNERS = f"""
SELECT lease_owner, COUNT(*)::int FROM runs_run WHERE status = 'running' AND {_WHOSE} GROUP BY lease_owner
"""  # noqa: S608
_READY = f"""
SELECT queue, COUNT(*), {_SINCE.format("MIN(ready_at)")} FROM (
    SELECT {wakeups.QUEUE} AS queue, ready_at FROM runs_run
    WHERE status = 'queued' AND ready_at IS NOT NULL AND {_WHOSE}
) AS ready GROUP BY queue ORDER BY queue
"""  # noqa: S608
_OUTBOX = f"""
SELECT COUNT(*) FILTER (WHERE status = 'pending'), COUNT(*) FILTER (WHERE status = 'failed'),
       (SELECT COUNT(*) FROM approvals_notice WHERE spread_at IS NULL AND {_WHOSE}),
       {_SINCE.format("MIN(next_at) FILTER (WHERE status IN ('pending', 'failed') AND next_at <= clock_timestamp())")}
FROM approvals_delivery WHERE status IN ('pending', 'failed') AND {_WHOSE}
"""  # noqa: S608
_SLOW = f"""
SELECT (SELECT COUNT(*) FROM runs_run r WHERE r.status = 'waiting' AND r.wake_at IS NULL AND {_WHOSE} AND NOT EXISTS (
            SELECT 1 FROM approvals_approvalrequest q WHERE q.tenant_id = r.tenant_id AND q.run_id = r.id
            AND q.status = 'pending')),
       (SELECT COUNT(*) FROM approvals_delivery WHERE status = 'dead' AND {_WHOSE}
            AND ended_at > clock_timestamp() - interval '24 hours')
"""  # noqa: S608
