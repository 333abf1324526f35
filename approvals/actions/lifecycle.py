"""How a run ends together with its requests. (Parking touches none: see runs.actions.park.)"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals import in_doubt
from approvals.actions import concluding
from approvals.actions.requests import lock_run, tell
from approvals.errors import RunOver
from approvals.models import ApprovalRequest, RequestStatus
from approvals.notices import events, outbox
from console import prepared
from console.audit import log
from console.runs import actions as runs
from console.runs import effects, evidence
from console.runs.models import TERMINAL, Run, Step
from console.runs.totals import Totals
from console.runs.totals import of as totals_of
from console.tenants import access
from console.tenants.access import Actor

Json = Any


@transaction.atomic
def cancel_run(actor: Actor, run: Run) -> Run:
    """End ``run`` on a person's word; its pending requests become moot.

    Raises access.Forbidden unless the actor is operator or admin, RunOver when the run has ended already.
    """
    access.require(actor, "operator", "admin")
    locked = lock_run(run.pk, actor.tenant.pk)
    if locked.status in TERMINAL:
        raise RunOver(locked)
    if locked.probe:
        for request in ApprovalRequest.objects.filter(
            tenant=locked.tenant_id, run=locked, status=RequestStatus.PENDING
        ):
            concluding.withdrawn(actor, request, locked)
    else:
        end_locked(locked, "cancelled", "cancelled", f"{actor.name} cancelled the run.")
    log.record(actor, "run.cancelled", "run", locked.pk)
    return Run.objects.select_related("workflow", "revision", "tenant").get(pk=locked.pk)


@transaction.atomic(savepoint=False)  # in its caller's scope: what fails here fails there
def finish_run(
    run_id: UUID,
    token: int | None,
    status: str,
    stop_reason: str,
    detail: str = "",
    result: Json = None,
    totals: Totals | None = None,
) -> bool:
    """End a run as its worker says, under its fencing token (None: whoever holds it); pending requests become moot.

    False when the token is stale or the run has ended already: nothing was written.
    """
    run = lock_run(run_id)
    if not runs.finish(run, token, status, stop_reason, detail, result, totals):
        return False
    moot(run)
    outbox.note(None, run, events.ENDED, status=str(status), stop_reason=str(stop_reason))
    return True


def end_locked(run: Run, status: str, stop_reason: str, detail: str) -> None:
    """End a run whose row the caller has locked. Its pending requests become moot. Raises RunOver.

    Totals are summed from the journal: the worker that may be at work on the run gets no chance to hand them in.
    """
    steps = list(Step.objects.filter(tenant=run.tenant_id, run=run).order_by("seq"))
    had = effects.account(run, steps, over=True).sentence
    detail = f"{detail} Until then: {had}." if had else detail
    if not runs.finish(run, None, status, stop_reason, detail, None, totals_of(steps)):
        raise RunOver(run)
    moot(run)
    outbox.note(None, run, events.ENDED, status=str(status), stop_reason=str(stop_reason))


def heard_late(run_id: UUID, scope: str, n: int) -> int:
    """The outcome of a call came in under a stale token, and is kept as evidence: tell whoever is asked about that call,
    in this run or in one that went on from it. Returns how many requests it concerns. Call inside a scope."""
    concerned = ApprovalRequest.objects.filter(
        run__in=evidence.waiting_for(run_id), kind="in_doubt", status=RequestStatus.PENDING, n=n
    ).select_related("run__workflow")
    told = [request for request in concerned.order_by("id") if in_doubt.step_scope(request) == scope]
    for request in told:
        tell(request, request.run)
    return len(told)


def moot(run: Run) -> int:
    """Nothing is left to decide for ``run``: its pending requests leave every screen. Returns how many there were."""
    with prepared.cursor() as cursor:  # by hand: most runs end with nothing to decide, and the ORM asks for the rows
        cursor.execute(_PENDING, [run.tenant_id, run.pk])
        (any_pending,) = cursor.fetchone()
    if not any_pending:
        return 0
    pending = list(
        ApprovalRequest.objects.filter(tenant=run.tenant_id, run=run, status=RequestStatus.PENDING).order_by("id")
    )
    now = timezone.now()
    moved = 0
    for request in pending:
        moved += ApprovalRequest.objects.filter(
            pk=request.pk, tenant=run.tenant_id, status=RequestStatus.PENDING
        ).update(status=RequestStatus.MOOT, decided_at=now)
        request.status, request.decided_at = RequestStatus.MOOT, now
        tell(request, run)
    return moved


_PENDING = """
    SELECT EXISTS (SELECT 1 FROM approvals_approvalrequest WHERE tenant_id = %s AND run_id = %s AND status = 'pending')
"""
