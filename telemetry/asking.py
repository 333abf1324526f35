"""A question as it stands in an address: ``from``, ``to`` or ``range``, and what to narrow the figures to. For pages and API."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from console.tenants import access
from console.tenants.access import Actor, NotFound
from console.workflows.models import Workflow
from console.workflows.reasons import StopReason
from telemetry.answers import Series
from telemetry.windows import BadQuery, Scope, Window

RANGES = ("24h", "7d", "30d", "90d", "365d")  # offered; any number of hours or days is understood
USUAL = "7d"
_RANGE = re.compile(r"([1-9][0-9]{0,3})([hd])")
NARROWED = ("workflow", "revision", "agent", "model", "topic", "tool", "stop_reason")


def window(given: Mapping[str, str], now: datetime) -> Window:
    """From ``from`` to ``to``, each a time or a date; else the ``range`` up to now, such as 24h or 30d. Raises BadQuery."""
    start, end, length = given.get("from", ""), given.get("to", ""), given.get("range", "")
    if (start or end) and length:
        raise BadQuery("range", "is instead of from and to: send one or the other")
    if end and not start:
        raise BadQuery("from", "is missing: with to, say from when on")
    if start:
        return Window.of(_time("from", start), _time("to", end, late=True) if end else now, now)
    match = _RANGE.fullmatch(length or USUAL)
    if match is None:
        raise BadQuery("range", f"must be hours or days, such as {', '.join(RANGES)}")
    count = int(match[1])
    return Window.last(timedelta(hours=count) if match[2] == "h" else timedelta(days=count), now)


def scope(actor: Actor, given: Mapping[str, str]) -> Scope:
    """The actor's tenant, narrowed as the address says. Raises BadQuery. Call inside the tenant's scope."""
    told = {name: given.get(name, "") for name in NARROWED}
    for name, value in told.items():
        if "\x00" in value or len(value) > 200:
            raise BadQuery(name, "is no name of ours: it has at most 200 characters, and no NUL")
    workflow = None
    if told["workflow"]:
        try:
            workflow = access.get(Workflow, actor, slug=told["workflow"]).pk
        except NotFound:
            raise BadQuery("workflow", f"there is no workflow {told['workflow']} here") from None
    revision = None
    if told["revision"]:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", told["revision"]):
            raise BadQuery("revision", "must be the number of a revision, such as 3")
        revision = int(told["revision"])
    if told["stop_reason"] and told["stop_reason"] not in set(StopReason):
        raise BadQuery("stop_reason", f"must be one of {', '.join(StopReason)}")
    found = Scope(
        actor.tenant.id, workflow, revision, told["agent"], told["model"], told["topic"], told["tool"],
        told["stop_reason"],
    )  # fmt: skip
    found.cut()
    return found


def sheet(lines: Iterable[Series]) -> str:
    """Series as CSV: at, key, label, value; one row a point, times in UTC, an empty value where there is nothing to say."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("at", "key", "label", "value"))
    for line in lines:
        for at, value in line.points:
            writer.writerow((at.isoformat(), cell(line.key), cell(line.label), "" if value is None else repr(value)))
    return out.getvalue()


def cell(text: str) -> str:
    """A text that a spreadsheet takes for a text, whatever it begins with."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _time(field: str, text: str, late: bool = False) -> datetime:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day + timedelta(days=1) if late else day  # until a day is until its end
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadQuery(field, "must be a time such as 2026-11-21T17:00Z, or a date such as 2026-11-21") from None
