"""Wake-ups: a broker message says "look at this run". It is a hint; the sweeper finds every run whose hint was lost.

It goes to the queue that the run's workflow names now, or else its tenant; see console.queues. Naming another one moves
what is still to be done: nothing about it is kept with a run.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

import redis
from django.db import transaction

from console import queues, tracing
from console.celery import app
from console.durable.failpoints import hit
from console.runs import feed
from console.tenants.models import Tenant
from console.workflows.models import Workflow

if TYPE_CHECKING:
    from console.runs.models import Run

log = logging.getLogger(__name__)

ADVANCE = "console.worker.advance_run"

# The queue of a run as a column, so that whoever has changed a run knows it without asking again.
QUEUE = """(SELECT COALESCE(NULLIF(w.queue, ''), t.queue) FROM workflows_workflow w
    JOIN tenants_tenant t ON t.id = w.tenant_id WHERE w.id = runs_run.workflow_id)"""


def queue_of(tenant: Tenant, workflow: Workflow) -> str:
    """The same of what is at hand; blank for the default queue."""
    return workflow.queue or tenant.queue


def send(run_id: UUID | str, *, resume: bool, queue: str = "") -> bool:
    """Ask some worker to advance this run; False when the broker could not be told (logged, not raised).

    ``resume`` says that the run has begun: workers admit those ahead of new starts.
    """
    try:
        app.send_task(
            ADVANCE,
            args=[str(run_id)],
            kwargs={"resume": resume},
            queue=queue or queues.DEFAULT,
            headers=tracing.message() or None,
            retry=False,
            ignore_result=True,
        )
    except Exception as error:  # whatever the transport raises: the run is ready in the database all the same
        log.warning("no wake-up could be sent for run %s (%s); the sweeper will find it", run_id, error)
        return False
    return True


def send_on_commit(run: Run, *, resume: bool, queue: str = "") -> None:
    """The same once the caller's transaction has committed."""

    def tell() -> None:
        hit("before_wake_up")
        with tracing.about(run.id, run.trace_context):
            send(run.id, resume=resume, queue=queue)

    transaction.on_commit(tell, robust=True)


def waiting(queue: str) -> int:
    """How many messages are in a queue that no worker has taken yet; 0 where Redis cannot be asked."""
    try:
        return int(feed.redis_client().llen(queue or queues.DEFAULT))
    except (redis.RedisError, OSError):
        return 0
