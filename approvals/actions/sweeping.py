"""What time has made due is moved one request at a time: two runs are never locked together."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import transaction
from django.db.models import QuerySet

from approvals.actions.requests import lock_run
from approvals.models import ApprovalRequest
from console.runs.models import Run
from console.tenants.scopes import system_scope, tenant_scope

errors = structlog.get_logger(__name__)


def one_by_one(what: str, rows: QuerySet[ApprovalRequest], move: Callable[[Run, ApprovalRequest], bool]) -> int:
    """Call ``move`` for each of ``rows``, with its run locked and the request as it then is; returns how many it moved.

    ``what`` names the work in the log. A transaction each; one that fails is logged and left to the next sweep, and
    keeps no other waiting. Call outside any scope.
    """
    with system_scope(f"sweeping: {what}"):
        found = list(rows.values_list("tenant_id", "run_id", "pk"))
    moved = 0
    for tenant_id, run_id, request_id in found:
        try:
            with tenant_scope(tenant_id), transaction.atomic():
                run = lock_run(run_id, tenant_id)
                moved += move(run, ApprovalRequest.objects.get(pk=request_id, tenant=tenant_id))
        except Exception:
            errors.exception("request_not_moved", what=what, request=str(request_id), run=str(run_id))
    return moved
