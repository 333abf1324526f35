"""What time does to a request: what its agenda says, written when it was made. Never silence."""

from __future__ import annotations

from django.utils import timezone

from approvals import agenda
from approvals.actions import concluding
from approvals.actions.decisions import pass_on, settle
from approvals.actions.lifecycle import end_locked
from approvals.actions.requests import tell
from approvals.actions.sweeping import one_by_one
from approvals.models import NEVER_DUE, ApprovalRequest, RequestStatus
from approvals.notices import events, outbox
from approvals.words import Words
from console.audit import log
from console.runs import actions as runs
from console.runs.models import Run
from console.tenants.access import Actor

REASON = "Nobody answered in time."


def expire_due(limit: int = 200) -> int:
    """Do what time has to do to every request now: remind, escalate, give it its outcome. Returns to how many.

    One transaction a request. Call outside any scope.
    """
    due = ApprovalRequest.objects.filter(status=RequestStatus.PENDING, next_at__lte=timezone.now()).order_by("next_at")
    return one_by_one("approvals that are due", due[:limit], _attend)


def _attend(run: Run, request: ApprovalRequest) -> bool:
    now = timezone.now()
    if request.status != RequestStatus.PENDING or request.next_at is None or request.next_at > now:
        return False  # decided, or put off, since we looked
    due, left = agenda.split(request.agenda, now)
    policy = Actor(tenant=run.tenant, role="", kind="system", id=None, name="policy")
    last = due[-1]["do"] if due else "expire"
    if last == "expire" and request.on_expiry != "escalate":
        return _expire(policy, request, run)
    for entry in due:
        if entry["do"] == "escalate":
            pass_on(request, entry, now)
            log.record(policy, "request.escalated", "request", request.pk, run=str(run.pk), group=request.group)
            outbox.note(request, run, events.ESCALATED)
    if last == "expire":
        request.due_at = None
        pass_on(request, None, now)
        log.record(policy, "request.escalated", "request", request.pk, run=str(run.pk), why="due")
        outbox.note(request, run, events.ESCALATED)
    reminders = [entry["part"] for entry in due if entry["do"] == "remind"]
    if reminders and last != "expire":
        log.record(policy, "request.reminded", "request", request.pk, run=str(run.pk), part=reminders[-1])
        outbox.note(request, run, events.REMINDED)
    request.agenda, request.next_at = left, agenda.when(left[0]) if left else None
    request.falls = request.due_at or NEVER_DUE
    request.save(update_fields=["agenda", "next_at", "due_at", "falls"])
    tell(request, run)
    return True


def _expire(policy: Actor, request: ApprovalRequest, run: Run) -> bool:
    """Nobody answered, and the time is up."""
    verdict = request.on_expiry if request.on_expiry in ("terminate", "approve") else "reject"
    words = Words(verdict, REASON, digest=request.digest)
    settle(request, RequestStatus.EXPIRED, words, timezone.now(), None, policy.name)
    log.record(policy, "request.expired", "request", request.pk, run=str(run.pk), verdict=verdict)
    outbox.note(request, run, events.EXPIRED)
    if run.probe:
        concluding.expired(policy, request, run)
    elif verdict == "terminate":
        end_locked(run, "failed", "expired", f"Nobody answered in time: {request.title}")
    else:
        runs.wake(run.pk)
    tell(request, run)
    return True
