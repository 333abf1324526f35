"""The little statistics of the people page. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

Z = 1.959964  # of 95 %
ENOUGH = 30  # shared decisions below which agreement is told as a count alone
FEW = 20  # below which a share is said to be of few


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``n``, and Wilson's 95 % interval of the share behind it (0 to 1); no share of nothing."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """0 to 1, or None where there is nothing to take a share of."""
        return self.hits / self.n if self.n else None

    @property
    def few(self) -> bool:
        """Whether so few say little."""
        return self.n < FEW


def share(hits: int, n: int) -> Share:
    """Wilson's score interval: honest for few, and at 0 and 1."""
    if n <= 0:
        return Share(0, 0, 0.0, 1.0)
    p = hits / n
    middle, wide = p + Z * Z / (2 * n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    low = 0.0 if hits == 0 else (middle - wide) / scale
    return Share(hits, n, low, 1.0 if hits == n else (middle + wide) / scale)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two people who voted on the same requests. ``kappa`` is None where ``n`` is below ENOUGH, or where one of them
    only ever said one thing, so that chance alone explains it all."""

    n: int
    agreed: int
    kappa: float | None

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.agreed / self.n if self.n else 0.0


def agreement(both_yes: int, first_only: int, second_only: int, both_no: int) -> Agreement:
    """Cohen's kappa: how far two people agree beyond what their habits alone would make of it."""
    n = both_yes + first_only + second_only + both_no
    agreed = both_yes + both_no
    if n < ENOUGH:
        return Agreement(n, agreed, None)
    first, second = (both_yes + first_only) / n, (both_yes + second_only) / n
    chance = first * second + (1 - first) * (1 - second)
    return Agreement(n, agreed, None if chance >= 1 else (agreed / n - chance) / (1 - chance))
