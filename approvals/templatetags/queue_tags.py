"""What every page shows of the queue: how many requests wait."""

from typing import Any

from django import template

from approvals import listing

register = template.Library()


@register.simple_tag(takes_context=True)
def waiting_count(context: dict[str, Any]) -> int:
    """How many requests wait for the viewer; see listing.waiting."""
    if "waiting" in context:
        return int(context["waiting"])
    actor = getattr(context.get("request"), "actor", None)
    if actor is None:
        return 0
    return listing.waiting(actor)


@register.filter
def capped(count: int) -> str:
    """``204``, or ``1,000+`` for what was counted no further; empty for none."""
    return f"{listing.COUNTED:,}+" if count > listing.COUNTED else f"{count:,}" if count else ""
