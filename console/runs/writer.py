"""One writer a process: a thread that commits what all runs of the process have waiting as one transaction.

A commit costs what it costs, however much is in it; so while one is under way the next batch gathers. Rows are sorted by
run, so that two writers never wait for each other in a circle. Each run's token is read FOR SHARE in the same
transaction: whoever takes the run over has to wait for us, or makes us stale, never both.

What fails, fails alone: a stale token fences its own run, a row that Postgres refuses fails its own step, and a database that
restarts, or whose disk is full, fails nothing; the batch is written again, and rows that had been written are recognised
as ours.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import logging
import queue
import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.db import connections

from console.durable.errors import Fenced
from console.durable.steps import Step
from console.runs import feed, writing
from console.runs.told import Draft

log = logging.getLogger(__name__)

LINGER = 0.05  # seconds that an event may wait for company
CROWD = 200  # events that wait no longer
SAY_EVERY = 60.0  # seconds between two words about a disk that is full
# What passes: lost, restarting, its disk full, or made read-only before that is.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)


class JournalError(Exception):
    """A step could not be recorded, and never will be: the reason is in the message."""


@dataclass(slots=True)
class Entry:
    """One thing to write for one run. ``future`` is answered on its loop; events have none."""

    run_id: UUID
    tenant_id: UUID
    token: int
    what: str  # append, settle, late, event, barrier
    step: Step | None = None
    draft: Draft | None = None  # of an event
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[None] | None = None
    error: BaseException | None = None
    due: float = 0.0  # of an event: the monotonic time until which it may wait for others
    seq: int | None = None  # of a written event
    worker: str = ""  # who writes it


class Writer:
    """The thread and its queue. ``submit`` never blocks; ``close`` writes what is waiting and stops."""

    def __init__(self, batch_limit: int = 500) -> None:
        self._entries: collections.deque[Entry] = collections.deque()
        self._events: collections.deque[Entry] = collections.deque()
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()  # one for each reason to write now
        self._timed: asyncio.AbstractEventLoop | None = None  # the loop whose timer will call for waiting events
        self._limit = batch_limit
        self._connection: psycopg.Connection[Any] | None = None
        self._hints = feed.hints()
        self._closing = threading.Event()
        self._over = False  # the thread is gone, or about to be: what comes now nobody writes
        self._full = -SAY_EVERY  # when a full disk was last spoken of
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(self, entry: Entry) -> None:
        """Queue an entry; steps of one run are written in this order, and so are its events. Call it on the loop.

        Somebody waits for a step: it is written at once, by itself. Nobody waits for an event, so it wakes nobody and
        lingers for others to share a transaction with, behind the steps it tells of; a barrier has them written.
        After the writer has stopped, an entry is answered with Fenced: the run is the next worker's.
        """
        if entry.what != "event":
            self._entries.append(entry)
            self._calls.put(None)
            if self._over:
                self._turn_away()
            return
        entry.due = time.monotonic() + LINGER
        self._events.append(entry)
        loop = asyncio.get_running_loop()
        if self._timed is not loop:
            self._timed = loop
            loop.call_later(LINGER, self._look, loop, context=contextvars.Context())

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the events written that have waited long enough."""
        self._timed = None
        try:
            left = self._events[0].due - time.monotonic()
        except IndexError:  # all written
            return
        if left <= 0:
            self._calls.put(None)
        else:
            self._timed = loop
            loop.call_later(left, self._look, loop, context=contextvars.Context())

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, for at most ``timeout`` seconds, and stop."""
        self._closing.set()
        self._calls.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.is_set() or self._entries or self._events:
            if not self._closing.is_set():
                self._calls.get()
            batch = self._take(self._entries, self._limit)
            if any(entry.what == "barrier" for entry in batch):
                batch += self._take(self._events, len(self._events))
            if batch:
                self._write(batch)
            if self._overdue():
                self._write(self._take(self._events, self._limit))
            if self._entries and self._calls.empty():  # more than a batch takes
                self._calls.put(None)
        self._over = True
        self._turn_away()
        self._drop()
        self._hints.close()

    def _turn_away(self) -> None:
        """Answer what nobody will write any more; whoever waits for it would wait for ever."""
        left = self._take(self._entries, len(self._entries))
        self._give_up(left, RuntimeError("the writer has stopped"))
        self._answer(left)

    @staticmethod
    def _take(waiting: collections.deque[Entry], limit: int) -> list[Entry]:
        """The first of those that wait, up to the limit."""
        taken: list[Entry] = []
        with contextlib.suppress(IndexError):  # at the very end two threads may take
            while len(taken) < limit:
                taken.append(waiting.popleft())
        return taken

    def _overdue(self) -> bool:
        events = self._events
        return bool(events) and (self._closing.is_set() or len(events) >= CROWD or events[0].due <= time.monotonic())

    def _write(self, batch: list[Entry]) -> None:
        batch.sort(key=lambda entry: entry.run_id)
        delay, again = 0.05, False
        while True:
            try:
                connection = self._connected()
                if again:
                    self._one_by_one(connection, batch)
                else:
                    try:
                        writing.write(connection, batch)
                    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.DeadlockDetected, ValueError):
                        self._one_by_one(connection, batch)
                break
            except AWAY as error:
                if self._closing.is_set():
                    # The process leaves, and what it had will be done again, or asked about: no run ends by this.
                    self._give_up(batch, error)
                    break
                self._say(error, len(batch), delay)
                self._drop()
                time.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311  # jitter
                delay, again = min(delay * 2, 2.0), True
            except Exception as error:  # a fault of ours must not leave runs waiting for ever
                log.exception("the journal's writer failed")
                self._drop()
                self._fail(batch, JournalError(f"{type(error).__name__}: {error}"))
                break
        self._answer(batch)
        self._tell(batch)

    def _say(self, error: psycopg.Error, many: int, delay: float) -> None:
        """A database that is away is back in a moment. A full disk is there until somebody makes room: what has happened
        stays here until it can be written, and its runs with it; they go on then."""
        if not isinstance(error, psycopg.errors.DiskFull):
            log.warning("the journal's database is away (%s); trying again in %.2f s", error, delay)
        elif time.monotonic() - self._full >= SAY_EVERY:
            self._full = time.monotonic()
            log.error(
                "the database's disk is full: %d entries of the journal wait until there is room (%s)", many, error
            )

    def _one_by_one(self, connection: psycopg.Connection[Any], batch: Iterable[Entry]) -> None:
        """Write each entry in a transaction of its own, so that what Postgres refuses is found and fails alone."""
        for entry in batch:
            if entry.error is not None or entry.seq is not None:
                continue
            try:
                if not writing.is_written(connection, entry):
                    writing.write(connection, [entry])
            except psycopg.errors.UniqueViolation as error:
                entry.error = Fenced(str(error))
            except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.DeadlockDetected, ValueError) as error:
                entry.error = JournalError(f"{type(error).__name__}: {error}")
                log.error("run %s: %s could not be written: %s", entry.run_id, entry.what, error)

    @staticmethod
    def _give_up(batch: Iterable[Entry], error: BaseException) -> None:
        for entry in batch:
            if entry.error is None:
                entry.error = Fenced(f"run {entry.run_id}: the process ends before this is written: {error}")

    @staticmethod
    def _fail(batch: Iterable[Entry], error: BaseException) -> None:
        for entry in batch:
            entry.error = entry.error or error

    @staticmethod
    def _answer(batch: Sequence[Entry]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
        for entry in batch:
            if entry.loop is not None:
                loops.setdefault(entry.loop, []).append(entry)
        for loop, entries in loops.items():
            try:
                loop.call_soon_threadsafe(_resolve, entries, context=contextvars.Context())
            except RuntimeError:  # the loop is closed: nobody waits any more
                log.debug("a loop closed before its journal answered")

    def _tell(self, batch: Sequence[Entry]) -> None:
        messages = [
            (feed.CHANNEL, feed.frame(feed.run_topic(e.run_id), e.seq, e.draft.kind, e.draft.at, e.draft.text))
            for e in batch
            if e.draft is not None and e.seq is not None
        ]
        if messages:
            self._hints.send(messages)

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect()
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect() -> psycopg.Connection[Any]:
    """A connection of its own, as ``sayso_app``, outside Django's pool. Raises psycopg.OperationalError."""
    parameters = dict(connections["default"].get_connection_params())
    for name in ("cursor_factory", "prepare_threshold", "context", "autocommit", "pool"):
        parameters.pop(name, None)
    return psycopg.connect(**parameters, autocommit=True, connect_timeout=5, prepare_threshold=1)


def _resolve(entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.future is None or entry.future.done():
            continue
        if entry.error is None:
            entry.future.set_result(None)
        else:
            entry.future.set_exception(entry.error)
