"""What a rule and a silence may be: every field checked. Raises approvals.errors.Invalid, which names the field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from approvals.errors import Invalid
from approvals.models import Calendar
from console.tenants.access import Actor
from telemetry import asking, selecting
from telemetry.alerts import figuring, states
from telemetry.alerts.models import AlertRule, Condition, Severity
from telemetry.figures import FIGURES
from telemetry.windows import BadQuery

HOURS = 168
WEEKS = (states.ENOUGH, 12)
LEAST = 1_000_000
LASTING = 1_440  # minutes
REMIND = 720  # hours
REASON = 300  # characters
SILENT = timedelta(days=30)
FIELDS = (
    "name", "figure", "narrowed", "hours", "condition", "threshold", "weeks", "least", "for_minutes", "severity",
    "remind_hours", "active",
)  # fmt: skip


def rule(actor: Actor, given: Mapping[str, Any], now: datetime) -> AlertRule:
    """The rule that ``given`` describes, not saved: texts, as a form has them, or values. Call in the tenant's scope."""
    figure = FIGURES.get(str(given.get("figure", ""))[:100])
    if figure is None:
        raise Invalid("figure", "Choose one of the figures; GET /telemetry/figures lists them.")
    condition = str(given.get("condition", ""))
    if condition not in Condition.values:
        raise Invalid("condition", f"Choose one of {', '.join(Condition.values)}.")
    severity = str(given.get("severity") or Severity.MEDIUM)
    if severity not in Severity.values:
        raise Invalid("severity", f"Choose one of {', '.join(Severity.values)}.")
    made = AlertRule(
        tenant=actor.tenant,
        name=_line("name", given.get("name"), 80),
        figure=figure.name,
        narrowed=_narrowed(given.get("narrowed") or {}),
        hours=_whole("hours", given.get("hours"), 1, HOURS),
        condition=condition,
        threshold=None if condition == Condition.UNUSUAL else _threshold(given.get("threshold"), figure.unit),
        weeks=_whole("weeks", given.get("weeks"), *WEEKS, usual=6),
        least=_whole("least", given.get("least"), 0, LEAST, usual=0),
        for_minutes=_whole("for_minutes", given.get("for_minutes"), 0, LASTING, usual=0),
        severity=severity,
        remind_hours=_whole("remind_hours", given.get("remind_hours"), 1, REMIND, usual=24),
        active=bool(given.get("active", True)),
        updated_by=actor.name[:200],
    )
    if condition == Condition.BELOW and not made.threshold:
        raise Invalid("threshold", "Nothing is below 0: give what it should at least be.")
    try:
        selecting.rows(figuring.scope_of(actor, made), figuring.window_of(made, figure, now), figure.table)
    except BadQuery as fault:
        raise Invalid(fault.field, f"{fault.field.capitalize()} {fault.message}.") from None
    return made


def reason(given: Any) -> str:
    """Why it is to be silent."""
    return _line("reason", given, REASON)


def until(actor: Actor, given: Any, now: datetime) -> datetime:
    """``1h``, ``8h``, ``monday`` (its first minute, where the tenant works) or a time; at most SILENT from now."""
    text = str(given or "").strip()[:60]
    if isinstance(given, datetime):
        found = given if given.tzinfo else given.replace(tzinfo=UTC)
    elif re.fullmatch("[1-9][0-9]?h", text, re.ASCII):
        found = now + timedelta(hours=int(text[:-1]))
    elif text == "monday":
        zone = ZoneInfo(Calendar.objects.filter(tenant=actor.tenant).values_list("zone", flat=True).first() or "UTC")
        here = now.astimezone(zone)
        found = datetime.combine(here.date() + timedelta(days=7 - here.weekday()), time(), zone)
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise Invalid("until", "Say until when: 1h, 8h, monday, or a time such as 2026-11-21T17:00Z.") from None
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
    # Nearer to the ends of time, a time zone leads out of all bounds.
    if not 2 <= found.year <= 9997 or not now < found.astimezone(UTC) <= now + SILENT:
        raise Invalid("until", f"A silence ends later than now, and within {SILENT.days} days.")
    return found.astimezone(UTC)


def _narrowed(given: Any) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise Invalid("narrowed", f"Narrow it by {', '.join(asking.NARROWED)}.")
    strange = next((each for each in given if each not in asking.NARROWED), None)
    if strange is not None:
        raise Invalid("narrowed", f"It can be narrowed by {', '.join(asking.NARROWED)}, and nothing else.")
    found = {name: str(value).strip() for name, value in given.items() if value is not None and str(value).strip()}
    for name, value in found.items():
        if len(value) > 200 or not value.isprintable():
            raise Invalid(name, f"{name.capitalize()} has at most 200 printable characters.")
    return found


def _line(field: str, given: Any, most: int) -> str:
    text = str(given or "").strip()
    if not text or len(text) > most or not text.isprintable():
        raise Invalid(field, f"The {field} is one line of 1 to {most} printable characters.")
    return text


def _whole(field: str, given: Any, least: int, most: int, usual: int | None = None) -> int:
    if (given is None or given == "") and usual is not None:
        return usual
    text = str(given).strip()[:20] if not isinstance(given, bool) else ""
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII) or not least <= int(text) <= most:
        raise Invalid(field, f"{field.replace('_', ' ').capitalize()} must be a whole number from {least} to {most:,}.")
    return int(text)


def _threshold(given: Any, unit: str) -> float:
    try:
        value = float(str(given).strip()[:40]) if not isinstance(given, bool) else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    most = 1.0 if unit == "share" else 1e12
    if not 0 <= value <= most:
        words = "from 0 to 1: 0.25 is 25 %" if unit == "share" else f"of {unit}, from 0 to a million millions"
        raise Invalid("threshold", f"The threshold must be a number {words}.")
    return value
