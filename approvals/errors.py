"""Why a transition did not happen.

Conflict            the state has moved on; nothing was written
  TooLate           somebody, or time, has already decided this request; ``request`` says who, what and when
  AlreadyVoted      this person has had their say; another must
  Changed           the arguments on the table are not those that were looked at
  Claimed           a colleague has it in hand; ``request`` says who, and until when
  Over              what was to be ended (a standing approval) has ended already
  RunOver           the run has ended; terminal is final
Invalid             what was said cannot be accepted; ``field`` names the part of the body
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from console.runs.models import Run

_DID = {
    "approve": "approved",
    "edit": "edited and approved",
    "reject": "rejected",
    "respond": "answered",
    "terminate": "terminated the run over",
}


class Conflict(Exception):
    """The state has moved on. The text is a sentence for people."""


class TooLate(Conflict):
    """``request`` is decided, expired or moot."""

    def __init__(self, request: ApprovalRequest) -> None:
        self.request = request
        super().__init__(outcome(request))


class AlreadyVoted(Conflict):
    """The same person cannot count twice; ``request`` is still pending."""

    def __init__(self, request: ApprovalRequest, sentence: str) -> None:
        self.request = request
        super().__init__(sentence)


class Changed(Conflict):
    """Another edit is on the table than the one that was looked at; ``request`` is still pending."""

    def __init__(self, request: ApprovalRequest, sentence: str) -> None:
        self.request = request
        super().__init__(sentence)


class Claimed(Conflict):
    """Somebody else has ``request`` in hand, for a while."""

    def __init__(self, request: ApprovalRequest) -> None:
        self.request = request
        until = f"{request.claimed_until.astimezone(UTC):%H:%M UTC}" if request.claimed_until else "later"
        super().__init__(f"{request.claimed_by_name} has this in hand until {until}. Ask them, or take it over.")


class Over(Conflict):
    """What was to be ended has ended already. The text is a sentence for people."""


class RunOver(Conflict):
    """The run has ended already."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(f"This run has already ended: {run.status}.")


class Invalid(Exception):
    """``message`` says what is wrong with ``field`` of a decision."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"{field}: {message}")


def outcome(request: ApprovalRequest) -> str:
    """One sentence: who decided, what, and when; or why nobody has to any more."""
    when = f" at {request.decided_at.astimezone(UTC):%H:%M:%S UTC on %Y-%m-%d}" if request.decided_at else ""
    if request.status == "decided":
        return f"{request.decided_by_name} {_DID.get(request.verdict, request.verdict)} this{when}."
    if request.status == "expired":
        return f"Nobody answered in time: this expired{when}."
    if request.status == "moot":
        return "The run has ended, so nothing is left to decide here."
    if request.due_at is not None:
        return f"The time to decide this ended at {request.due_at.astimezone(UTC):%H:%M:%S UTC on %Y-%m-%d}."
    return "This request is still pending."
