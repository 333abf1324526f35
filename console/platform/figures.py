"""Numbers about tenants, and no content of theirs: a fixed count of queries, for one page of tenants at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from console import health
from console.doctoring import CHECKS, findings, work
from console.doctoring.findings import Finding
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope
from console.workflows.reasons import ABOUT

PAGE = 50
# Those of the doctor's checks that take milliseconds; the others are left to the command.
WATCHED = (*health.CHECKS, "clock", "disk", "age", "sweeper", "stuck")
OPEN = ("queued", "running", "waiting")
_ABNORMAL = [str(reason) for reason, about in ABOUT.items() if about.abnormal]


@dataclass(slots=True)
class Figures:
    """How one tenant fares. Times are None where there is nothing."""

    tenant: Tenant
    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OPEN, 0))
    ready_since: datetime | None = None
    pending: int = 0
    pending_since: datetime | None = None
    in_doubt: int = 0
    ended_badly: int = 0  # within 24 hours
    active_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Tenants by slug. ``next`` is the slug after which the next page begins, or empty."""

    tenants: list[Figures]
    count: int
    next: str


def tenants(words: str = "", after: str = "") -> Page:
    """A page of tenants whose slug or name has ``words`` in it. Call outside any scope."""
    with system_scope("the platform's overview"):
        rows = Tenant.objects.order_by("slug")
        if words:
            rows = rows.filter(Q(slug__icontains=words) | Q(name__icontains=words))
        count = rows.count()
        found = list((rows.filter(slug__gt=after) if after else rows)[: PAGE + 1])
        figures = {tenant.id: Figures(tenant) for tenant in found[:PAGE]}
        _fill(figures)
    return Page(list(figures.values()), count, found[PAGE - 1].slug if len(found) > PAGE else "")


def _fill(figures: Mapping[UUID, Figures]) -> None:
    ids = list(figures)
    for tenant_id, status, many, since in _rows(_OPEN, ids, list(OPEN)):
        figures[tenant_id].runs[status] = many
        if status == "queued":
            figures[tenant_id].ready_since = since
    for tenant_id, many, since, doubtful in _rows(_PENDING, ids):
        one = figures[tenant_id]
        one.pending, one.pending_since, one.in_doubt = many, since, doubtful
    for tenant_id, many in _rows(_ENDED, ids, _ABNORMAL):
        figures[tenant_id].ended_badly = many
    for tenant_id, at in _rows(_ACTIVE, ids):
        figures[tenant_id].active_at = at


def _rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def health_of_all() -> tuple[list[Finding], list[str]]:
    """What the doctor finds at a glance, and the workers that are heard of. Call outside any scope."""
    return findings.examine({name: CHECKS[name] for name in WATCHED}), work.alive()


_OPEN = """
SELECT tenant_id, status, COUNT(*), MIN(ready_at) FROM runs_run
WHERE tenant_id = ANY(%s) AND status = ANY(%s) AND NOT probe GROUP BY tenant_id, status
"""
_PENDING = """
SELECT tenant_id, COUNT(*), MIN(created_at), COUNT(*) FILTER (WHERE kind = 'in_doubt') FROM approvals_approvalrequest
WHERE tenant_id = ANY(%s) AND status = 'pending' AND NOT probe GROUP BY tenant_id
"""
_ENDED = """
SELECT tenant_id, COUNT(*) FROM runs_run
WHERE tenant_id = ANY(%s) AND status = 'failed' AND stop_reason = ANY(%s)
  AND ended_at > clock_timestamp() - interval '24 hours'
GROUP BY tenant_id
"""
_ACTIVE = """
SELECT t.id, (SELECT a.at FROM audit_auditrecord a WHERE a.tenant_id = t.id ORDER BY a.id DESC LIMIT 1)
FROM tenants_tenant t WHERE t.id = ANY(%s)
"""
