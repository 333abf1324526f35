"""The broker's transport as hints need it.

Kombu's own writes every message that a worker takes down beside the queue, and strikes it out when it is acknowledged, each
time through a client made for that: it is a sixth of what a worker spends on a short turn. That is for messages that must
not be lost. Ours are acknowledged before anything comes of them, and what a lost one forgot the sweeper finds; see celery.py.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual

AT_ONCE = 16  # wake-ups that a process looks into at one time; when half of them are done, it reads on


class Tap:
    """The wake-ups that this process is looking into. At ``AT_ONCE`` it reads no more, until half of them are done, and
    other workers have the rest.

    Without it a burst belongs to whoever reads faster, not to whoever has time. ``begin`` is said by the thread that reads,
    ``end`` by any.
    """

    def __init__(self) -> None:
        self.shut = False  # nothing is read now
        self._count = 0
        self._lock = threading.Lock()
        self._pipe: tuple[int, int] | None = None

    def begin(self) -> None:
        """Look into one more."""
        with self._lock:
            self._count += 1
            self.shut = self.shut or self._count >= AT_ONCE

    def end(self) -> None:
        """One is looked into, or left."""
        with self._lock:
            self._count -= 1
            opens = self.shut and self._count <= AT_ONCE // 2
            self.shut = self.shut and not opens
        if opens and self._pipe is not None:
            with suppress(BlockingIOError):  # full: there are wakes enough in it
                os.write(self._pipe[1], b".")

    def wakes(self, hub: Any) -> None:
        """Have ``hub``, Celery's event loop, go round when the tap opens, where it would sleep for up to a second.

        Said again for each new hub, which comes with each new connection.
        """
        if self._pipe is None:
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
        hub.add_reader(self._pipe[0], os.read, self._pipe[0], 4096)


tap = Tap()


class Taken(virtual.QoS):
    """What this process has taken and not yet looked at, counted for the prefetch limit and kept nowhere else."""

    restore_at_shutdown = False

    def can_consume(self) -> bool:
        """Nothing is read while the tap is shut."""
        return not tap.shut and bool(super().can_consume())

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """A message that nobody wants is forgotten: it does not go back."""
        self.ack(delivery_tag)


class Channel(redis.Channel):
    """A channel whose short commands share one client, which takes its connections from the channel's pool."""

    QoS: Any = Taken
    _short: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)
        if self._short is None:
            self._short = super()._create_client()
        return self._short


class Transport(redis.Transport):
    """Redis or Valkey, for messages that are hints."""

    Channel = Channel


def use() -> None:
    """Have every broker address of Redis mean this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
