"""What time it is for one run's turn: the database's time, whatever this machine's clock says and does meanwhile.

Two workers hold a run one after the other, and what one has written the other reads: an intent begun a second ago must
not look five minutes old because the next machine's clock is ahead, for a call that is taken for dead may still be under
way. So a turn counts on from the time at which the database gave it the lease, by this machine's steady clock, which
nobody sets; and it is never before what the journal has already seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from console.durable.steps import Step


class Clock:
    """``at`` is what the database's clock said when the clock was made; ``steady`` counts seconds, and only forward."""

    __slots__ = ("_at", "_began", "_steady")

    def __init__(self, at: datetime, steady: Callable[[], float] = time.monotonic) -> None:
        self._at = at
        self._steady = steady
        self._began = steady()

    def __call__(self) -> datetime:
        """The time now."""
        return self._at + timedelta(seconds=self.worked)

    @property
    def worked(self) -> float:
        """Seconds since it was made."""
        return self._steady() - self._began

    def follow(self, steps: Iterable[Step]) -> None:
        """Be no earlier than anything recorded: the database's clock may have been set back since."""
        now = self()
        last = max((step.ended_at or step.started_at for step in steps), default=now)
        self._at += max(last - now, timedelta(0))
