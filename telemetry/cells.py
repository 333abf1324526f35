"""Contributions added up in memory, and spread over the rows of the rollups that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from telemetry import histogram
from telemetry.facts import Dims, Part
from telemetry.figures import PLATFORM_CUTS, RUNS, STEPS
from telemetry.histogram import Histogram
from telemetry.models import ALL, DAY, EVERY_PART, HOUR, PLATFORM

EVERY, EVERYBODY = str(ALL), str(PLATFORM)
DAY_S = 86400


class Key(NamedTuple):
    """A row of a rollup: models.Rollup.KEY, with ids as texts and the time in seconds since 1970."""

    tenant: str
    grain: str
    cut: str
    workflow: str
    at: int
    key: str
    part: str


class Cell:
    """Sums of measures, and histograms."""

    __slots__ = ("measures", "histograms")

    def __init__(self) -> None:
        self.measures: dict[str, int] = {}
        self.histograms: dict[str, Histogram] = {}

    def add(self, other: Cell) -> None:
        """Add another one."""
        for name, value in other.measures.items():
            self.measures[name] = self.measures.get(name, 0) + value
        for name, more in other.histograms.items():
            self.histograms[name] = self.histograms.get(name, 0) + more

    def plain(self) -> tuple[dict[str, int], dict[str, Histogram]]:
        """Without what came to nothing: two cells are alike when these are."""
        return (
            {name: value for name, value in self.measures.items() if value},
            {name: each for name, each in self.histograms.items() if each},
        )

    def __bool__(self) -> bool:
        return any(self.plain())


Rows = dict[str, dict[Key, Cell]]  # by table


class Sums:
    """Adds up parts. Few different ones come of many steps, so they are spread over rows afterwards."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str, str, int, str, Dims], Cell] = {}

    def add(self, table: str, tenant: str, workflow: str, part: Part, times: int = 1) -> None:
        """Add a part, or with ``times=-1`` take it away."""
        place = (table, tenant, workflow, part.at, part.part, part.dims)
        cell = self._cells.get(place)
        if cell is None:
            cell = self._cells[place] = Cell()
        sums = cell.measures
        for name, value in part.measures.items():
            sums[name] = sums.get(name, 0) + value * times
        for name, bucket in part.buckets.items():
            cell.histograms[name] = cell.histograms.get(name, 0) + histogram.one(bucket) * times

    def replace(self, table: str, tenant: str, workflow: str, old: Iterable[Part], new: Iterable[Part]) -> None:
        """Take the old parts away and add the new ones."""
        for part in old:
            self.add(table, tenant, workflow, part, -1)
        for part in new:
            self.add(table, tenant, workflow, part)

    def rows(self) -> Rows:
        """The rows, with what is to be added to each; those to which nothing comes are left out."""
        found: Rows = {}
        for (table, tenant, workflow, at, part, dims), cell in self._cells.items():
            if not cell:
                continue
            into = found.setdefault(table, {})
            for key in _spread(table, tenant, workflow, at, part, dims):
                there = into.get(key)
                if there is None:
                    there = into[key] = Cell()
                there.add(cell)
        return found


def _spread(table: str, tenant: str, workflow: str, at: int, part: str, dims: Dims) -> Iterator[Key]:
    for grain, begins in ((HOUR, at), (DAY, at // DAY_S * DAY_S)):
        for cut, key in dims:
            for each in (part, EVERY_PART):
                yield Key(tenant, grain, cut, workflow, begins, key, each)
                if cut != "revision":  # that of one workflow has nothing to do with another's of the same number
                    yield Key(tenant, grain, cut, EVERY, begins, key, each)
                if cut in PLATFORM_CUTS:
                    yield Key(EVERYBODY, grain, cut, EVERY, begins, key, each)


def of_run(sums: Sums, tenant: str, workflow: str, old: list[Part], new: list[Part]) -> None:
    """Put a run's parts in the place of its old ones."""
    sums.replace(RUNS, tenant, workflow, old, new)


def of_step(sums: Sums, tenant: str, workflow: str, part: Part, times: int = 1) -> None:
    """Add a step's part, or take it away."""
    sums.add(STEPS, tenant, workflow, part, times)


Json = Any
