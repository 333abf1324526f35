"""Reads the journal for telemetry: what has changed since a place, and the rows that the facts are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from console.runs.models import Run, Step
from telemetry.facts import RequestRow, RunRow, StepRow

# Below this number every transaction is over, so nothing can come in below it any more.
SETTLED = "pg_snapshot_xmin(pg_current_snapshot())"
# Of whoever knows that nothing is under way: a test, in a database that others share.
EVERYTHING = "pg_snapshot_xmax(pg_current_snapshot())"


@dataclass(frozen=True, slots=True)
class Source:
    """A table whose rows carry a stamp. ``lowest`` sorts before every id, ``gives`` is what is looked at then."""

    name: str
    table: str
    kind: str
    lowest: str
    gives: str


RUN = Source("run", "runs_run", "uuid", "00000000-0000-0000-0000-000000000000", "id")
REQUESTS = (
    Source("request", "approvals_approvalrequest", "uuid", RUN.lowest, "id"),
    Source("vote", "approvals_vote", "uuid", RUN.lowest, "request_id"),
    Source("sighting", "approvals_sighting", "bigint", "-1", "request_id"),
)
SOURCES = (RUN, *REQUESTS)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a source was read: all rows up to (changed, id)."""

    changed: int
    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """A row that has changed: where it is, and which run or request it is about."""

    place: Place
    about: str


def horizon(upto: str) -> tuple[int, int, float]:
    """Below which transaction to read, which number none has had yet, and the database's time in seconds."""
    sql = f"SELECT ({upto})::text, {EVERYTHING}::text, EXTRACT(EPOCH FROM clock_timestamp())::float8"  # noqa: S608  # ours
    ((number, last, now),) = ask(sql, [])
    return int(number), int(last), now


def changes(source: Source, after: Place, below: int, limit: int) -> list[Change]:
    """What has changed after a place, in order, up to ``limit``."""
    sql = (
        f"SELECT changed::text, id::text, {source.gives}::text FROM {source.table}"  # noqa: S608  # names of ours
        f" WHERE (changed, id) > (%s::text::xid8, %s::{source.kind}) AND changed < %s::text::xid8"
        " ORDER BY changed, id LIMIT %s"
    )
    rows = ask(sql, [str(after.changed), after.id or source.lowest, str(below), limit])
    return [Change(Place(int(changed), id_), about) for changed, id_, about in rows]


def restamp(source: Source) -> None:
    """Stamp anew what has a number that no transaction of this server has had."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {source.table} SET changed = changed WHERE changed > pg_current_xact_id()")  # noqa: S608


def runs(ids: Sequence[str]) -> list[RunRow]:
    """Runs by their ids, in that order; those that are gone are left out."""
    rows = ask(
        f"{_RUNS} JOIN unnest(%s::uuid[]) WITH ORDINALITY AS k(id, place) ON k.id = r.id ORDER BY k.place", [ids]
    )
    return [RunRow(*row) for row in rows]


def all_runs(tenant: str, at_once: int) -> Iterator[list[RunRow]]:
    """All runs of a tenant, by id, so many together."""
    last = RUN.lowest
    while rows := ask(f"{_RUNS} WHERE r.tenant_id = %s AND r.id > %s ORDER BY r.id LIMIT %s", [tenant, last, at_once]):
        yield [RunRow(*row) for row in rows]
        last = rows[-1][0]


def steps(places: Iterable[tuple[str, int]], each: int) -> list[StepRow]:
    """Of each (run, number) the steps that ended after that number of its journal, in order, up to ``each`` of a run.

    What was copied from another run is left out: it counted there.
    """
    pairs = list(places)
    if not pairs:
        return []
    rows = ask(_STEPS, [[run for run, _ in pairs], [seen for _, seen in pairs], each])
    return [StepRow(*row) for row in rows]


def requests(ids: Sequence[str]) -> list[RequestRow]:
    """Approval requests by their ids, with votes and sightings; those that are gone are left out."""
    found = ask(f"{_REQUESTS} WHERE q.id = ANY(%s::uuid[]) ORDER BY q.id", [list(ids)])
    return _requests(found)


def all_requests(tenant: str, at_once: int) -> Iterator[list[RequestRow]]:
    """All requests of a tenant, by id, so many together."""
    last = RUN.lowest
    sql = f"{_REQUESTS} WHERE q.tenant_id = %s AND q.id > %s ORDER BY q.id LIMIT %s"
    while rows := ask(sql, [tenant, last, at_once]):
        yield _requests(rows)
        last = rows[-1][0]


def _requests(rows: list[tuple[Any, ...]]) -> list[RequestRow]:
    ids = [row[0] for row in rows]
    votes: dict[str, list[Any]] = {}
    for request, *vote in ask(_VOTES, [ids]):
        votes.setdefault(request, []).append(tuple(vote))
    opened: dict[str, list[Any]] = {}
    for request, *sighting in ask(_SIGHTINGS, [ids]):
        opened.setdefault(request, []).append(tuple(sighting))
    return [RequestRow._make([*row, votes.get(row[0], []), opened.get(row[0], [])]) for row in rows]


def ask(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement gives. Call inside a scope."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _epoch(column: str) -> str:
    return f"EXTRACT(EPOCH FROM {column})::float8"


def _if_there(model: Any, column: str, expression: str, otherwise: str) -> str:
    """An expression on a column that older journals do not have."""
    return expression if any(field.column == column for field in model._meta.local_fields) else otherwise


_RUNS = f"""
SELECT r.id::text, r.tenant_id::text, r.workflow_id::text, v.number,
       CASE WHEN jsonb_typeof(r.metadata) = 'object' AND jsonb_typeof(r.metadata -> 'topic') = 'string'
            THEN r.metadata ->> 'topic' ELSE '' END,
       r.smoke_test_id IS NOT NULL OR r.probe, r.retry_of_id IS NOT NULL, r.fork_of_id IS NOT NULL, r.status, r.stop_reason,
       {_epoch("r.created_at")}, {_epoch("r.started_at")}, {_epoch("r.ended_at")}, r.input_tokens, r.output_tokens,
       r.cost, r.broken_off_cost, r.unpriced_steps, r.queue_s, r.model_s, r.tool_s, r.waiting_s,
       {_if_there(Run, "resume_s", "r.resume_s", "0::float8")}, r.active_s
FROM runs_run r JOIN workflows_revision v ON v.id = r.revision_id"""  # noqa: S608

_STEPS = f"""
SELECT k.run::text, s.settled, s.kind, s.status, s.name, s.agent, {_epoch("s.started_at")}, {_epoch("s.ended_at")},
       {_if_there(Step, "first_token_at", _epoch("s.first_token_at"), "NULL::float8")}, s.usage::text, s.cost,
       jsonb_array_length(s.attempts), COALESCE(s.attempts -> 0 ->> 'credential', '')
           || COALESCE(s.attempts -> 0 ->> 'model', ''),
       COALESCE(s.attempts -> -1 ->> 'credential', '') || COALESCE(s.attempts -> -1 ->> 'model', ''),
       COALESCE(s.attempts -> -1 ->> 'model', '')
FROM unnest(%s::uuid[], %s::int[]) WITH ORDINALITY AS k(run, seen, place) CROSS JOIN LATERAL (
    SELECT * FROM runs_step s WHERE s.run_id = k.run AND s.settled > k.seen AND NOT s.inherited
    ORDER BY s.settled LIMIT %s
) AS s ORDER BY k.place, s.settled"""  # noqa: S608

_REQUESTS = f"""
SELECT q.id::text, q.tenant_id::text, q.workflow_id::text, r.smoke_test_id IS NOT NULL OR r.probe, q.status, q.agent, q.tool,
       q.rule_name, q."group", q.verdict, q.standing_id IS NOT NULL, {_epoch("q.created_at")},
       {_epoch("q.escalated_at")}, {_epoch("q.decided_at")}
FROM approvals_approvalrequest q JOIN runs_run r ON r.id = q.run_id"""  # noqa: S608
_VOTES = f"""
SELECT request_id::text, voter_id::text, verdict, {_epoch("at")}, voided FROM approvals_vote
WHERE request_id = ANY(%s::uuid[]) ORDER BY at, id"""  # noqa: S608
_SIGHTINGS = f"""
SELECT request_id::text, viewer_id::text, {_epoch("opened_at")} FROM approvals_sighting
WHERE request_id = ANY(%s::uuid[]) AND opened_at IS NOT NULL ORDER BY id"""  # noqa: S608
