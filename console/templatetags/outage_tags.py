"""What every page says when something that it does not need is gone."""

from django import template

from console import outage

register = template.Library()


@register.simple_tag
def hints_away() -> bool:
    """Whether live updates and wake-ups are delayed, because Valkey does not answer."""
    return not outage.hints_work()
