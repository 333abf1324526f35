"""Runs from statements that are written by hand: what the ORM makes of a row, without its making the statement anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db.models import JSONField

from console.runs.models import Run

_FIELDS = Run._meta.concrete_fields
_NAMES = [field.attname for field in _FIELDS]
_JSON = [place for place, field in enumerate(_FIELDS) if isinstance(field, JSONField)]

WIDTH = len(_FIELDS)
COLUMNS = ", ".join(f'runs_run."{field.column}"' for field in _FIELDS)


def run_of(row: Sequence[Any]) -> Run:
    """The run of a row that begins with COLUMNS."""
    values = list(row[:WIDTH])
    for place in _JSON:  # Django has them handed over as text
        if isinstance(values[place], str):
            values[place] = json.loads(values[place])
    return Run.from_db("default", _NAMES, values)
