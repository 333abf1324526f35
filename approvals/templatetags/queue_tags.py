"""What every page shows of the queue: how many requests wait."""

from typing import Any

from django import template

from approvals.models import ApprovalRequest, RequestStatus
from console.tenants import access

register = template.Library()


@register.simple_tag(takes_context=True)
def waiting_count(context: dict[str, Any]) -> int:
    """How many requests of the viewer's tenant wait for a person."""
    if "waiting" in context:
        return int(context["waiting"])
    actor = getattr(context.get("request"), "actor", None)
    if actor is None:
        return 0
    return access.all(ApprovalRequest, actor).filter(status=RequestStatus.PENDING).count()
