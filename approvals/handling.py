"""Who has a request in hand, who may decide it, and what time will do to it: the words of the card."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from approvals import audience
from approvals.actions import claims
from approvals.actions.standing import unfit
from approvals.models import ApprovalRequest, RequestStatus, Snooze, StandingApproval
from console.tenants import groups
from console.tenants.access import Actor

Json = Any
_RISKS = {"high": "high risk", "medium": "medium risk", "low": "low risk"}


def of(actor: Actor, row: ApprovalRequest) -> dict[str, Any]:
    """What the viewer can do about it.

    may: decide; why_not: the sentence that says why not; own: they started the run; claimed: who has it in hand, and
    whether that is the viewer; colleagues: to whom it can be given; like: whether it can be decided together with
    others; standing: whether the like can be approved in advance; used: the approval in advance that decided it.
    """
    now = timezone.now()
    pending = row.status == RequestStatus.PENDING
    held = pending and audience.claimed(row, now)
    barred = audience.bar(actor, row, groups.of(actor) if row.group else ()) if pending else ""
    why = _why_not(actor, row, barred, now) if pending else ""
    may = pending and not why
    takes = pending and actor.role == "reviewer" and not barred
    return {
        "may": may,
        "why_not": why,
        "own": audience.own(actor, row),
        "held": held,
        "mine": held and row.claimed_by_id == actor.id,
        "by": row.claimed_by_name if held else "",
        "until": row.claimed_until if held else None,
        "may_take": takes,
        "may_give": takes or (pending and actor.role == "admin"),
        "colleagues": claims.candidates(row) if takes or (pending and actor.role == "admin") else [],
        "standing": may and not unfit(row) and not audience.own(actor, row),
        "like": may and row.kind not in ("question", "in_doubt"),
        "used": StandingApproval.objects.filter(tenant=row.tenant_id, pk=row.standing_id).first()
        if row.standing_id
        else None,
        "snoozed": Snooze.objects.filter(tenant=row.tenant_id, request=row, owner_id=actor.id, until__gt=now)
        .values_list("until", flat=True)
        .first()
        if may
        else None,
    }


def times(row: ApprovalRequest) -> list[tuple[str, str, str]]:
    """What time does before the end: (what, ISO time, more) for each entry that is left on the agenda."""
    words = {"remind": "Reminder", "escalate": "Passed on"}
    return [
        (words[entry["do"]], entry["at"], entry.get("group", ""))
        for entry in row.agenda
        if entry["do"] in words and row.status == RequestStatus.PENDING
    ]


def place(row: ApprovalRequest) -> str:
    """Why it stands where it does in the queue."""
    said = [_RISKS.get(row.risk, "risk not stated"), "falls due" if row.due_at else "no deadline"]
    if row.blocks > 1:
        said.append(f"{row.blocks} agents wait for it")
    return ", ".join(said)


def _why_not(actor: Actor, row: ApprovalRequest, barred: str, now: datetime) -> str:
    if actor.role != "reviewer":
        return " ".join(filter(None, (f"Reviewers decide; you are an {actor.role} here.", audience.nobody(row))))
    if barred:
        return barred
    if audience.claimed_by_other(actor, row, now):
        return f"{row.claimed_by_name} has this in hand."
    return ""
