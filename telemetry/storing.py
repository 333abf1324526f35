"""Reads and writes rows of the rollups, many in a statement. Whoever calls holds the projector's lock: nobody else writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from django.db import connection

from telemetry import histogram
from telemetry.cells import Cell, Key, Rows
from telemetry.models import ROLLUPS

AT_ONCE = 2000  # rows in a statement
_MEASURES: dict[str, tuple[str, ...]] = {model._meta.db_table: model.MEASURES for model in ROLLUPS}
_HISTOGRAMS: dict[str, tuple[str, ...]] = {model._meta.db_table: model.HISTOGRAMS for model in ROLLUPS}
_KEYS = "tenant_id, grain, cut, workflow_id, at, key, part"
_TYPES = ("uuid", "text", "text", "uuid", "float8", "text", "text")


def add(rows: Rows) -> int:
    """Add cells to the rows of the same key, make those that are missing, and drop those that come to nothing. Returns how
    many rows that were."""
    written = 0
    for table, cells in rows.items():
        for batch in batches(cells):
            there = read(table, list(batch))
            for key, cell in batch.items():
                sum_ = there.get(key)
                if sum_ is None:
                    there[key] = cell
                else:
                    sum_.add(cell)
            nothing = [key for key, cell in there.items() if not cell]
            for key in nothing:
                del there[key]
            drop(table, nothing)
            put(table, there)
            written += len(batch)
    return written


def read(table: str, keys: Sequence[Key]) -> dict[Key, Cell]:
    """The rows of these keys."""
    # By row, with a limit: always by the primary key of the one partition, whatever the planner thinks of its size.
    sql = f"""
        SELECT k.place, {", ".join(f"t.{name}" for name in (*_MEASURES[table], *_HISTOGRAMS[table]))}
        FROM {_unnest()} CROSS JOIN LATERAL (
            SELECT * FROM {table} r
            WHERE r.tenant_id = k.tenant_id AND r.grain = k.grain AND r.cut = k.cut AND r.workflow_id = k.workflow_id
              AND r.at = to_timestamp(k.at) AND r.key = k.key AND r.part = k.part LIMIT 1
        ) AS t"""  # noqa: S608  # names of ours
    with connection.cursor() as cursor:
        cursor.execute(sql, _columns(keys))
        return {keys[row[0] - 1]: _cell(table, row[1:]) for row in cursor.fetchall()}


def put(table: str, cells: Mapping[Key, Cell]) -> None:
    """Write rows as they are to be."""
    measures, spreads = _MEASURES[table], _HISTOGRAMS[table]
    names = (*measures, *spreads)
    keys = list(cells)
    plain = [cells[key].plain() for key in keys]
    values: list[list[Any]] = [[sums.get(name, 0) for sums, _ in plain] for name in measures]
    values += [[histogram.pack(histograms.get(name, 0)) for _, histograms in plain] for name in spreads]
    sql = f"""
        INSERT INTO {table} ({_KEYS}, {", ".join(names)})
        SELECT k.tenant_id, k.grain, k.cut, k.workflow_id, to_timestamp(k.at), k.key, k.part,
               {", ".join(f"m.{name}" for name in names)}
        FROM {_unnest()}
        JOIN unnest({", ".join(["%s::bigint[]"] * len(measures) + ["%s::bytea[]"] * len(spreads))}) WITH ORDINALITY
            AS m({", ".join(names)}, place) USING (place)
        ON CONFLICT ({_KEYS}) DO UPDATE SET
            {", ".join(f"{name} = EXCLUDED.{name}" for name in names)}"""  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*_columns(keys), *values])


def drop(table: str, keys: Sequence[Key]) -> None:
    """Delete rows."""
    with connection.cursor() as cursor:
        for start in range(0, len(keys), AT_ONCE):
            cursor.execute(
                f"DELETE FROM {table} r USING {_unnest()} WHERE r.tenant_id = k.tenant_id AND r.grain = k.grain"  # noqa: S608
                " AND r.cut = k.cut AND r.workflow_id = k.workflow_id AND r.at = to_timestamp(k.at) AND r.key = k.key"
                " AND r.part = k.part",
                _columns(keys[start : start + AT_ONCE]),
            )


def every(table: str, tenants: Sequence[str]) -> Iterator[tuple[Key, Cell]]:
    """All rows of these tenants. Call inside a transaction."""
    sql = (
        "SELECT tenant_id::text, grain, cut, workflow_id::text, EXTRACT(EPOCH FROM at)::bigint, key, part,"  # noqa: S608
        f" {', '.join((*_MEASURES[table], *_HISTOGRAMS[table]))} FROM {table} WHERE tenant_id = ANY(%s::uuid[])"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(tenants)])
        while rows := cursor.fetchmany(AT_ONCE):
            for row in rows:
                yield Key(*row[:7]), _cell(table, row[7:])


def _cell(table: str, row: Sequence[Any]) -> Cell:
    cell, measures = Cell(), _MEASURES[table]
    cell.measures = dict(zip(measures, row, strict=False))
    kept = zip(_HISTOGRAMS[table], row[len(measures) :], strict=True)
    cell.histograms = {name: histogram.unpack(each) for name, each in kept}
    return cell


def _unnest() -> str:
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in _TYPES)}) WITH ORDINALITY AS k({_KEYS}, place)"


def _columns(keys: Sequence[Key]) -> list[list[Any]]:
    return [list(column) for column in zip(*keys, strict=True)] if keys else [[] for _ in _TYPES]


def batches(cells: Mapping[Key, Cell]) -> Iterator[dict[Key, Cell]]:
    """So many as go into a statement, in order."""
    # In order: what lies beside each other is read and written together.
    ordered: Iterable[Key] = iter(sorted(cells))
    while batch := list(islice(ordered, AT_ONCE)):
        yield {key: cells[key] for key in batch}
