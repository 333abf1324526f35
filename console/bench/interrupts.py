"""Ending a benchmark early: by a person, or with the shell, so that what it has started and made goes with it."""

from __future__ import annotations

import signal
from typing import Any


class Interrupt:
    """Handles SIGTERM, and more ``signals``, as KeyboardInterrupt.

    Python drops what is raised in the middle of a fork, in a hook of which: so ``heed`` behind each.
    """

    def __init__(self, *signals: signal.Signals) -> None:
        self._came = False
        for number in (signal.SIGTERM, *signals):
            signal.signal(number, self._take)

    def _take(self, number: int, frame: Any) -> None:
        self._came = True
        raise KeyboardInterrupt

    def heed(self) -> None:
        """Raise KeyboardInterrupt where one came."""
        if self._came:
            raise KeyboardInterrupt
