"""The broker's transport as hints need it.

Kombu's own writes every message that a worker takes down beside the queue, and strikes it out when it is acknowledged, each
time through a client made for that: it is a sixth of what a worker spends on a short turn. That is for messages that must
not be lost. Ours are acknowledged before anything comes of them, and what a lost one forgot the sweeper finds; see celery.py.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual


class Taken(virtual.QoS):
    """What this process has taken and not yet looked at, counted for the prefetch limit and kept nowhere else."""

    restore_at_shutdown = False

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
