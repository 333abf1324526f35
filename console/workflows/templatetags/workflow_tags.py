"""How the pages of workflows say things."""

from __future__ import annotations

from typing import Any

from django import template

from console.templatetags.sayso import duration, usd

register = template.Library()

_WORDS = {"running": "running", "promoted": "promoted", "rolled_back": "rolled back", "stopped": "stopped"}


@register.filter
def rollout_word(status: str) -> str:
    """The state of a canary, for people."""
    return _WORDS.get(status, status)


_WAIVERS = {
    "proposed": ("waits for consent", "wait"),
    "in_force": ("in force", "machine"),
    "outgrown": ("not for this version", "wait"),
    "expired": ("has run out", ""),
    "lapsed": ("ran out without consent", ""),
    "revoked": ("revoked", "harm"),
    "declined": ("declined", "harm"),
}


@register.filter
def waiver_word(state: str) -> str:
    """The state of a waiver, for people."""
    return _WAIVERS.get(state, (state, ""))[0]


@register.filter
def waiver_tone(state: str) -> str:
    """Its colour: amber waits for a person, blue lets the machine go on, red is a refusal."""
    return _WAIVERS.get(state, ("", ""))[1]


@register.filter
def figure(value: Any, name: str) -> str:
    """A figure of a canary with its unit."""
    if value is None:
        return "–"
    if name.endswith("_rate"):
        return f"{round(100 * float(value))} %"
    if name == "cost":
        return usd(value)
    return duration(value) if name == "latency" else f"{value:,}"
