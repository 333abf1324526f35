"""The last events of a tenant's runs, as the live feed would have shown them: what a page begins with, and all that it
has without JavaScript, or without Valkey. The feed's table knows topics and no tenants' order, so it is asked for the
last few events of the runs that moved lately."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from console.live.facts import Facts, Filters, RunFacts, facts_of
from console.live.frames import Event
from console.runs import told
from console.runs.models import FeedEvent

RUNS, EACH, SHOWN = 60, 8, 60


def events(tenant: UUID, filters: Filters, title: Callable[[str], str]) -> list[Facts]:
    """At most SHOWN, the newest first, with each run's title as ``title`` shows it: what is blotted out is not found by it
    either. Call inside the tenant's scope."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST, {"tenant": tenant, "runs": RUNS, "each": EACH})
        rows = cursor.fetchall()
    title = cache(title)  # a run has many events
    shown = (replace(each, title=title(each.title)) for each in _facts(tenant, rows))
    return [each for each in shown if filters.let(each)][:SHOWN]


def _facts(tenant: UUID, rows: Sequence[tuple[Any, ...]]) -> Iterable[Facts]:
    kept = [
        FeedEvent(topic=f"run:{run_id}", tenant_id=tenant, kind=kind, index=index, at=at, sealed=sealed)
        for run_id, _, _, kind, index, at, sealed in rows
    ]
    for (_, slug, title, *_), row, payload in zip(rows, kept, told.payloads(kept), strict=True):
        event = Event(row.topic, 0, row.kind, row.at.isoformat(), payload)
        yield facts_of(event, RunFacts(str(tenant), str(slug), str(title)), 0)


_LAST = """
SELECT r.id, w.slug, r.title, e.kind, e.index, e.at, e.sealed FROM (
    (SELECT id, workflow_id, title FROM runs_run WHERE tenant_id = %(tenant)s AND status = 'running'
     ORDER BY created_at DESC LIMIT %(runs)s)
    UNION
    (SELECT id, workflow_id, title FROM runs_run WHERE tenant_id = %(tenant)s ORDER BY created_at DESC, id DESC
     LIMIT %(runs)s)
) r JOIN workflows_workflow w ON w.id = r.workflow_id AND w.tenant_id = %(tenant)s
CROSS JOIN LATERAL (SELECT kind, index, at, sealed FROM runs_feedevent
    WHERE topic = 'run:' || r.id AND tenant_id = %(tenant)s ORDER BY seq DESC LIMIT %(each)s) e
ORDER BY e.at DESC
"""
