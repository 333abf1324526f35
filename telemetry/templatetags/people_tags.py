"""Shares in words, for the people page."""

from __future__ import annotations

from django import template

from telemetry.people_stats import Share

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """``37 %``; a dash for a share of nothing. What is not nothing is never 0 %, and what is not all never 100 %."""
    if share is None:
        return "–"
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{round(100 * share)} %"


@register.filter
def between(share: Share) -> str:
    """``between 12 and 64 %``: the interval."""
    return f"between {round(100 * share.low)} and {round(100 * share.high)} %" if share.n else ""
