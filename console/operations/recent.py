"""The last events of a tenant's runs, as the live feed would have shown them: what a page begins with, and all that it
has without JavaScript, or without Valkey. The feed's table knows topics and no tenants' order, so it is asked for the
last few events of the runs that moved lately."""

from __future__ import annotations

from collections import Counter
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
    whose = {f"run:{run_id}": RunFacts(str(tenant), str(slug), str(title)) for run_id, slug, title, *_ in rows}
    kept = [
        FeedEvent(
            topic=f"run:{run_id}", tenant_id=tenant, seq=seq, kind=kind, index=index, at=at, sealed=sealed, many=many
        )
        for run_id, _, _, seq, kind, index, at, sealed, many in rows
    ]
    last = Counter[str]()
    for event in sorted(told.events(kept), key=lambda each: (each.at, each.seq), reverse=True):
        last[event.topic] += 1
        if last[event.topic] <= EACH:
            said = Event(event.topic, 0, event.kind, event.at.isoformat(), event.payload)
            yield facts_of(said, whose[event.topic], 0)


_LAST = """
SELECT r.id, w.slug, r.title, e.seq, e.kind, e.index, e.at, e.sealed, e.many FROM (
    (SELECT id, workflow_id, title FROM runs_run WHERE tenant_id = %(tenant)s AND status = 'running'
     ORDER BY created_at DESC LIMIT %(runs)s)
    UNION
    (SELECT id, workflow_id, title FROM runs_run WHERE tenant_id = %(tenant)s ORDER BY created_at DESC, id DESC
     LIMIT %(runs)s)
) r JOIN workflows_workflow w ON w.id = r.workflow_id AND w.tenant_id = %(tenant)s
CROSS JOIN LATERAL (SELECT seq, kind, index, at, sealed, many FROM runs_feedevent
    WHERE topic = 'run:' || r.id AND tenant_id = %(tenant)s ORDER BY seq DESC LIMIT %(each)s) e
"""
