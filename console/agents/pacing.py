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
    """Seconds that a provider asks to wait, or None when it does not say.

    A date is by the provider's clock: it is held against the ``Date`` of the same answer, and against ``now`` only where
    there is none, because ours may be minutes off.
    """
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
        then = _date(given)
        if then is not None:
            return max(0.0, (then - (_date(headers.get("date")) or now)).total_seconds())
    return None


def _date(given: str | None) -> datetime | None:
    """A date of HTTP, or None where it is none."""
    if given is None:
        return None
    try:
        then = parsedate_to_datetime(given)
    except (ValueError, TypeError, OverflowError):
        return None
    return then if then.tzinfo else then.replace(tzinfo=UTC)
