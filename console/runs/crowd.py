"""How many runs of a tenant wait for a worker, once that is worth saying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Min, Q
from django.utils import timezone

from console.runs import wakeups
from console.runs.models import Run, RunStatus
from console.tenants import access
from console.tenants.access import Actor

PATIENCE = timedelta(seconds=20)  # a queue that is no older is nobody's business
_QUEUED = Q(status=RunStatus.QUEUED)
FIGURES = {"queued": Count("id", filter=_QUEUED), "queued_since": Min("ready_at", filter=_QUEUED)}


@dataclass(frozen=True, slots=True)
class Crowd:
    """``queue`` is the one in which a run waits longest; blank for the default."""

    many: int
    since: datetime
    queue: str


def of(actor: Actor, figures: Mapping[str, Any] | None = None) -> Crowd | None:
    """What waits for a worker in the actor's tenant; None unless some of it has waited for long. Call in its scope.

    ``figures`` are FIGURES, where the caller has counted them with others.
    """
    found = access.all(Run, actor).filter(_QUEUED).aggregate(**FIGURES) if figures is None else figures
    since = found["queued_since"]
    if since is None or timezone.now() - since < PATIENCE:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, [actor.tenant.id])
        row = cursor.fetchone()
    return Crowd(found["queued"], since, row[0] if row else "")


_OLDEST = f"""
SELECT {wakeups.QUEUE} FROM runs_run WHERE tenant_id = %s AND status = 'queued' ORDER BY ready_at LIMIT 1
"""  # noqa: S608  # a text of ours
