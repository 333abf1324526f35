"""Which decisions an address asks for: its window, and the narrowing of the list behind a cell. Raises BadQuery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from approvals.models import Calendar
from console.tenants import display
from console.tenants.access import Actor
from telemetry.deciders import WORDS_A_MINUTE
from telemetry.people import SEE_NAMES, Window

DAYS = (7, 30, 90)
LONGEST = timedelta(days=366)
SHOWN = 200  # of a list
ONLY = {"unopened": "decided unopened", "faster": "decided faster than can be read", "": ""}


class BadQuery(ValueError):
    """``field`` of the address makes no sense; the message says what would."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def window(given: Mapping[str, str], now: datetime) -> tuple[Window, int]:
    """The window that ends ``now``, and its days."""
    text = given.get("days", "") or "30"
    if text not in map(str, DAYS):
        raise BadQuery("days", f"must be one of {', '.join(map(str, DAYS))}")
    return Window(now - timedelta(days=int(text)), now), int(text)


def between(since: str, until: str, now: datetime) -> Window:
    """From two times, of which each may be left out: thirty days up to now."""
    end = _time("to", until) if until else now
    begin = _time("from", since) if since else end - timedelta(days=30)
    if not begin < end:
        raise BadQuery("from", "must be before to")
    if end - begin > LONGEST:
        raise BadQuery("from", f"must be at most {LONGEST.days} days before to")
    return Window(begin, end)


def _time(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadQuery(name, "must be a date or a time such as 2026-11-27 or 2026-11-27T17:00:00Z") from None


@dataclass(frozen=True, slots=True)
class Narrow:
    """The decisions of one hour of the week (or of all), and of one kind."""

    day: int | None = None
    hour: int | None = None
    only: str = ""


def narrow(given: Mapping[str, str]) -> Narrow:
    """What a cell's link says."""
    only = given.get("only", "")
    if only not in ONLY:
        raise BadQuery("only", "must be unopened or faster")
    return Narrow(_small(given, "day", 1, 7), _small(given, "hour", 0, 23), only)


def _small(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 3 and least <= int(text) <= most):
        raise BadQuery(name, f"must be a whole number from {least} to {most}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the list. ``by`` is empty for those who may not see it here; seconds."""

    request: UUID
    title: str
    verdict: str
    at: datetime
    by: str
    words: int | None
    took: float | None


def decisions(actor: Actor, over: Window, what: Narrow) -> tuple[list[Decision], bool]:
    """The newest SHOWN, and whether there are more. Call inside the tenant's scope."""
    zone = Calendar.objects.filter(tenant=actor.tenant).values_list("zone", flat=True).first() or "UTC"
    given: dict[str, Any] = {"tenant": actor.tenant.id, "since": over.since, "until": over.until, "zone": zone}
    given |= {"day": what.day, "hour": what.hour, "speed": 60 / WORDS_A_MINUTE, "limit": SHOWN + 1}
    with connection.cursor() as cursor:
        cursor.execute(_LIST.format(only=_WHERE[what.only]), given)
        rows = cursor.fetchall()
    shown = display.of(actor)
    found = [
        Decision(
            key,
            shown.title(title),
            verdict,
            at,
            name if actor.role in SEE_NAMES or who == actor.id else "",
            words,
            took,
        )
        for key, title, verdict, at, who, name, words, took in rows
    ]
    return found[:SHOWN], len(found) > SHOWN


_WHERE = {"": "true", "unopened": "took IS NULL", "faster": "took < words * %(speed)s"}
_LIST = """
SELECT * FROM (
    SELECT q.id, q.title, q.verdict, q.decided_at, q.decided_by_id, q.decided_by_name, q.shown_words AS words,
        CASE WHEN g.opened_at <= q.decided_at THEN EXTRACT(EPOCH FROM q.decided_at - g.opened_at)::float8 END AS took
    FROM approvals_approvalrequest q
    LEFT JOIN approvals_sighting g
        ON g.tenant_id = q.tenant_id AND g.request_id = q.id AND g.viewer_id = q.decided_by_id
    WHERE q.tenant_id = %(tenant)s AND q.status = 'decided' AND NOT q.probe AND q.standing_id IS NULL
        AND q.decided_by_id IS NOT NULL AND q.decided_at >= %(since)s AND q.decided_at < %(until)s
        AND (%(day)s::int IS NULL OR EXTRACT(ISODOW FROM q.decided_at AT TIME ZONE %(zone)s) = %(day)s::int)
        AND (%(hour)s::int IS NULL OR EXTRACT(HOUR FROM q.decided_at AT TIME ZONE %(zone)s) = %(hour)s::int)
) AS d WHERE {only} ORDER BY decided_at DESC, id LIMIT %(limit)s
"""
