"""Circuit breakers: who has failed again and again is left alone for a while, and then tried once.

    closed --MOST failures in a row--> open --REST seconds--> half open: one call is let through
      ^                                 ^                        |
      |                                 '------it fails----------|
      '----------------------------------------it succeeds-------'

One for each provider and tool of a tenant, in each worker process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

MOST = 5  # failures in a row
REST = 15.0  # seconds


@dataclass
class Breaker:
    """The state of one provider or tool."""

    clock: Callable[[], float]
    failures: int = 0
    until: float = 0.0  # it is open until then; 0: closed
    trying: bool = False  # half open, and somebody is trying

    def wait(self) -> float:
        """Seconds for which it must be left alone; 0 when a call may go out. Who is told 0 must tell what came of it."""
        if not self.until:
            return 0.0
        left = self.until - self.clock()
        if left > 0 or self.trying:
            return max(left, 1.0)
        self.trying = True
        return 0.0

    def told(self, ok: bool) -> None:
        """A call has succeeded, or failed in a way that is the other side's."""
        self.trying = False
        if ok:
            self.failures, self.until = 0, 0.0
            return
        self.failures += 1
        if self.failures >= MOST:
            self.until = self.clock() + REST


class Breakers:
    """All breakers of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._breakers: dict[tuple[str, ...], Breaker] = {}

    def get(self, *key: str) -> Breaker:
        """The breaker of a key such as (tenant, "tool", name)."""
        return self._breakers.setdefault(key, Breaker(self._clock))
