"""Rows made once by the product's actions, and put into each test's database anew.

The cast of a test costs the actions some 140 statements; a copy of it costs one round trip. Every row of a copy has ids
and times of its own, so no cache of the process and no key of Valkey takes one test's tenant for another's.
"""

from __future__ import annotations

import json
import re
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

LATER = "how much later"  # stands in the text of a copy for the time since the original


class _Enough(Exception):
    """The rows were read: undo them."""


@dataclass(frozen=True)
class _Table:
    """What there was of one model: the fields that are written, and a list of their values for each row."""

    model: type[models.Model]
    fields: list[models.Field[Any, Any]]
    rows: list[list[Any]]

    def insert(self, cursor: Any) -> str:
        """The statement that writes the rows again, with LATER added to each time."""
        columns = ", ".join(f'"{field.column}"' for field in self.fields)
        rows = [
            "(" + ", ".join(f"%s + interval '{LATER}'" if isinstance(value, datetime) else "%s" for value in row) + ")"
            for row in self.rows
        ]
        values = [
            field.get_db_prep_save(value, connections[DEFAULT_DB_ALIAS])
            for row in self.rows
            for field, value in zip(self.fields, row, strict=True)
        ]
        return cursor.mogrify(f'INSERT INTO "{self.model._meta.db_table}" ({columns}) VALUES {", ".join(rows)}', values)


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
                with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                    script = "; ".join(table.insert(cursor) for table in self._tables)
                raise _Enough
        except _Enough:
            pass
        ids = {
            str(value)
            for table in self._tables
            for row in table.rows
            for field, value in zip(table.fields, row, strict=True)
            if field.primary_key and isinstance(value, UUID)
        }
        times = [each for table in self._tables for row in table.rows for each in row if isinstance(each, datetime)]
        self._latest = max(times)
        self._ids = sorted(ids)
        # What is written each time is a text that was made once, cut where a copy differs.
        words = [LATER, *self._ids, *(each.replace("-", "") for each in self._ids)]
        self._script = re.split(f"({'|'.join(words)})", script)

    def put(self, *returned: type[models.Model]) -> dict[type[models.Model], list[Any]]:
        """Write a copy, under a system_scope of its own, and return the instances of these models in their old order."""
        ids = {old: uuid4() for old in self._ids}
        later = timezone.now() - self._latest
        words = {LATER: f"{later // timedelta(microseconds=1)} microseconds"}
        for old, new in ids.items():
            words |= {old: str(new), old.replace("-", ""): new.hex}
        with scopes.system_scope("tests: a copy"):
            with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                cursor.execute("".join(words.get(part, part) for part in self._script))
            made = {
                table.model: [
                    table.model.from_db(
                        DEFAULT_DB_ALIAS,
                        [f.attname for f in table.fields],
                        [_moved(value, ids, later) for value in row],
                    )
                    for row in table.rows
                ]
                for table in self._tables
                if table.model in (Tenant, *returned)
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
