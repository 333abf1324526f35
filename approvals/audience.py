"""Who may decide a request: a reviewer, of its group, who did not start its run, while nobody else has it in hand.

One place, asked by every path that decides and by every page that offers to.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from approvals.errors import Claimed
from approvals.models import ApprovalRequest
from console.tenants import access, groups, standing
from console.tenants.access import Actor

AGREES = ("approve", "edit")  # verdicts by which something is done; one's own runs are for others to agree to


def require_reviewer(actor: Actor) -> None:
    """Raise Forbidden unless ``actor`` is a reviewer at this moment: a role may have been taken away a second ago."""
    access.require(actor, "reviewer")
    if actor.id is None:
        raise access.Forbidden("Only people and their tokens decide.")
    if not standing.holds(actor):
        raise access.Forbidden("Your role here was taken away or changed; you do not decide any more.")


def require(actor: Actor, request: ApprovalRequest, verdict: str, now: datetime) -> None:
    """Raise unless ``actor`` may say ``verdict`` to a pending request: Forbidden, or Claimed when a colleague is at it."""
    require_reviewer(actor)
    require_of(actor, request, verdict, now)


def require_of(actor: Actor, request: ApprovalRequest, verdict: str, now: datetime) -> None:
    """The same of somebody who has just been found to be a reviewer."""
    why = bar(actor, request, groups.of(actor) if request.group else ())
    if why:
        raise access.Forbidden(why)
    if verdict in AGREES or (verdict == "respond" and request.kind == "in_doubt"):
        why = own(actor, request)
        if why:
            raise access.Forbidden(why)
    if claimed_by_other(actor, request, now):
        raise Claimed(request)


def bar(actor: Actor, request: ApprovalRequest, mine: Collection[str]) -> str:
    """Why somebody who is in the groups ``mine`` cannot decide this at all, or an empty text."""
    if not request.group or request.group in mine:
        return ""
    return nobody(request) or f"This asks for somebody of {request.group}, and you are not in that group."


def nobody(request: ApprovalRequest) -> str:
    """The sentence for a request whose group has no reviewer, so that nobody can decide it; else an empty text."""
    if not request.group or groups.reviewers(request.tenant_id, request.group):
        return ""
    return (
        f"This asks for {request.group}, and no reviewer is in that group. An admin can add one under People; "
        f"until then nobody can decide it."
    )


def own(actor: Actor, request: ApprovalRequest) -> str:
    """Why the starter of a run cannot agree to what it asks, or an empty text."""
    if request.started_by_id is not None and request.started_by_id == actor.id:
        return "You started this run, so somebody else has to agree to it."
    return ""


def claimed_by_other(actor: Actor, request: ApprovalRequest, now: datetime) -> bool:
    """Whether a colleague has it in hand at ``now``."""
    return claimed(request, now) and request.claimed_by_id != actor.id


def claimed(request: ApprovalRequest, now: datetime) -> bool:
    """Whether somebody has it in hand at ``now``."""
    return request.claimed_until is not None and request.claimed_until > now


def clock(at: datetime) -> str:
    """A time for a sentence."""
    return f"{at.astimezone(UTC):%H:%M UTC on %Y-%m-%d}"
