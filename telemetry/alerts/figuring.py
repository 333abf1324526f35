"""What a rule's figure is: now, in the same hours of the weeks before, and hour by hour for the backtest.

Figures are kept by the hour, so a window is whole hours. What grows with time (counts, money, tokens) and is held against
something from below is asked of hours that are over: an hour under way has always too little. Otherwise the hour under
way is in it; shares and percentiles take it besides, so that they do not begin anew with each hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.tenants.access import Actor
from telemetry import asking, histogram, query, selecting
from telemetry.alerts import states
from telemetry.alerts.models import AlertRule, Condition
from telemetry.alerts.states import Bounds, Measured, Standing, Terms
from telemetry.figures import APPROVALS, RUNS, STEPS, Figure
from telemetry.histogram import Histogram
from telemetry.models import HOUR
from telemetry.windows import HOUR_LONG, Scope, Window

WEEK = timedelta(days=7)
BACK = 30  # days of a backtest
_COUNTED = {RUNS: "ended", STEPS: "calls", APPROVALS: "decided"}  # the events behind money, tokens and times


@dataclass(frozen=True, slots=True)
class Look:
    """What a rule's figure is at a moment, and what it is held against. ``note`` says why it can not be."""

    measured: Measured
    bounds: Bounds | None
    window: Window
    usual: dict[str, Any]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Firing:
    """What a backtest found."""

    began: datetime
    ended: datetime | None


def terms_of(rule: AlertRule) -> Terms:
    """What of a rule decides."""
    figure = query.find(rule.figure)
    return Terms(rule.condition, rule.threshold, rule.least, rule.for_minutes, states.is_sum(figure))


def scope_of(actor: Actor, rule: AlertRule) -> Scope:
    """Whose figures a rule is about. Raises BadQuery where there is no such thing any more. Call in the tenant's scope."""
    return asking.scope(actor, rule.narrowed)


def window_of(rule: AlertRule, figure: Figure, now: datetime) -> Window:
    """The hours that count now."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    whole = states.is_sum(figure) and rule.condition != Condition.ABOVE
    end = hour if whole else hour + HOUR_LONG
    return Window(end - _length(rule, figure), end, HOUR)


def look(actor: Actor, rule: AlertRule, now: datetime) -> Look:
    """A rule at a moment: two statements, and some more once an hour where it is about what is usual. Raises BadQuery."""
    figure, scope = query.find(rule.figure), scope_of(actor, rule)
    window = window_of(rule, figure, now)
    measured = measure(scope, window, figure, now)
    usual, known = dict(rule.usual), []
    if rule.condition == Condition.UNUSUAL:
        hour = window.end.isoformat()
        if usual.get("of") != hour:
            found = history(scope, window, figure, rule.weeks)
            usual = {"of": hour, "values": [each and [each.value, each.events] for each in found]}
        known = [Measured(each[0], each[1]) if each else None for each in usual["values"]]
    bounds = states.bounds(terms_of(rule), figure, known, measured)
    note = ""
    if bounds is None:
        weeks = sum(each is not None and each.value is not None for each in known)
        note = f"Too little is known yet: {weeks} of the {states.ENOUGH} weeks that it takes to say what is usual."
    elif measured.value is None:
        note = "Nothing happened that it could be said of."
    elif measured.events < rule.least and not states.is_sum(figure):
        note = f"Too few to say: {measured.events:,}, and it takes {rule.least:,}."
    return Look(measured, bounds, window, usual, note)


def measure(scope: Scope, window: Window, figure: Figure, now: datetime | None = None) -> Measured:
    """A figure of a window. With ``now`` a wait counts those who still wait, too. Raises BadQuery."""
    chosen = selecting.rows(scope, window, figure.table, parts=figure.parts, whole=True)
    if figure.histogram:
        (values,) = selecting.histograms(chosen, (figure.histogram,)).get(("", None), (0,))
        if figure.histogram == "wait" and now is not None:
            values += selecting.pending(scope, window, now)
        return _spread(figure, values)
    found = selecting.sums(chosen, _columns(figure))
    return _summed(figure, [int(each or 0) for each in found[0][2:]] if found else [0] * len(_columns(figure)))


def history(scope: Scope, window: Window, figure: Figure, weeks: int) -> list[Measured | None]:
    """The same hours of the weeks before, the latest first; None of what was before there were figures."""
    first = _first(scope, figure)
    found: list[Measured | None] = []
    for back in range(1, weeks + 1):
        start = window.start - back * WEEK
        known = first is not None and start >= first
        found.append(measure(scope, Window(start, window.end - back * WEEK, HOUR), figure) if known else None)
    return found


def backtest(actor: Actor, rule: AlertRule, now: datetime) -> list[Firing]:
    """When a rule would have fired in the last BACK days, looked at as each hour ended. The requests that still waited
    then are not in it: nobody counted them. Raises BadQuery."""
    figure, scope, terms = query.find(rule.figure), scope_of(actor, rule), terms_of(rule)
    end = now.replace(minute=0, second=0, microsecond=0)
    length = _length(rule, figure) // HOUR_LONG
    weeks = rule.weeks if rule.condition == Condition.UNUSUAL else 0
    hours = BACK * 24 + weeks * 168 + length
    values = _rolling(scope, Window(end - hours * HOUR_LONG, end, HOUR), figure, length)
    first = _first(scope, figure)
    standing, found = Standing(), list[Firing]()
    for index in range(hours - BACK * 24, hours):
        at = end - (hours - 1 - index) * HOUR_LONG
        usual = [_known(values, index - back * 168, at - back * WEEK, first, length) for back in range(1, weeks + 1)]
        bounds = states.bounds(terms, figure, usual, values[index])
        was, standing = standing, states.step(standing, states.judge(terms, values[index], bounds), terms, at)
        if was.state != standing.state == "firing":
            found.append(Firing(at, None))
        elif was.state == "firing" != standing.state:
            found[-1] = Firing(found[-1].began, at)
    return found


def _known(
    values: Sequence[Measured], index: int, at: datetime, first: datetime | None, length: int
) -> Measured | None:
    return values[index] if first is not None and at - length * HOUR_LONG >= first and index >= 0 else None


def _length(rule: AlertRule, figure: Figure) -> timedelta:
    return (rule.hours + (0 if states.is_sum(figure) else 1)) * HOUR_LONG


def _columns(figure: Figure) -> tuple[str, ...]:
    more = () if figure.over or figure.unit == "count" else (_COUNTED[figure.table],)
    return (*figure.sums, *figure.over, *more)


def _summed(figure: Figure, row: Sequence[int]) -> Measured:
    own = len(figure.sums) + len(figure.over)
    value = selecting.value(figure, tuple(row[:own]))
    if figure.over:
        return Measured(value, sum(row[len(figure.sums) : own]))
    return Measured(value, sum(row[:own]) if figure.unit == "count" else row[own])


def _spread(figure: Figure, values: Histogram) -> Measured:
    ms = histogram.quantile(values, figure.quantile)
    return Measured(None if ms is None else ms / 1000, histogram.size(values))


def _first(scope: Scope, figure: Figure) -> datetime | None:
    """When the tenant's figures of this kind begin: before that, nothing is not "none"."""
    rows = selecting.ask(
        f"SELECT MIN(at) FROM {figure.table} WHERE tenant_id = %s AND grain = %s AND cut = 'all' AND workflow_id = %s",  # noqa: S608
        [scope.tenant_key, HOUR, scope.workflow_key],
    )
    found: datetime | None = rows[0][0]
    return found


def _rolling(scope: Scope, window: Window, figure: Figure, length: int) -> list[Measured]:
    """For each hour of a window, the figure of the ``length`` hours that end with it. From running sums, so that a week's
    costs what an hour's does."""
    chosen = selecting.rows(scope, window, figure.table, parts=figure.parts)
    place = {at: index for index, at in enumerate(window.points())}
    if figure.histogram:
        spreads = selecting.histograms(chosen, (figure.histogram,))
        by_hour = [spreads.get(("", at), [0])[0] for at in place]
        rolling: Histogram = 0
        found = []
        for index, more in enumerate(by_hour):
            rolling += more - (by_hour[index - length] if index >= length else 0)
            found.append(_spread(figure, rolling))
        return found
    width = len(_columns(figure))
    hours = [[0] * width for _ in place]
    for _, at, *row in selecting.sums(chosen, _columns(figure)):
        hours[place[at]] = [had + int(each or 0) for had, each in zip(hours[place[at]], row, strict=True)]
    running, found = [0] * width, []
    for index, hour in enumerate(hours):
        gone = hours[index - length] if index >= length else [0] * width
        running = [had + more - less for had, more, less in zip(running, hour, gone, strict=True)]
        found.append(_summed(figure, running))
    return found
