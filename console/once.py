"""Things of which a process has one, made when they are first asked for."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """A function that makes its value at the first call, and only then, however many threads call first.

    ``functools.cache`` lets threads that come at the same time make one each, and keeps one of them. The others are
    thrown away while their threads use them: a Redis client hangs up all of its connections then.
    """
    lock = threading.Lock()
    made: list[T] = []

    @functools.wraps(make)
    def ask() -> T:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return ask
