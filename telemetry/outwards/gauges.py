"""What Postgres and Valkey say about the installation at this moment: a fixed number of statements, each by an index.

Counters come from Postgres, so they are the installation's and not a process's: which run ended is counted once into
``outwards_ended``, and what ended since the last count is added to that. Whole days that nobody has counted (before the first
scrape, or while nobody scraped) are taken from the rollups, but for the last one, as those may be behind: so no scrape looks
at more runs than those of three days.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection

from console import queues
from console.health import HEARTBEATS
from console.once import once
from console.runs import wakeups
from console.sweeper import SWEPT
from console.tenants.scopes import system_scope
from telemetry.models import ALL, PLATFORM
from telemetry.models import DAY as DAYS

log = logging.getLogger(__name__)

FRESH = 5.0  # seconds for which an answer is given again
LATE = 60  # seconds after which every transaction that ended a run is there to be seen
TIMEOUT_MS = 5000  # of a statement
OTHER = "other"  # the tenants beyond the cap, and queues
MOST_QUEUES = 50
DAY, SMALLEST = timedelta(days=1), timedelta(microseconds=1)


@dataclass(slots=True)
class Figures:
    """By store; what a store that is away would have said is left out. Ages are seconds."""

    up: dict[str, bool] = field(default_factory=dict)
    runs: dict[tuple[str, str], int] = field(default_factory=dict)  # (tenant, status)
    ended: dict[tuple[str, str, str], int] = field(default_factory=dict)  # (tenant, status, stop reason)
    pending: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)  # (tenant, kind): many, oldest
    queues: dict[str, tuple[int, float]] = field(default_factory=dict)  # many, oldest
    leases: dict[str, int] = field(default_factory=dict)  # held, expired
    untold: float | None = None  # how far a collector is behind
    workers: int | None = None
    swept: float | None = None


def measure(tenants: int) -> Figures:
    """Ask both stores. ``tenants``: how many are named, those with the most runs. Never raises what a store raises."""
    found = Figures()
    found.up["postgres"] = _asked("postgres", lambda: _postgres(found, tenants), DatabaseError)
    found.up["valkey"] = _asked("valkey", lambda: _valkey(found), redis.RedisError)
    return found


def _asked(store: str, ask: Callable[[], None], away: type[Exception]) -> bool:
    try:
        ask()
    except (away, OSError) as error:
        log.warning("no figures from %s: %s", store, type(error).__name__)
        return False
    return True


def _postgres(found: Figures, tenants: int) -> None:
    with system_scope("figures for a monitor"):
        _rows("SELECT set_config('statement_timeout', %s, true)", [f"{TIMEOUT_MS}ms"])
        _count_ended()
        open_, ended, pending = _rows(_OPEN), _rows(_ENDED), _rows(_PENDING)
        queued = _rows(_QUEUES)
        [(held, expired, untold)] = _rows(_LEASES)
    names = _names([*open_, *ended, *pending], tenants)
    for tenant, status, many in open_:
        _add(found.runs, (names[tenant], status), many)
    for tenant, status, reason, many in ended:
        _add(found.ended, (names[tenant], status, reason), many)
    for tenant, kind, many, oldest in pending:
        before = found.pending.get((names[tenant], kind), (0, 0.0))
        found.pending[names[tenant], kind] = (before[0] + many, max(before[1], oldest))
    for place, (queue, many, oldest) in enumerate(queued):
        name = (queue or queues.DEFAULT) if place < MOST_QUEUES else OTHER
        before = found.queues.get(name, (0, 0.0))
        found.queues[name] = (before[0] + many, max(before[1], oldest))
    found.queues.setdefault(queues.DEFAULT, (0, 0.0))
    found.leases = {"held": held, "expired": expired}
    found.untold = untold


def _add(sums: dict[Any, int], key: Any, many: int) -> None:
    sums[key] = sums.get(key, 0) + many


def _names(rows: list[tuple[Any, ...]], cap: int) -> dict[str, str]:
    """What each tenant is called: its slug, or OTHER where there are more than ``cap``."""
    sums: dict[str, int] = {}
    for row in rows:
        _add(sums, row[0], next(each for each in row[1:] if isinstance(each, int)))
    named = sorted(sums, key=lambda slug: (-sums[slug], slug))[:cap]
    return {slug: slug if slug in named else OTHER for slug in sums}


def _rows(sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def _count_ended() -> None:
    """Move the position of the counter; one process does, and the others wait for it: without it they would count as much."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO outwards_position (name, at, token, leased_until) VALUES ('ended', 'epoch', 0, 'epoch')"
            " ON CONFLICT (name) DO NOTHING"
        )
        cursor.execute(
            "SELECT at, clock_timestamp() - make_interval(secs => %s) FROM outwards_position"
            " WHERE name = 'ended' AND at < clock_timestamp() - make_interval(secs => %s) FOR UPDATE",
            [LATE, 2 * LATE],
        )
        row = cursor.fetchone()
        if row is not None:
            since, until = row
            first, last = _midnight(since + DAY - SMALLEST), _midnight(until - DAY)
            if first < last:
                cursor.execute(_COUNT_DAYS, [first, last])
                cursor.execute(_COUNT, [since, first - SMALLEST])
                since = last - SMALLEST
            cursor.execute(_COUNT, [since, until])
            cursor.execute("UPDATE outwards_position SET at = %s WHERE name = 'ended'", [row[1]])


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


# Days by the rows that the insights have: without smoke tests and probes, and those are few.
_COUNT_DAYS = f"""
    INSERT INTO outwards_ended AS e (tenant_id, status, stop_reason, many)
    SELECT r.tenant_id, each.status, r.part, SUM(each.many)::bigint
    FROM telemetry_runrollup r,
        LATERAL (VALUES ('completed', r.completed), ('failed', r.failed), ('cancelled', r.cancelled)) AS each(status, many)
    WHERE r.tenant_id <> '{PLATFORM}' AND r.grain = '{DAYS}' AND r.cut = 'all' AND r.workflow_id = '{ALL}' AND r.part <> ''
      AND r.at >= %s AND r.at < %s AND each.many > 0
    GROUP BY r.tenant_id, each.status, r.part
    ON CONFLICT (tenant_id, status, stop_reason) DO UPDATE SET many = e.many + EXCLUDED.many
"""  # noqa: S608  # names of ours
_COUNT = """
    INSERT INTO outwards_ended AS e (tenant_id, status, stop_reason, many)
    SELECT tenant_id, status, stop_reason, COUNT(*) FROM runs_run WHERE ended_at > %s AND ended_at <= %s
    GROUP BY tenant_id, status, stop_reason
    ON CONFLICT (tenant_id, status, stop_reason) DO UPDATE SET many = e.many + EXCLUDED.many
"""
_ENDED = """
    SELECT t.slug, e.status, e.stop_reason, SUM(e.many)::bigint FROM (
        SELECT tenant_id, status, stop_reason, many FROM outwards_ended
        UNION ALL
        SELECT tenant_id, status, stop_reason, COUNT(*) FROM runs_run
        WHERE ended_at > (SELECT at FROM outwards_position WHERE name = 'ended') GROUP BY tenant_id, status, stop_reason
    ) AS e JOIN tenants_tenant t ON t.id = e.tenant_id GROUP BY t.slug, e.status, e.stop_reason
"""
# Each of the three by a partial index of its own: runs that have ended are not looked at.
_OPEN = """
    SELECT t.slug, o.status, SUM(o.many)::bigint FROM (
        SELECT tenant_id, status, COUNT(*) AS many FROM runs_run WHERE status = 'queued' GROUP BY tenant_id, status
        UNION ALL
        SELECT tenant_id, status, COUNT(*) FROM runs_run WHERE status = 'running' GROUP BY tenant_id, status
        UNION ALL
        SELECT tenant_id, status, COUNT(*) FROM runs_run
        WHERE status = 'waiting' AND (waiting_since IS NOT NULL OR wake_at IS NOT NULL) GROUP BY tenant_id, status
    ) AS o JOIN tenants_tenant t ON t.id = o.tenant_id GROUP BY t.slug, o.status
"""
_PENDING = """
    SELECT t.slug, q.kind, COUNT(*), EXTRACT(EPOCH FROM GREATEST(clock_timestamp() - MIN(q.created_at), '0'))::float
    FROM approvals_approvalrequest q JOIN tenants_tenant t ON t.id = q.tenant_id
    WHERE q.status = 'pending' GROUP BY t.slug, q.kind
"""
_QUEUES = f"""
    SELECT queue, COUNT(*), EXTRACT(EPOCH FROM GREATEST(clock_timestamp() - MIN(ready_at), '0'))::float FROM (
        SELECT {wakeups.QUEUE} AS queue, ready_at FROM runs_run WHERE status = 'queued' AND ready_at IS NOT NULL
    ) AS ready GROUP BY queue ORDER BY COUNT(*) DESC, queue
"""  # noqa: S608  # a text of ours
_LEASES = """
    SELECT COUNT(*) FILTER (WHERE lease_until >= clock_timestamp()),
           COUNT(*) FILTER (WHERE lease_until < clock_timestamp()),
           (SELECT EXTRACT(EPOCH FROM GREATEST(clock_timestamp() - at, '0'))::float
            FROM outwards_position WHERE name = 'spans')
    FROM runs_run WHERE status = 'running'
"""


@once
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


def _valkey(found: Figures) -> None:
    client = _redis()
    client.ping()
    found.workers = sum(1 for _ in client.scan_iter(HEARTBEATS, count=500))
    told: Any = client.get(SWEPT)
    found.swept = max(0.0, time.time() - float(told)) if told else None
