"""How retries take their time, and how much of it the other side asks for."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Pace:
    """Clock, sleep and chance; tests bring their own."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    tries: int = 4
    longest: float = 30.0  # seconds that the other side may ask to be left alone for

    def pause(self, number: int, asked: float | None) -> float:
        """Seconds before another try after the ``number``-th: twice as long each time, with jitter; longer if asked for."""
        backoff = min(8.0, 0.5 * 2 ** (number - 1)) * (0.5 + self.random() / 2)
        return backoff if asked is None else max(asked, backoff)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a provider asks to wait, or None when it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        given = headers.get(name)
        if given is None:
            continue
        try:
            seconds = float(given) / unit
        except ValueError:
            seconds = math.nan
        if not math.isnan(seconds):
            return max(0.0, seconds)
        try:
            then = parsedate_to_datetime(given)
        except (ValueError, TypeError, OverflowError):  # a date that is none
            continue
        return max(0.0, ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds())
    return None
