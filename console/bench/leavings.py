"""What benchmarks leave: runs, requests and all that they have contributed to figures; and how it goes again.

A benchmark takes away what it has made. What one that was killed has left goes when the next one begins, and when the instance
starts. It is told by its tenant, in which no person ever was an admin (see ``mine``), and by nobody's holding its lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from approvals.models import ApprovalRequest
from console.runs import actions, feed
from console.runs.models import FeedEvent, FeedTopic, Run, RunStatus
from console.runs.writer import connect
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Membership, Role, Tenant
from console.tenants.scopes import system_scope, tenant_scope
from telemetry import forgetting
from telemetry.kept import held

SLUG, NAME = "bench", "Benchmarks"
AT_ONCE = 200  # runs
REQUESTS = 2000
STARTING = 20.0  # seconds for which a start may be held up; the next one goes on
_LOCK = 0x5A7BE4C  # of this database: one benchmark at a time


def mine() -> Tenant | None:
    """The benchmarks' tenant; None before the first of them. Raises RuntimeError where people have one of that name.

    A membership is ended, never deleted, and every tenant that a person makes begins with an admin.
    """
    with system_scope("bench"):
        tenant = Tenant.objects.filter(slug=SLUG).first()
        if tenant is not None and Membership.objects.filter(tenant=tenant).exclude(role=Role.REVIEWER).exists():
            raise RuntimeError(
                f"the tenant {SLUG!r} has people who work in it: benchmarks need that short name for themselves"
            )
        return tenant


@contextmanager
def alone() -> Iterator[bool]:
    """Be the only benchmark of this database meanwhile, whatever becomes of this process. False: there is another one."""
    with connect() as own:  # nothing that the benchmark does closes it
        row = own.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        yield bool(row and row[0])


def sweep(seconds: float = STARTING) -> int:
    """Take away what killed benchmarks have left, unless one is at work; how many runs that were. Call outside any scope."""
    try:
        tenant = mine()
    except RuntimeError:
        return 0  # somebody's own
    if tenant is None:
        return 0
    with alone() as free:
        return clear(tenant, seconds) if free else 0


def clear(tenant: Tenant, seconds: float | None = None) -> int:
    """Take away every run of the tenant, or what can be in so much time; how many. Call while ``alone``."""
    actor = access.system_actor(tenant, SLUG)
    until = None if seconds is None else time.monotonic() + seconds
    gone = 0
    while until is None or time.monotonic() < until:
        with tenant_scope(tenant):
            found = list(access.all(Run, actor).order_by("id").values_list("pk", flat=True)[:AT_ONCE])
        if not found:
            break
        forget(actor, found)
        gone += len(found)
    return gone


def forget(actor: Actor, runs: Sequence[UUID]) -> None:
    """End what still goes on, take it out of every figure, and delete the runs with all that belongs to them."""
    for start in range(0, len(runs), AT_ONCE):
        _forget(actor, list(runs[start : start + AT_ONCE]))


def _forget(actor: Actor, ids: list[UUID]) -> None:
    with tenant_scope(actor.tenant):
        # Nobody holds a run that waits, and there may be a hundred thousand.
        for run in access.all(Run, actor).filter(pk__in=ids, status__in=(RunStatus.QUEUED, RunStatus.RUNNING)):
            actions.finish(run, None, RunStatus.CANCELLED, "cancelled", "the benchmark is over")
    with held():
        forgetting.forget([str(each) for each in ids])
        while True:
            with tenant_scope(actor.tenant):
                mine = access.all(ApprovalRequest, actor)
                some = list(mine.filter(run__in=ids).values_list("pk", flat=True)[:REQUESTS])
                mine.filter(pk__in=some).delete()
            if len(some) < REQUESTS:
                break
        with tenant_scope(actor.tenant):
            topics = [feed.run_topic(each) for each in ids]
            access.all(FeedEvent, actor).filter(topic__in=topics).delete()
            access.all(FeedTopic, actor).filter(name__in=topics).delete()
            access.all(Run, actor).filter(pk__in=ids).delete()
