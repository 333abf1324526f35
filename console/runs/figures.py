"""Sums over a run's journal, made by the database: a page costs the same for ten steps and for ten thousand.

Steps that were kept from an earlier run are not counted: that run did them, and paid. Seconds are those in which at least
one model (or tool, or person) was at it: parallel branches do not make a run longer than it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(frozen=True, slots=True)
class Sum:
    """Of one agent, or of a run until some point. ``unpriced`` are model calls whose cost nobody knows."""

    steps: int
    tokens: int
    cost: Decimal
    unpriced: int
    retried: int
    model_s: float = 0.0
    tool_s: float = 0.0
    waiting_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a journal is: its steps, and its entries (beginnings and ends of steps)."""

    steps: int
    entries: int


def by_agent(run_id: UUID) -> dict[str, Sum]:
    """The sums of each agent. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_AGENT, {"run": run_id})
        return {row[0]: Sum(*row[1:]) for row in cursor.fetchall()}


def until(run_id: UUID, entry: int) -> Sum:
    """The sums of what had ended when the journal had so many entries. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_UNTIL, {"run": run_id, "entry": entry})
        row = cursor.fetchone()
    return Sum(*row[:5], *(float(each or 0) for each in row[5:]))


def extent(run_id: UUID) -> Extent:
    """How long the journal is. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), greatest(max(seq), max(settled), 0) FROM runs_step WHERE run_id = %s",
            [run_id],
        )
        row = cursor.fetchone()
    return Extent(*row)


def retries(run_id: UUID) -> dict[str, Any]:
    """How many tries failed, and of the last one why. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_RETRIES, {"run": run_id})
        many, cause = cursor.fetchone()
    return {"count": many or 0, "words": (cause or "")[:60]}


_TRIES = "CASE WHEN jsonb_typeof(attempts) = 'array' THEN greatest(jsonb_array_length(attempts) - 1, 0) ELSE 0 END"


def _tokens(name: str) -> str:
    # What a provider sends as its usage is its own business: anything but a count is none.
    return f"CASE WHEN usage->>'{name}' ~ '^[0-9]{{1,15}}$' THEN (usage->>'{name}')::bigint ELSE 0 END"


_SUMS = f"""
    count(*), coalesce(sum({_tokens("input_tokens")} + {_tokens("output_tokens")}), 0)::bigint, coalesce(sum(cost), 0),
    count(*) FILTER (WHERE kind = 'model' AND cost IS NULL AND usage IS NOT NULL AND status IN ('done', 'failed')),
    coalesce(sum({_TRIES}), 0)::bigint
"""
_BY_AGENT = f"""
SELECT CASE WHEN agent <> '' THEN agent ELSE split_part(split_part(scope, '#', 1), '/', 1) END, {_SUMS}
FROM runs_step WHERE run_id = %(run)s AND NOT inherited GROUP BY 1
"""  # noqa: S608


def _covered(kinds: str) -> str:
    """Seconds in which at least one step of the kinds was at work."""
    return f"""(
        SELECT sum(extract(epoch FROM upper(span) - lower(span))) FROM (
            SELECT unnest(range_agg(tstzrange(started_at, greatest(ended_at, started_at)))) AS span
            FROM counted WHERE kind IN ({kinds})
        ) spans)"""  # noqa: S608


_UNTIL = f"""
WITH counted AS (SELECT * FROM runs_step WHERE run_id = %(run)s AND NOT inherited AND settled <= %(entry)s)
SELECT {_SUMS}, {_covered("'model'")}, {_covered("'tool'")}, {_covered("'review', 'question', 'final'")} FROM counted
"""  # noqa: S608
_RETRIES = f"""
SELECT sum({_TRIES}), (
    SELECT attempts->-2->>'cause' FROM runs_step
    WHERE run_id = %(run)s AND {_TRIES} > 0 ORDER BY seq DESC LIMIT 1
) FROM runs_step WHERE run_id = %(run)s
"""  # noqa: S608
