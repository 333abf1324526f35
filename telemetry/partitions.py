"""Rollups lie in one partition a month, made ahead of time by the owner; what no month takes lies in a default one.

A partition is reached through its table alone: nobody but the owner has a right on it, and it has no policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import CreateModel

from console.tenants.roles import APP, SYSTEM

AHEAD = 24  # months
BEHIND = 3  # what is older lies in the default partition
TABLES = ("telemetry_runrollup", "telemetry_steprollup", "telemetry_approvalrollup")


def months(first: date, count: int) -> Iterator[date]:
    """The first days of so many months from that of ``first`` on."""
    for number in range(first.year * 12 + first.month - 1, first.year * 12 + first.month - 1 + count):
        yield date(number // 12, number % 12 + 1, 1)


def around(today: date) -> list[date]:
    """The months that there are to be partitions of."""
    before = today.year * 12 + today.month - 1 - BEHIND
    return list(months(date(before // 12, before % 12 + 1, 1), BEHIND + AHEAD + 1))


def ensure(connection: Any, today: date, tables: Iterable[str] = TABLES) -> int:
    """Make what partitions are missing around ``today``. Returns how many. As the owner; a transaction a partition.

    What the default partition holds of a month goes into the month's own.
    """
    made = 0
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
            there = {name for (name,) in cursor.fetchall()}
            for sql in _missing(table, there, around(today)):
                cursor.execute(sql)
                made += 1
    return made


def _missing(table: str, there: set[str], wanted: Iterable[date]) -> Iterator[str]:
    if f"{table}_rest" not in there:
        yield f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT; {_walled(f'{table}_rest')}"
    for month in wanted:
        name = f"{table}_{month:%Y_%m}"
        if name not in there:
            _, after = months(month, 2)
            # The default partition refuses a month of which it holds rows: they are moved, in the same transaction.
            yield (
                f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);"  # noqa: S608
                f" {_walled(name)}"
                f" ALTER TABLE {table}_rest NO FORCE ROW LEVEL SECURITY; ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY;"
                f" WITH moved AS (DELETE FROM {table}_rest WHERE at >= '{month}T00:00:00Z' AND at < '{after}T00:00:00Z'"
                f" RETURNING *) INSERT INTO {name} SELECT * FROM moved;"
                f" ALTER TABLE {table}_rest FORCE ROW LEVEL SECURITY; ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"
                f" ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{month}T00:00:00Z') TO ('{after}T00:00:00Z')"
            )  # noqa: S608  # names and dates of ours


def _walled(name: str) -> str:
    return (
        f"REVOKE ALL ON {name} FROM {APP}, {SYSTEM}; ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
        f" ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"
    )


class CreatePartitioned(CreateModel):
    """CreateModel of a table that is partitioned by ranges of ``at``. It has no index but its primary key's."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.name)
        sql, values = schema_editor.table_sql(model)
        schema_editor.execute(f"{sql} PARTITION BY RANGE (at)", values or None)


class Partitions(Operation):
    """The partitions of all rollups around a day."""

    reversible = True

    def __init__(self, today: date) -> None:
        self.today = today

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return self.__class__.__qualname__, [self.today], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Partitions are no part of Django's model state."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        ensure(schema_editor.connection, self.today)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """They go with their tables."""

    def describe(self) -> str:
        return "Make a partition a month of the rollups"
