"""Whether those who listen may still listen: one look for all sockets of the same person, on the same feed.

A look costs several queries. One for each socket every few seconds took half a processor at two thousand sockets, most of
them tabs of the same people; and they came in bursts, when a restart had made all tabs connect in the same second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Protocol

log = logging.getLogger("sayso.live")

EVERY = 15.0  # seconds in which each is looked at once
REVOKED = {"type": "websocket.close", "code": 4403, "reason": "access was taken away"}
AGAIN = {"type": "websocket.close", "code": 1012, "reason": "what is shown here has changed: connect again"}
FAILED = {"type": "websocket.close", "code": 1011}


class Listener(Protocol):
    """One connected socket's consumer."""

    base_send: Callable[[dict[str, Any]], Awaitable[None]]

    async def ending(self) -> dict[str, Any] | None: ...


class Rounds:
    """Looks at each group in turn, evenly over ``every`` seconds, for as long as anybody listens."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._groups: dict[Hashable, set[Listener]] = {}
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def add(self, key: Hashable, listener: Listener) -> None:
        """Look after a listener; ``key`` is the same for those of whom the same is true."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # another server in the same process: what an earlier one held is gone
            self._loop, self._groups, self._task = loop, {}, None
        self._groups.setdefault(key, set()).add(listener)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._for_ever())

    def remove(self, key: Hashable, listener: Listener) -> None:
        """It is gone."""
        group = self._groups.get(key)
        if group is not None:
            group.discard(listener)
            if not group:
                del self._groups[key]

    async def _for_ever(self) -> None:
        while self._groups:
            keys = list(self._groups)
            for key in keys:
                await asyncio.sleep(self._every / len(keys))
                await self.look(key)

    async def look(self, key: Hashable) -> None:
        """Close all sockets of a group that may not listen any more; where that cannot be told, they connect again."""
        group = self._groups.get(key)
        if not group:
            return
        try:
            ending = await next(iter(group)).ending()
        except Exception:
            log.exception("whether somebody may still listen could not be told; their pages connect again")
            ending = FAILED
        if ending is not None:
            for listener in list(group):  # each on its own: one that does not read would hold up the others
                task = asyncio.create_task(_end(listener, ending))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)


async def _end(listener: Listener, ending: dict[str, Any]) -> None:
    try:
        await listener.base_send(ending)
    except Exception as error:
        log.debug("a socket was gone before it could be closed: %s", error)
