"""Messages to Redis that nobody waits for: one writing system call, and no answer to read.

A hint may be lost; the truth is in the database, and a hub that reconnects repairs what it missed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

import redis

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds without a try after Redis has failed


class Hints:
    """A connection of one thread's own, on which Redis was told to answer nothing; made as ``pool`` makes its own."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._line: Any = None  # a redis connection, which its own types do not describe
        self._silent_until = 0.0

    def send(self, messages: Iterable[tuple[str, str]]) -> None:
        """Publish (channel, text) pairs; a failing Redis is logged, never raised, and left alone for a moment."""
        if time.monotonic() < self._silent_until:
            return
        commands = [("PUBLISH", channel, text) for channel, text in messages]
        try:
            try:
                self._publish(commands)
            except (redis.ConnectionError, OSError):  # Redis has started again since: on a new line
                self.close()
                self._publish(commands)
        except (redis.RedisError, OSError) as error:
            self.close()
            self._silent_until = time.monotonic() + PAUSE
            log.warning("the live feed could not be told (%s); screens catch up from the database", error)

    def close(self) -> None:
        """Hang up; the next message calls again."""
        if self._line is not None:
            self._line.disconnect()
            self._line = None

    def _publish(self, commands: list[tuple[str, str, str]]) -> None:
        line = self._line
        if line is None:
            # Not the pool's make_connection, which counts what it made and refuses for ever after its most.
            line = self._pool.connection_class(**self._pool.connection_kwargs)
            line.connect()
            line.send_command("CLIENT", "REPLY", "OFF")
            self._line = line
        elif line.can_read(0):  # raises when the other side has hung up; nothing else is ever said
            raise redis.ConnectionError("Redis answered on a line that is to be silent")
        line.send_packed_command(line.pack_commands(commands), check_health=False)
