"""What time does to a request: the outcome that was frozen when it was made, never silence."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from approvals.actions.decisions import settle
from approvals.actions.lifecycle import end_locked
from approvals.actions.requests import lock_run, tell
from approvals.models import ApprovalRequest, RequestStatus
from approvals.words import Words
from console.audit import log
from console.runs import actions as runs
from console.tenants.access import Actor
from console.tenants.scopes import system_scope, tenant_scope

errors = structlog.get_logger(__name__)
REASON = "Nobody answered in time."


def expire_due(limit: int = 200) -> int:
    """Give every request whose time is up its outcome; returns how many. Call outside any scope.

    One transaction a request: two runs are never locked together.
    """
    with system_scope("approvals that are due"):
        due = list(
            ApprovalRequest.objects.filter(status=RequestStatus.PENDING, due_at__lte=timezone.now())
            .order_by("due_at")
            .values_list("tenant_id", "run_id", "pk")[:limit]
        )
    moved = 0
    for tenant_id, run_id, request_id in due:
        try:
            with tenant_scope(tenant_id):
                moved += _expire(tenant_id, run_id, request_id)
        except Exception:  # one that cannot be expired must not keep all the others waiting; the next sweep tries again
            errors.exception("request_not_expired", request=str(request_id), run=str(run_id))
    return moved


@transaction.atomic
def _expire(tenant_id: UUID, run_id: UUID, request_id: UUID) -> bool:
    run = lock_run(run_id, tenant_id)
    request = ApprovalRequest.objects.get(pk=request_id, tenant=tenant_id)
    now = timezone.now()
    if request.status != RequestStatus.PENDING or request.due_at is None or request.due_at > now:
        return False  # decided, or put off, since we looked
    policy = Actor(tenant=run.tenant, role="", kind="system", id=None, name="policy")
    if request.on_expiry == "escalate":
        request.escalated_at, request.due_at = request.escalated_at or now, None
        ApprovalRequest.objects.filter(pk=request.pk, tenant=tenant_id).update(
            escalated_at=request.escalated_at, due_at=None
        )
        log.record(policy, "request.escalated", "request", request.pk, run=str(run.pk), why="due")
        tell(request, run)
        return True
    verdict = "terminate" if request.on_expiry == "terminate" else "reject"
    settle(request, RequestStatus.EXPIRED, Words(verdict, REASON, digest=request.digest), now, None, policy.name)
    log.record(policy, "request.expired", "request", request.pk, run=str(run.pk), verdict=verdict)
    if verdict == "terminate":
        end_locked(run, "failed", "expired", f"Nobody answered in time: {request.title}")
    else:
        runs.wake(run.pk)
    tell(request, run)
    return True
