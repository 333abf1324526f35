"""What became of a planted request. Called with the request settled, or about to be, and its run locked: the outcome,
the record and the end of the run behind it are of one transaction. Nothing here wakes anything."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from approvals.actions.requests import contents, tell
from approvals.models import ApprovalRequest, RequestStatus
from approvals.probes import judging
from approvals.probes.models import Outcome, Planting
from approvals.words import Words
from console.audit import log
from console.runs import decoys
from console.runs.models import Run
from console.tenants.access import Actor

Json = Any


def decided(actor: Actor, request: ApprovalRequest, run: Run, words: Words) -> None:
    """A person's verdict has settled the request."""
    planting = _of(request)
    said = judging.outcome(
        words.verdict,
        words.arguments,
        contents(request).get("arguments"),
        planting.probe.catches,
        planting.probe.edit_field,
    )
    _conclude(actor, planting, request, run, said or Outcome.MISSED)


def escalated(actor: Actor, request: ApprovalRequest, run: Run) -> bool:
    """A person passed it on. Where that is a catch it is over: nobody else's time is taken. Call before it is told."""
    planting = _of(request)
    if "escalate" not in planting.probe.catches:
        return False
    _moot(request)
    _conclude(actor, planting, request, run, Outcome.CAUGHT)
    return True


def expired(policy: Actor, request: ApprovalRequest, run: Run) -> None:
    """Nobody answered in time."""
    _conclude(policy, _of(request), request, run, Outcome.EXPIRED)


def withdrawn(actor: Actor, request: ApprovalRequest, run: Run) -> None:
    """Take a pending one out of the queue."""
    _moot(request)
    _conclude(actor, _of(request), request, run, Outcome.WITHDRAWN)
    tell(request, run)


def _of(request: ApprovalRequest) -> Planting:
    return Planting.objects.select_related("probe").get(tenant=request.tenant_id, request=request)


def _moot(request: ApprovalRequest) -> None:
    over = {"status": RequestStatus.MOOT, "decided_at": timezone.now(), "agenda": [], "next_at": None}
    ApprovalRequest.objects.filter(pk=request.pk, tenant=request.tenant_id, status=RequestStatus.PENDING).update(**over)
    for name, value in over.items():
        setattr(request, name, value)


def _conclude(actor: Actor, planting: Planting, request: ApprovalRequest, run: Run, outcome: str) -> None:
    now = timezone.now()
    open_ones = Planting.objects.filter(pk=planting.pk, tenant=planting.tenant_id, outcome=Outcome.PLANTED)
    open_ones.update(outcome=outcome, concluded_at=now)
    decoys.close(run)
    about = {"request": str(request.pk), "run": str(run.pk), "outcome": str(outcome)}
    log.record(actor, "probe.concluded", "probe", planting.probe_id, **about, verdict=request.verdict)
    if outcome in (Outcome.CAUGHT, Outcome.MISSED):
        log.record(actor, "probe.revealed", "probe", planting.probe_id, **about)
