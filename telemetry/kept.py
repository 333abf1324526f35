"""What runs and requests have contributed so far, and how far each source was read: the projector's own memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from telemetry.facts import Clock, Part, all_of
from telemetry.reading import SOURCES, Place, Source, ask

RUNS, REQUESTS = ("telemetry_runfact", "run_id"), ("telemetry_requestfact", "request_id")
_LOCK = 0x5A7350  # of this database: one projector at a time


@dataclass(slots=True)
class Fact:
    """What one run or request has contributed."""

    tenant: str
    seen: int = 0
    said: list[Part] = field(default_factory=list)
    clamped: dict[str, float] = field(default_factory=dict)

    def clock(self, now: float) -> Clock:
        """The clock to read its rows by: it writes into ``clamped``."""
        return Clock(now, self.clamped)


@contextmanager
def held() -> Iterator[None]:
    """Keep every projector out, once the one at work is done. Call outside any transaction."""
    ask("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        yield
    finally:
        ask("SELECT pg_advisory_unlock(%s)", [_LOCK])


def lock() -> bool:
    """Be the projector until the end of this transaction. False: another one is."""
    ((taken,),) = ask("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
    return bool(taken)


def facts(table: tuple[str, str], ids: Sequence[str]) -> dict[str, Fact]:
    """What there is of these runs or requests."""
    name, column = table
    seen = "seen" if table is RUNS else "0"
    rows = ask(
        f"SELECT {column}::text, tenant_id::text, {seen}, said::text, clamped::text FROM {name}"  # noqa: S608
        f" WHERE {column} = ANY(%s::uuid[])",
        [list(ids)],
    )
    return {row[0]: Fact(row[1], row[2], all_of(json.loads(row[3])), json.loads(row[4])) for row in rows}


def keep(table: tuple[str, str], changed: Mapping[str, Fact]) -> None:
    """Write what runs or requests have contributed by now."""
    if not changed:
        return
    name, column = table
    more = {"seen": ("int", [fact.seen for fact in changed.values()])} if table is RUNS else {}
    said = [json.dumps([part.plain() for part in fact.said], separators=(",", ":")) for fact in changed.values()]
    columns: dict[str, tuple[str, list[Any]]] = {
        column: ("uuid", list(changed)),
        "tenant_id": ("uuid", [fact.tenant for fact in changed.values()]),
        **more,
        "said": ("jsonb", said),
        "clamped": ("jsonb", [json.dumps(fact.clamped) for fact in changed.values()]),
    }
    reads = ", ".join(f"{key}::{kind}" for key, (kind, _) in columns.items())
    sent = ", ".join(f"%s::{'text' if kind == 'jsonb' else kind}[]" for kind, _ in columns.values())
    sets = ", ".join(f"{key} = EXCLUDED.{key}" for key in columns if key not in (column, "tenant_id"))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {name} ({', '.join(columns)}) SELECT {reads} FROM unnest({sent}) AS k({', '.join(columns)})"  # noqa: S608
            f" ON CONFLICT ({column}) DO UPDATE SET {sets}",
            [values for _, values in columns.values()],
        )


def places() -> dict[str, Place]:
    """How far each source was read."""
    found = {name: Place(changed, last) for name, changed, last in ask(_PLACES, [])}
    return {source.name: found.get(source.name, Place(0, "")) for source in SOURCES}


def move(source: Source, to: Place) -> None:
    """A source was read up to a place."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [source.name, to.changed, to.id])


_PLACES = "SELECT source, changed, last_id FROM telemetry_cursor"
_MOVE = """
    INSERT INTO telemetry_cursor (source, changed, last_id, at) VALUES (%s, %s, %s, clock_timestamp())
    ON CONFLICT (source) DO UPDATE SET changed = EXCLUDED.changed, last_id = EXCLUDED.last_id, at = EXCLUDED.at
"""
