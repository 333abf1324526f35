"""Named places at which a test kills the process.

``SAYSO_FAILPOINT=after_effect`` kills it (SIGKILL) when the point is first reached, ``after_effect:3`` at the third
time. A test in the same process arms a function of its own instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

NAMES = (
    "before_intent",  # asked for, nothing recorded
    "after_intent",  # the intent is durable, the body has not run
    "after_effect",  # the body has run, its outcome is not recorded
    "after_outcome",  # the outcome is durable, the team does not have it
    "before_announce",  # a gate is recorded as open, nobody knows
    "after_announce",  # the request is written
    "before_decision_recorded",  # a person decided, the journal does not know
    "after_decision_recorded",  # the decision is in the journal, the team does not have it
    "before_finish",  # the team is done, the run is not
)
# Around the engine, in what hosts it, and wherever a run is made ready.
AROUND = (
    "after_claim",  # the lease is taken, nothing else has happened
    "before_let_go",  # the turn is over; the run's row does not know
    "after_let_go",  # the run is parked, given back or ended; nobody has heard of it
    "before_wake_up",  # the run is ready, and no worker has been told
)

_hook: Callable[[str], None] | None = None


def hit(name: str) -> None:
    """Pass the point ``name``. Costs one comparison when nothing is armed."""
    if _hook is not None:
        _hook(name)


def arm(hook: Callable[[str], None] | None) -> None:
    """Call ``hook`` with the name of each point that is passed from now on; None disarms."""
    global _hook
    _hook = hook


def killer(spec: str) -> Callable[[str], None]:
    """A hook for ``name`` or ``name:count``. Raises ValueError when there is no such point."""
    name, _, count = spec.partition(":")
    if name not in NAMES + AROUND:
        raise ValueError(f"no failpoint {name!r}; there are {', '.join(NAMES + AROUND)}")
    left = int(count or 1)

    def kill(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return kill


if os.environ.get("SAYSO_FAILPOINT"):
    arm(killer(os.environ["SAYSO_FAILPOINT"]))
