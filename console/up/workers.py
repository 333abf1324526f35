"""The command lines of an instance's workers: general ones, and those dedicated to a queue."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from console import queues

CELERY = (sys.executable, "-m", "celery", "-A", "console.celery", "--quiet")


def commands(general: int, dedicated: Mapping[str, int]) -> dict[str, list[str]]:
    """By the name under which each is supervised. General workers listen to the default queue alone."""
    found = {f"worker{n}": _worker(f"w{n}", queues.DEFAULT) for n in range(1, general + 1)}
    for queue, count in dedicated.items():
        found |= {f"{queue}-{n}": _worker(f"{queue}-{n}", queue) for n in range(1, count + 1)}
    return found


def _worker(node: str, queue: str) -> list[str]:
    # The inbox of hints is short-lived, the lease decides: no gossip, no mingle, no events.
    argv = [*CELERY, "worker", "-P", "threads", "-c", "16", "-n", f"{node}@%h", "-Q", queue, "-l", "info"]
    return [*argv, "--without-gossip", "--without-mingle", "--without-heartbeat"]
