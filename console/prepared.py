"""Statements that are sent often: Postgres reads and plans each once a connection, not once a call.

Django writes the values into the text of a statement, so that each is a new one; planning it takes three to ten times as
long as doing it, and as much again to write it. What goes through this cursor keeps its text, and Postgres its plan.

Name the columns, never ``*``: a plan whose result has changed shape fails after a migration. Cast what may be NULL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from django.db.models import JSONField, Model
from django.db.models.expressions import DatabaseDefault

M = TypeVar("M", bound=Model)

AFTER = 1  # times that a connection sees a statement before Postgres keeps its plan


def cursor() -> CursorWrapper:
    """A cursor of the caller's transaction, as ``connection.cursor()`` with the same guards; use it as ``with``."""
    connection = connections[DEFAULT_DB_ALIAS]
    connection.validate_thread_sharing()
    if connection.queries_logged:  # somebody reads along: with the values in the text, as Django shows statements
        return connection.cursor()
    connection.ensure_connection()
    line = connection.connection
    if line.prepare_threshold is None:  # as Django leaves it; its own cursors prepare nothing all the same
        line.prepare_threshold = AFTER
    with connection.wrap_database_errors:
        made = ServerBindingCursor(line)
    found: CursorWrapper = connection.make_cursor(made)
    return found


class Rows(Generic[M]):
    """What the ORM makes of a model's rows, without its making the statement anew: a row begins with ``columns``."""

    def __init__(self, model: type[M]) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        self._names = [field.attname for field in fields]
        self._written = [field for field in fields if not field.generated]
        self._made = [field for field in fields if field.generated]  # by the database, of the others
        self._json = [place for place, field in enumerate(fields) if isinstance(field, JSONField)]
        self.width = len(fields)
        self.columns = ", ".join(f'{model._meta.db_table}."{field.column}"' for field in fields)

    def of(self, row: Sequence[Any]) -> M:
        """The instance that a row begins with."""
        values = list(row[: self.width])
        for place in self._json:
            if isinstance(values[place], str):  # as Django has it handed over
                values[place] = json.loads(values[place])
        return self._model.from_db(DEFAULT_DB_ALIAS, self._names, values)

    def insert(self, instance: M) -> None:
        """Write a new instance, as ``save(force_insert=True)`` does; what the database makes of it is there afterwards."""
        connection = connections[DEFAULT_DB_ALIAS]
        columns, values = [], []
        for field in self._written:
            value = field.pre_save(instance, True)
            if not isinstance(value, DatabaseDefault):
                columns.append(f'"{field.column}"')
                values.append(field.get_db_prep_save(value, connection))
        made = ", ".join(f'"{field.column}"' for field in self._made)
        places = ", ".join(["%s"] * len(values))
        sql = f"INSERT INTO {self._model._meta.db_table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608  # names
        with cursor() as line:
            line.execute(f"{sql} RETURNING {made}" if made else sql, values)
            for field, value in zip(self._made, line.fetchone() if made else (), strict=True):
                setattr(instance, field.attname, value)
        instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS
