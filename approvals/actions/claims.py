"""Taking a request in hand, so that two people do not read the same one: for a while, never for good."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals import audience
from approvals.actions.requests import lock_run_of, require_open, tell
from approvals.actions.sweeping import one_by_one
from approvals.errors import Claimed, Invalid
from approvals.models import ApprovalRequest, RequestStatus
from console.audit import log
from console.runs.models import Run
from console.tenants import access, groups
from console.tenants.access import Actor
from console.tenants.models import Membership, User

LASTS = timedelta(minutes=15)


@transaction.atomic
def claim(actor: Actor, request_id: UUID | str, *, take_over: bool = False) -> ApprovalRequest:
    """Take a pending request in hand for LASTS; again makes it last longer. ``take_over`` takes it from a colleague.

    Raises access.NotFound, access.Forbidden, TooLate, Claimed.
    """
    request, run = _pending(actor, request_id)
    now = timezone.now()
    _may_decide(actor, request)
    if audience.claimed_by_other(actor, request, now) and not take_over:
        raise Claimed(request)
    was = request.claimed_by_name if audience.claimed_by_other(actor, request, now) else ""
    _give(request, actor.id, actor.name)
    log.record(actor, "request.claimed", "request", request.pk, run=str(run.pk), **({"was": was} if was else {}))
    tell(request, run)
    return request


@transaction.atomic
def release(actor: Actor, request_id: UUID | str) -> ApprovalRequest:
    """Let go of it; nothing happens where nobody has it in hand. Admins may take it from anybody.

    Raises access.NotFound, access.Forbidden, TooLate, Claimed.
    """
    request, run = _pending(actor, request_id)
    if actor.role != "admin":
        audience.require_reviewer(actor)
        if audience.claimed_by_other(actor, request, timezone.now()):
            raise Claimed(request)
    if request.claimed_until is not None:
        drop(request)
        log.record(actor, "request.released", "request", request.pk, run=str(run.pk))
        tell(request, run)
    return request


@transaction.atomic
def assign(actor: Actor, request_id: UUID | str, username: str) -> ApprovalRequest:
    """Put it into the hands of a colleague who may decide it. Reviewers and admins assign.

    Raises access.NotFound, access.Forbidden, TooLate, Invalid (to).
    """
    request, run = _pending(actor, request_id)
    if actor.role != "admin":
        audience.require_reviewer(actor)
    name = username.strip() if isinstance(username, str) else ""
    member = (
        Membership.objects.select_related("user")
        .filter(tenant=actor.tenant, active=True, role="reviewer", user__username=name.replace("\x00", ""))
        .first()
    )
    if member is None:
        raise Invalid("to", "must be the user name of a reviewer of this organisation")
    other = Actor(tenant=actor.tenant, role=member.role, kind="user", id=member.user_id, name=member.user.name)
    why = audience.bar(other, request, groups.of(other)) or audience.own(other, request)
    if why:
        raise Invalid("to", f"cannot be {other.name}: they are not of {request.group or 'those who may decide this'}")
    _give(request, member.user_id, member.user.name)
    log.record(actor, "request.assigned", "request", request.pk, run=str(run.pk), to=member.user.name)
    tell(request, run)
    return request


def lapse(limit: int = 200) -> int:
    """Let go of every pending request whose claim is over, so that all screens hear of it; returns of how many.

    Nothing depends on it: who decides or lists compares the time themselves. The sweeper asks every second, so screens
    are late by about as much. One transaction a request. Call outside any scope.
    """
    over = ApprovalRequest.objects.filter(status=RequestStatus.PENDING, claimed_until__lte=timezone.now())
    return one_by_one("claims that are over", over.order_by("claimed_until")[:limit], _lapse)


def _lapse(run: Run, request: ApprovalRequest) -> bool:
    if request.status != RequestStatus.PENDING or request.claimed_until is None:
        return False  # decided, or let go of, since we looked
    if audience.claimed(request, timezone.now()):
        return False  # taken again since we looked
    was = request.claimed_by_name
    drop(request)
    sayso = access.system_actor(run.tenant, "The clock")
    log.record(sayso, "request.claim_lapsed", "request", request.pk, run=str(run.pk), was=was)
    tell(request, run)
    return True


def candidates(request: ApprovalRequest) -> list[User]:
    """The people who could decide a request, by name: for a list to choose from."""
    members = Membership.objects.filter(tenant=request.tenant_id, active=True, role="reviewer").exclude(
        user_id=request.started_by_id
    )
    if request.group:
        members = members.filter(
            user_id__in=[each.user_id for each in groups.reviewers(request.tenant_id, request.group)]
        )
    return [
        member.user for member in members.select_related("user").order_by("user__first_name", "user__username")[:200]
    ]


def drop(request: ApprovalRequest) -> None:
    """Nobody has it in hand any more. Call with its run locked."""
    if request.claimed_until is None:
        return
    _write(request, None, "", None)


def _pending(actor: Actor, request_id: UUID | str) -> tuple[ApprovalRequest, Run]:
    run = lock_run_of(actor, request_id)
    request = access.get(ApprovalRequest, actor, pk=request_id)
    request.workflow = run.workflow
    require_open(request, timezone.now())
    return request, run


def _may_decide(actor: Actor, request: ApprovalRequest) -> None:
    audience.require_reviewer(actor)
    why = audience.bar(actor, request, groups.of(actor) if request.group else ())
    if why:
        raise access.Forbidden(why)


def _give(request: ApprovalRequest, holder: UUID | None, name: str) -> None:
    _write(request, holder, name[:200], timezone.now() + LASTS)


def _write(request: ApprovalRequest, holder: UUID | None, name: str, until: object) -> None:
    values = {"claimed_by_id": holder, "claimed_by_name": name, "claimed_until": until}
    ApprovalRequest.objects.filter(pk=request.pk, tenant=request.tenant_id).update(**values)
    for field, value in values.items():
        setattr(request, field, value)
