"""Mergeable histograms of durations, with logarithmic buckets: quantiles of any sum of hours within a stated error.

Bucket ``i`` holds the values of (GAMMA^(i-1), GAMMA^i] milliseconds, and answers with the value in it whose relative
distance to both bounds is the same: ERROR. This is DDSketch (Masson, Rim and Lee, VLDB 2019) with bounds of its own
instead of collapsing buckets: at most BOTTOM..TOP are used, so that a histogram never has more than TOP - BOTTOM + 2.

A histogram is one whole number, in which each bucket has 64 bits: the sum of two numbers is the sum of their histograms, and
the difference takes back exactly what was added; so thousands of rows are merged as fast as they are read. 0 is the empty one.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate

Histogram = int

ERROR = 0.05  # of any quantile, relative, for values between FLOOR_MS and the last bucket's upper bound
GAMMA = (1 + ERROR) / (1 - ERROR)
FLOOR_MS = 1.0  # what is shorter counts as nothing: the bucket ZERO
ZERO = "z"
BOTTOM = 0
TOP = 300  # about 350 years: what a run that spans months takes never comes near it
_LN = math.log(GAMMA)

_BITS, _BYTES = 64, 8  # of a bucket: a count, which is far from filling them
_MANY = TOP - BOTTOM + 2  # buckets: ZERO is the lowest
_SIGNS = sum(1 << (_BITS * place + _BITS - 1) for place in range(_MANY))  # added, it makes every bucket positive


def bucket(ms: float) -> str:
    """The bucket of a duration in milliseconds. Nothing, less than nothing and what is no number are ZERO."""
    if not ms >= FLOOR_MS:
        return ZERO
    if math.isinf(ms):
        return str(TOP)
    return str(min(TOP, max(BOTTOM, math.ceil(math.log(ms) / _LN - 1e-9))))


def middle(name: str) -> float:
    """What a bucket answers with, in milliseconds."""
    return 0.0 if name == ZERO else 2 * GAMMA ** int(name) / (GAMMA + 1)


@cache
def one(name: str) -> Histogram:
    """The histogram of one value, which is in this bucket."""
    return 1 << (_BITS * (0 if name == ZERO else int(name) - BOTTOM + 1))


def of(values: Iterable[float]) -> Histogram:
    """The histogram of durations in milliseconds."""
    return sum(one(bucket(value)) for value in values)


def of_counts(counts: Mapping[str, int]) -> Histogram:
    """The histogram with so many values in each bucket."""
    return sum(one(name) * count for name, count in counts.items())


def counts(histogram: Histogram) -> dict[str, int]:
    """How many values are in each bucket that has any."""
    low, places = _places(histogram)
    return {_name(place): count for place, count in enumerate(places, low) if count}


def size(histogram: Histogram) -> int:
    """How many values there are."""
    return sum(_places(histogram)[1])


def quantile(histogram: Histogram, share: float) -> float | None:
    """The value in milliseconds that ``share`` (0..1) of the values do not exceed; None of an empty histogram.

    The smallest such value (rank ceil(share * n), at least the first): the same that a sorted list gives, within ERROR.
    """
    return quantiles(histogram, (share,))[0]


def quantiles(histogram: Histogram, shares: Iterable[float]) -> list[float | None]:
    """Several quantiles of one histogram; ``shares`` in any order."""
    low, places = _places(histogram)
    if places and min(places) < 0:
        # More was taken back there than there was, which says nothing of the other buckets.
        places = [max(0, count) for count in places]
    passed = list(accumulate(places))
    if not passed or not passed[-1]:
        return [None for _ in shares]
    ranks = [max(1, math.ceil(share * passed[-1] - 1e-9)) for share in shares]
    return [_middles()[low + bisect_left(passed, min(rank, passed[-1]))] for rank in ranks]


def pack(histogram: Histogram) -> bytes | None:
    """As a row keeps it: the place of the lowest bucket that has any in two bytes, then the number from there on, the highest
    byte first, in whole buckets (what Postgres' int8send gives of each, the highest bucket first). None of an empty one."""
    if not histogram:
        return None
    low, rest = _lowest(histogram)
    return low.to_bytes(2, "big") + rest.to_bytes(_BYTES * (rest.bit_length() // _BITS + 1), "big", signed=True)


def unpack(kept: bytes | None) -> Histogram:
    """What ``pack`` was given."""
    if not kept:
        return 0
    return int.from_bytes(kept[2:], "big", signed=True) << (_BITS * int.from_bytes(kept[:2], "big"))


def _lowest(histogram: Histogram) -> tuple[int, int]:
    """The place of the lowest bucket that has any, and the number from there on. Not of an empty histogram."""
    low = ((histogram & -histogram).bit_length() - 1) // _BITS
    return low, histogram >> (_BITS * low)


def _places(histogram: Histogram) -> tuple[int, Sequence[int]]:
    """The place of the lowest bucket that has any, and the count of each from there up to the highest, or further."""
    if not histogram:
        return 0, ()
    low, rest = _lowest(histogram)
    raised = rest + _SIGNS
    if rest > 0 and raised & _SIGNS == _SIGNS:  # nowhere less than nothing
        many = (rest.bit_length() + _BITS - 1) // _BITS
        return low, struct.unpack(f"<{many}Q", rest.to_bytes(_BYTES * many, "little"))
    zero = 1 << (_BITS - 1)
    return low, [count - zero for count in struct.unpack(f"<{_MANY}Q", raised.to_bytes(_BYTES * _MANY, "little"))]


def _name(place: int) -> str:
    return ZERO if place == 0 else str(place - 1 + BOTTOM)


@cache
def _middles() -> list[float]:
    return [middle(_name(place)) for place in range(_MANY)]


# The same bucket in SQL, of an expression in milliseconds: for what is counted where it lies, such as what still waits.
def sql(expression: str) -> str:
    """A bucket's name as text, of an SQL expression that gives milliseconds as double precision."""
    return (
        f"CASE WHEN NOT ({expression} >= {FLOOR_MS}) THEN '{ZERO}' ELSE"
        f" LEAST({TOP}, GREATEST({BOTTOM}, CEIL(LN({expression}) / {_LN!r} - 1e-9)))::int::text END"
    )
