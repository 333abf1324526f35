"""Wake-ups: a broker message says "look at this run". It is a hint; the sweeper finds every run whose hint was lost."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction

from console.celery import app

log = logging.getLogger(__name__)

ADVANCE = "console.worker.advance_run"


def send(run_id: UUID | str, *, resume: bool) -> bool:
    """Ask some worker to advance this run; False when the broker could not be told (logged, not raised).

    ``resume`` says that the run has begun: workers admit those ahead of new starts.
    """
    try:
        app.send_task(ADVANCE, args=[str(run_id)], kwargs={"resume": resume}, retry=False, ignore_result=True)
    except Exception as error:  # whatever the transport raises: the run is ready in the database all the same
        log.warning("no wake-up could be sent for run %s (%s); the sweeper will find it", run_id, error)
        return False
    return True


def send_on_commit(run_id: UUID | str, *, resume: bool) -> None:
    """The same once the caller's transaction has committed."""
    transaction.on_commit(lambda: send(run_id, resume=resume), robust=True)
