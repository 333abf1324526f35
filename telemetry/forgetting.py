"""Takes back what runs have contributed: before their rows are deleted, as nobody could tell afterwards what it was."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from console.tenants.scopes import system_scope
from telemetry import cells, decider_days, facts, kept, reading, storing
from telemetry.cells import Sums
from telemetry.figures import APPROVALS

AT_ONCE = 500  # runs
STEPS = 1000  # of one run, in a statement
REQUESTS = 2000


def forget(runs: Sequence[str]) -> None:
    """Take these runs and their requests out of every figure. Their rows must go before the lock does, or they are projected
    again: call in ``kept.held()``, outside any scope."""
    for start in range(0, len(runs), AT_ONCE):
        some = runs[start : start + AT_ONCE]
        while True:
            with system_scope("taking requests out of the figures"):
                if not _forget_requests(some):
                    break
        with system_scope("taking runs out of the figures"):
            _forget(some)


def _forget_requests(runs: Sequence[str]) -> int:
    """Take some of these runs' requests out; how many."""
    found = {
        request: (tenant, workflow) for request, tenant, workflow in reading.ask(_REQUESTS, [list(runs), REQUESTS])
    }
    sums, known = Sums(), kept.facts(kept.REQUESTS, list(found))
    for request, (tenant, workflow) in found.items():
        sums.replace(APPROVALS, tenant, workflow, known[request].said, [])
    storing.add(sums.rows())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM telemetry_requestfact WHERE request_id = ANY(%s::uuid[])", [list(found)])
    return len(found)


def _forget(ids: Sequence[str]) -> None:
    sums = Sums()
    known = kept.facts(kept.RUNS, ids)
    rows = {row.id: row for row in reading.runs(ids) if row.id in known}
    for row in rows.values():
        cells.of_run(sums, row.tenant, row.workflow, known[row.id].said, [])
    last = dict.fromkeys(rows, 0)
    while last:
        found = reading.steps(last.items(), STEPS)
        last = {}
        for step in found:
            row, fact = rows[step.run], known[step.run]
            if step.settled <= fact.seen:
                part = facts.of_step(step, row.made, row.dims, fact.clock(float("inf")))
                cells.of_step(sums, row.tenant, row.workflow, part, -1)
                last[step.run] = step.settled
    storing.add(sums.rows())
    decider_days.forget(ids)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM telemetry_runfact WHERE run_id = ANY(%s::uuid[])", [list(rows)])


_REQUESTS = """
SELECT q.id::text, q.tenant_id::text, q.workflow_id::text
FROM approvals_approvalrequest q JOIN telemetry_requestfact f ON f.request_id = q.id WHERE q.run_id = ANY(%s::uuid[]) LIMIT %s
"""
