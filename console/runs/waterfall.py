"""Where a run's time went: rows of bars for the run page, drawn on a scale on which waits are compressed.

Machine time is to scale. A stretch in which only people are waited for (or nothing happens at all) is shortened to a
share of the machine time, so that a weekend does not flatten the seconds that matter.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.templatetags.sayso import VERDICT_WORDS, duration

MAX_ROWS = 120
WAITS = ("review", "question", "final")
Span = tuple[float, float]


@dataclass(slots=True)
class Row:
    """One line of the chart; x, w and tx are percentages of the width."""

    name: str
    tone: str
    x: float
    w: float
    text: str = ""
    title: str = ""
    group: bool = False
    tx: float = 0.0
    dx: int = 5
    anchor: str = "start"
    seq: int = 0  # of the step; 0: a group of them


@dataclass(slots=True)
class Chart:
    """What the template draws. ``spoken`` says the same in one sentence."""

    rows: list[Row] = field(default_factory=list)
    ticks: list[dict[str, Any]] = field(default_factory=list)
    compressed: bool = False
    note: str = ""
    spoken: str = ""


class Scale:
    """Seconds since the start to percent of the width, with idle stretches shortened."""

    def __init__(self, end: float, busy: Sequence[Span]) -> None:
        self.points: list[tuple[float, float]] = [(0.0, 0.0)]  # (seconds, drawn length)
        self.compressed = False
        working = sum(stop - start for start, stop in busy)
        cap = max(working * 0.4, 0.5)
        at = drawn = 0.0
        for start, stop in [*busy, (end, end)]:
            idle = max(start - at, 0.0)
            if idle > cap:
                self.compressed = True
            drawn += min(idle, cap)
            self.points.append((start, drawn))
            drawn += stop - start
            self.points.append((stop, drawn))
            at = max(at, stop)
        self.length = drawn or 1.0

    def x(self, seconds: float) -> float:
        """Percent of the width."""
        return round(self._between(seconds, 0, 1) / self.length * 100, 2)

    def seconds(self, percent: float) -> float:
        """What time stands at a percentage of the width."""
        return self._between(percent / 100 * self.length, 1, 0)

    def _between(self, value: float, given: int, wanted: int) -> float:
        at = min(max(bisect_right([point[given] for point in self.points], value), 1), len(self.points) - 1)
        before, after = self.points[at - 1], self.points[at]
        span = after[given] - before[given]
        part = min(max((value - before[given]) / span, 0.0), 1.0) if span else 0.0
        return before[wanted] + part * (after[wanted] - before[wanted])


def chart(steps: Iterable[Any], began: datetime, now: datetime, names: dict[tuple[str, int], str]) -> Chart:
    """The chart of steps (rows of the journal, in order). ``names``: who decided the gate at (scope, n)."""
    shown = [step for step in steps if not step.inherited]
    if not shown:
        return Chart()
    left = len(shown) - MAX_ROWS
    shown = shown[:MAX_ROWS]

    def span(step: Any) -> Span:
        start = max((step.started_at - began).total_seconds(), 0.0)
        return start, max(((step.ended_at or now) - began).total_seconds(), start)

    spans = [span(step) for step in shown]
    end = max(stop for _, stop in spans)
    scale = Scale(end, _merged(s for s, step in zip(spans, shown, strict=True) if step.kind not in WAITS))
    result = Chart(compressed=scale.compressed)
    result.rows.append(
        _placed(scale, Row("run", "run", 0, 0, group=True, title=f"the whole run: {duration(end)}"), (0.0, end))
    )
    for agent in dict.fromkeys(_agent(step) for step in shown):
        own = [(s, step) for s, step in zip(spans, shown, strict=True) if _agent(step) == agent]
        whole = min(s[0] for s, _ in own), max(s[1] for s, _ in own)
        result.rows.append(_placed(scale, Row(agent, "agent", 0, 0, group=True, title=agent), whole))
        for s, step in own:
            row = _placed(scale, _row(step, s, names), s)
            row.seq = step.seq
            result.rows.append(row)
    result.ticks = _ticks(scale)
    if left > 0:
        result.note = f"The first {MAX_ROWS} effects are drawn; {left} more are in the journal below."
    waited = sum(stop - start for (start, stop), step in zip(spans, shown, strict=True) if step.kind in WAITS)
    result.spoken = f"{len(shown)} effects over {duration(end)}; people were waited for {duration(waited)}."
    return result


def _agent(step: Any) -> str:
    return step.agent or step.scope.split("#", 1)[0].split("/", 1)[0]


def _row(step: Any, span: Span, names: dict[tuple[str, int], str]) -> Row:
    took = duration(span[1] - span[0])
    if step.kind in WAITS:
        who = names.get((step.scope, step.n), "") or names.get((step.scope.removesuffix("/review"), step.n), "")
        what = {"review": "approval", "question": "question", "final": "final review"}[step.kind]
        name = f"{what}: {step.name}" if step.name else what
        return Row(name, "wait", 0, 0, text=f"{took} · {who or 'open'}", title=f"{name}: {took}, {who or 'still open'}")
    tries = len(step.attempts) if isinstance(step.attempts, list) else 1
    again = f" ({tries} tries)" if tries > 1 else ""
    usage = step.usage if isinstance(step.usage, dict) else {}
    used = int(usage.get("input_tokens") or 0) + int(usage.get("output_tokens") or 0)
    name = f"{step.kind} {step.name}{again}".strip()
    text = took + (f" · {used:,} tok" if used else "")
    tone = "failed" if step.status in ("failed", "in_doubt") else step.kind
    return Row(name, tone, 0, 0, text=text, title=f"{name}: {text}")


def _placed(scale: Scale, row: Row, span: Span) -> Row:
    row.x = scale.x(span[0])
    row.w = round(max(scale.x(span[1]) - row.x, 0.7), 2)
    row.x = min(row.x, 99.3)
    row.tx, row.anchor = row.x + row.w, "start"
    if row.tx > 66:
        row.tx, row.anchor, row.dx = row.x, "end", -5
    if row.anchor == "end" and row.x < 34:
        row.text = ""  # the bar fills the width; its title and the journal say the figure
    return row


def _ticks(scale: Scale) -> list[dict[str, Any]]:
    return [
        {
            "x": x,
            "text": duration(scale.seconds(x)) if x else "0",
            "anchor": "start" if x == 0 else "end" if x == 100 else "middle",
        }
        for x in (0, 25, 50, 75, 100)
    ]


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Overlapping spans as one, in order."""
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def decided_by(requests: Iterable[Any]) -> dict[tuple[str, int], str]:
    """Who decided the gate at (scope, n), in words."""
    return {
        (row.scope, row.n): f"{VERDICT_WORDS.get(row.verdict, row.status)} by {row.decided_by_name}"
        for row in requests
        if row.decided_by_name
    }
