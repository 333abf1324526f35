"""Mergeable histograms of durations, with logarithmic buckets: quantiles of any sum of hours within a stated error.

Bucket ``i`` holds the values of (GAMMA^(i-1), GAMMA^i] milliseconds, and answers with the value in it whose relative
distance to both bounds is the same: ERROR. This is DDSketch (Masson, Rim and Lee, VLDB 2019) with bounds of its own
instead of collapsing buckets: at most BOTTOM..TOP are used, so that a histogram never has more than TOP - BOTTOM + 2.

A histogram is a mapping of bucket to count, as JSON keeps it: the keys are texts. Two are added by adding counts and,
unlike most sketches, subtracted as exactly: a late event takes back what was said before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

Counts = dict[str, int]

ERROR = 0.05  # of any quantile, relative, for values between FLOOR_MS and the last bucket's upper bound
GAMMA = (1 + ERROR) / (1 - ERROR)
FLOOR_MS = 1.0  # what is shorter counts as nothing: the bucket ZERO
ZERO = "z"
BOTTOM = 0
TOP = 300  # about 350 years: what a run that spans months takes never comes near it
_LN = math.log(GAMMA)


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


def of(values: Iterable[float]) -> Counts:
    """The histogram of durations in milliseconds."""
    found: Counts = {}
    for value in values:
        name = bucket(value)
        found[name] = found.get(name, 0) + 1
    return found


def add(into: Counts, more: Mapping[str, int], times: int = 1) -> None:
    """Add ``more`` to ``into``, or with ``times=-1`` take it away; what comes to nothing is left out."""
    for name, count in more.items():
        left = into.get(name, 0) + count * times
        if left:
            into[name] = left
        else:
            into.pop(name, None)


def merged(histograms: Iterable[Mapping[str, int]]) -> Counts:
    """The sum of histograms."""
    found: Counts = {}
    for each in histograms:
        for name, count in each.items():
            found[name] = found.get(name, 0) + count
    return found


def size(counts: Mapping[str, int]) -> int:
    """How many values there are."""
    return sum(counts.values())


def quantile(counts: Mapping[str, int], share: float) -> float | None:
    """The value in milliseconds that ``share`` (0..1) of the values do not exceed; None of an empty histogram.

    The smallest such value (rank ceil(share * n), at least the first): the same that a sorted list gives, within ERROR.
    """
    return quantiles(counts, (share,))[0]


def quantiles(counts: Mapping[str, int], shares: Iterable[float]) -> list[float | None]:
    """Several quantiles of one histogram; ``shares`` in any order."""
    ordered = sorted(((-1 if name == ZERO else int(name)), count) for name, count in counts.items() if count > 0)
    total = sum(count for _, count in ordered)
    return [_at(ordered, total, share) for share in shares]


def _at(ordered: list[tuple[int, int]], total: int, share: float) -> float | None:
    if not total:
        return None
    rank = max(1, math.ceil(share * total - 1e-9))
    passed = 0
    for index, count in ordered:
        passed += count
        if passed >= rank:
            return 0.0 if index < 0 else middle(str(index))
    return middle(str(ordered[-1][0]))


# The same bucket in SQL, of an expression in milliseconds: for what is counted where it lies, such as what still waits.
def sql(expression: str) -> str:
    """A bucket's name as text, of an SQL expression that gives milliseconds as double precision."""
    return (
        f"CASE WHEN NOT ({expression} >= {FLOOR_MS}) THEN '{ZERO}' ELSE"
        f" LEAST({TOP}, GREATEST({BOTTOM}, CEIL(LN({expression}) / {_LN!r} - 1e-9)))::int::text END"
    )
