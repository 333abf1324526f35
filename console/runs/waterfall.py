"""Where a run's time went: rows of bars for the run page, drawn on a scale on which waits are compressed.

Machine time is to scale. A stretch in which only people are waited for (or nothing happens at all) is shortened to a
share of the machine time, so that a weekend does not flatten the seconds that matter.

A chart draws one window of the journal (WINDOW steps); the others are a link away. What stands beside an agent's name is
summed over the whole run all the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.runs.figures import Sum
from console.runs.templatetags.run_tags import cause_words
from console.templatetags.sayso import VERDICT_WORDS, duration, moment, usd

WINDOW = 120  # steps drawn at once
WIDE, NARROW = 48.0, 18.0  # percent of the width that a bar's text may need, and a short one
MAX_TRIES = 40  # segments of one bar
WAITS = ("review", "question", "final")
Span = tuple[float, float]


@dataclass(slots=True)
class Segment:
    """A part of a row's bar: one try, or the pause before the next; x and w are percentages of the width."""

    tone: str
    x: float
    w: float
    title: str = ""


@dataclass(slots=True)
class Row:
    """One line of the chart; x, w and tx are percentages of the width. The texts are what the table says."""

    name: str
    tone: str
    x: float = 0.0
    w: float = 0.0
    text: str = ""
    more: str = ""  # of the text, what a narrow screen leaves out
    title: str = ""
    group: bool = False
    tx: float = 0.0
    dx: int = 5
    anchor: str = "start"
    seq: int = 0  # of the step; 0: a group of them
    depth: int = 0
    segments: list[Segment] = field(default_factory=list)
    resumed: bool = False  # the run was taken up again for it
    began: str = ""
    took: str = ""
    tokens: int | None = None
    cost: str = ""
    tries: int = 1


@dataclass(slots=True)
class Chart:
    """What the template draws. ``spoken`` says the same in one sentence."""

    rows: list[Row] = field(default_factory=list)
    ticks: list[dict[str, Any]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)  # where the run was taken up again
    compressed: bool = False
    spoken: str = ""
    kept: int = 0  # steps of the window that an earlier run did, and that are not drawn


class Scale:
    """Seconds since the start to percent of the width, with idle stretches shortened."""

    def __init__(self, end: float, busy: Sequence[Span], begin: float = 0.0) -> None:
        self.points: list[tuple[float, float]] = [(begin, 0.0)]  # (seconds, drawn length)
        self.compressed = False
        working = sum(stop - start for start, stop in busy)
        cap = max(working * 0.4, 0.5)
        at, drawn = begin, 0.0
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
        self._keys = ([point[0] for point in self.points], [point[1] for point in self.points])

    def x(self, seconds: float) -> float:
        """Percent of the width."""
        return round(self._between(seconds, 0, 1) / self.length * 100, 2)

    def seconds(self, percent: float) -> float:
        """What time stands at a percentage of the width."""
        return self._between(percent / 100 * self.length, 1, 0)

    def _between(self, value: float, given: int, wanted: int) -> float:
        at = min(max(bisect_right(self._keys[given], value), 1), len(self.points) - 1)
        before, after = self.points[at - 1], self.points[at]
        span = after[given] - before[given]
        part = min(max((value - before[given]) / span, 0.0), 1.0) if span else 0.0
        return before[wanted] + part * (after[wanted] - before[wanted])


def chart(
    steps: Iterable[Any],
    began: datetime,
    now: datetime,
    names: Mapping[tuple[str, int], str],
    sums: Mapping[str, Sum] | None = None,
    queued: datetime | None = None,
) -> Chart:
    """The chart of steps: rows of the journal, in order, WINDOW of them at most.

    ``names``: who decided the gate at (scope, n). ``sums``: of each agent, over the whole run. ``queued``: since when the
    run waited for its first worker; None where the window does not begin with the run.
    """
    every = list(steps)
    shown = [step for step in every if not step.inherited]
    if not shown:
        return Chart(kept=len(every))

    def span(start: datetime, end: datetime | None) -> Span:
        first = max((start - began).total_seconds(), 0.0)
        return first, max(((end or now) - began).total_seconds(), first)

    spans = [span(step.started_at, step.ended_at) for step in shown]
    first, end = min(start for start, _ in spans) if queued is None else 0.0, max(stop for _, stop in spans)
    busy = _merged(s for s, step in zip(spans, shown, strict=True) if step.kind not in WAITS)
    lead = max((began - queued).total_seconds(), 0.0) if queued else 0.0
    scale = Scale(end, busy, first - lead)
    result = Chart(compressed=scale.compressed, kept=len(every) - len(shown))
    whole = Row("run", "run", group=True, title=f"from {duration(first)} to {duration(end)} after the start")
    result.rows.append(_placed(scale, whole, (first, end)))
    if lead >= 0.001:
        words = f"{duration(lead)} in the queue"
        row = Row("waiting for a worker", "queue", text=words, title=words, took=duration(lead), began="0 s")
        result.rows.append(_placed(scale, row, (-lead, 0.0)))
    resumed = _resumed(shown)
    for agent in dict.fromkeys(_agent(step) for step in shown):
        own = [(s, step) for s, step in zip(spans, shown, strict=True) if _agent(step) == agent]
        result.rows.append(_placed(scale, _group(agent, own[0][1], (sums or {}).get(agent)), _around(own)))
        for s, step in own:
            row = _placed(scale, _row(step, s, names), s)
            row.seq, row.resumed, row.depth = step.seq, step.seq in resumed, result.rows[-1].depth
            row.segments = _tries(scale, step, s, span)
            result.rows.append(row)
    result.ticks = _ticks(scale)
    result.marks = [
        {"x": scale.x(s[0]), "title": f"taken up again by a worker {duration(s[0])} after the start"}
        for s, step in zip(spans, shown, strict=True)
        if step.seq in resumed
    ]
    waited = sum(stop - start for (start, stop), step in zip(spans, shown, strict=True) if step.kind in WAITS)
    result.spoken = f"{len(shown)} effects over {duration(end - first)}; people were waited for {duration(waited)}."
    return result


def _resumed(steps: Sequence[Any]) -> set[int]:
    """The first steps of turns after the first: a worker took the run up anew, and replayed what there was."""
    found, last = set(), None
    for step in steps:
        token = getattr(step, "token", 0)
        if last and token and token > last:
            found.add(step.seq)
        last = max(last or 0, token or 0)
    return found


def _agent(step: Any) -> str:
    return step.agent or step.scope.split("#", 1)[0].split("/", 1)[0]


def _around(own: Sequence[tuple[Span, Any]]) -> Span:
    return min(s[0] for s, _ in own), max(s[1] for s, _ in own)


def _group(agent: str, step: Any, summed: Sum | None) -> Row:
    """The line above an agent's steps; one that another calls as a tool says so."""
    outer = step.scope.split("#", 1)[0].split("/", 1)[0]
    inside = "#" in step.scope and outer != agent
    row = Row(f"{agent} ← {outer}" if inside else agent, "agent", group=True, depth=1 if inside else 0)
    row.title = f"{agent}, called by {outer}" if inside else agent
    if summed is not None:
        row.tokens, row.cost = summed.tokens, _cost(summed)
        row.text, row.more = _told(_tok(summed.tokens), row.cost)
        row.title += f": {summed.steps:,} steps in the whole run" + (f", {row.text}{row.more}" if row.text else "")
    return row


def _cost(summed: Sum) -> str:
    known = usd(summed.cost) if summed.cost or (summed.tokens and not summed.unpriced) else ""
    return f"{known} + {summed.unpriced} unpriced" if known and summed.unpriced else known or (
        f"{summed.unpriced} unpriced" if summed.unpriced else ""
    )  # fmt: skip


def _tok(tokens: int) -> str:
    return f"{tokens:,} tok" if tokens else ""


def _row(step: Any, span: Span, names: Mapping[tuple[str, int], str]) -> Row:
    took = duration(span[1] - span[0])
    began = duration(span[0])
    if step.kind in WAITS:
        who = names.get((step.scope, step.n), "") or names.get((step.scope.removesuffix("/review"), step.n), "")
        what = {"review": "approval", "question": "question", "final": "final review"}[step.kind]
        name = f"{what}: {step.name}" if step.name else what
        title = f"{name}: {took}, {who or 'still open'}"
        return Row(name, "wait", text=took, more=f" · {who or 'open'}", title=title, began=began, took=took)
    tries = len(step.attempts) if isinstance(step.attempts, list) else 1
    again = f" ({tries} tries)" if tries > 1 else ""
    usage = step.usage if isinstance(step.usage, dict) else {}
    used = _whole(usage.get("input_tokens")) + _whole(usage.get("output_tokens"))
    paid = usd(step.cost) if step.cost is not None else "unpriced" if used else ""
    name = f"{step.kind} {step.name}{again}".strip()
    text, more = _told(took, _tok(used), paid)
    tone = "failed" if step.status in ("failed", "in_doubt") else step.kind
    title = f"{name}: {text}{more}"
    row = Row(name, tone, text=text, more=more, title=title, began=began, took=took, tries=max(tries, 1))
    row.tokens, row.cost = (used if used else None), paid
    return row


def _told(*parts: str) -> tuple[str, str]:
    """The first of what there is to say, and the rest to go on with."""
    first, *rest = [part for part in parts if part] or [""]
    return first, "".join(f" · {part}" for part in rest)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _tries(scale: Scale, step: Any, whole: Span, span: Any) -> list[Segment]:
    """The tries of a step and the pauses between them; none where there was one try, or their times are not known."""
    attempts = [one for one in step.attempts if isinstance(one, dict)] if isinstance(step.attempts, list) else []
    times = [(moment(one.get("started_at") or ""), moment(one.get("ended_at") or "")) for one in attempts]
    if len(attempts) < 2 or len(attempts) > MAX_TRIES or any(a is None or b is None for a, b in times):
        return []
    found: list[Segment] = []
    at = whole[0]
    for number, (one, (start, end)) in enumerate(zip(attempts, times, strict=True), 1):
        if start is None or end is None or (end - start).total_seconds() < 0 or start < step.started_at:
            return []  # of an earlier run, or by a clock that was wrong: no bar is drawn where none belongs
        begins, ends = span(start, end)
        if begins > at:
            found.append(_segment(scale, "pause", (at, begins), f"waited {duration(begins - at)} before try {number}"))
        cause = cause_words(one.get("cause"))
        tone = "failed" if one.get("cause") else step.kind
        found.append(_segment(scale, tone, (begins, ends), f"try {number}: {cause}, {duration(ends - begins)}"))
        at = max(at, ends)
    return found


def _segment(scale: Scale, tone: str, span: Span, title: str) -> Segment:
    x = scale.x(span[0])
    return Segment(tone, min(x, 99.5), max(round(scale.x(span[1]) - x, 2), 0.4), title)


def _placed(scale: Scale, row: Row, span: Span) -> Row:
    row.x = scale.x(span[0])
    row.w = round(max(scale.x(span[1]) - row.x, 0.7), 2)
    row.x = min(row.x, 99.3)
    end = row.x + row.w
    for more, room in ((row.more, WIDE if row.more else NARROW), ("", NARROW)):  # percent of the width
        if end <= 100 - room or row.x >= room:
            before = end > 100 - room
            row.more, row.tx, row.anchor = more, row.x if before else end, "end" if before else "start"
            row.dx = -5 if before else 5
            return row
    row.more = ""
    row.text = ""  # the bar fills the width; its title and the table say the figure
    return row


def _ticks(scale: Scale) -> list[dict[str, Any]]:
    def told(x: int) -> str:
        seconds = scale.seconds(x)
        return f"−{duration(-seconds)}" if seconds < -0.0005 else duration(seconds) if seconds > 0.0005 else "0"

    return [
        {"x": x, "text": told(x), "anchor": "start" if x == 0 else "end" if x == 100 else "middle"}
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
