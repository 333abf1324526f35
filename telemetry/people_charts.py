"""The drawings of the people page: places in an SVG, and shades of a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10

from telemetry.deciders import reading_s
from telemetry.people import Point

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 28, 12, 44  # around the plot
SHADES = 5
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TIMES = ((1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (36_000, "10 h"), (360_000, "100 h"))
_WORDS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Dot:
    """A decision in the plot; ``path`` draws it where it is marked."""

    x: float
    y: float
    path: str
    point: Point


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Seconds against words, both on logarithmic axes. ``line`` is the speed of reading, as an SVG path."""

    dots: list[Dot]
    xs: list[Tick]
    ys: list[Tick]
    line: str


def scatter(points: Sequence[Point]) -> Scatter:
    """The plot of ``points``."""
    most_words = _decade(max([point.words for point in points], default=100), 100)
    most_s = _decade(max([point.seconds for point in points], default=600.0), 1000)

    def x(words: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, log10(max(words, 1))) / log10(most_words)), 1)

    def y(seconds: float) -> float:
        share = min(1.0, max(0.0, log10(max(seconds, 1))) / log10(most_s))
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    dots = []
    for point in points:
        at, up = x(point.words), y(point.seconds)
        path = f"M{at} {up - 4.5}L{at + 4.5} {up + 3.5}L{at - 4.5} {up + 3.5}Z" if point.faster else ""
        dots.append(Dot(at, up, path, point))
    first = 60 / reading_s(60)  # words of a second: below it reading takes no time that the axis has
    line = f"M{x(first)} {y(1)}L{x(most_words)} {y(reading_s(most_words))}"
    return Scatter(
        dots,
        [Tick(x(words), f"{words:,}") for words in _WORDS if words <= most_words],
        [Tick(y(seconds), label) for seconds, label in _TIMES if seconds <= most_s],
        line,
    )


def _decade(value: float, least: int) -> int:
    """The power of ten that nothing lies above."""
    return max(least, 10 ** ceil(log10(max(value, 1.0))))


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of the week: how many decisions, how many of them unopened, and its shade (0 to SHADES)."""

    hour: int
    n: int
    unopened: int
    shade: int


def heat(found: Mapping[tuple[int, int], tuple[int, int]]) -> list[tuple[int, str, list[Cell]]]:
    """A row for each day (ISO number, name, its hours)."""
    most = max((n for n, _ in found.values()), default=0)
    return [
        (day, name, [_cell(hour, *found.get((day, hour), (0, 0)), most) for hour in range(24)])
        for day, name in enumerate(DAYS, 1)
    ]


def _cell(hour: int, n: int, unopened: int, most: int) -> Cell:
    return Cell(hour, n, unopened, ceil(SHADES * n / most) if n else 0)
