"""An alert in words, and where it leads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from console.workflows.reasons import ABOUT
from telemetry import query, selecting
from telemetry.alerts.models import AlertRule, Condition, Incident
from telemetry.figures import APPROVALS, PARTS, RUNS, STEPS, Figure
from telemetry.templatetags.insight_tags import figure as written
from telemetry.windows import Scope, Window

_COUNTS = {"abnormal_share": "abnormal", "failed_share": "failed_calls", "unopened_share": "unopened"}
_BY = {RUNS: ("stop_reason", "workflow"), STEPS: ("model", "workflow"), APPROVALS: ("rule", "workflow")}
_STARTED = ("runs", "retries", "forks")


def value_of(name: str, value: float | None) -> str:
    """A value in the unit of its figure."""
    return written(value, query.find(name).unit)


def bound(name: str, low: float | None, high: float | None, value: float | None = None) -> str:
    """``above 12.0 %``, or ``outside 3 to 9``: what a value is, or would be, where it is bad."""
    if low is not None and high is not None:
        if value is not None and value > high:
            return f"above {value_of(name, high)}"
        if value is not None and value < low:
            return f"below {value_of(name, low)}"
        return f"outside {value_of(name, max(low, 0.0))} to {value_of(name, high)}"
    if high is not None:
        return f"above {value_of(name, high)}"
    return f"below {value_of(name, low)}" if low is not None else "outside what is usual"


def terms(rule: AlertRule) -> str:
    """What a rule watches, in a line."""
    figure = query.find(rule.figure)
    held = f"{rule.condition} {value_of(rule.figure, rule.threshold)}"
    if rule.condition == Condition.UNUSUAL:
        held = f"outside what is usual in these hours of {rule.weeks} weeks"
    length = "hour" if rule.hours == 1 else f"{rule.hours} hours"
    lasting = f", for {rule.for_minutes} minutes" if rule.for_minutes else ""
    return f"{figure.title}{narrowing(rule.narrowed)}, {held}, over the last {length}{lasting}"


def narrowing(narrowed: Mapping[str, str]) -> str:
    """`` of workflow refund-desk`` and so on; empty of everything."""
    return "".join(f" of {name.replace('_', ' ')} {value}" for name, value in narrowed.items())


def says(incident: Incident, value: float | None = None) -> str:
    """``Share ended badly is 40.0 %, above 12.0 %``."""
    shown = incident.latest if value is None else value
    title = query.find(incident.figure).title + narrowing(incident.narrowed)
    return (
        f"{title} is {value_of(incident.figure, shown)}, {bound(incident.figure, incident.low, incident.high, shown)}"
    )


def because(scope: Scope, window: Window, figure: Figure, now: datetime) -> str:
    """What makes most of a figure, in a sentence; empty where nothing does."""
    counted = query.find(_COUNTS.get(figure.name, figure.name))
    parts = []
    for by in _splits(scope, figure):
        bars = query.breakdown(scope, window, counted.name, by, now=now)
        if not bars or bars[0].rest or bars[0].value is None:
            continue
        top, name = bars[0], bars[0].label or bars[0].key
        name = name.replace("_", " ") if by == "stop_reason" and top.key in ABOUT else name
        if counted.histogram or counted.over:
            parts.append(f"highest in {name} ({value_of(counted.name, top.value)})")
        else:
            total = sum(bar.value or 0 for bar in bars)
            parts.append(f"{name} with {value_of(counted.name, top.value)} of {value_of(counted.name, total)}")
    if not parts:
        return ""
    lead = "" if counted.histogram or counted.over else "mostly "
    text = f"{lead}{' and '.join(parts)}."
    return (text[0].upper() + text[1:])[:400]


def _splits(scope: Scope, figure: Figure) -> list[str]:
    """What it can be split by, where it is narrowed as it is."""
    cut = scope.cut()[0]
    found = []
    for by in _BY[figure.table]:
        if by == "tool" or (by == "workflow" and scope.workflow is not None):
            continue
        if by == "stop_reason" and (scope.stop_reason or figure.name in _STARTED):
            continue
        by = "tool" if by == "model" and figure.name.startswith("tool") else by
        if by in ("workflow", PARTS[figure.table]) or cut == "all":
            found.append(by)
    return [by for by in found if by in selecting.splits(scope, figure.table)]


def links(incident: Incident) -> dict[str, str]:
    """The insights of the same time, and the runs behind it."""
    about = {name: incident.narrowed.get(name, "") for name in ("workflow",)}
    time = {
        name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in (("from", incident.window_start), ("to", incident.window_end))
    }
    runs = {"on": "started" if incident.figure in _STARTED else "ended", **about}
    if query.find(incident.figure).table == RUNS:
        runs["reason"] = incident.narrowed.get("stop_reason", "")
        runs["like"] = "abnormal" if incident.figure.startswith("abnormal") and not runs["reason"] else ""
    return {
        "insights": "/insights/?" + urlencode({key: each for key, each in (about | time).items() if each}),
        "runs": "/runs/?" + urlencode({key: each for key, each in (runs | time).items() if each}),
    }
