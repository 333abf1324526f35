"""A connected websocket as the hub writes to it."""

from __future__ import annotations

import types
from asyncio import Task
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]
Put = Callable[[bytes], bool]


@dataclass(eq=False, slots=True)
class Socket:
    """One connected websocket. ``last`` is the sequence number of the last event sent to it."""

    send: Send
    as_json: bool
    last: int = 0
    state: str = "joining"  # joining -> live <-> lagging; closed
    task: Task[None] | None = None
    put: Put | None = field(init=False)

    def __post_init__(self) -> None:
        self.put = getattr(getattr(self.send, "__self__", None), "put", None)

    def step(self, message: dict[str, Any]) -> Awaitable[None] | None:
        """Send by stepping the server's own ``send`` by hand. Returns what is left to wait for when the buffer is full,
        None when it was written, or when the peer is gone: then the socket is closed, and its consumer hears of it."""
        sending = self.send(message)
        try:
            blocked_on = sending.send(None)
        except StopIteration:
            return None
        except Exception:
            self.state = "closed"
            return None
        return _rest(sending, blocked_on)


@types.coroutine
def _rest(sending: Coroutine[Any, Any, None], blocked_on: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was stepped by hand, inside a task: first what it waits for, then the rest."""
    waiting = blocked_on
    try:
        while True:
            try:
                answer = yield waiting
            except BaseException as error:
                waiting = sending.throw(error)
            else:
                waiting = sending.send(answer)
    except StopIteration:
        return
