"""What is asked for: a stretch of time, and whose figures. Nonsense is refused with the field and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from telemetry.models import ALL, DAY, HOUR, PLATFORM

HOUR_LONG = timedelta(hours=1)
DAY_LONG = timedelta(days=1)
HOURLY_UP_TO = timedelta(days=8)  # what is longer is shown by the day
HOURLY_FOR = timedelta(days=30)  # so far back there are hourly figures, whatever a tenant keeps; see retention.py
LONGEST = timedelta(days=800)
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)


class BadQuery(ValueError):
    """A question that cannot be answered: ``field`` is what is wrong with it, ``message`` what to write instead."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start`` until ``end``, which is no part of it, in whole hours or days of UTC, as ``grain`` says."""

    start: datetime
    end: datetime
    grain: str

    @classmethod
    def of(cls, start: datetime, end: datetime, now: datetime) -> Window:
        """The hours or days that a stretch of time touches. Raises BadQuery."""
        for field, when in (("from", start), ("to", end)):
            if when.tzinfo is None:
                raise BadQuery(field, "needs a time zone, such as 2026-11-21T17:00Z")
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        if end <= start:
            raise BadQuery("to", "must be later than from")
        if start < EARLIEST:
            raise BadQuery("from", f"must be {EARLIEST:%Y-%m-%d} or later")
        if end > now + DAY_LONG:
            raise BadQuery("to", "lies in the future: take today, or leave it out")
        if end - start > LONGEST:
            raise BadQuery("from", f"is more than {LONGEST.days} days before to: ask for less at once")
        hourly = end - start <= HOURLY_UP_TO and now - start <= HOURLY_FOR
        step = HOUR_LONG if hourly else DAY_LONG
        return cls(_floor(start, step), _floor(end - timedelta(microseconds=1), step) + step, HOUR if hourly else DAY)

    @classmethod
    def last(cls, length: timedelta, now: datetime) -> Window:
        """The hours or days up to now."""
        return cls.of(now - length, now, now)

    @property
    def step(self) -> timedelta:
        """The length of one point."""
        return HOUR_LONG if self.grain == HOUR else DAY_LONG

    def before(self) -> Window:
        """The stretch of the same length that ends where this begins: what it is compared with."""
        return replace(self, start=self.start - (self.end - self.start), end=self.start)

    def days(self) -> tuple[datetime, datetime]:
        """Where the whole days (UTC) in it begin and end; not earlier than it begins where there is none."""
        return _floor(self.start + DAY_LONG - timedelta(microseconds=1), DAY_LONG), _floor(self.end, DAY_LONG)

    def points(self) -> list[datetime]:
        """The beginnings of its hours or days."""
        return [self.start + number * self.step for number in range((self.end - self.start) // self.step)]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose figures: a tenant's, or with ``tenant`` None those of all tenants together, for a platform admin.

    ``workflow`` narrows by id, the others by what the rollups are cut by: at most one of revision (with its workflow),
    agent, model, topic and tool, since a sum over two of them is not kept. ``stop_reason`` goes with runs alone.
    """

    tenant: UUID | None
    workflow: UUID | None = None
    revision: int | None = None
    agent: str = ""
    model: str = ""
    topic: str = ""
    tool: str = ""
    stop_reason: str = ""

    def cut(self) -> tuple[str, str]:
        """The cut and its key. Raises BadQuery."""
        asked = {
            "revision": "" if self.revision is None else str(self.revision),
            "agent": self.agent,
            "model": self.model,
            "topic": self.topic,
            "tool": self.tool,
        }
        given = [(name, key) for name, key in asked.items() if key]
        for name, key in given:
            if len(key) > 200 or "\x00" in key:
                raise BadQuery(name, "is no name of ours: it has at most 200 characters, and no NUL")
        if len(given) > 1:
            names = " and ".join(name for name, _ in given)
            raise BadQuery(given[1][0], f"{names} cannot be combined: figures are kept by one of them at a time")
        if self.revision is not None and self.workflow is None:
            raise BadQuery("revision", "needs a workflow: each has a revision of that number")
        if self.tenant is None and (self.workflow or (given and given[0][0] != "model")):
            raise BadQuery(given[0][0] if given else "workflow", "is a tenant's own: ask within that tenant")
        return given[0] if given else ("all", "")

    @property
    def tenant_key(self) -> UUID:
        """The tenant's id in the rollups."""
        return self.tenant or PLATFORM

    @property
    def workflow_key(self) -> UUID:
        """The workflow's id in the rollups."""
        return self.workflow or ALL


def _floor(when: datetime, step: timedelta) -> datetime:
    midnight = when.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((when - midnight) // step) * step
