"""A tenant's own rules: which hold, and which held before. Call inside a scope."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery

from approvals.models import ApprovalRequest, RequestStatus, RuleSet
from approvals.policy import TenantRules
from console.tenants.models import Tenant

Json = Any

# The number of the newest rules of a run's tenant, for a query of runs: null where it has none.
NUMBER_OF_RUN = Subquery(RuleSet.objects.filter(tenant=OuterRef("tenant_id")).order_by("-number").values("number")[:1])


def current(tenant_id: UUID) -> TenantRules | None:
    """The rules that hold for the tenant's runs now; None while it has made none."""
    newest = RuleSet.objects.filter(tenant=tenant_id).order_by("-number").values_list("number", "rules").first()
    return None if newest is None else TenantRules(*newest)


def numbered(tenant_id: UUID, number: int | None) -> TenantRules | None:
    """Rules by their number; None for none. They never change, and a worker keeps them."""
    return None if number is None else _kept(tenant_id, number)


@lru_cache(maxsize=512)
def _kept(tenant_id: UUID, number: int) -> TenantRules:
    return TenantRules(number, RuleSet.objects.values_list("rules", flat=True).get(tenant=tenant_id, number=number))


def listed(tenant_id: UUID) -> list[Json]:
    """The rules that hold for the tenant's runs now, as they were written."""
    held = current(tenant_id)
    return held.rules if held else []


def uses_of_group(tenant: Tenant, group: str) -> list[str]:
    """What names a group here, each a sentence: the tenant's own rules, and requests that wait for it."""
    found = [
        f"the organisation's own rule “{rule.get('name', '')}” names it"
        for rule in listed(tenant.pk)
        if group in (rule.get("group"), *(step["group"] for step in rule.get("escalation") or []))
    ]
    waiting = ApprovalRequest.objects.filter(tenant=tenant, group=group, status=RequestStatus.PENDING).count()
    return found + ([f"{waiting} request{' waits' if waiting == 1 else 's wait'} for it"] if waiting else [])
