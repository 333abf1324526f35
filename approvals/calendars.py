"""Business hours: when a tenant's people work, and when a span of such hours is over. Pure.

A calendar as it is kept and typed:

    {"zone": "Europe/Oslo", "days": {"mon": ["09:00", "17:00"], ...}, "holidays": ["2026-12-25"]}

Hours are those of the wall clock in the zone, so a day on which the clocks change is as much longer or shorter as it is
for the people. The zone database is the machine's (or the package tzdata's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Json = Any
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHORTEST = timedelta(minutes=30)  # a week with less in it would make four hours last for years
MAX_HOLIDAYS = 400
_ANY = {"mon": ["09:00", "17:00"]}  # days with which nothing is wrong
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_ZONE = re.compile(r"[A-Za-z0-9_+\-/]{1,60}")


class Invalid(ValueError):
    """``field`` says which part of a calendar makes no sense."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Hours:
    """A calendar, read. ``days`` by weekday from 0 (Monday): opening and closing time."""

    zone: ZoneInfo
    days: Mapping[int, tuple[time, time]]
    holidays: frozenset[date] = field(default_factory=frozenset)

    def opening(self, day: date) -> tuple[datetime, datetime] | None:
        """From when to when people work on a day, in UTC; None when they do not."""
        hours = self.days.get(day.weekday())
        if hours is None or day in self.holidays:
            return None
        first, last = (datetime.combine(day, clock, self.zone).astimezone(UTC) for clock in hours)
        return (first, last) if first < last else None


def read(zone: Json, days: Json, holidays: Json = ()) -> Hours:
    """The calendar of what was typed or kept. Raises Invalid naming zone, days, days.<day> or holidays."""
    return Hours(_zone(zone), _days(days), frozenset(_holidays(holidays)))


def faults(zone: Json, days: Mapping[str, Json], holidays: Json = ()) -> dict[str, str]:
    """Everything that is wrong, by field as ``read`` names it: what a form says beside each of its fields."""
    found: dict[str, str] = {}
    parts: list[tuple[Json, Json, Json]] = [(zone, _ANY, ()), ("UTC", days or {}, ()), ("UTC", _ANY, holidays)]
    for part in (*parts, *(("UTC", {day: hours}, ()) for day, hours in days.items())):
        try:
            read(*part)
        except Invalid as fault:
            found.setdefault(fault.field, fault.message)
    return found


def after(start: datetime, span: timedelta, hours: Hours | None) -> datetime:
    """When ``span`` of working time is over, counted from ``start``; every hour counts where ``hours`` is None."""
    if hours is None:
        return start + span
    left, day = span, start.astimezone(hours.zone).date()
    while True:  # ends: a week has SHORTEST at least, and no more than MAX_HOLIDAYS days are free
        opening = hours.opening(day)
        if opening is not None:
            begin, end = max(opening[0], start), opening[1]
            if begin < end:
                if end - begin >= left:
                    return begin + left
                left -= end - begin
        day += timedelta(days=1)


def _zone(zone: Json) -> ZoneInfo:
    try:
        if isinstance(zone, str) and _ZONE.fullmatch(zone):
            return ZoneInfo(zone)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        pass
    except KeyError:
        pass
    raise Invalid("zone", "must be the name of a time zone such as Europe/Oslo")


def _days(days: Json) -> dict[int, tuple[time, time]]:
    if not isinstance(days, Mapping):
        raise Invalid("days", 'must be an object such as {"mon": ["09:00", "17:00"]}')
    found = {}
    for name, hours in days.items():
        if name not in DAYS:
            raise Invalid("days", f"a day is one of {', '.join(DAYS)}")
        if not isinstance(hours, list | tuple) or len(hours) != 2:
            raise Invalid(f"days.{name}", 'must be two times such as ["09:00", "17:00"]')
        first, last = (_clock(name, clock) for clock in hours)
        if datetime.combine(date.min, last) - datetime.combine(date.min, first) < SHORTEST:
            raise Invalid(f"days.{name}", "must end half an hour after it begins, or later; midnight is 23:59")
        found[DAYS.index(name)] = (first, last)
    if not found:
        raise Invalid("days", "needs one day at least on which somebody works")
    return found


def _clock(day: str, text: Json) -> time:
    match = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Invalid(f"days.{day}", "must be times such as 09:00")
    return time(int(match[1]), int(match[2]))


def _holidays(holidays: Json) -> list[date]:
    if not isinstance(holidays, list | tuple) or len(holidays) > MAX_HOLIDAYS:
        raise Invalid("holidays", f"must be a list of at most {MAX_HOLIDAYS} dates such as 2026-12-25")
    try:
        return [date.fromisoformat(day) for day in holidays]
    except (TypeError, ValueError):
        raise Invalid("holidays", "must be dates such as 2026-12-25") from None
