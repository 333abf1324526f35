"""The statements of telemetry.query: which rows of a rollup answer a question, summed by point and by label.

The fewest rows that can answer are read: those that sum all parts where the parts are not told apart, and where a window is
asked for as a whole its days as days, with the hours before and after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from telemetry import histogram
from telemetry.figures import APPROVALS, PARTS, PLATFORM_CUTS, Figure
from telemetry.histogram import Histogram
from telemetry.models import ALL, DAY, EVERY_PART, HOUR
from telemetry.windows import BadQuery, Scope, Window

TENANT = "tenant"  # across all tenants, what a figure can be split by besides


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows: an SQL condition with its values, and the expressions that name the line and the point a row belongs to."""

    table: str
    where: str
    values: tuple[Any, ...]
    label: str
    at: str


def rows(
    scope: Scope, window: Window, table: str, by: str = "", parts: Iterable[str] | None = None, *, whole: bool = False
) -> Rows:
    """The rows of ``table`` that answer for a scope and a window, split ``by`` something. Raises BadQuery.

    ``whole`` is for one answer of the whole window, without its points.
    """
    cut, key = scope.cut()
    label, workflow = "''", scope.workflow_key
    time, values = _time(window, whole)
    where = [time]
    allowed = splits(scope, table)
    if by and by not in allowed:
        raise BadQuery("by", f"this figure is split by {', '.join(allowed)}")
    if cut != "all" and cut not in allowed:
        raise BadQuery(cut, "narrows no figure of this kind: " + ", ".join(allowed))
    if by == TENANT:
        label = "tenant_id::text"
        # By name: the rollups' one index begins with the tenant.
        where.append("tenant_id = ANY(ARRAY(SELECT id FROM tenants_tenant))")
    else:
        where.append("tenant_id = %s")
        values.append(scope.tenant_key)
    if by == "workflow" and scope.workflow is None:
        label = "workflow_id::text"
        where.append("workflow_id <> %s")
        values.append(ALL)
    else:
        label = "workflow_id::text" if by == "workflow" else label
        where.append("workflow_id = %s")
        values.append(workflow)
    if by == PARTS[table]:
        label = "part"
    elif by and by not in ("workflow", TENANT):
        if cut not in ("all", by):
            raise BadQuery("by", f"cannot be {by} where the figures are narrowed to one {cut}")
        if by == "revision" and scope.workflow is None:
            raise BadQuery("by", "revision needs a workflow: each has revisions of its own")
        cut, label = by, "key"
    where.append("cut = %s")
    values.append(cut)
    if key:
        where.append("key = %s")
        values.append(key)
    wanted = list(parts) if parts is not None else None
    if scope.stop_reason:
        if PARTS[table] != "stop_reason":
            raise BadQuery("stop_reason", "narrows figures of runs alone")
        wanted = [scope.stop_reason]
    if wanted is not None:
        where.append("part = ANY(%s)")
        values.append(wanted)
    else:
        where.append("part <> %s" if by == PARTS[table] else "part = %s")
        values.append(EVERY_PART)
    return Rows(table, " AND ".join(where), tuple(values), label, "NULL::timestamptz" if whole else "at")


def _time(window: Window, whole: bool) -> tuple[str, list[Any]]:
    """The hours or days of a window; where none of them is asked for by itself, as many of its hours as can be as days."""
    first, last = window.days()
    if not whole or window.grain == DAY or first >= last:
        return "grain = %s AND at >= %s AND at < %s", [window.grain, window.start, window.end]
    hours = "grain = %s AND (at >= %s AND at < %s OR at >= %s AND at < %s)"
    return (
        f"(grain = %s AND at >= %s AND at < %s OR {hours})",
        [DAY, first, last, HOUR, window.start, first, last, window.end],
    )


def splits(scope: Scope, table: str) -> tuple[str, ...]:
    """What figures of a table can be split by, or narrowed to, in a scope."""
    from_table = ("workflow", *(cut for cut in _CUTS[table] if cut != "all"), PARTS[table])
    if scope.tenant is not None:
        return from_table
    return (TENANT, *(name for name in from_table if name in PLATFORM_CUTS), PARTS[table])


_CUTS = {
    "telemetry_runrollup": ("all", "revision", "topic"),
    "telemetry_steprollup": ("all", "revision", "agent", "model", "tool", "topic"),
    APPROVALS: ("all", "rule", "group", "reviewer", "tool", "agent"),
}


def sums(chosen: Rows, measures: Iterable[str]) -> list[tuple[Any, ...]]:
    """(label, at, each measure's sum); ``at`` is None where the window was asked for as a whole."""
    adding = ", ".join(f"SUM({name})::bigint" for name in measures)
    sql = f"SELECT {chosen.label}, {chosen.at}, {adding} FROM {chosen.table} WHERE {chosen.where} GROUP BY 1, 2"  # noqa: S608
    return ask(sql, chosen.values)


def histograms(chosen: Rows, names: Sequence[str]) -> dict[tuple[str, datetime | None], list[Histogram]]:
    """The histograms of these names by (label, at), as ``sums`` has them; without what none of the rows has any of."""
    there = " OR ".join(f"{name} IS NOT NULL" for name in names)
    found: dict[tuple[str, datetime | None], list[Histogram]] = {}
    for label, at, *row in ask(
        f"SELECT {chosen.label}, {chosen.at}, {', '.join(names)} FROM {chosen.table} WHERE {chosen.where} AND ({there})",  # noqa: S608
        chosen.values,
    ):
        more = map(histogram.unpack, row)
        known = found.get((label, at))
        found[label, at] = [a + b for a, b in zip(known, more, strict=True)] if known else list(more)
    return found


def pending(scope: Scope, window: Window, now: datetime) -> Histogram:
    """The ages of the requests that still wait for a person and were raised before the window's end, as a histogram.

    Where the window does not reach up to now, of those only that were raised in it.
    """
    age = "GREATEST(0, EXTRACT(EPOCH FROM %s - created_at) * 1000)::float8"
    where, values = _pending(scope)
    if window.end < now:
        where += " AND created_at >= %s"
        values.append(window.start)
    found = ask(
        f"SELECT {histogram.sql('age')}, COUNT(*) FROM (SELECT {age} AS age FROM approvals_approvalrequest q"  # noqa: S608
        f" WHERE {where} AND created_at < %s) AS waiting GROUP BY 1",
        [now, *values, window.end],
    )
    return histogram.of_counts({bucket: count for bucket, count in found})


def pending_by(scope: Scope, by: str, window: Window, now: datetime) -> Mapping[str, Histogram]:
    """The same, split by a column of the request: rule, group, tool, agent or workflow."""
    column = {
        "rule": "rule_name", "group": 'q."group"', "tool": "tool", "agent": "agent", "workflow": "workflow_id::text",
        TENANT: "tenant_id::text",
    }.get(by)  # fmt: skip
    if column is None:
        return {}
    where, values = _pending(scope)
    if window.end < now:
        where += " AND created_at >= %s"
        values.append(window.start)
    age = "GREATEST(0, EXTRACT(EPOCH FROM %s - created_at) * 1000)::float8"
    found: dict[str, Histogram] = {}
    for label, bucket, count in ask(
        f"SELECT label, {histogram.sql('age')}, COUNT(*) FROM (SELECT {column} AS label, {age} AS age"  # noqa: S608
        f" FROM approvals_approvalrequest q WHERE {where} AND created_at < %s) AS waiting GROUP BY 1, 2",
        [now, *values, window.end],
    ):
        found[label] = found.get(label, 0) + histogram.one(bucket) * count
    return found


def _pending(scope: Scope) -> tuple[str, list[Any]]:
    # By tenant even for all of them: the index of what waits begins with it.
    values: list[Any] = []
    where = "status = 'pending' AND NOT probe AND tenant_id = ANY(ARRAY(SELECT id FROM tenants_tenant))"
    if scope.tenant is not None:
        where, values = "status = 'pending' AND NOT probe AND tenant_id = %s", [scope.tenant]
    if scope.workflow is not None:
        where += " AND workflow_id = %s"
        values.append(scope.workflow)
    cut, key = scope.cut()
    column = {"agent": "agent", "tool": "tool"}.get(cut)
    if column:
        where += f" AND {column} = %s"
        values.append(key)
    return where, values


def ask(sql: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
    """The rows that a statement gives. Call inside a scope."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def value(figure: Figure, row: tuple[Any, ...]) -> float | None:
    """A figure out of the sums of ``figure.sums`` and ``figure.over``. None of a share of nothing."""
    count = len(figure.sums)
    above = sum(int(each or 0) for each in row[:count])
    if not figure.over:
        return above * figure.scale
    below = sum(int(each or 0) for each in row[count:])
    return above / below if below else None
