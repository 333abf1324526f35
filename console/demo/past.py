"""Where a finished run of the demo's history is put in the past: a pure function of its rows.

The runs are real and took minutes; the history spans weeks. So a run is moved as a whole to where it begins, and where a
person, or a deadline, was waited for, a pause is put in:

    made    |machine|.|machine|..|machine|          a dot: the moment somebody acted
    placed  |machine|.......|machine|..............|machine|

Whatever happened at or after that moment is later by the pause. Order is kept, and so is every stretch in which a machine
worked, as long as nobody acts while one does. A run that is placed is refused: nothing is ever moved twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]

MARK = "history"  # in a run's metadata, under "demo": made by the demo's history
UNPLACED = {"demo": MARK, "placed": False}  # what such a run is started with
PLACED = {"demo": MARK}

_LATEST = 9000  # the year from which on a date stands for "never"


class NotOurs(ValueError):
    """These rows are not those of an ended, unplaced run of the demo's history."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody acted at ``at`` (when it was made), after having been waited for so many ``seconds`` more."""

    at: datetime
    seconds: float


@dataclass(frozen=True)
class Placing:
    """A run that was made from ``begun`` on is put at ``start``. What is older than ``begun`` came with it from another run
    (a retry keeps steps) and is where ``before`` puts it."""

    begun: datetime
    start: datetime
    pauses: tuple[Pause, ...] = ()
    before: Placing | None = None

    def moved(self, at: datetime) -> datetime:
        """Where a moment of the run is put."""
        if at < self.begun and self.before is not None:
            return self.before.moved(at)
        waited = sum(pause.seconds for pause in self.pauses if pause.at <= at)
        return self.start + (at - self.begun) + timedelta(seconds=waited)

    @property
    def waited(self) -> float:
        """All pauses together, in seconds."""
        return sum(pause.seconds for pause in self.pauses)


@dataclass(frozen=True)
class Rows:
    """All that there is of one run, by table, each row as {column: value}."""

    run: Row
    others: Mapping[str, list[Row]] = field(default_factory=dict)


def place(rows: Rows, placing: Placing, due: Mapping[str, float] | None = None) -> Rows:
    """The rows as they are written: moved, and marked so. ``due``: of a request whose time was made to pass at once, by its
    id, how many seconds after it was made it fell due.

    Raises NotOurs for a run that is not of the history, has not ended, or was placed before.
    """
    if rows.run["metadata"] != UNPLACED:
        raise NotOurs(f"run {rows.run['id']} is no run of the history that waits to be placed")
    if rows.run["ended_at"] is None:
        raise NotOurs(f"run {rows.run['id']} has not ended")
    run = moved(rows.run, placing)
    run["metadata"] = dict(PLACED)
    run["waiting_s"] = rows.run["waiting_s"] + placing.waited
    return Rows(
        run, {table: [_of(table, row, placing, due or {}) for row in found] for table, found in rows.others.items()}
    )


def moved(value: Any, placing: Placing) -> Any:
    """The same with every moment in it moved: a date, or what is a date by the name of its key in JSON."""
    if isinstance(value, datetime):
        return value if value.year >= _LATEST else placing.moved(value)
    if isinstance(value, dict):
        return {key: _named(key, each, placing) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, placing) for each in value]
    return value


def _named(key: str, value: Any, placing: Placing) -> Any:
    """A text under a key that speaks of a time is one, if it reads like one."""
    if isinstance(value, str) and (key == "at" or key.endswith(("_at", "_since", "_until"))):
        try:
            at = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return value
        if at.tzinfo is None:
            return value
        text = placing.moved(at).isoformat()
        return text.replace("+00:00", "Z") if value.endswith("Z") else text
    return moved(value, placing)


def _of(table: str, row: Row, placing: Placing, due: Mapping[str, float]) -> Row:
    if table == "audit_auditrecord":
        # The record says when things truly happened, and is never rewritten; it says of what they were, too.
        return {**row, "detail": {**row["detail"], "demo": MARK}}
    found: Row = moved(row, placing)
    if table == "approvals_approvalrequest" and row["due_at"] is not None:
        # What was promised is a span from when it was made, whatever was waited in between.
        span = due.get(str(row["id"]), (row["due_at"] - row["created_at"]).total_seconds())
        found["due_at"] = found["created_at"] + timedelta(seconds=span)
        found["falls"] = found["due_at"] if row["falls"].year < _LATEST else row["falls"]
    return found
