"""The statements of the journal's writer: one transaction for what many runs have waiting, in one round trip."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from console.durable.errors import Fenced
from console.durable.steps import Safety, Status, Step
from console.runs import batches, evidence, feed, record, told
from console.tenants.roles import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.runs.told import Draft
    from console.runs.writer import Entry

Connection = psycopg.Connection[Any]

FEW = 4  # steps that are written by a statement each


def write(connection: Connection, batch: Sequence[Entry]) -> None:
    """Write a batch, sorted by run, as one transaction in one round trip. A stale entry gets its ``error``; the others
    are written.

    Raises psycopg's errors when Postgres refuses a row, and ValueError for a payload that cannot be kept: then nothing
    was written.
    """
    if all(entry.what == "barrier" for entry in batch):
        return  # all that they wait for is committed; whether the token holds is seen by whoever lets go of the run
    appends = [entry for entry in batch if entry.what == "append"]
    events = _rows([entry for entry in batch if entry.what == "event"])
    settles = [entry for entry in batch if entry.what == "settle"]
    late = [entry for entry in batch if entry.what == "late"]
    runs = list(dict.fromkeys(entry.run_id for entry in batch if entry.what != "late"))
    # All of it is encoded before anything is sent: what cannot be kept must not leave half a batch behind.
    statements: list[batches.Statement] = [(_ROLE, [SYSTEM.encode()]), (_LOCK, [_ids(runs)])]
    statements += _appending(appends)
    statements += [(_SETTLE, _settled(settles))] if settles else []
    statements += [(_TELL, _told(events))] if events else []
    statements += [(_LATE, _evidence(entry)) for entry in late]
    rows = dict(zip([sql for sql, _ in statements], batches.send(connection, statements), strict=True))
    _fence(batch, {(name, number) for name, number in rows[_LOCK]})
    for entry in settles:
        if entry.error is None and (_id(entry), b"%d" % _step(entry).seq) not in rows[_SETTLE]:
            entry.error = Fenced(f"run {entry.run_id}: step {_step(entry).seq} was settled by somebody else")
    if events:
        kept = sorted((row for row in events if row[0].error is None), key=lambda row: _id(row[0]))
        ends = sorted((topic, int(seq or 0)) for topic, seq in rows[_TELL])
        for row, (_, last) in zip(kept, ends, strict=True):
            for number, entry in enumerate(row, last - len(row) + 1):
                entry.seq = number


def _id(entry: Entry) -> bytes:
    return str(entry.run_id).encode()


def _ids(runs: Sequence[UUID]) -> bytes:
    return b"{%s}" % ",".join(map(str, runs)).encode()


def _fence(batch: Sequence[Entry], tokens: set[tuple[bytes | None, bytes | None]]) -> None:
    """Give an error to whatever came under another token than the one that its run's row was locked with."""
    for entry in batch:
        if entry.what != "late" and (_id(entry), b"%d" % entry.token) not in tokens:
            entry.error = Fenced(f"run {entry.run_id}: token {entry.token} is stale")


def is_written(connection: Connection, entry: Entry) -> bool:
    """Whether an entry is in the database already: a connection may die after the commit and before we hear of it."""
    if entry.what not in ("append", "settle", "event"):
        return False
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('role', %s, true)", [SYSTEM])
        if entry.what == "event":
            draft = _draft(entry)
            if draft.kind != told.MESSAGE:
                return False
            # Messages are told in order, so what comes after one says that it is there, whatever row it is in. Its number
            # is not looked for: screens that are open read it from the table.
            cursor.execute(
                "SELECT 1 FROM runs_feedevent WHERE topic = %s AND kind = 'message' AND index >= %s LIMIT 1",
                [feed.run_topic(entry.run_id), draft.index],
            )
            return cursor.fetchone() is not None
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


def _draft(entry: Entry) -> Draft:
    if entry.draft is None:
        raise TypeError(f"{entry.what} without a draft")
    return entry.draft


def _rows(events: Sequence[Entry]) -> list[list[Entry]]:
    """Events, sorted by run, as those that share a row of the feed."""
    found: list[list[Entry]] = []
    for _, of_run in groupby(events, key=lambda entry: (entry.run_id, entry.token)):
        waiting = list(of_run)
        for drafts in told.rows_of([_draft(entry) for entry in waiting]):
            found.append(waiting[: len(drafts)])
            del waiting[: len(drafts)]
    return found


def _appending(entries: Sequence[Entry]) -> list[batches.Statement]:
    """The statements of the new steps: a plain one each while they are few, as one set when they are many."""
    if len(entries) <= FEW:
        return [(_APPEND_ONE, [*map(_text, _facts(entry).values()), _payload([entry])]) for entry in entries]
    rows = [{"place": place, **_facts(entry)} for place, entry in enumerate(entries, 1)]
    return [(_APPEND, [_json(rows), _payload(entries)])]


def _facts(entry: Entry) -> dict[str, Any]:
    """A new row of runs_step: the columns of ``_STEP``, in its order."""
    step = _step(entry)
    return {
        "run_id": str(entry.run_id),
        "tenant_id": str(entry.tenant_id),
        "seq": step.seq,
        "settled": step.settled,
        "scope": step.scope,
        "n": step.n,
        "kind": step.kind,
        "status": step.status,
        "safety": step.safety,
        "name": step.name[:200],
        "agent": step.agent[:200],
        "digest": step.digest,
        "key": step.key[:200],
        "verdict": step.verdict,
        "attempts": step.attempts,
        "usage": step.usage,
        "cost": step.cost,
        "priced_by": step.priced_by[:100],
        "inherited": step.inherited,
        "started_at": step.started_at.isoformat(),
        "first_token_at": step.first_token_at.isoformat() if step.first_token_at else None,
        "ended_at": step.ended_at.isoformat() if step.ended_at else None,
        "worker": "" if step.safety is Safety.READ_ONLY else entry.worker[:100],
        "token": entry.token,  # the last: see _APPEND_ONE
    }


def _payload(entries: Sequence[Entry]) -> batches.Blobs:
    """The requests of new steps, and their results behind them."""
    steps = [(entry.tenant_id, _step(entry)) for entry in entries]
    requests = [record.seal_request(tenant_id, step) for tenant_id, step in steps]
    return batches.blobs([*requests, *(record.seal_outcome(tenant_id, step) for tenant_id, step in steps)])


def _text(value: Any) -> bytes | None:
    """A fact as the text of a parameter; a NUL is no text for Postgres."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode()
    text = record.facts(value)
    return None if text is None else text.encode()


def _settled(entries: Sequence[Entry]) -> list[bytes]:
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
            "priced_by": s.priced_by[:100],
            "first_token_at": s.first_token_at.isoformat() if s.first_token_at else None,
            "started_at": s.started_at.isoformat(),
            "ended_at": s.ended_at.isoformat() if s.ended_at else None,
            "token": e.token,
            "verdict": s.verdict,
            "worker": e.worker[:100] if s.status is Status.INTENT else None,
        }
        for place, (e, s) in enumerate(steps, 1)
    ]
    results = [record.seal_outcome(e.tenant_id, s) for e, s in steps]
    return [_json(rows), batches.blobs(results)]


def _evidence(entry: Entry) -> list[bytes]:
    step = _step(entry)
    sealed = evidence.seal(entry.tenant_id, step, entry.worker)
    certain = b"f" if step.status is Status.IN_DOUBT else b"t"
    return [batches.blobs([sealed]), _id(entry), b"%d" % step.seq, step.started_at.isoformat().encode(), certain]


def _json(rows: list[dict[str, Any]]) -> bytes:
    return (record.facts(rows) or "[]").encode()


def _told(rows: Sequence[Sequence[Entry]]) -> list[bytes]:
    """Parameters of the new rows of the feed: facts, payloads."""
    facts, sealed = [], []
    for place, row in enumerate(rows, 1):
        first, drafts = row[0], [_draft(entry) for entry in row]
        kind, index = told.heading(drafts)
        facts.append(
            {
                "place": place,
                "run_id": str(first.run_id),
                "token": first.token,
                "tenant_id": str(first.tenant_id),
                "kind": kind,
                "index": index,
                "at": drafts[0].at.isoformat(),
                "many": len(drafts),
            }
        )
        sealed.append(told.seal(first.tenant_id, drafts))
    return [_json(facts), batches.blobs(sealed)]


_ROLE = "SELECT set_config('role', $1, true)"

# Holds the runs that are still being advanced until the end of the transaction. The statements behind it see them as
# they are once the lock is there, and write for no run under another token than its row's.
_LOCK = "SELECT id, token FROM runs_run WHERE id = ANY($1::uuid[]) AND status = 'running' ORDER BY id FOR SHARE"

_STEP = {
    "run_id": "uuid", "tenant_id": "uuid", "seq": "int", "settled": "int", "scope": "text", "n": "int", "kind": "text",
    "status": "text", "safety": "text", "name": "text", "agent": "text", "digest": "text", "key": "text",
    "verdict": "jsonb", "attempts": "jsonb", "usage": "jsonb", "cost": "numeric", "priced_by": "text",
    "inherited": "bool", "started_at": "timestamptz", "first_token_at": "timestamptz", "ended_at": "timestamptz",
    "worker": "text", "token": "bigint",
}  # fmt: skip
_COLUMNS = ", ".join(_STEP)

_APPEND_ONE = f"""
WITH held AS (
    SELECT id FROM runs_run WHERE id = $1::uuid AND token = ${len(_STEP)}::bigint AND status = 'running'
), facts AS (
    INSERT INTO runs_step ({_COLUMNS})
    SELECT {", ".join(f"${place}::{kind}" for place, kind in enumerate(_STEP.values(), 1))} FROM held
)
INSERT INTO runs_steppayload (run_id, tenant_id, seq, request, result)
SELECT $1::uuid, $2::uuid, $3::int, (${len(_STEP) + 1}::bytea[])[1], (${len(_STEP) + 1}::bytea[])[2] FROM held
"""  # noqa: S608

# Facts travel as one JSON text, which is far cheaper to write than an array a column; sealed bytes as binary arrays.
_APPEND = f"""
WITH new AS (
    SELECT n.*, ($2::bytea[])[place] AS request, ($2::bytea[])[place + COUNT(*) OVER ()] AS result
    FROM json_to_recordset($1::json) AS n(place int, {", ".join(f"{name} {kind}" for name, kind in _STEP.items())})
), good AS (
    SELECT new.* FROM new JOIN runs_run r ON r.id = new.run_id AND r.token = new.token AND r.status = 'running'
), facts AS (
    INSERT INTO runs_step ({_COLUMNS}) SELECT {_COLUMNS} FROM good
)
INSERT INTO runs_steppayload (run_id, tenant_id, seq, request, result)
SELECT run_id, tenant_id, seq, request, result FROM good
"""  # noqa: S608

_SETTLE = """
WITH new AS (
    SELECT n.*, p.result
    FROM json_to_recordset($1::json) AS n(place bigint, run_id uuid, seq int, settled int, status text, attempts jsonb,
        usage jsonb, cost numeric, priced_by text, first_token_at timestamptz, started_at timestamptz,
        ended_at timestamptz, token bigint, verdict jsonb, worker text)
    JOIN unnest($2::bytea[]) WITH ORDINALITY AS p(result, place) USING (place)
    JOIN runs_run r ON r.id = n.run_id AND r.token = n.token AND r.status = 'running'
), facts AS (
    UPDATE runs_step s SET settled = new.settled, status = new.status, attempts = new.attempts,
        usage = new.usage, cost = new.cost, priced_by = new.priced_by,
        first_token_at = new.first_token_at, started_at = new.started_at, ended_at = new.ended_at,
        token = new.token, verdict = new.verdict, worker = COALESCE(new.worker, s.worker)
    FROM new WHERE s.run_id = new.run_id AND s.seq = new.seq AND s.settled IS NULL
    RETURNING s.run_id, s.seq
), said AS (
    UPDATE runs_steppayload p SET result = new.result
    FROM new JOIN facts USING (run_id, seq) WHERE p.run_id = new.run_id AND p.seq = new.seq AND new.result IS NOT NULL
)
SELECT run_id, seq FROM facts
"""

_LATE = """
UPDATE runs_steppayload
SET evidence = ($1::bytea[])[1], evidence_began = $4::timestamptz, evidence_certain = $5::bool
WHERE run_id = $2::uuid AND seq = $3::int AND (
    evidence IS NULL OR evidence_began < $4::timestamptz
    OR (evidence_began = $4::timestamptz AND $5::bool AND NOT evidence_certain))
"""

_TELL = """
WITH new AS (
    SELECT 'run:' || n.run_id AS topic, n.place, n.tenant_id, n.kind, n.index, n.at, n.many, p.sealed
    FROM json_to_recordset($1::json) AS n(place bigint, run_id uuid, token bigint, tenant_id uuid, kind text, index int,
        at timestamptz, many int)
    JOIN unnest($2::bytea[]) WITH ORDINALITY AS p(sealed, place) USING (place)
    JOIN runs_run r ON r.id = n.run_id AND r.token = n.token AND r.status = 'running'
), counts AS (
    SELECT topic, tenant_id, SUM(many) AS many FROM new GROUP BY topic, tenant_id
), topics AS (
    INSERT INTO runs_feedtopic AS t (name, tenant_id, last_seq)
    SELECT topic, tenant_id, many FROM counts ORDER BY topic
    ON CONFLICT (name) DO UPDATE SET last_seq = t.last_seq + EXCLUDED.last_seq
    RETURNING name, last_seq
)
INSERT INTO runs_feedevent (topic, seq, tenant_id, kind, index, sealed, at, many)
SELECT new.topic, topics.last_seq - counts.many + SUM(new.many) OVER (PARTITION BY new.topic ORDER BY new.place),
       new.tenant_id, new.kind, new.index, new.sealed, new.at, new.many
FROM new JOIN counts USING (topic) JOIN topics ON topics.name = new.topic
RETURNING topic, seq
"""
