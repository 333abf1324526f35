"""What every page shows of alerts: how many fire."""

from typing import Any

from django import template

from telemetry.alerts import reading

register = template.Library()


@register.simple_tag(takes_context=True)
def firing_count(context: dict[str, Any]) -> str:
    """How many alerts fire now in the viewer's tenant; empty for none."""
    actor = getattr(context.get("request"), "actor", None)
    many = reading.firing(actor) if actor is not None else 0
    return f"{many:,}" if many else ""
