"""Starting children so that none outlives its parent, and none hears the terminal's Ctrl-C but through it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def leash(death_signal: int = signal.SIGKILL) -> Callable[[], None]:
    """A ``preexec_fn``: the child leads a process group of its own and, on Linux, gets ``death_signal`` when its parent dies."""
    parent = os.getpid()

    def before_exec() -> None:
        os.setpgid(0, 0)
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:  # died between fork and prctl
                os._exit(1)

    return before_exec


def alive(pid: int) -> bool:
    """Whether a process with this id exists (a zombie counts as gone)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def command_of(pid: int) -> str:
    """The command line of a process, or an empty string where that cannot be told."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def working_in(directory: Path) -> list[int]:
    """The processes whose working directory this is; none where that cannot be told (it takes Linux's /proc)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(entry / "cwd") == str(directory):
                found.append(int(entry.name))
    return found
