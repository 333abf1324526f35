"""What templates need to speak plainly: times, money, sizes, names. Pure: no queries, no state.

Frames of the live feed carry ISO strings where rows carry datetimes; every filter takes both.
"""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

RISK_ORDER = {"high": 0, "medium": 1, "low": 2, "": 3}
FAR = "9999"

STATUS_WORDS = {
    "queued": "Queued",
    "running": "Running",
    "waiting": "Waiting for a person",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "pending": "Waiting",
    "decided": "Decided",
    "expired": "Expired",
    "moot": "No longer needed",
    "intent": "In flight",
    "done": "Done",
    "in_doubt": "In doubt",
}
STATUS_TONES = {
    "queued": "machine",
    "running": "machine",
    "waiting": "wait",
    "pending": "wait",
    "completed": "good",
    "done": "good",
    "failed": "harm",
    "in_doubt": "harm",
    "expired": "harm",
    "intent": "machine",
}
KIND_WORDS = {
    "tool": "action",
    "message": "message",
    "question": "question",
    "final": "final review",
    "in_doubt": "in doubt",
    "model": "model",
    "review": "review",
}
VERDICT_WORDS = {
    "approve": "approved",
    "edit": "edited and approved",
    "reject": "rejected",
    "respond": "answered",
    "escalate": "escalated",
    "terminate": "stopped the run",
    "allow": "allowed by the rules",
    "deny": "refused by the rules",
}
VERDICT_TONES = {"approve": "good", "edit": "good", "respond": "good", "allow": "good"}


def moment(value: Any) -> datetime | None:
    """A datetime from a datetime or an ISO string; None when it is neither."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None


@register.filter
def duration(seconds: Any) -> str:
    """``8.4 s``, ``23 min``, ``1 h 29 min``, ``3 d 4 h``: seconds as people say them."""
    try:
        value = float(seconds)
    except (TypeError, ValueError):
        return "–"
    if value <= 0:
        return "0 s"
    if value < 0.001:
        return "<1 ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, hours, days = int(value // 60), int(value // 3600), int(value // 86400)
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes - hours * 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours - days * 24} h" if hours % 24 else f"{days} d"


def _stamp(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@register.filter
def ago(value: Any) -> str | SafeString:
    """``23 min ago`` in a time element that sayso.js keeps current."""
    when = moment(value)
    if when is None:
        return "–"
    seconds = max((timezone.now() - when).total_seconds(), 0)
    text = "just now" if seconds < 5 else f"{duration(int(seconds)).replace('.0 s', ' s')} ago"
    return format_html('<time datetime="{}" title="{}" data-time="ago">{}</time>', when.isoformat(), _stamp(when), text)


@register.filter
def age(value: Any) -> str | SafeString:
    """``41 min``: how old something is, kept current by sayso.js."""
    when = moment(value)
    if when is None:
        return "–"
    text = duration(int(max((timezone.now() - when).total_seconds(), 0))).replace(".0 s", " s")
    return format_html('<time datetime="{}" title="{}" data-time="age">{}</time>', when.isoformat(), _stamp(when), text)


@register.filter
def clock(value: Any, style: str = "minutes") -> str | SafeString:
    """The time of day, in UTC until sayso.js shows it in the reader's own zone. style: minutes, seconds, day."""
    when = moment(value)
    if when is None:
        return "–"
    form = {"minutes": "%H:%M", "seconds": "%H:%M:%S", "day": "%-d %b %Y, %H:%M"}[style]
    text = when.astimezone(UTC).strftime(form)
    return format_html(
        '<time datetime="{}" title="{}" data-time="{}">{}</time>', when.isoformat(), _stamp(when), style, text
    )


@register.filter
def due(value: Any) -> str | SafeString:
    """``due 18 min`` or ``overdue 5 min``; amber within the hour, red within twenty minutes."""
    when = moment(value)
    if when is None:
        return ""
    left = (when - timezone.now()).total_seconds()
    tone = "harm" if left < 1200 else "wait" if left < 3600 else "later"
    text = f"overdue {duration(-left)}" if left < 0 else f"due {duration(max(left, 60))}"
    return format_html(
        '<time class="due tone-{}" datetime="{}" title="{}" data-time="due">{}</time>',
        tone,
        when.isoformat(),
        _stamp(when),
        text,
    )


@register.filter
def thousands(value: Any) -> str:
    """3204 -> ``3,204``."""
    try:
        return f"{int(value):,}"
    except (TypeError, ValueError):
        return "–"


@register.filter
def usd(value: Any) -> str:
    """US dollars with as many places as the size asks for; None is unpriced, never free."""
    if value is None or value == "":
        return "unpriced"
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return "–"
    if amount == 0:
        return "$0.00"
    places = 2 if abs(amount) >= 1 else 4
    return f"${amount:,.{places}f}" if abs(amount) >= Decimal("0.0001") else f"${amount:.6f}"


@register.filter
def pretty(value: Any) -> str:
    """JSON with indentation; text stays text."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def call_arguments(value: Any) -> str:
    """``order="A-1001", amount=1250.0``: arguments on one line, as a call shows them. Text that is not JSON stays."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return ", ".join(f"{name}={json.dumps(item, ensure_ascii=False)}" for name, item in value.items())


@register.filter
def short_digest(value: str) -> str:
    """``9c1e…a07f``."""
    return f"{value[:4]}…{value[-4:]}" if value else ""


@register.filter
def short_run(value: Any) -> str:
    """``r-7f3c1a`` for a run's uuid, as Run.short has it."""
    return f"r-{str(value).replace('-', '')[:6]}"


@register.filter
def domid(value: Any) -> str:
    """A stable element id for a step or chunk payload (its scope and n)."""
    scope, n = (value["scope"], value["n"]) if isinstance(value, dict) else (value.scope, value.n)
    return "s" + hashlib.sha256(f"{scope}\n{n}".encode()).hexdigest()[:12]


@register.filter
def iso(value: Any) -> str:
    """A time as scripts read it: ISO 8601 in UTC."""
    when = moment(value)
    return when.astimezone(UTC).isoformat() if when else ""


@register.filter
def rank(item: dict[str, Any]) -> str:
    """What the queue sorts by, as one comparable string: risk, due date, agents blocked, age. The database sorts the same
    way; see approvals/listing.py."""
    risk, blocks = RISK_ORDER.get(item.get("risk") or "", 3), 999 - int(item.get("blocks") or 1)
    due, made = _sortable(item.get("due_at")), _sortable(item.get("created_at"))
    return f"{risk}|{due}|{blocks:03d}|{made}|{item.get('id')}"


def _sortable(value: Any) -> str:
    when = moment(value)
    return when.astimezone(UTC).strftime("%Y%m%d%H%M%S%f") if when else FAR


@register.filter
def word(value: str) -> str:
    """The word people read for a status or a kind."""
    return STATUS_WORDS.get(value) or KIND_WORDS.get(value) or str(value).replace("_", " ")


@register.filter
def kind_word(value: str) -> str:
    """The word people read for a kind of request or step."""
    return KIND_WORDS.get(value, value)


@register.filter
def tone(value: str) -> str:
    """wait, good, harm, machine or plain: the meaning of a status, for its colour."""
    return STATUS_TONES.get(value, "plain")


@register.filter
def verdict_word(value: str) -> str:
    """``approved`` for approve, and so on."""
    return VERDICT_WORDS.get(value, value)


@register.filter
def verdict_tone(value: str) -> str:
    """good or harm for a verdict."""
    return VERDICT_TONES.get(value, "plain" if value == "escalate" else "harm")


@register.filter
def ended(text: str) -> str:
    """A text that another sentence may follow."""
    text = str(text).strip()
    return f"{text}." if text and text[-1].isalnum() else text


@register.filter
def lower_first(text: str) -> str:
    """The text to go on with in a sentence."""
    return text[:1].lower() + text[1:]


@register.filter
def safety_sentence(value: str) -> str:
    """What doing a tool's effect means, in words."""
    return {
        "read_only": "It only reads.",
        "idempotent": "It changes something, and asking twice does it once.",
        "neither": "It changes something outside and cannot be undone from here.",
    }.get(value, "What it does outside is not known, so it is treated as irreversible.")


@register.filter
def get(mapping: Any, name: str) -> Any:
    """mapping[name], or None."""
    return mapping.get(name) if isinstance(mapping, dict) else None
