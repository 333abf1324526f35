"""Standing approvals: a person's yes in advance to calls like one they are looking at.

A use is an ordinary decision of the owner, taken by ``decide`` with all its checks at the moment of the call: an owner
who lost the role or the group approves nothing any more. What needs two people, or what an edit would change, is never
covered.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from approvals import audience
from approvals.actions.decisions import decide
from approvals.actions.requests import lock_run_of, require_open
from approvals.errors import Conflict, Invalid, Over
from approvals.models import ApprovalRequest, StandingApproval
from console.audit import log
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Membership

note = structlog.get_logger(__name__)
LONGEST = timedelta(days=31)
SCOPES = ("run", "workflow")
SAME = ("call", "tool")  # exactly this call, or any of the tool's


@transaction.atomic
def grant(
    actor: Actor, request_id: UUID | str, *, scope: str, same: str, expires_at: Any, reason: str
) -> StandingApproval:
    """Approve in advance what is like a pending request: ``same`` arguments ("call") or any of its tool's ("tool"), in
    this run or in every run of its workflow (``scope``), until ``expires_at``. The request itself is not decided by it.

    Raises access.NotFound, access.Forbidden, TooLate, Claimed, Invalid.
    """
    lock_run_of(actor, request_id)
    request = access.get(ApprovalRequest.objects.select_related("workflow"), actor, pk=request_id)
    now = timezone.now()
    require_open(request, now)
    audience.require(actor, request, "approve", now)
    why = unfit(request)
    if why:
        raise Invalid("scope", why)
    if scope not in SCOPES:
        raise Invalid("scope", f"must be one of {', '.join(SCOPES)}")
    if same not in SAME:
        raise Invalid("same", f"must be one of {', '.join(SAME)}")
    reason = reason.strip() if isinstance(reason, str) else ""
    if not 0 < len(reason) <= 2000 or "\x00" in reason:
        raise Invalid("reason", "is needed, in at most 2,000 characters: whoever reads the record asks why")
    standing = StandingApproval.objects.create(
        tenant=actor.tenant,
        workflow_id=request.workflow_id,
        run_id=request.run_id if scope == "run" else None,
        request_id=request.pk,
        tool=request.tool,
        agent=request.agent,
        rule_name=rule_name(request),
        digest=request.digest if same == "call" else "",
        reason=reason,
        owner_id=actor.id,
        owner_name=actor.name[:200],
        expires_at=_end(expires_at, now),
    )
    log.record(
        actor, "standing.granted", "standing", standing.pk,
        tool=request.tool, scope=scope, same=same, until=standing.expires_at.isoformat(), request=str(request.pk),
    )  # fmt: skip
    return standing


@transaction.atomic
def revoke(actor: Actor, standing_id: UUID | str) -> StandingApproval:
    """End a standing approval now. Its owner may, and every admin. Raises access.NotFound, access.Forbidden, Over."""
    standing = access.get(StandingApproval, actor, for_update=True, pk=standing_id)
    if standing.owner_id != actor.id:
        access.require(actor, "admin")
    if standing.revoked_at is not None:
        raise Over(f"{standing.revoked_by_name} revoked this at {audience.clock(standing.revoked_at)}.")
    standing.revoked_at, standing.revoked_by_name = timezone.now(), actor.name[:200]
    standing.save(update_fields=["revoked_at", "revoked_by_name"])
    log.record(actor, "standing.revoked", "standing", standing.pk, tool=standing.tool)
    return standing


def use(request: ApprovalRequest) -> bool:
    """Approve a request that was just made, where somebody did so in advance. Call with its run locked."""
    if request.kind != "tool" or unfit(request):
        return False
    for standing in _covering(request):
        owner = _owner(standing)
        if owner is None or audience.own(owner, request):
            continue
        try:
            with transaction.atomic():
                said = f"Approved in advance by {standing.owner_name}: {standing.reason}"
                decided = decide(owner, request.pk, "approve", said[:4000], digest=request.digest)
                ApprovalRequest.objects.filter(pk=request.pk, tenant=request.tenant_id).update(standing=standing)
                log.record(owner, "standing.used", "standing", standing.pk, request=str(request.pk), tool=request.tool)
        except (Conflict, Invalid, PermissionDenied) as refusal:  # then a person decides, as if there were none
            note.info("standing_not_used", standing=str(standing.pk), request=str(request.pk), why=str(refusal))
            continue
        request.status, request.verdict, request.standing = decided.status, decided.verdict, standing
        return True
    return False


def unfit(request: ApprovalRequest) -> str:
    """Why a request cannot be approved in advance, or an empty text. A probe is like one whose rule does not allow it:
    it neither uses a yes in advance nor gives rise to one."""
    if request.probe:
        return "the rule that asks does not allow it"
    if request.kind != "tool":
        return "only calls of tools can be approved in advance"
    if request.approvers > 1:
        return f"this takes {request.approvers} people each time"
    if not request.standing_allowed:
        return "the rule that asks does not allow it"
    if request.verdicts and "approve" not in request.verdicts:
        return "the rule that asks does not allow approving"
    return ""


def rule_name(request: ApprovalRequest) -> str:
    """The name of the rule that asked, or "" where none did."""
    return str((request.rule or {}).get("name") or "")[:100]


def _covering(request: ApprovalRequest) -> list[StandingApproval]:
    rows = StandingApproval.objects.filter(
        tenant=request.tenant_id, workflow=request.workflow_id, tool=request.tool, agent=request.agent,
        rule_name=rule_name(request), revoked_at=None, expires_at__gt=timezone.now(),
    )  # fmt: skip
    rows = rows.filter(Q(run=None) | Q(run=request.run_id)).filter(Q(digest="") | Q(digest=request.digest))
    return list(rows.order_by("created_at", "id")[:20])


def _owner(standing: StandingApproval) -> Actor | None:
    """The owner as they are now; None when they are no reviewer of the tenant any more."""
    member = (
        Membership.objects.select_related("user", "tenant")
        .filter(tenant=standing.tenant_id, user=standing.owner_id, active=True, role="reviewer")
        .first()
    )
    if member is None:
        return None
    return Actor(tenant=member.tenant, role=member.role, kind="user", id=member.user_id, name=member.user.name)


def _end(expires_at: Any, now: datetime) -> datetime:
    if isinstance(expires_at, str):
        try:
            expires_at = datetime.fromisoformat(expires_at)
        except ValueError:
            expires_at = None
    if not isinstance(expires_at, datetime):
        raise Invalid("expires_at", "must be a time such as 2026-11-27T17:00:00Z")
    if expires_at.tzinfo is None:
        raise Invalid("expires_at", "needs its time zone, such as the Z of 2026-11-27T17:00:00Z")
    if not now < expires_at <= now + LONGEST:
        raise Invalid("expires_at", f"must lie ahead, and at most {LONGEST.days} days")
    return expires_at
