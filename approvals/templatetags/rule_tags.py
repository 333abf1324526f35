"""What pages of rules say in words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template

from approvals.backtest import CHANGES, PEOPLE, STILL, Result

register = template.Library()

_CHANGES = {
    "newly_stopped": "would stop for a person",
    "no_longer_stopped": "would stop no longer",
    "newly_denied": "would be refused",
    "no_longer_denied": "would be refused no longer",
    "still_stopped": "stop as they did",
    "still_alone": "run alone as they did",
    "still_denied": "are refused as they were",
}
_EFFECTS = {"allow": "runs alone", "deny": "refused", "require": "a person decides"}
_THEN = {"allow": "ran alone", "deny": "was refused", "require": "stopped for a person"}
_TONES = {"allow": "good", "deny": "harm", "require": "wait"}


@register.filter
def effect_word(effect: str) -> str:
    """allow, deny or require, as what would happen."""
    return _EFFECTS.get(effect, effect)


@register.filter
def then_word(effect: str) -> str:
    """allow, deny or require, as what happened."""
    return _THEN.get(effect, effect)


@register.filter
def effect_tone(effect: str) -> str:
    """The pill's class of an effect."""
    return _TONES.get(effect, "")


@register.filter
def change_rows(result: Result) -> list[tuple[str, int, list[tuple[str, int | None]]]]:
    """(what changes, calls, what people had said about them by people_heads) where there are any calls."""
    rows: list[tuple[str, int, list[tuple[str, int | None]]]] = []
    heads = people_heads(result)
    for change in (*CHANGES, *STILL):
        said = result.decided.get(change)
        if result.counts[change] or change in ("newly_stopped", "newly_denied"):
            rows.append(
                (_CHANGES[change], result.counts[change], [(each, said[each] if said else None) for each in heads])
            )
    return rows


@register.filter
def people_heads(result: Result) -> list[str]:
    """What people said: the four that matter, and what else there was."""
    there = {name for said in result.decided.values() for name, count in said.items() if count}
    return [each for each in PEOPLE if each in ("approved", "edited", "rejected", "expired") or each in there]


@register.filter
def magnitude(value: Any) -> Any:
    """How much it is, whichever way."""
    return abs(value) if isinstance(value, (int, float, Decimal)) else value
