"""Who may decide a request, as far as writing to people goes."""

from __future__ import annotations

from uuid import UUID

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
    if not groups.empty(tenant_id, [group] if group else []):
        return []
    members = Membership.objects.filter(tenant=tenant_id, role=Role.ADMIN, active=True, user__is_active=True)
    return [member.user for member in members.select_related("user").order_by("user__username")]
