"""What every benchmark prints, and how it measures."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spent:
    """CPU seconds of this process (all its threads, none of its children) and wall seconds."""

    cpu: float
    wall: float

    def per(self, count: int) -> Spent:
        return Spent(self.cpu / count, self.wall / count)


class Stopwatch:
    """``with Stopwatch() as watch: ...`` and then ``watch.spent``."""

    spent: Spent

    def __enter__(self) -> Stopwatch:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self.spent = Spent(time.process_time() - self._cpu, time.perf_counter() - self._wall)


def ms(seconds: float) -> float:
    """Seconds as milliseconds, for print."""
    return round(seconds * 1000, 3)


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-len(ordered) * percent // 100).__int__() - 1))]


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cpus": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
