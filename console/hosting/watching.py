"""The engine's Observer: steps go into the feed with the journal's writes; streamed text is told and forgotten."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from console.durable.steps import Step
from console.runs import feed
from console.runs.journal import PostgresJournal
from console.runs.told import STEP, step_payload

FRAME = 0.05  # seconds between two frames of streamed text of one run
SHOWN = 16_000  # characters of streamed text in a frame: the end of it


class Ephemerals:
    """Publishes what is not kept, off the loop; one thread, so that the order holds."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ephemerals")

    def send(self, topic: str, kind: str, payload: dict[str, Any]) -> None:
        """Publish soon. Never blocks."""
        self._thread.submit(feed.ephemeral, topic, kind, payload)

    def close(self) -> None:
        """Forget what is waiting: the text is in the journal by now, or the run is over."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Watcher:
    """What the live feed hears of one run."""

    def __init__(self, journal: PostgresJournal, send: Callable[[str, str, dict[str, Any]], None], told: int) -> None:
        self._journal = journal
        self._send = send
        self._topic = feed.run_topic(journal.run_id)
        self._told = told  # the highest index of a message that the feed has
        self._texts: dict[tuple[str, int], tuple[int, str]] = {}  # streams of text: their attempt, and what there is
        self._fresh: set[tuple[str, int]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._agents: dict[tuple[str, int], str] = {}

    def message(self, message: dict[str, Any]) -> None:
        """A message of the team; what the feed has from an earlier turn is not told again."""
        if message["index"] > self._told:
            self._told = message["index"]
            self._journal.tell("message", message, message["index"])

    def step_opened(self, step: Step) -> None:
        """An intent or a gate is in the journal; a read-only effect is not, so that it began is only shown."""
        self._agents[step.scope, step.n] = step.agent
        if step.seq:
            self._journal.tell(STEP, step_payload(step), step.seq)

    def step_settled(self, step: Step) -> None:
        """The outcome is durable."""
        place = (step.scope, step.n)
        self._texts.pop(place, None)
        self._fresh.discard(place)
        self._agents.pop(place, None)
        self._journal.tell(STEP, step_payload(step), step.seq)

    def chunk(self, scope: str, n: int, attempt: int, text: str) -> None:
        """A piece of streamed text: the first is shown at once, later ones at most once a frame, each frame in full."""
        place = (scope, n)
        known, so_far = self._texts.get(place, (attempt, ""))
        self._texts[place] = (attempt, (so_far if known == attempt else "") + text)
        self._fresh.add(place)
        if self._timer is None:
            self._show()

    def close(self) -> None:
        """Nothing more is shown."""
        if self._timer is not None:
            self._timer.cancel()
        self._fresh.clear()

    def _show(self) -> None:
        self._timer = None
        for place in self._fresh:
            attempt, text = self._texts[place]
            scope, n = place
            self._send(
                self._topic,
                "chunk",
                {
                    "scope": scope,
                    "n": n,
                    "attempt": attempt,
                    "agent": self._agents.get(place, ""),
                    "text": text[-SHOWN:],
                },
            )
        if self._fresh:
            self._fresh.clear()
            # Not in the run's context: a timer of ours must not count as work of the run.
            self._timer = asyncio.get_running_loop().call_later(FRAME, self._show, context=contextvars.Context())
