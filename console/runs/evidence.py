"""What was heard of a call too late to be recorded: kept beside its step, and shown to whoever must say what happened.

A worker that has lost its run (somebody ended it, or another has it) may still hear from the other side. One outcome a
step is kept: the first that says anything certain about the latest try.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from console.durable.steps import Step
from console.tenants import crypto

Json = Any
DONE, FAILED, UNKNOWN = "done", "failed", "in_doubt"
LIMIT = 1024 * 1024  # characters, as of any other payload


@dataclass(frozen=True, slots=True)
class Heard:
    """A late outcome. ``status`` is done, failed, or in_doubt where even then no answer came; ``began`` and ``at`` are
    the beginning of the try and its end."""

    status: str
    began: datetime | None
    at: datetime | None
    worker: str
    result: Json
    error: Json
    run_id: UUID

    @property
    def words(self) -> str:
        """What went wrong, in one line; empty where nothing did."""
        error = self.error if isinstance(self.error, dict) else {}
        return f"{error.get('type', 'Error')}: {error.get('message', '')}" if error else ""


def seal(tenant_id: UUID, step: Step, worker: str) -> bytes:
    """A late outcome as it is stored. What is too long to keep is cut, as the rest says enough."""
    told = {
        "result": step.result,
        "error": step.error,
        "status": str(step.status),
        "began": step.started_at.isoformat(),
        "at": step.ended_at.isoformat() if step.ended_at else None,
        "worker": worker,
    }
    text = json.dumps(told, default=str)
    if len(text) > LIMIT:
        told["result"] = json.dumps(step.result, default=str)[: LIMIT // 2]
        text = json.dumps(told, default=str)
    return crypto.seal(tenant_id, "step.evidence", text.encode("utf-8", "surrogatepass"))


def of_steps(run_id: UUID, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Heard]:
    """What was heard late of steps, by (scope, n): in their own run, or in those that it was kept from. The latest word
    that says anything certain. Call inside a scope; behind the wall another tenant's are not found."""
    wanted = list(dict.fromkeys(places))
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_HEARD, [run_id, [scope for scope, _ in wanted], [n for _, n in wanted]])
        found: dict[tuple[str, int], Heard] = {}
        for scope, n, of, tenant_id, sealed in cursor.fetchall():
            heard = _heard(tenant_id, of, sealed)
            known = found.get((scope, n))
            if known is None or (known.status == UNKNOWN and heard.status != UNKNOWN):
                found[scope, n] = heard
        return found


def waiting_for(run_id: UUID) -> list[UUID]:
    """A run, and those that went on from it (retries of retries, too): whom a late outcome in it may concern."""
    with connection.cursor() as cursor:
        cursor.execute(_AFTER, [run_id])
        return [row[0] for row in cursor.fetchall()]


def _heard(tenant_id: UUID, run_id: UUID, sealed: bytes) -> Heard:
    told = crypto.unseal_json(tenant_id, "step.evidence", bytes(sealed))
    return Heard(
        # Without a status it was written before there was one: an error was a failure then.
        status=told.get("status") or (FAILED if told.get("error") else DONE),
        began=_time(told.get("began")),
        at=_time(told.get("at")),
        worker=told.get("worker") or "",
        result=told.get("result"),
        error=told.get("error"),
        run_id=run_id,
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


GENERATIONS = 20  # runs that one may have been kept from, in a row, and still be asked about

# The nearest run first. A try that was begun anew since is another call: what is kept of the one before does not speak
# of it, unless the step came from there.
_HEARD = f"""
WITH RECURSIVE line AS (
    SELECT id, COALESCE(retry_of_id, fork_of_id) AS parent, 0 AS depth FROM runs_run WHERE id = %s
    UNION ALL
    SELECT r.id, COALESCE(r.retry_of_id, r.fork_of_id), line.depth + 1 FROM runs_run r JOIN line ON r.id = line.parent
    WHERE line.depth < {GENERATIONS}
), wanted AS (SELECT * FROM unnest(%s::text[], %s::int[]) AS w(scope, n)
), own AS (
    SELECT w.scope, w.n, s.started_at FROM wanted w
    JOIN line ON line.depth = 0 JOIN runs_step s ON s.run_id = line.id AND s.scope = w.scope AND s.n = w.n
)
SELECT s.scope, s.n, s.run_id, s.tenant_id, p.evidence
FROM own JOIN line ON true
JOIN runs_step s ON s.run_id = line.id AND s.scope = own.scope AND s.n = own.n
JOIN runs_steppayload p ON p.run_id = s.run_id AND p.seq = s.seq AND p.evidence IS NOT NULL
WHERE COALESCE(p.evidence_began, s.started_at) >= own.started_at
ORDER BY line.depth
"""  # noqa: S608  # a number of ours
_AFTER = f"""
WITH RECURSIVE line AS (
    SELECT id, 0 AS depth FROM runs_run WHERE id = %s
    UNION ALL
    SELECT r.id, line.depth + 1 FROM runs_run r JOIN line ON line.id IN (r.retry_of_id, r.fork_of_id)
    WHERE line.depth < {GENERATIONS}
)
SELECT id FROM line
"""  # noqa: S608
