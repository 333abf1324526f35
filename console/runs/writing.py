"""The statements of the journal's writer: one transaction for what many runs have waiting, in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from console.durable.errors import Fenced
from console.durable.steps import Step
from console.runs import feed, record
from console.tenants import crypto
from console.tenants.roles import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.runs.writer import Entry

Connection = psycopg.Connection[Any]


def write(connection: Connection, batch: Sequence[Entry]) -> None:
    """Write a batch, sorted by run, as one transaction in one round trip. A stale entry gets its ``error``; the others
    are written.

    Raises psycopg's errors when Postgres refuses a row, and ValueError for a payload that cannot be kept: then nothing
    was written.
    """
    appends = [entry for entry in batch if entry.what == "append"]
    events = [entry for entry in batch if entry.what == "event"]
    settles = [entry for entry in batch if entry.what == "settle"]
    late = [entry for entry in batch if entry.what == "late"]
    runs = list(dict.fromkeys(entry.run_id for entry in batch if entry.what != "late"))
    # All of it is encoded before anything is sent: what cannot be kept must not leave half a batch behind.
    statements: list[tuple[str, list[Any]]] = [(_ROLE, [SYSTEM]), (_LOCK, [runs])]
    statements += [(_APPEND, _appended(appends))] if appends else []
    statements += [(_SETTLE, _settled(settles))] if settles else []
    statements += [(_TELL, _told(events))] if events else []
    statements += [(_LATE, _evidence(entry)) for entry in late]
    try:
        with connection.pipeline(), psycopg.Transaction(connection):
            results = {sql: connection.execute(sql, parameters, prepare=True) for sql, parameters in statements}
    except psycopg.Error:
        if not connection.closed and connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            connection.rollback()
        raise
    _fence(batch, dict(results[_LOCK].fetchall()))
    if settles:
        found = set(results[_SETTLE].fetchall())
        for entry in settles:
            if entry.error is None and (entry.run_id, _step(entry).seq) not in found:
                entry.error = Fenced(f"run {entry.run_id}: step {_step(entry).seq} was settled by somebody else")
    if events:
        kept = sorted(
            (entry for entry in events if entry.error is None), key=lambda entry: feed.run_topic(entry.run_id)
        )
        for entry, (_, seq) in zip(kept, sorted(results[_TELL].fetchall()), strict=True):
            entry.seq = seq


def _fence(batch: Sequence[Entry], tokens: dict[UUID, int]) -> None:
    """Give an error to whatever came under another token than the one that the run's row was locked with."""
    for entry in batch:
        if entry.what != "late" and tokens.get(entry.run_id) != entry.token:
            entry.error = Fenced(f"run {entry.run_id}: token {entry.token} is stale")


def is_written(connection: Connection, entry: Entry) -> bool:
    """Whether an entry is in the database already: a connection may die after the commit and before we hear of it."""
    if entry.what not in ("append", "settle", "event"):
        return False
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('role', %s, true)", [SYSTEM])
        if entry.what == "event":
            if entry.kind != "message":
                return False
            cursor.execute(
                "SELECT seq FROM runs_feedevent WHERE topic = %s AND kind = 'message' AND index = %s",
                [feed.run_topic(entry.run_id), entry.index],
            )
            row = cursor.fetchone()
            entry.seq = row[0] if row else None
            return row is not None
        step = _step(entry)
        cursor.execute(
            "SELECT 1 FROM runs_step WHERE run_id = %s AND seq = %s AND scope = %s AND n = %s AND token = %s"
            " AND status = %s AND settled IS NOT DISTINCT FROM %s AND ended_at IS NOT DISTINCT FROM %s",
            [
                entry.run_id,
                step.seq,
                step.scope,
                step.n,
                entry.token,
                str(step.status),
                step.settled,
                step.ended_at,
            ],
        )
        return cursor.fetchone() is not None


def _step(entry: Entry) -> Step:
    if entry.step is None:
        raise TypeError(f"{entry.what} without a step")
    return entry.step


def _appended(entries: Sequence[Entry]) -> list[Any]:
    """Parameters of the new steps: facts, requests, results."""
    steps = [(entry, _step(entry)) for entry in entries]
    rows = [
        {
            "place": place,
            "run_id": str(e.run_id),
            "tenant_id": str(e.tenant_id),
            "seq": s.seq,
            "settled": s.settled,
            "scope": s.scope,
            "n": s.n,
            "kind": s.kind,
            "status": s.status,
            "safety": s.safety,
            "name": s.name[:200],
            "agent": s.agent[:200],
            "digest": s.digest,
            "key": s.key[:200],
            "verdict": s.verdict,
            "attempts": s.attempts,
            "usage": s.usage,
            "cost": s.cost,
            "inherited": s.inherited,
            "started_at": s.started_at.isoformat(),
            "ended_at": s.ended_at.isoformat() if s.ended_at else None,
            "token": e.token,
        }
        for place, (e, s) in enumerate(steps, 1)
    ]
    requests = [record.seal_request(e.tenant_id, s) for e, s in steps]
    results = [record.seal_outcome(e.tenant_id, s) for e, s in steps]
    return [record.facts(rows), requests, results]


def _settled(entries: Sequence[Entry]) -> list[Any]:
    """Parameters of the ends of steps: facts, results."""
    steps = [(entry, _step(entry)) for entry in entries]
    rows = [
        {
            "place": place,
            "run_id": str(e.run_id),
            "seq": s.seq,
            "settled": s.settled,
            "status": s.status,
            "attempts": s.attempts,
            "usage": s.usage,
            "cost": s.cost,
            "started_at": s.started_at.isoformat(),
            "ended_at": s.ended_at.isoformat() if s.ended_at else None,
            "token": e.token,
            "verdict": s.verdict,
        }
        for place, (e, s) in enumerate(steps, 1)
    ]
    results = [record.seal_outcome(e.tenant_id, s) for e, s in steps]
    return [record.facts(rows), results]


def _evidence(entry: Entry) -> list[Any]:
    step = _step(entry)
    return [record.seal_outcome(entry.tenant_id, step, "step.evidence"), entry.run_id, step.seq]


def _told(entries: Sequence[Entry]) -> list[Any]:
    """Parameters of the new events: facts, payloads."""
    rows = [
        {
            "place": place,
            "run_id": str(e.run_id),
            "token": e.token,
            "tenant_id": str(e.tenant_id),
            "kind": e.kind,
            "index": e.index,
            "at": e.at.isoformat() if e.at else None,
        }
        for place, e in enumerate(entries, 1)
    ]
    sealed = [crypto.seal(e.tenant_id, "feed", e.text.encode()) for e in entries]
    return [record.facts(rows), sealed]


_ROLE = "SELECT set_config('role', %s, true)"

# Holds the runs that are still being advanced until the end of the transaction. The statements behind it see them as
# they are once the lock is there, and write for no run under another token than its row's.
_LOCK = "SELECT id, token FROM runs_run WHERE id = ANY(%s::uuid[]) AND status = 'running' ORDER BY id FOR SHARE"

# Facts travel as one JSON text, which is far cheaper to write than an array a column; sealed bytes as binary arrays.
_APPEND = """
WITH new AS (
    SELECT n.*, p.request, p.result
    FROM json_to_recordset(%s::json) AS n(place bigint, run_id uuid, tenant_id uuid, seq int, settled int, scope text,
        n int, kind text, status text, safety text, name text, agent text, digest text, key text, verdict jsonb,
        attempts jsonb, usage jsonb, cost numeric, inherited bool, started_at timestamptz, ended_at timestamptz,
        token bigint)
    JOIN unnest(%b::bytea[], %b::bytea[]) WITH ORDINALITY AS p(request, result, place) USING (place)
    JOIN runs_run r ON r.id = n.run_id AND r.token = n.token AND r.status = 'running'
), facts AS (
    INSERT INTO runs_step (run_id, tenant_id, seq, settled, scope, n, kind, status, safety, name, agent, digest, key,
                           verdict, attempts, usage, cost, inherited, started_at, ended_at, token)
    SELECT run_id, tenant_id, seq, settled, scope, n, kind, status, safety, name, agent, digest, key, verdict,
           attempts, usage, cost, inherited, started_at, ended_at, token
    FROM new
)
INSERT INTO runs_steppayload (run_id, tenant_id, seq, request, result)
SELECT run_id, tenant_id, seq, request, result FROM new
"""

_SETTLE = """
WITH new AS (
    SELECT n.*, p.result
    FROM json_to_recordset(%s::json) AS n(place bigint, run_id uuid, seq int, settled int, status text, attempts jsonb,
        usage jsonb, cost numeric, started_at timestamptz, ended_at timestamptz, token bigint, verdict jsonb)
    JOIN unnest(%b::bytea[]) WITH ORDINALITY AS p(result, place) USING (place)
    JOIN runs_run r ON r.id = n.run_id AND r.token = n.token AND r.status = 'running'
), facts AS (
    UPDATE runs_step s SET settled = new.settled, status = new.status, attempts = new.attempts,
        usage = new.usage, cost = new.cost, started_at = new.started_at, ended_at = new.ended_at,
        token = new.token, verdict = new.verdict
    FROM new WHERE s.run_id = new.run_id AND s.seq = new.seq AND s.settled IS NULL
    RETURNING s.run_id, s.seq
), said AS (
    UPDATE runs_steppayload p SET result = new.result
    FROM new JOIN facts USING (run_id, seq) WHERE p.run_id = new.run_id AND p.seq = new.seq AND new.result IS NOT NULL
)
SELECT run_id, seq FROM facts
"""

_LATE = "UPDATE runs_steppayload SET evidence = %s WHERE run_id = %s AND seq = %s AND evidence IS NULL"

_TELL = """
WITH new AS (
    SELECT 'run:' || n.run_id AS topic, n.place, n.tenant_id, n.kind, n.index, n.at, p.sealed
    FROM json_to_recordset(%s::json) AS n(place bigint, run_id uuid, token bigint, tenant_id uuid, kind text, index int,
        at timestamptz)
    JOIN unnest(%b::bytea[]) WITH ORDINALITY AS p(sealed, place) USING (place)
    JOIN runs_run r ON r.id = n.run_id AND r.token = n.token AND r.status = 'running'
), counts AS (
    SELECT topic, tenant_id, COUNT(*) AS many FROM new GROUP BY topic, tenant_id
), topics AS (
    INSERT INTO runs_feedtopic AS t (name, tenant_id, last_seq)
    SELECT topic, tenant_id, many FROM counts ORDER BY topic
    ON CONFLICT (name) DO UPDATE SET last_seq = t.last_seq + EXCLUDED.last_seq
    RETURNING name, last_seq
)
INSERT INTO runs_feedevent (topic, seq, tenant_id, kind, index, sealed, at)
SELECT new.topic, topics.last_seq - counts.many + ROW_NUMBER() OVER (PARTITION BY new.topic ORDER BY new.place),
       new.tenant_id, new.kind, new.index, new.sealed, new.at
FROM new JOIN counts USING (topic) JOIN topics ON topics.name = new.topic
RETURNING topic, seq
"""
