"""How figures are written on a page: with their unit, and beside what they were before."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.templatetags.sayso import duration, thousands, usd

register = template.Library()


@register.filter
def figure(value: Any, unit: str) -> str:
    """A number in its unit: count and tokens whole, seconds as a duration, dollars as money, share in percent. None is a dash."""
    if value is None:
        return "–"
    if unit == "seconds":
        return f"{value * 1000:.0f} ms" if 0 < value < 1 else str(duration(value))
    if unit == "dollars":
        return usd(Decimal(str(value)).quantize(Decimal("0.000001")))
    if unit == "share":
        return f"{value * 100:.1f} %"
    return thousands(value)


@register.simple_tag
def change(now: Any, before: Any, unit: str, good: str = "") -> SafeString | str:
    """How ``now`` differs from ``before``, as a signed number; red where it moved against ``good`` (up or down).

    Counts and money change in percent, times by their difference, shares by points. Nothing is said without a before.
    """
    if now is None or before is None:
        return ""
    difference = now - before
    if unit == "share":
        text = f"{difference * 100:+.1f} points"
    elif unit == "seconds":
        text = f"{'+' if difference >= 0 else '−'}{figure(abs(difference), 'seconds')}"
    elif not before:
        return format_html("<small>{}</small>", "none before" if now else "as before")
    else:
        text = f"{difference / before * 100:+,.0f} %"
    text = text.replace("-", "−")
    worse = (difference < 0) if good == "up" else (difference > 0) if good == "down" else False
    small = abs(difference) < 0.0005 if unit == "share" else abs(difference) < 0.005 * abs(before or 1)
    if small:
        return format_html("<small>{}</small>", "as before")
    return format_html('<small class="{}">{}</small>', "tone-harm" if worse else "", text)
