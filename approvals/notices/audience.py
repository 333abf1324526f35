"""Who may decide a request, and who is to know of an alert, as far as writing to people goes."""

from __future__ import annotations

from uuid import UUID

from approvals.notices import events
from approvals.notices.models import Subscription
from console.tenants import groups
from console.tenants.models import Membership, Role, User


def deciders(tenant_id: UUID, group: str) -> list[User]:
    """The active people of a tenant whom a request of ``group`` (empty: of no group) waits for. Call inside a scope."""
    members = Membership.objects.filter(tenant=tenant_id, role=Role.REVIEWER, active=True, user__is_active=True)
    if group:
        members = members.filter(user_id__in=[each.user_id for each in groups.reviewers(tenant_id, group)])
    return [member.user for member in members.select_related("user").order_by("user__username")]


def helpers(tenant_id: UUID, group: str) -> list[User]:
    """The admins, where a request waits for a group in which nobody can decide: they alone can put somebody there."""
    return admins(tenant_id) if groups.empty(tenant_id, [group] if group else []) else []


def admins(tenant_id: UUID) -> list[User]:
    """The active admins of a tenant: those whom its alerts are written to. Call inside a scope."""
    members = Membership.objects.filter(tenant=tenant_id, role=Role.ADMIN, active=True, user__is_active=True)
    return [member.user for member in members.select_related("user").order_by("user__username")]


def of_alerts(tenant_id: UUID, severity: str) -> list[User]:
    """The admins who asked for mail about alerts of a severity, and can be written to. Call inside a scope."""
    asked = Subscription.objects.filter(tenant=tenant_id, wants__in=events.who_hear(severity)).values_list(
        "user_id", flat=True
    )
    known = set(asked)
    return [user for user in admins(tenant_id) if user.pk in known and user.email] if known else []
