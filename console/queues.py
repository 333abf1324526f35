"""The queues in which wake-ups travel to workers.

Every wake-up goes to ``DEFAULT`` unless the run's workflow, or its tenant, names another queue; a general worker listens
to ``DEFAULT`` alone (``worker -Q runs``), a dedicated one to what it is told (``worker -Q payments``, ``-Q runs,payments``).
Standard library only: commands that come before Django's settings check names here, too.
"""

from __future__ import annotations

import re

DEFAULT = "runs"
LONGEST = 60  # characters of a name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*\Z")


def fault(name: str) -> str | None:
    """Why a queue cannot be called so, or None."""
    if len(name) > LONGEST or not _NAME.match(name):
        return f"must be 1 to {LONGEST} letters, digits, hyphens and dots, such as payments"
    if name == "unacked" or "celery" in name:
        return "is a name that the broker keeps for itself"  # a queue is a list in Redis of that very name
    return None
