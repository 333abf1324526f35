"""Every transition that touches a request, or a run together with its requests.

One function is one mutation with its audit row and its feed events, in one transaction. Locks are taken in one
order everywhere: the run's row, then the feed of the run, then the feed of the queue.
"""

from approvals.actions.announcing import announce
from approvals.actions.bulk import decide_many
from approvals.actions.calendar import put_calendar
from approvals.actions.claims import assign, claim, lapse, release
from approvals.actions.comments import comment
from approvals.actions.decisions import decide, decided, decisions_for
from approvals.actions.expiry import expire_due
from approvals.actions.lifecycle import cancel_run, finish_run, heard_late
from approvals.actions.requests import judge
from approvals.actions.sightings import saw
from approvals.actions.standing import grant, revoke
from approvals.actions.views import forget_view, keep_view, snooze
from approvals.errors import AlreadyVoted, Changed, Claimed, Conflict, Invalid, Over, RunOver, TooLate

__all__ = [
    "AlreadyVoted",
    "Changed",
    "Claimed",
    "Conflict",
    "Invalid",
    "Over",
    "RunOver",
    "TooLate",
    "announce",
    "assign",
    "cancel_run",
    "claim",
    "comment",
    "decide",
    "decide_many",
    "decided",
    "decisions_for",
    "expire_due",
    "finish_run",
    "forget_view",
    "grant",
    "heard_late",
    "judge",
    "lapse",
    "keep_view",
    "put_calendar",
    "release",
    "revoke",
    "saw",
    "snooze",
]
