"""A loop that stands still: a tool of the code that blocks it (it computes, or sleeps without ``await``) holds up every
run of the process. Nobody can take the loop away from it; so it is said which step it is, where, and for how long.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

log = logging.getLogger(__name__)

STALL = 5.0  # seconds
FRAMES = 6  # of the stack that are told


class StallWatch:
    """Looks from a thread of its own whether the loop still comes round. Leases are renewed elsewhere, and go on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: threading.Thread,
        limit: float = STALL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._of = thread
        self._limit = limit
        self._clock = clock
        self._beat = clock()
        self._asked = False
        self._told = 0.0  # when a stall that goes on was told of
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall-watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closing.set()
        self._thread.join(5)

    def look(self) -> str:
        """One look: an empty text, or what is to be said of a stall. It is said once, and again each time it has doubled."""
        now = self._clock()
        stood = now - self._beat
        if not self._asked:
            self._asked = True
            self._beat = now
            self._loop.call_soon_threadsafe(self._round, context=contextvars.Context())
            return ""
        if stood < max(self._limit, 2 * self._told):
            return ""
        self._told = stood
        return f"the loop has been standing still for {stood:.0f} s in {self._step()}: {self._where()}"

    def _round(self) -> None:
        if self._told:
            log.warning("the loop goes on, after %.0f s", self._clock() - self._beat)
        self._asked, self._told = False, 0.0

    def _step(self) -> str:
        task = asyncio.current_task(self._loop)
        return "no task" if task is None else f"step {task.get_name()}"

    def _where(self) -> str:
        frame = sys._current_frames().get(self._of.ident or 0)
        if frame is None:
            return "nowhere"
        found = traceback.extract_stack(frame)[-FRAMES:]
        return " > ".join(f"{each.name} ({each.filename}:{each.lineno})" for each in found)

    def _run(self) -> None:
        while not self._closing.wait(self._limit / 4):
            try:
                said = self.look()
            except RuntimeError:  # the loop is closed
                return
            if said:
                log.error(said)
