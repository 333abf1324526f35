"""Figures of runs and steps for templates; each takes a row or the feed's payload of it."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django import template
from django.utils import timezone

from console.templatetags.sayso import moment

register = template.Library()


def _of(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


@register.filter
def machine_s(run: Any) -> float:
    """Seconds in models and tools."""
    return float(_of(run, "model_s") or 0) + float(_of(run, "tool_s") or 0)


@register.filter
def human_s(run: Any) -> float:
    """Seconds waited for people, the wait that goes on now included."""
    since = moment(_of(run, "waiting_since") or "")
    now = (timezone.now() - since).total_seconds() if since else 0.0
    return float(_of(run, "waiting_s") or 0) + max(now, 0.0)


@register.filter
def tokens(run: Any) -> int:
    """Input and output tokens together."""
    return int(_of(run, "input_tokens") or 0) + int(_of(run, "output_tokens") or 0)


@register.filter
def step_tokens(step: Any) -> int | None:
    """Tokens of one step, or None when it used no model."""
    usage = _of(step, "usage")
    if not isinstance(usage, dict):
        return None
    return int(usage.get("input_tokens") or 0) + int(usage.get("output_tokens") or 0)


@register.filter
def tries(step: Any) -> int:
    """How often a step was tried."""
    attempts = _of(step, "attempts")
    return max(len(attempts), 1) if isinstance(attempts, list) else int(attempts or 1)


@register.filter
def took(step: Any) -> float | None:
    """Seconds from a step's beginning to its end, or None while it goes on."""
    began, ended = moment(_of(step, "started_at")), moment(_of(step, "ended_at"))
    return (ended - began).total_seconds() if began and ended else None


@register.filter
def first_words(step: Any) -> float | None:
    """Seconds from a step's beginning to its first streamed words; of a step that was tried again, from that try's."""
    began, first = moment(_of(step, "started_at")), moment(_of(step, "first_token_at"))
    made = _of(step, "attempts")
    last = made[-1] if isinstance(made, list) and made and isinstance(made[-1], dict) else {}
    began = moment(last.get("started_at") or "") or began
    return max((first - began).total_seconds(), 0.0) if began and first else None


@register.filter
def usage_words(step: Any) -> str:
    """``812 asked (640 cached), 58 answered (12 reasoning)``; or that nobody said, and what is reckoned instead."""
    used = _of(step, "usage")
    if not isinstance(used, dict):
        return ""
    if used.get("missing"):
        said = "its provider did not say" if used["missing"] == "absent" else "its provider said what cannot be"
        reckoned = used.get("reckoned") or {}
        return f"{said}; limits count {_asked_and_answered(reckoned)}, as reckoned" if reckoned else said
    return _asked_and_answered(used)


def _asked_and_answered(used: dict[str, Any]) -> str:
    cached, thought = used.get("cached_tokens"), used.get("reasoning_tokens")
    asked = f"{int(used.get('input_tokens') or 0):,} asked" + (f" ({cached:,} cached)" if cached else "")
    return f"{asked}, {int(used.get('output_tokens') or 0):,} answered" + (
        f" ({thought:,} reasoning)" if thought else ""
    )


@register.filter
def component(scope: str) -> str:
    """The agent in a scope such as ``payer/model``."""
    return str(scope).split("#", 1)[0].split("/", 1)[0]


@register.filter
def answered_by(step: Any) -> str:
    """Which credential and model answered, where it was not the first way that was tried; else ""."""
    made = _of(step, "attempts")  # the live feed tells only how many there were
    attempts = (
        [one for one in made if isinstance(one, dict) and one.get("credential")] if isinstance(made, list) else []
    )
    if not attempts or attempts[-1].get("cause") or attempts[-1]["credential"] == attempts[0]["credential"]:
        return ""
    return f"{attempts[-1]['credential']} ({attempts[-1].get('model', '')})"


@register.filter
def edited_by(step: Any) -> str:
    """Who put other words into a step when its run was forked; else ""."""
    attempts = _of(step, "attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    return str(last.get("by") or "somebody") if isinstance(last, dict) and last.get("cause") == "edited" else ""


@register.filter
def some(amount: Any) -> bool:
    """Whether an amount of money is more than nothing."""
    try:
        return Decimal(str(amount)) > 0
    except InvalidOperation:
        return False


_CAUSES = {
    None: "succeeded",
    "timeout": "no answer in time",
    "connect_timeout": "no connection in time",
    "connection": "no connection",
    "no_answer": "no answer came",
    "unavailable": "could not be reached",
    "not_allowed": "may not be reached",
    "refused": "refused by the tool",
    "interrupted": "broken off in the middle",
    "cancelled": "cancelled from within",
    "cut_short": "the answer broke off",
    "nonsense": "no usable answer",
    "stream_error": "the provider broke off",
    "resting": "not asked: it keeps failing",
    "too_many_calls": "too many tool calls at once",
    "worker_lost": "its worker was lost",
    "in_doubt": "in doubt, a person was asked",
    "ledger": "not done: done before, answered from the ledger",
    "ledger_under_way": "not done: another run is at it",
    "ledger_unknown": "not done: begun before, its outcome unknown",
    "ledger_other": "not done: done before with something else",
}


@register.filter
def cause_words(cause: Any) -> str:
    """What came of a try, for people; a cause that is not known stays as it is (http_503, ValueError)."""
    if isinstance(cause, str) and cause.startswith("http_"):
        return f"answered HTTP {cause.removeprefix('http_')}"
    return _CAUSES.get(cause or None, str(cause)) if cause is None or isinstance(cause, str) else str(cause)


@register.filter
def span(attempt: Any) -> float | None:
    """Seconds that a try took; None where its times are not known."""
    began, ended = moment(_of(attempt, "started_at")), moment(_of(attempt, "ended_at"))
    return None if began is None or ended is None else (ended - began).total_seconds()


@register.filter
def add_s(one: float, other: float) -> float:
    """Seconds and seconds."""
    return float(one or 0) + float(other or 0)


@register.filter
def in_list(thing: Any) -> list[Any]:
    """A list of the one thing, so that a template can give it a short name."""
    return [thing]
