"""What the decisions of one person come to, of a day or of part of it: sums that add up, in the order of time. Pure.

``of`` reads decisions, ``Looked.add`` puts what came later behind, ``plain`` and ``read`` are what a row keeps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import exp, floor, log
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

WORDS_A_MINUTE = 238  # silent reading of English non-fiction by adults: Brysbaert 2019, a meta-analysis of 190 studies
RAPID = 5  # seconds between two approvals of the same person
BINS = 16 / log(2)  # of times, for each unit of their logarithm: 16 an octave
LENGTHS = (50, 100, 200, 400)  # words: the last of each row of the table but one
QUARTER = 900  # seconds: every zone's hours begin at one of these
DRAWN = 64  # decisions that a part keeps to be drawn
ALL = 1 << 32  # above the ticket of any decision

Json = Any
_STARTS = [each + 1 for each in LENGTHS]


def reading_s(words: float) -> float:
    """Seconds that it takes to read so many words at the usual speed."""
    return words * 60 / WORDS_A_MINUTE


class Decision(NamedTuple):
    """One decision. Seconds; ``took`` is None where it was not opened before, ``words`` where they were not counted."""

    id: str
    at: float
    yes: bool
    words: int | None
    took: float | None


class Drawn(NamedTuple):
    """A decision that may be drawn: those with the lowest tickets are, so any two samples make one."""

    ticket: int
    id: str
    at: float
    words: int
    took: float


@dataclass(slots=True)
class Times:
    """Decisions with a time: how many in each bin, and of those with a length their words, and those faster than read."""

    n: int = 0
    words: int = 0
    faster: int = 0
    bins: dict[int, int] = field(default_factory=dict)

    def add(self, other: Times) -> None:
        """Put others in."""
        self.n, self.words, self.faster = self.n + other.n, self.words + other.words, self.faster + other.faster
        for place, n in other.bins.items():
            self.bins[place] = self.bins.get(place, 0) + n

    @property
    def median_s(self) -> float | None:
        """The middle of the bin in which the median lies: 2.2 % off at most."""
        left = (sum(self.bins.values()) + 1) // 2
        for place in sorted(self.bins):
            left -= self.bins[place]
            if left <= 0:
                return round(exp((place + 0.5) / BINS), 3)
        return None


@dataclass(slots=True)
class Row:
    """Approvals in a row, of decisions in order: how many it begins and ends with, and the most between."""

    n: int = 0
    head: int = 0
    tail: int = 0
    most: int = 0
    rapid: int = 0
    first: float = 0.0  # when the first decision was
    last: float = 0.0

    def step(self, at: float, yes: bool) -> None:
        """Put one decision behind."""
        self.add(Row(1, int(yes), int(yes), int(yes), 0, at, at))

    def add(self, other: Row) -> None:
        """Put what came later behind."""
        if not other.n:
            return
        if not self.n:
            self.first = other.first
        elif self.tail and other.head and other.first - self.last <= RAPID:
            self.rapid += 1
        self.rapid += other.rapid
        self.most = max(self.most, other.most, self.tail + other.head)
        self.head += other.head if self.head == self.n else 0
        self.tail = other.tail + (self.tail if other.tail == other.n else 0)
        self.n, self.last = self.n + other.n, other.last


@dataclass(slots=True)
class Looked:
    """What decisions come to. ``quarters``: decisions and unopened ones by quarter of an hour since 1970. Of ``drawn``
    all are there with a ticket below ``below``."""

    name: str = ""
    n: int = 0
    yes: int = 0
    worded: int = 0  # with a length
    words: int = 0  # of those
    times: Times = field(default_factory=Times)  # ``n``: opened
    lengths: dict[int, Times] = field(default_factory=dict)  # by place in LENGTHS: opened, and with a length
    quarters: dict[int, tuple[int, int]] = field(default_factory=dict)
    row: Row = field(default_factory=Row)
    drawn: list[Drawn] = field(default_factory=list)
    below: int = ALL

    def add(self, other: Looked) -> None:
        """Put what came later behind."""
        self.name = max(self.name, other.name)
        self.n, self.yes = self.n + other.n, self.yes + other.yes
        self.worded, self.words = self.worded + other.worded, self.words + other.words
        self.times.add(other.times)
        for place, times in other.lengths.items():
            self.lengths.setdefault(place, Times()).add(times)
        for quarter, (n, unopened) in other.quarters.items():
            was = self.quarters.get(quarter, (0, 0))
            self.quarters[quarter] = (was[0] + n, was[1] + unopened)
        self.row.add(other.row)
        self.drawn += other.drawn
        self.below = min(self.below, other.below)

    def plain(self) -> list[Json]:
        """As JSON keeps it."""
        times = [[place, *_times(each)] for place, each in sorted(self.lengths.items())]
        quarters = [[quarter, *counts] for quarter, counts in sorted(self.quarters.items())]
        row = [getattr(self.row, name) for name in Row.__slots__]
        numbers = [self.n, self.yes, self.worded, self.words]
        return [self.name, numbers, _times(self.times), times, quarters, row, [list(d) for d in self.drawn], self.below]

    @classmethod
    def read(cls, kept: list[Json]) -> Looked:
        """What ``plain`` gave."""
        name, (n, yes, worded, words), times, lengths, quarters, row, drawn, below = kept
        return cls(
            name, n, yes, worded, words, _read(times), {place: _read(each) for place, *each in lengths},
            {quarter: (many, unopened) for quarter, many, unopened in quarters}, Row(*row), [Drawn(*d) for d in drawn], below,
        )  # fmt: skip

    def sample(self, many: int) -> list[Drawn]:
        """At most so many, picked by chance from all that have a time and a length; the newest first."""
        found = sorted(each for each in self.drawn if each.ticket < self.below)[:many]
        return sorted(found, key=lambda each: -each.at)


def of(name: str, decisions: Iterable[Decision]) -> Looked:
    """What one person's decisions come to; they are given in order."""
    found = Looked(name)
    drawn: list[Drawn] = []
    for one in decisions:
        found.n += 1
        found.yes += one.yes
        found.row.step(one.at, one.yes)
        quarter = int(one.at // QUARTER)
        n, unopened = found.quarters.get(quarter, (0, 0))
        found.quarters[quarter] = (n + 1, unopened + (one.took is None))
        if one.words is not None:
            found.worded += 1
            found.words += one.words
        if one.took is None:
            continue
        here = Times(1, 0, 0, {floor(log(max(one.took, 0.001)) * BINS): 1})
        if one.words is not None:
            here.words, here.faster = one.words, int(one.took < reading_s(one.words))
            found.lengths.setdefault(bisect_right(_STARTS, one.words), Times()).add(here)
            drawn.append(Drawn(crc32(UUID(one.id).bytes), one.id, one.at, one.words, one.took))
        found.times.add(here)
    drawn.sort()
    if len(drawn) > DRAWN:
        found.below = drawn[DRAWN].ticket
    found.drawn = drawn[:DRAWN]
    return found


def all_of(parts: Iterable[Looked]) -> Looked:
    """What parts come to together; they are given in order."""
    found = Looked()
    for part in parts:
        found.add(part)
    return found


def _times(times: Times) -> list[Json]:
    return [times.n, times.words, times.faster, sorted(times.bins.items())]


def _read(kept: list[Json]) -> Times:
    n, words, faster, bins = kept
    return Times(n, words, faster, dict(bins))
