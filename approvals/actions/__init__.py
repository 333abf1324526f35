"""Every transition that touches a request, or a run together with its requests.

One function is one mutation with its audit row and its feed events, in one transaction. Locks are taken in one
order everywhere: the run's row, then the feed of the run, then the feed of the queue.
"""

from approvals.actions.decisions import decide, decided, decisions_for
from approvals.actions.expiry import expire_due
from approvals.actions.lifecycle import cancel_run, finish_run
from approvals.actions.requests import announce, judge
from approvals.actions.sightings import saw
from approvals.errors import AlreadyVoted, Changed, Conflict, Invalid, RunOver, TooLate

__all__ = [
    "AlreadyVoted",
    "Changed",
    "Conflict",
    "Invalid",
    "RunOver",
    "TooLate",
    "announce",
    "cancel_run",
    "decide",
    "decided",
    "decisions_for",
    "expire_due",
    "finish_run",
    "judge",
    "saw",
]
