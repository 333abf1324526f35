"""The rules that every tenant begins with. Made once, with its Watch: what an admin deletes stays deleted."""

from __future__ import annotations

from typing import Any

from console.audit import log
from console.tenants import access
from console.tenants.models import Tenant
from telemetry.alerts.models import AlertRule, Condition, Severity, Watch

READY: dict[str, dict[str, Any]] = {
    "abnormal": {
        "name": "Runs end badly more than usual", "figure": "abnormal_share", "hours": 3,
        "condition": Condition.UNUSUAL, "least": 10, "for_minutes": 5,
    },
    "worker_lost": {
        "name": "A worker was lost", "figure": "ended", "narrowed": {"stop_reason": "worker_lost"}, "hours": 6,
        "condition": Condition.ABOVE, "threshold": 0.0, "severity": Severity.HIGH,
    },
    "divergence": {
        "name": "A run diverged from its record", "figure": "ended", "narrowed": {"stop_reason": "divergence"}, "hours": 6,
        "condition": Condition.ABOVE, "threshold": 0.0, "severity": Severity.HIGH,
    },
    "wait": {
        "name": "Requests wait for hours", "figure": "wait_p95", "hours": 24, "condition": Condition.ABOVE,
        "threshold": 4 * 3600.0, "least": 5, "for_minutes": 5,
    },
    "cost": {
        "name": "A day costs more than usual", "figure": "cost", "hours": 24, "condition": Condition.UNUSUAL,
        "severity": Severity.LOW,
    },
}  # fmt: skip


def make(tenant: Tenant) -> bool:
    """Give a tenant its Watch and these rules, if it has none yet. Call inside the tenant's scope."""
    if Watch.objects.filter(tenant=tenant).exists():
        return False
    _, made = Watch.objects.get_or_create(tenant=tenant)
    if made:
        rules = [AlertRule(tenant=tenant, ready=key, updated_by="Sayso", **about) for key, about in READY.items()]
        AlertRule.objects.bulk_create(rules, ignore_conflicts=True)
        log.record(access.system_actor(tenant), "alert.rules_made", "tenant", tenant.id, rules=list(READY))
    return made
