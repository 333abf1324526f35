"""What time does: lost wake-ups, expired leases, runs and approvals that are due. Asked every second, by every worker."""

from __future__ import annotations

import logging
import random
import time
from datetime import datetime, timedelta

import redis
from django.db import connection

from approvals import actions as approvals
from approvals import canary
from approvals.probes import planting
from console import queues, tracing
from console.durable import SCHEMA_VERSION
from console.runs import actions, feed, smoke, wakeups
from console.runs.changing import GOT_SOMEWHERE
from console.tenants.scopes import system_scope
from console.workflows import contracts, waivers
from console.workflows.reasons import StopReason

log = logging.getLogger(__name__)

SWEPT = "sayso:swept"  # the Redis key that says when somebody last did all of it
LIMIT = 200  # rows of each kind in one sweep
FORGOTTEN = timedelta(seconds=2)  # a ready run that nobody has claimed for so long has lost its wake-up
MINUTE = 60.0  # seconds
LOSSES = 3  # leases lost in a row without a step
JUMP = 2.0  # seconds by which the database's clock may run ahead of ours, or behind, between two sweeps
HOLD = 4.0  # seconds for those who hold leases to renew them by a clock that has jumped: they do so every two

_told: dict[str, float] = {}  # when a full queue was last spoken of
_NEWER = " newer"  # no name of a queue
_clock: tuple[datetime, float] | None = None  # what the database's clock and our steady one said in the last sweep
_chance = random.SystemRandom()  # when a probe is planted can be foreseen by nobody
_held: float = 0.0  # until when, by our steady one, nobody's lease counts as expired
_next: float | None = None  # when, by our steady one, the first of all leases runs out


def sweep() -> int:
    """Do all of it once; returns how many runs and requests were touched. Call outside any scope."""
    _tell_newer()
    first = lost_wake_ups() + expired_leases() + due_runs() + approvals.expire_due() + approvals.lapse()
    moved = first + canary.look() + smoke.look() + waivers.expire() + contracts.catch_up()
    moved += planting.plant_due(_chance)
    _tell()
    return moved


def _tell() -> None:
    """For the doctor: a sweep that fails half way is none."""
    try:
        feed.redis_client().set(SWEPT, repr(time.time()), ex=3600)
    except (redis.RedisError, OSError) as error:
        log.debug("nobody could be told of a sweep: %s", error)


def lost_wake_ups() -> int:
    """Send the wake-up of every ready run again that nobody has claimed; harmless where it was only late.

    As many of each queue, so that one without a worker holds up no other; and none where they pile up already.
    """
    with system_scope("sweeping: lost wake-ups"), connection.cursor() as cursor:
        cursor.execute(_FORGOTTEN, [SCHEMA_VERSION, FORGOTTEN, FORGOTTEN, LIMIT])
        found = cursor.fetchall()
    full = {queue for queue in {queue for _, _, queue, _ in found} if _full(queue)}
    for run_id, resume, queue, kept in found:
        with tracing.about(run_id, kept):
            if queue not in full and not wakeups.send(run_id, resume=resume, queue=queue):
                break  # no broker: the next sweep is due soon enough
    return len(found)


def expired_leases() -> int:
    """Make runs ready whose worker is gone; after three losses in a row without a step they end as worker_lost.

    When the database's clock was set forward, every lease looks expired until it has been renewed, two seconds
    later: taken then, hundreds of calls under way would be in doubt for nothing.
    """
    global _next
    with system_scope("sweeping: expired leases"), connection.cursor() as cursor:
        cursor.execute(_NOW)
        now, first = cursor.fetchone()
        steady = time.monotonic()
        _next = None if first is None or first <= now else steady + (first - now).total_seconds()
        if _jumped(now, steady):
            return 0
        cursor.execute(_EXPIRED, [LIMIT])
        found = cursor.fetchall()
    for run_id, token, losses in found:
        with system_scope("sweeping: an expired lease"):
            if losses >= LOSSES:
                ended = approvals.finish_run(
                    run_id,
                    token,
                    StopReason.WORKER_LOST.about.status,
                    StopReason.WORKER_LOST,
                    f"{losses} workers in a row stopped without recording a step.",
                )
                log.error("run %s ends as worker_lost", run_id) if ended else None
            elif actions.lose(run_id, token, losses):
                log.warning("run %s: its worker is gone (%d in a row)", run_id, losses)
    return len(found)


def next_loss() -> float | None:
    """Seconds until the first lease runs out that nobody renews, as the last look at them saw it; None without any.

    Living workers renew every two seconds, so this is less than a second only where one is gone: looked at then, its runs go
    on at once, and nobody has to ask more often.
    """
    return None if _next is None else max(0.0, _next - time.monotonic())


def due_runs() -> int:
    """Make waiting runs ready whose time has come: a call that was interrupted has timed out by now."""
    with system_scope("sweeping: runs that are due"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM runs_run WHERE wake_at <= clock_timestamp() AND status = 'waiting' ORDER BY wake_at"
            " LIMIT %s",
            [LIMIT],
        )
        found = [row[0] for row in cursor.fetchall()]
    for run_id in found:
        with system_scope("sweeping: a run that is due"):
            actions.wake(run_id)
    return len(found)


def _jumped(now: datetime, steady: float) -> bool:
    """Whether the database's clock was set, forward or back, less than HOLD seconds ago."""
    global _clock, _held
    before, _clock = _clock, (now, steady)
    if before is not None:
        ahead = (now - before[0]).total_seconds() - (steady - before[1])
        if abs(ahead) > JUMP:
            _held = steady + HOLD
            log.warning("the database's clock was set by %+.1f s; leases are looked at again in %g s", ahead, HOLD)
    return steady < _held


def _tell_newer() -> None:
    """Say once a minute how many runs wait for a worker of a newer version: their journals are not ours to go on with."""
    if time.monotonic() - _told.get(_NEWER, -MINUTE) < MINUTE:
        return
    _told[_NEWER] = time.monotonic()
    with system_scope("sweeping: journals of a newer version"):
        held = actions.too_new()
    if held:
        log.warning(
            "%d runs wait for a newer worker: their journals have a later version than the %d that this one knows",
            held,
            SCHEMA_VERSION,
        )


def _full(queue: str) -> bool:
    """Whether a queue holds so many messages that more of them would help nobody. Said once a minute."""
    held = wakeups.waiting(queue)
    if held < LIMIT:
        return False
    if time.monotonic() - _told.get(queue, -MINUTE) >= MINUTE:
        _told[queue] = time.monotonic()
        log.warning("%d messages wait in the queue %r: is there a worker for it?", held, queue or queues.DEFAULT)
    return True


_FORGOTTEN = f"""
SELECT id, begun, queue, trace_context FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY queue ORDER BY ready_at) AS place FROM (
        SELECT id, started_at IS NOT NULL AS begun, {wakeups.QUEUE} AS queue, ready_at, trace_context
        FROM runs_run WHERE status = 'queued' AND journal_version <= %s
          AND NOT ready_at BETWEEN clock_timestamp() - %s AND clock_timestamp() + %s
    ) AS forgotten
) AS placed WHERE place <= %s ORDER BY ready_at
"""  # noqa: S608  # a text of ours

_NOW = "SELECT clock_timestamp(), (SELECT MIN(lease_until) FROM runs_run WHERE status = 'running')"

# Ready since a time to come is nobody: that clock was ahead, or the database's has been set back since. So it is with a
# lease that ends later than a lease can.
# A turn that got somewhere makes this the first loss in a row.
_EXPIRED = f"""
SELECT id, token, CASE WHEN {GOT_SOMEWHERE} THEN 1 ELSE lost_leases + 1 END
FROM runs_run WHERE status = 'running'
    AND NOT lease_until BETWEEN clock_timestamp() AND clock_timestamp() + {2 * actions.LEASE_S} * interval '1 second'
ORDER BY lease_until LIMIT %s
"""  # noqa: S608  # a number of ours
