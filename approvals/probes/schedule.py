"""When the next probe is planted: some time in business hours, which nobody can foresee. Pure; chance is passed in."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from approvals.calendars import Hours

WEEK = timedelta(days=7)
OFFICE = Hours(ZoneInfo("UTC"), {day: (time(9), time(17)) for day in range(5)})  # of a tenant that has set no hours
_SEARCHED = 400  # days; a calendar has no more holidays than that in a row


def next_time(now: datetime, per_week: int, hours: Hours | None, chance: random.Random) -> datetime:
    """A moment after ``now`` at which people work: on average ``per_week`` (at least 1) of them in a week.

    The gap is between half and one and a half times the average, and the hour of that day is drawn anew.
    """
    open_hours = hours or OFFICE
    wanted = now + WEEK / per_week * chance.uniform(0.5, 1.5)
    day = wanted.astimezone(open_hours.zone).date()
    for _ in range(_SEARCHED):
        opening = open_hours.opening(day)
        if opening is not None:
            begin, end = max(opening[0], now + timedelta(minutes=1)), opening[1]
            if begin < end:
                return (begin + (end - begin) * chance.random()).astimezone(UTC)
        day += timedelta(days=1)
    return wanted
