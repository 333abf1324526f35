"""The charts of the insights: which figures stand together, in which colours, and where each of them leads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from console.templatetags.sayso import usd
from console.workflows.reasons import ABOUT, StopReason
from telemetry import query
from telemetry.charts import Chart, Series
from telemetry.query import Bar, Scope, Window

# Colours of what ended runs: each reason is in one, and the order is that of the bars from the ground up.
GROUPS: dict[str, tuple[str, tuple[StopReason, ...]]] = {
    "completed": ("good", (StopReason.COMPLETED,)),
    "refused by people": ("wait", (StopReason.REJECTED, StopReason.TERMINATED)),
    "nobody answered": ("ours", (StopReason.EXPIRED,)),
    "cancelled": ("faint", (StopReason.CANCELLED,)),
    "limits": ("plain", (StopReason.MAX_TURNS, StopReason.TIMEOUT, StopReason.BUDGET, StopReason.REPETITION)),
    "failed": ("harm", ()),  # all others
}
ABNORMAL = {str(reason) for reason, about in ABOUT.items() if about.abnormal}
ALL = 500  # bars that are asked for at once: more than a page ever shows
PERCENTS = ((50, False), (95, True), (99, True))
# Of a person the rollups know the votes; telemetry/people.py goes by who decided. A reader compares the two.
VOTES = (
    "Every vote counts here, an escalation too; “Do we still look?” counts each request once, for whoever decided it."
)


@dataclass(frozen=True, slots=True)
class Board:
    """What every chart of a page is asked of. ``links`` is whether there are runs to lead to: not across tenants."""

    scope: Scope
    window: Window
    now: datetime
    workflow: str = ""
    links: bool = True
    names: bool = True  # whether the viewer sees who of the reviewers did what; see people.SEE_NAMES
    kept: dict[Any, Any] = field(default_factory=dict, compare=False)  # answers, by their question: charts share them

    def bars(self, figure: str, by: str, *, most: int = ALL, before: bool = False) -> list[Bar]:
        """A breakdown of the window, or of the one before it: the ``most`` largest, and the rest of sums as one."""
        window = self.window.before() if before else self.window
        key = (figure, by, before)
        if key not in self.kept:
            now = None if before else self.now
            self.kept[key] = query.breakdown(self.scope, window, figure, by, most=ALL, now=now)
        bars: list[Bar] = self.kept[key]
        if len(bars) <= most:
            return bars
        rest = bars[most - 1 :]
        if query.find(figure).histogram:
            return bars[:most]  # a percentile of what is left is no sum
        return [
            *bars[: most - 1],
            Bar(query.REST, f"{len(rest)} others", sum(bar.value or 0 for bar in rest), rest=True),
        ]

    def by_key(self, figure: str, by: str, *, before: bool = False) -> dict[str, float]:
        """The same, by key."""
        return {bar.key: bar.value or 0.0 for bar in self.bars(figure, by, before=before)}

    def lines(self, figure: str, by: str, most: int) -> list[query.Series]:
        """A figure over time, split; the same for every chart and sentence that asks."""
        key = ("lines", figure, by, most)
        if key not in self.kept:
            self.kept[key] = query.series(self.scope, self.window, figure, by, most=most)
        found: list[query.Series] = self.kept[key]
        return found

    def runs(self, **words: str) -> str:
        """The address of runs like these, without a time; empty where there is none to lead to."""
        if not self.links:
            return ""
        words = {"workflow": self.workflow, **words}
        return "/runs/?" + urlencode({name: value for name, value in words.items() if value})

    def within(self, **words: str) -> str:
        """The same, in the time that the page shows."""
        start, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (self.window.start, self.window.end))
        return self.runs(**words, **{"from": start, "to": end}) if self.links else ""

    def over_time(self, id: str, title: str, kind: str, unit: str, series: list[Series], **more: Any) -> Chart:
        """A chart whose labels are the window's hours or days."""
        points, hourly = self.window.points(), self.window.step < timedelta(days=1)
        return Chart(
            id, title, kind, unit,
            [f"{at:%-d %b, %H:%M}" if hourly else f"{at:%-d %b}" for at in points],
            series,
            starts=points, ends=[at + self.window.step for at in points],
            titles=[f"{at:%a %-d %b %Y, %H:%M}" if hourly else f"{at:%a %-d %b %Y}" for at in points],
            **more,
        )  # fmt: skip

    def read(self, *figures: str) -> None:
        """Read the figures that ``line`` will be asked for at once."""
        found = query.together(self.scope, self.window, figures)
        self.kept.update({("line", figure): values for figure, values in found.items()})

    def line(self, figure: str, name: str, tone: str, *, dash: bool = False, link: str = "") -> Series:
        """One figure over the window's time."""
        if ("line", figure) not in self.kept:
            self.read(figure)
        return Series(name, self.kept["line", figure], tone, dash, link)


def stops(board: Board) -> Chart:
    """Why runs stopped, over time; beside it the reasons one by one, against the time before."""
    found = {one.key: [value or 0 for _, value in one.points] for one in _reasons(board)}
    width = len(board.window.points())
    series = []
    for name, (tone, reasons) in GROUPS.items():
        own = {str(reason) for reason in reasons} or set(found) - {
            str(each) for _, known in GROUPS.values() for each in known
        }
        values = [sum(found[key][at] for key in own & set(found)) for at in range(width)]
        if any(values):
            reason = next(iter(own)) if len(own) == 1 else ""
            link = board.runs(on="ended", reason=reason) if reason else board.runs(on="ended", like="abnormal")
            series.append(Series(name, values, tone, link=link))
    chart = board.over_time("stops", "Why runs stopped", "bar", "count", series, stacked=True, axis="runs that ended")
    chart.side = _ranking(board, "ended", "stop_reason", "reason", "runs", "count")
    chart.empty = "No run ended in this time."
    return chart


def machine(board: Board) -> Chart:
    """How long workers took."""
    return _spread(board, "machine", "Machine time of a run", "machine", "on=ended&sort=machine")


def human(board: Board) -> Chart:
    """How long runs waited for people."""
    chart = _spread(board, "human", "Time a run waited for people", "wait", "on=ended&sort=waited")
    chart.log, chart.empty = True, "No run that ended in this time had waited for a person."
    return chart


def _spread(board: Board, figure: str, title: str, tone: str, order: str) -> Chart:
    words = dict(each.split("=") for each in order.split("&"))
    board.read(*(f"{figure}_p{percent}" for percent, _ in PERCENTS))
    series = [
        board.line(
            f"{figure}_p{percent}",
            f"p{percent}",
            "plain" if percent == 99 else tone,
            dash=dash,
            link=board.runs(**words),
        )
        for percent, dash in PERCENTS
    ]
    return board.over_time(figure, title, "line", "seconds", series, axis="by the time of their end")


def cost(board: Board, by: str, words: str) -> Chart:
    """What calls have cost, over time, split by ``by``; beside it the whole, against the time before."""
    found = board.lines("cost", by, 6)
    series = [
        Series(
            one.label,
            [value for _, value in one.points],
            "faint" if one.rest else "",
            link=_link(board, by, one.key, one.rest),
        )
        for one in found
    ]
    chart = board.over_time(
        "cost", f"What it cost, by {words}", "bar", "dollars", series, stacked=True, axis="US dollars"
    )
    chart.side = _ranking(board, "cost", by, words, "cost", "dollars", also=("tokens", "tokens"))
    chart.empty = "No priced call ended in this time."
    return chart


def throughput(board: Board) -> Chart:
    """How much was done, and how much of it twice."""
    board.read("runs", "ended", "abnormal", "retries", "tries_again", "fallbacks")
    series = [
        board.line("runs", "runs started", "ours", link=board.runs(on="started")),
        board.line("ended", "runs ended", "machine", link=board.runs(on="ended")),
        board.line("abnormal", "ended badly", "harm", link=board.runs(on="ended", like="abnormal")),
        board.line("retries", "retries", "wait", dash=True, link=board.runs(on="started", like="retry")),
        board.line("tries_again", "calls tried again", "plain", dash=True),
        board.line("fallbacks", "fallbacks", "good", dash=True),
    ]
    return board.over_time("throughput", "Throughput, failures, retries, fallbacks", "line", "count", series)


def models(board: Board) -> Chart:
    """How quickly models answered, and how often they failed."""
    slow = board.bars("model_p95", "model", most=8)
    first, failed, calls = (board.by_key(name, "model") for name in ("first_token_p95", "failed_share", "calls"))
    links = [_link(board, "model", bar.key, bar.rest, within=True) for bar in slow]
    chart = Chart(
        "models", "Models: time of a call, p95", "across", "seconds", [bar.label for bar in slow],
        [
            Series("whole answer", [bar.value for bar in slow], "machine", link=links),
            Series("first words", [first.get(bar.key) for bar in slow], "ours", link=links),
        ],
        first="model", empty="No model was called in this time.",
    )  # fmt: skip
    chart.side = {
        "heads": ["model", "calls", "failed"],
        "rows": [
            [
                {"text": bar.label, "link": link},
                {"value": calls.get(bar.key), "unit": "count"},
                {"value": failed.get(bar.key) or 0.0, "unit": "share"},
            ]
            for bar, link in zip(slow, links, strict=True)
        ],
    }
    return chart


def queue(board: Board) -> Chart:
    """How long runs were ready with no worker, and what is so now."""
    link = board.runs(on="ended", sort="queue")
    board.read("queue_p50", "queue_p95")
    series = [
        board.line("queue_p50", "p50", "machine", link=link),
        board.line("queue_p95", "p95", "machine", dash=True, link=link),
    ]
    chart = board.over_time("queue", "Time in the queue for a worker", "line", "seconds", series)
    now = query.queue_now(board.scope)
    chart.note = (
        f"Now {now.queued:,} ready for a worker"
        + (f", the oldest for {_lasting(now.oldest_s)}" if now.queued and now.oldest_s is not None else "")
        + f"; {now.running:,} running, {now.waiting:,} waiting for people."
    )
    return chart


def requests(board: Board) -> Chart:
    """What became of approval requests."""
    board.read("decided", "expired", "escalated", "moot")
    series = [
        board.line("decided", "decided", "good"),
        board.line("expired", "expired", "harm"),
        board.line("escalated", "escalated", "wait"),
        board.line("moot", "run ended first", "faint"),
    ]
    chart = board.over_time("requests", "What became of approval requests", "bar", "count", series, stacked=True)
    found = query.approvals(board.scope, board.window, board.now)
    total = sum(many for _, many in found.verdicts)
    chart.side = {
        "heads": ["verdict", "requests", "share"],
        "rows": [
            [
                {"text": name.replace("_", " ")},
                {"value": many, "unit": "count"},
                {"value": many / total, "unit": "share"},
            ]
            for name, many in found.verdicts
        ],
    }
    lost = found.rejected_cost + found.expired_cost
    chart.note = f"{found.raised:,} raised, {found.opened:,} opened, {found.pending:,} wait now." + (
        f" {usd(lost)} bought work that people then rejected, or that nobody answered." if lost else ""
    )
    return chart


def waits(board: Board) -> Chart:
    """How long requests waited to be opened, and to be decided."""
    board.read("to_open_p95", "to_decide_p95", "wait_p95")
    series = [
        board.line("to_open_p95", "until opened, p95", "ours"),
        board.line("to_decide_p95", "from opening to decision, p95", "machine"),
        board.line("wait_p95", "until decided, p95", "wait", dash=True),
    ]
    chart = board.over_time("waits", "How long requests wait for people", "line", "seconds", series, log=True)
    by = "rule" if board.scope.tenant else "tenant"
    bars = board.bars("wait_p95", by, most=6)
    chart.side = {
        "heads": [by, "wait p95, with those still open"],
        "rows": [[{"text": bar.label}, {"value": bar.value, "unit": "seconds"}] for bar in bars],
    }
    return chart


def reviewers(board: Board) -> Chart:
    """Who votes, and how often without having opened the request."""
    votes, blind = board.bars("decided", "reviewer", most=10), board.by_key("unopened", "reviewer")
    chart = Chart(
        "reviewers", "Who votes, and who without opening", "across", "count", [bar.label for bar in votes],
        [
            Series("had opened it", [(bar.value or 0) - blind.get(bar.key, 0) for bar in votes], "good"),
            Series("had not opened it", [blind.get(bar.key, 0) for bar in votes], "harm"),
        ],
        first="reviewer", stacked=True, axis="votes on requests", note=VOTES, empty="Nobody voted on anything in this time.",
    )  # fmt: skip
    worst = max(votes, key=lambda bar: blind.get(bar.key, 0) / (bar.value or 1), default=None)
    if worst is not None and worst.value and blind.get(worst.key):
        chart.note = (
            f"{worst.label} voted {worst.value:,.0f} times, {blind[worst.key]:,.0f} of them without opening the request"
            f" ({blind[worst.key] / worst.value:.0%}). {VOTES} This is to help the team, not to rank people."
        )
    return chart


def _reasons(board: Board) -> list[query.Series]:
    return board.lines("ended", "stop_reason", len(ABOUT) + 1)


def _ranking(
    board: Board, figure: str, by: str, words: str, head: str, unit: str, also: tuple[str, str] | None = None
) -> dict[str, Any]:
    """The largest of a split, each against the time before."""
    bars, before = board.bars(figure, by, most=6), board.by_key(figure, by, before=True)
    more = board.by_key(also[0], by) if also else {}
    rows = []
    for bar in bars:
        name = bar.label.replace("_", " ") if by == "stop_reason" else bar.label or "none"
        cells: list[dict[str, Any]] = [
            {"text": name, "link": _link(board, by, bar.key, bar.rest, within=True)},
            {"value": bar.value, "unit": unit, "before": None if bar.rest else before.get(bar.key, 0), "good": ""},
        ]
        if also:
            cells.append({"value": None if bar.rest else more.get(bar.key), "unit": also[1]})
        rows.append(cells)
    return {"heads": [words, head, *([also[0]] if also else [])], "rows": rows}


def _link(board: Board, by: str, key: str, rest: bool, *, within: bool = False) -> str:
    """To the runs behind a value of a split."""
    if by == "tenant":
        return ""
    if rest or not board.links or (not key and by != "stop_reason"):
        return ""
    if by == "stop_reason":
        return board.within(on="ended", reason=key)
    order = "cost" if by in ("workflow", "agent", "model", "revision", "topic") else ""
    return (board.within if within else board.runs)(**{"on": "ended", by: key, "sort": order})


def _lasting(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"
