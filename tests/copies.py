"""Rows made once by the product's actions, and put into each test's database anew.

The cast of a test costs the actions some 140 statements; a copy of it costs one round trip. Every row of a copy has ids
and times of its own, so no cache of the process and no key of Valkey takes one test's tenant for another's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.utils import timezone

from console.tenants import crypto, scopes
from console.tenants.models import DataKey, Tenant


class _Enough(Exception):
    """The rows were read: undo them."""


@dataclass(frozen=True)
class _Table:
    """What there was of one model: the fields that are written, and a list of their values for each row."""

    model: type[models.Model]
    fields: list[models.Field[Any, Any]]
    rows: list[list[Any]]

    @property
    def insert(self) -> str:
        columns = ", ".join(f'"{field.column}"' for field in self.fields)
        row = "(" + ", ".join(["%s"] * len(self.fields)) + ")"
        return f'INSERT INTO "{self.model._meta.db_table}" ({columns}) VALUES {", ".join([row] * len(self.rows))}'


class Copies:
    """What ``make`` writes into an empty database. Every id that others refer to must be a UUID.

    Call ``make`` outside a scope; it may need anything but a commit.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._tables: list[_Table] = []
        try:
            with transaction.atomic():
                before = {model: _count(model) for model in _models()}
                make()
                with scopes.system_scope("tests: what was made"):
                    self._tables = [_read(model) for model in _models() if _count(model) > before[model]]
                assert not any(before[table.model] for table in self._tables), "rows of another test are here"
                raise _Enough
        except _Enough:
            pass
        self._ids = [
            value
            for table in self._tables
            for row in table.rows
            for field, value in zip(table.fields, row, strict=True)
            if field.primary_key
        ]
        times = [each for table in self._tables for row in table.rows for each in row if isinstance(each, datetime)]
        self._latest = max(times)
        self._sql = ";\n".join(table.insert for table in self._tables)

    def put(self) -> dict[type[models.Model], list[Any]]:
        """Write a copy, under a system_scope of its own, and return the instances of each model in their old order."""
        ids = {str(old): uuid4() for old in self._ids}
        later = timezone.now() - self._latest
        copied = [
            (table, [[_moved(value, ids, later) for value in row] for row in table.rows]) for table in self._tables
        ]
        connection = connections[DEFAULT_DB_ALIAS]
        with scopes.system_scope("tests: a copy"):
            params = [
                field.get_db_prep_save(value, connection)
                for table, rows in copied
                for row in rows
                for field, value in zip(table.fields, row, strict=True)
            ]
            with connection.cursor() as cursor:
                cursor.execute(self._sql, params)
            made = {
                table.model: [
                    table.model.from_db(DEFAULT_DB_ALIAS, [f.attname for f in table.fields], row) for row in rows
                ]
                for table, rows in copied
            }
            for tenant in made.get(Tenant, []):
                crypto.create_key(tenant.id)  # a key is sealed for its tenant alone
        return made


def _models() -> list[type[models.Model]]:
    """Every model with a table, in an order in which no row comes before what it refers to; without tenants' keys."""
    left = [m for m in apps.get_models(include_auto_created=True) if m._meta.managed and m is not DataKey]
    known: list[type[models.Model]] = []
    while left:
        free = [
            m
            for m in left
            if not any(f.related_model in left and f.related_model is not m for f in m._meta.local_fields)
        ]
        known += free or left
        left = [m for m in left if m not in known]
    return known


def _count(model: type[models.Model]) -> int:
    with scopes.system_scope("tests: what was made"):
        return model._base_manager.count()


def _read(model: type[models.Model]) -> _Table:
    """The rows of a model. A number that the database gives is left to it."""
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    return _Table(
        model, fields, [[getattr(row, f.attname) for f in fields] for row in model._base_manager.order_by("pk")]
    )


def _moved(value: Any, ids: dict[str, UUID], later: timedelta) -> Any:
    """The value with the copy's ids and times for the original's."""
    if isinstance(value, UUID):
        return ids.get(str(value), value)
    if isinstance(value, str):
        return str(ids.get(value, value))
    if isinstance(value, datetime):
        return value + later
    if isinstance(value, dict | list):
        text = json.dumps(value)
        for old, new in ids.items():
            text = text.replace(old, str(new))
        return json.loads(text)
    return value
