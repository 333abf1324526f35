"""The lease keeper: one thread that renews the leases of every live run, listens for nudges, and says that we live.

It is off the runs' loop on purpose: a loop that is busy for seconds keeps its runs.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import redis
from django.conf import settings

from console.runs import actions, feed
from console.runs.writer import connect
from console.tenants.roles import SYSTEM

log = logging.getLogger(__name__)

# Seconds between two renewals. Each writes the row of every live run anew, in every index; and by it the figures hear that a
# run that is under way has gone on.
EVERY = 2.0
LOOK = 0.4  # seconds between two looks at whether somebody ended a run, where no nudge was heard
HEARTBEAT_TTL = 10  # seconds


def heartbeat_key(name: str) -> str:
    """The Redis key that says that a worker lives."""
    return f"sayso:worker:{name}"


class LeaseKeeper:
    """``held`` gives the (run, token) pairs to renew, ``renewed`` hears {run: (wake, cancel_requested)} of those still
    held together with what had been asked, ``nudged`` hears of a run that somebody wants looked at, ``tells`` says what
    the heartbeat carries. All are called on the keeper's threads."""

    def __init__(
        self,
        name: str,
        held: Callable[[], list[tuple[UUID, int]]],
        renewed: Callable[[list[tuple[UUID, int]], dict[UUID, tuple[int, bool]]], None],
        nudged: Callable[[str], None],
        tells: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._tells = tells
        self._name = name
        self._held = held
        self._renewed = renewed
        self._nudged = nudged
        self._stop = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._threads = [
            threading.Thread(target=self._renew, name="leases", daemon=True),
            threading.Thread(target=self._listen, name="nudges", daemon=True),
            threading.Thread(target=self._beat, name="heartbeat", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop renewing; the process is leaving."""
        self._stop.set()
        feed.send([(feed.NUDGES, "")])  # wakes the listener, ours too
        for thread in self._threads:
            thread.join(2)

    def _renew(self) -> None:
        renewed = 0.0
        while not self._stop.wait(LOOK):
            held = self._held()
            if not held:
                continue
            now = time.monotonic()
            try:
                # A look only reads: the nudge that would have said so may be lost, and somebody waits.
                due = now - renewed >= EVERY - LOOK / 2
                self._renewed(held, self._ask(held, actions.RENEW if due else actions.LOOK))
                renewed = now if due else renewed
            except psycopg.Error as error:
                # While the database is away nobody else can take the runs either.
                log.warning("leases could not be renewed (%s)", error)
                self._drop()
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, held: list[tuple[UUID, int]], sql: str) -> dict[UUID, tuple[int, bool]]:
        if self._connection is None or self._connection.closed:
            self._connection = connect()
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("SELECT set_config('role', %s, true)", [SYSTEM])
            cursor.execute(sql, actions.renew_parameters(held))
            return {row[0]: (row[1], row[2]) for row in cursor.fetchall()}

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=1) as client:
                    with client.pubsub(ignore_subscribe_messages=True) as subscription:
                        subscription.subscribe(feed.NUDGES)
                        while not self._stop.is_set():
                            message = subscription.get_message(timeout=0.5)
                            if message is not None:
                                self._nudged(message["data"].decode())
            except (redis.RedisError, OSError) as error:
                # Nudges only save time: the renewal notices decisions and cancellations within a second.
                log.warning("nudges cannot be heard (%s)", error)
                self._stop.wait(1.0)

    def _beat(self) -> None:
        while True:
            try:
                said = json.dumps({**self._tells(), "at": time.time()})
                feed.redis_client().set(heartbeat_key(self._name), said, ex=HEARTBEAT_TTL)
            except (redis.RedisError, OSError) as error:
                log.debug("no heartbeat: %s", error)
            if self._stop.wait(HEARTBEAT_TTL / 4):
                return
