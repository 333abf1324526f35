"""How a rule's state goes on. Pure: the backtest takes the same steps as the check.

What is usual: x is outside where |x - median| > 3.5 * max(1.4826 * MAD, floor), the modified z-score of Iglewicz and
Hoaglin (How to Detect and Handle Outliers, 1993, p. 11); 1.4826 makes the median absolute deviation comparable with a
standard deviation. Few weeks often agree by chance, so the spread has a floor: a tenth of the median, and what chance
alone does to a count (Poisson: its root) or a share (binomial), and for money, tokens and time an amount that nobody is
woken for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Literal

from telemetry.alerts.models import Condition, State
from telemetry.figures import Figure

OUTSIDE = 3.5  # spreads from the median: it begins
INSIDE = 2.5  # and it is over
MARGIN = 0.1  # of a threshold: it is over when the value is so far on the good side
CALM = timedelta(minutes=10)  # for which it has to stay there
QUIET = timedelta(hours=1)  # a firing rule without data is ended after
ENOUGH = 4  # weeks with something to compare
FLOORS = {"count": 1.0, "share": 0.02, "seconds": 5.0, "dollars": 0.1, "tokens": 1_000.0}

Verdict = Literal["bad", "between", "good", "none"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of a window, of how many events."""

    value: float | None
    events: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Outside ``low``..``high`` is bad; inside the other two is good; between, it stays as it is. None: no bound there."""

    low: float | None = None
    high: float | None = None
    good_low: float | None = None
    good_high: float | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a rule decides."""

    condition: str
    threshold: float | None
    least: int
    for_minutes: int
    sums: bool  # the figure grows with time: none of it is nothing, and not "nothing to say"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands."""

    state: str = State.OK
    pending_since: datetime | None = None
    clear_since: datetime | None = None


def is_sum(figure: Figure) -> bool:
    """Whether a figure grows with time, as counts and costs do, and shares and percentiles do not."""
    return not figure.over and not figure.histogram


def bounds(terms: Terms, figure: Figure, usual: Sequence[Measured | None], now: Measured) -> Bounds | None:
    """What the value is held against; None where there is not yet enough to say what is usual."""
    if terms.condition != Condition.UNUSUAL:
        at = terms.threshold or 0.0
        back = abs(at) * MARGIN
        if terms.condition == Condition.ABOVE:
            return Bounds(high=at, good_high=at - back)
        return Bounds(low=at, good_low=at + back)
    values = [each.value for each in usual if each is not None and each.value is not None]
    if len(values) < ENOUGH:
        return None
    middle = median(values)
    spread = max(1.4826 * median(abs(value - middle) for value in values), _floor(figure, middle, now.events))
    low, high, good_low, good_high = (middle + by * spread for by in (-OUTSIDE, OUTSIDE, -INSIDE, INSIDE))
    if figure.good == "down":
        return Bounds(high=high, good_high=good_high)
    if figure.good == "up":
        return Bounds(low=low, good_low=good_low)
    return Bounds(low, high, good_low, good_high)


def _floor(figure: Figure, middle: float, events: int) -> float:
    chance = 0.0
    if figure.unit == "count":
        chance = math.sqrt(max(middle, 0.0))
    elif figure.unit == "share":
        chance = math.sqrt(max(middle * (1 - middle), 0.0) / max(events, 1))
    return max(FLOORS[figure.unit], abs(middle) / 10, chance)


def judge(terms: Terms, measured: Measured, against: Bounds | None) -> Verdict:
    """What a value means."""
    value = measured.value
    if value is None or against is None or not math.isfinite(value):
        return "none"
    too_low = against.low is not None and value < against.low
    if measured.events < terms.least and not (terms.sums and too_low):
        return "good" if terms.sums else "none"
    if too_low or (against.high is not None and value > against.high):
        return "bad"
    above = against.good_high is not None and value > against.good_high
    below = against.good_low is not None and value < against.good_low
    return "between" if above or below else "good"


def step(was: Standing, verdict: Verdict, terms: Terms, now: datetime) -> Standing:
    """Where it stands next. Stepping twice at one time changes nothing more."""
    if was.state == State.FIRING:
        if verdict in ("bad", "between"):
            return replace(was, clear_since=None)
        since = min(was.clear_since or now, now)
        if now - since >= (QUIET if verdict == "none" else CALM):
            return Standing(State.NO_DATA if verdict == "none" else State.OK)
        return replace(was, clear_since=since)
    if verdict == "none":
        return Standing(State.NO_DATA)
    if verdict != "bad":
        return Standing(State.OK)
    since = min(was.pending_since or now, now)
    if now - since >= timedelta(minutes=terms.for_minutes):
        return Standing(State.FIRING)
    return Standing(State.PENDING, pending_since=since)
