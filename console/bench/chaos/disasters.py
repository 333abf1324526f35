"""What befalls the instance: a schedule drawn from the seed, and how each of it is done.

Only processes that ``up`` itself has started are touched, each by its id: direct children of the instance's process, and
Postgres's own.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import redis
from django.conf import settings

from console.runs import wakeups
from console.up.processes import alive, command_of

# How often, in comparison.
WEIGHTS = {
    "kill a worker": 12,
    "stop a worker": 2,
    "freeze a worker": 1,
    "kill the web": 1,
    "kill the beat": 1,
    "restart Postgres": 2,
    "kill Postgres": 2,
    "kill a backend": 2,
    "freeze Postgres": 1,
    "kill and empty Valkey": 2,
    "empty Valkey": 2,
    "deliver twice": 8,
    "stall the model": 3,
}
BUSY = 5  # threads of a worker that has started
FREEZE = 12.0  # seconds: longer than a lease
STALL = (2.0, 8.0)  # seconds


@dataclass(frozen=True)
class Disaster:
    """``at`` seconds after the beginning; ``draw`` decides which worker, which runs, how long."""

    at: float
    kind: str
    draw: float


def schedule(seed: int, seconds: float, every: float, kinds: Sequence[str] = ()) -> list[Disaster]:
    """Disasters, one about ``every`` seconds: the same ones for the same numbers."""
    drawn = random.Random(f"{seed}/disasters")  # noqa: S311
    names = [name for name in WEIGHTS if not kinds or name in kinds]
    found: list[Disaster] = []
    at = every
    while at < seconds:
        found.append(Disaster(at, drawn.choices(names, [WEIGHTS[name] for name in names])[0], drawn.random()))
        at += drawn.uniform(0.5, 1.5) * every
    return found


class Arsonist:
    """Does them. ``runs`` names the runs there are, ``say`` hears what was done."""

    def __init__(self, up: int, world: str, runs: Callable[[], list[str]], say: Callable[[str], None]) -> None:
        self._up, self._world, self._runs, self._say = up, world, runs, say
        self._frozen: list[tuple[threading.Timer, int]] = []
        self.done: Counter[str] = Counter()

    def strike(self, disaster: Disaster) -> None:
        """Do it; what it needs may be dead already, then nothing happens and nothing is counted."""
        did = self._strike(disaster.kind, disaster.draw)
        if did:
            self.done[disaster.kind] += 1
            self._say(f"{disaster.kind}: {did}")

    def thaw(self) -> None:
        """Let go on whatever is still frozen."""
        for timer, pid in self._frozen:
            timer.cancel()
            _signal(pid, signal.SIGCONT)
        self._frozen.clear()

    def _strike(self, kind: str, draw: float) -> str:
        if kind in _ON_A_CHILD:
            words, number = _ON_A_CHILD[kind]
            found = self.children(words)
            if words == _WORKER and draw > 0.1:  # most of them in the middle of their work, few while they start
                found = [pid for pid in found if _threads(pid) >= BUSY]
            pid = found[int(draw * len(found))] if found else 0
            return f"process {pid}" if pid and _signal(pid, number) else ""
        if kind == "freeze a worker":
            found = self.children(_WORKER)
            return self._freeze([found[int(draw * len(found))]] if found else [])
        if kind == "freeze Postgres":
            found = self.children("/bin/postgres")
            return self._freeze([*found, *(pid for parent in found for pid in _children(parent))])
        if kind == "kill a backend":
            backends = [pid for parent in self.children("/bin/postgres") for pid in _children(parent)
                        if "sayso_app" in command_of(pid)]  # fmt: skip
            pid = backends[int(draw * len(backends))] if backends else 0
            return f"process {pid}" if pid and _signal(pid, signal.SIGKILL) else ""
        if kind in ("empty Valkey", "kill and empty Valkey"):
            with (
                suppress(redis.RedisError, OSError),
                redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client,
            ):
                client.flushall()
            if kind == "kill and empty Valkey":
                for pid in self.children("valkey-server"):
                    _signal(pid, signal.SIGKILL)
            return "flushed"
        if kind == "deliver twice":
            runs = self._runs()
            chosen = random.Random(draw).sample(runs, min(10, len(runs)))  # noqa: S311
            sent = sum(wakeups.send(run, resume=place % 2 == 0) for run in chosen for place in range(3))
            return f"{sent} wake-ups" if sent else ""
        seconds = round(STALL[0] + draw * (STALL[1] - STALL[0]), 1)
        httpx.post(f"{self._world}/stall", json={"seconds": seconds}, timeout=10, trust_env=False)
        return f"{seconds} s"

    def _freeze(self, pids: Sequence[int]) -> str:
        stopped = [pid for pid in pids if _signal(pid, signal.SIGSTOP)]
        for pid in stopped:
            # By a timer: whoever strikes may itself wait for what is frozen.
            timer = threading.Timer(FREEZE, _signal, (pid, signal.SIGCONT))
            timer.daemon = True
            timer.start()
            self._frozen.append((timer, pid))
        return f"{len(stopped)} processes for {FREEZE:g} s" if stopped else ""

    def children(self, words: str) -> list[int]:
        """The instance's own processes with these words in their command line, in order of age."""
        return [pid for pid in _children(self._up) if words in command_of(pid)]


_WORKER = "celery -A console.celery --quiet worker"
_ON_A_CHILD: dict[str, tuple[str, int]] = {
    "kill a worker": (_WORKER, signal.SIGKILL),
    "stop a worker": (_WORKER, signal.SIGTERM),
    "kill the web": ("-m console.web", signal.SIGKILL),
    "kill the beat": ("celery -A console.celery --quiet beat", signal.SIGKILL),
    "restart Postgres": ("/bin/postgres", signal.SIGINT),  # a fast shutdown
    "kill Postgres": ("/bin/postgres", signal.SIGKILL),
}


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError, IndexError, ValueError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent and alive(int(entry.name)):
                found.append(int(entry.name))
    return sorted(found)


def _threads(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[17])
    return 0


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def stop(process: subprocess.Popen[Any], seconds: float) -> None:
    """End a process of ours: politely, then by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
