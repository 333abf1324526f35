"""Takes back what runs have contributed: before their rows are deleted, as nobody could tell afterwards what it was."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from console.tenants.scopes import system_scope
from telemetry import cells, facts, kept, reading, storing
from telemetry.cells import Sums

AT_ONCE = 500  # runs
STEPS = 1000  # of one run, in a statement


def forget(runs: Sequence[str]) -> None:
    """Take these runs out of every figure. Their rows must go before the lock does, or they are projected again: call in
    ``kept.held()``, outside any scope."""
    for start in range(0, len(runs), AT_ONCE):
        with system_scope("taking runs out of the figures"):
            _forget(runs[start : start + AT_ONCE])


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
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM telemetry_runfact WHERE run_id = ANY(%s::uuid[])", [list(rows)])
