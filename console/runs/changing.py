"""One conditional UPDATE of one run: what every transition in ``actions`` is made of, and the SQL that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from console import prepared
from console.runs import wakeups
from console.runs.models import ROWS, Run
from console.runs.totals import Totals

STOP_WAITING = (
    "waiting_s = waiting_s + GREATEST(0, COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - waiting_since), 0)),"
    " waiting_since = NULL"
)
_WORKED = "GREATEST(0, COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - leased_at), 0))"
# Without a step under its token a turn got nowhere: an intent that was only begun anew is none, or a tool that kills its
# process would be called again for ever.
GOT_SOMEWHERE = """EXISTS (SELECT 1 FROM runs_step s WHERE s.run_id = runs_run.id AND s.token = runs_run.token
                           AND NOT (s.status = 'intent' AND s.attempts <> '[]'))"""
_STILL_LOST = f"CASE WHEN lost_leases = 0 OR {GOT_SOMEWHERE} THEN 0 ELSE lost_leases END"
LET_GO = f"active_s = active_s + {_WORKED}, leased_at = NULL, lease_until = NULL, lease_owner = '', lost_leases = 0"
PARK = LET_GO.replace("lost_leases = 0", f"lost_leases = {_STILL_LOST}")
_TOTALS = (
    ", input_tokens = %s, output_tokens = %s, cost = %s, unpriced_steps = %s, model_s = %s, tool_s = %s,"
    " resume_s = resume_s + %s"
)


def update(
    assignments: str, where: str, values: list[Any], totals: Totals | None = None, token_step: int = 0
) -> list[Run]:
    """One conditional UPDATE of one run; the row as it is afterwards, or nothing when the condition did not hold.

    The row has its ``queue``, too.
    """
    split = assignments.count("%s")
    parameters = values[:split]
    if totals is not None:
        assignments += _TOTALS
        parameters += [
            totals.input_tokens,
            totals.output_tokens,
            totals.cost,
            totals.unpriced_steps,
            totals.model_s,
            totals.tool_s,
            totals.resumed_s,
        ]
        if totals.worked_s is not None:  # its own count: the database's clock may have been set meanwhile
            before, found, after = assignments.partition(_WORKED)
            if found:
                assignments = f"{before}%s::float8{after}"
                parameters.insert(before.count("%s"), totals.worked_s)
    if token_step:
        assignments += ", token = token + 1"
    sql = f"UPDATE runs_run SET {assignments} WHERE {where} RETURNING {ROWS.columns}, {wakeups.QUEUE}"  # noqa: S608  # literals
    with prepared.cursor() as cursor:
        cursor.execute(sql, [*parameters, *values[split:]])
        return [_with_queue(row) for row in cursor.fetchall()]


def _with_queue(row: Sequence[Any]) -> Run:
    run: Any = ROWS.of(row)
    run.queue = row[ROWS.width]
    found: Run = run
    return found
