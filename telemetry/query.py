"""What dashboards, alerts and the API ask of the rollups. One or two statements a question; call inside a scope.

    window = Window.last(timedelta(days=7), now)
    scope = Scope(tenant.id)                                  # in tenant_scope(tenant)
    totals(scope, window, now).cost                           # headline figures
    series(scope, window, "cost", by="workflow")              # lines of points
    breakdown(scope, window, "ended", by="stop_reason")       # bars, sorted, with a rest
    totals(Scope(None), window, now)                          # all tenants: in system_scope("the platform's dashboards")

Figures have the names of telemetry.figures.FIGURES. Nonsense raises windows.BadQuery (field, message). Values are floats in
the figure's unit (seconds, dollars, shares of 1, counts); None is "there is nothing to say it of", which is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from telemetry import histogram, labels, selecting
from telemetry.answers import Approvals, Bar, Queue, Revision, Series, Totals
from telemetry.figures import APPROVALS, FIGURES, RUNS, STEPS, Figure, find
from telemetry.histogram import Histogram
from telemetry.windows import BadQuery, Scope, Window

__all__ = [
    "BadQuery", "FIGURES", "Approvals", "Bar", "Figure", "Queue", "Revision", "Scope", "Series", "Totals", "Window",
    "approvals", "breakdown", "find", "percentile_series", "queue_now", "revisions_side_by_side", "series", "together",
    "totals",
]  # fmt: skip

MOST_LINES = 12  # lines of one chart; what is left is summed
Value = float | None
REST = "rest"  # the key of what is left: no key of ours, as it comes with Bar.rest


def series(scope: Scope, window: Window, figure: str, by: str = "", most: int = MOST_LINES) -> list[Series]:
    """A figure over time: one line, or one for each value of ``by``, the largest first and the rest as one."""
    about = find(figure)
    if about.histogram:
        return percentile_series(scope, window, about.table, about.histogram, about.quantile, by, about.parts, most)
    chosen = selecting.rows(scope, window, about.table, by, about.parts)
    lines: dict[str, dict[datetime, tuple[int, ...]]] = {}
    for label, at, *found in selecting.sums(chosen, (*about.sums, *about.over)):
        lines.setdefault(label, {})[at] = tuple(int(each or 0) for each in found)
    width, sums = len(about.sums) + len(about.over), len(about.sums)
    ranked = sorted(lines, key=lambda label: (-sum(sum(row[:sums]) for row in lines[label].values()), label))
    shown, hidden = (ranked, []) if len(ranked) <= most else (ranked[: most - 1], ranked[most - 1 :])
    if not by and not shown:
        shown, lines = [""], {"": {}}
    nothing = (0,) * width
    points = window.points()
    named = labels.of(by, shown)

    def line(found: dict[datetime, tuple[int, ...]]) -> list[tuple[datetime, float | None]]:
        return [(at, selecting.value(about, found.get(at, nothing))) for at in points]

    told = [Series(*named[label], line(lines[label])) for label in shown]
    if hidden:
        rest: dict[datetime, tuple[int, ...]] = {}
        for label in hidden:
            for at, row in lines[label].items():
                rest[at] = tuple(a + b for a, b in zip(rest.get(at, nothing), row, strict=True))
        told.append(Series(REST, f"{len(hidden)} others", line(rest), rest=True))
    return told


def together(scope: Scope, window: Window, figures: Sequence[str]) -> dict[str, list[Value]]:
    """Several figures over time, each as one line: its value at each of the window's points.

    Those of one rollup are read together, and a histogram once for all quantiles that are asked of it: what it takes to
    read one is nearly all of what a line takes.
    """
    groups: dict[tuple[str, tuple[str, ...] | None], list[Figure]] = {}
    for about in map(find, figures):
        groups.setdefault((about.table, about.parts), []).append(about)
    told: dict[str, list[Value]] = {}
    points = window.points()
    for (table, parts), group in groups.items():
        chosen = selecting.rows(scope, window, table, "", parts)
        plain = [about for about in group if not about.histogram]
        if plain:
            columns = [name for about in plain for name in (*about.sums, *about.over)]
            found = {row[1]: row[2:] for row in selecting.sums(chosen, columns)}
            place = 0
            for about in plain:
                width = len(about.sums) + len(about.over)
                nothing = (0,) * width
                rows = [found[at][place : place + width] if at in found else nothing for at in points]
                told[about.name] = [selecting.value(about, row) for row in rows]
                place += width
        names = list(dict.fromkeys(about.histogram for about in group if about.histogram))
        if names:
            spreads = selecting.histograms(chosen, names)
            none = [0] * len(names)
            for place, name in enumerate(names):
                asked = [about for about in group if about.histogram == name]
                shares = [about.quantile for about in asked]
                each = [histogram.quantiles(spreads.get(("", at), none)[place], shares) for at in points]
                for number, about in enumerate(asked):
                    told[about.name] = [_seconds(values[number]) for values in each]
    return told


def percentile_series(
    scope: Scope,
    window: Window,
    table: str,
    name: str,
    quantile: float,
    by: str = "",
    parts: Sequence[str] | None = None,
    most: int = MOST_LINES,
) -> list[Series]:
    """A quantile over time, of a histogram of a rollup, in seconds. What there is most of comes first."""
    chosen = selecting.rows(scope, window, table, by, parts)
    lines: dict[str, dict[datetime | None, Histogram]] = {}
    for (label, at), (found,) in selecting.histograms(chosen, (name,)).items():
        lines.setdefault(label, {})[at] = found
    sizes = {label: histogram.size(sum(line.values())) for label, line in lines.items()}
    ranked = sorted(lines, key=lambda label: (-sizes[label], label))
    shown, hidden = (ranked, []) if len(ranked) <= most else (ranked[: most - 1], ranked[most - 1 :])
    if not by and not shown:
        shown, lines = [""], {"": {}}
    points = window.points()
    named = labels.of(by, shown)

    def line(found: dict[datetime | None, Histogram]) -> list[tuple[datetime, float | None]]:
        return [(at, _seconds(histogram.quantile(found.get(at, 0), quantile))) for at in points]

    told = [Series(*named[label], line(lines[label])) for label in shown]
    if hidden:
        rest: dict[datetime | None, Histogram] = {}
        for label in hidden:
            for at, each in lines[label].items():
                rest[at] = rest.get(at, 0) + each
        told.append(Series(REST, f"{len(hidden)} others", line(rest), rest=True))
    return told


def breakdown(
    scope: Scope, window: Window, figure: str, by: str, most: int = MOST_LINES, now: datetime | None = None
) -> list[Bar]:
    """A figure of the whole window for each value of ``by``, largest first, and what is left as one bar.

    With ``now``, a ``wait_p..`` counts the requests that still wait, too.
    """
    about = find(figure)
    if not by:
        raise BadQuery("by", f"say what {figure} is split by: {', '.join(about.splits)}")
    chosen = selecting.rows(scope, window, about.table, by, about.parts, whole=True)
    if about.histogram:
        return _bars_of_histograms(scope, window, about, chosen, by, most, now)
    found = {row[0]: row[2:] for row in selecting.sums(chosen, (*about.sums, *about.over))}
    values = {label: selecting.value(about, row) for label, row in found.items()}
    values = {label: each for label, each in values.items() if each}
    ranked = sorted(values, key=lambda label: (-(values[label] or 0), label))
    shown, hidden = (ranked, []) if len(ranked) <= most else (ranked[: most - 1], ranked[most - 1 :])
    named = labels.of(by, shown)
    bars = [Bar(*named[label], values[label]) for label in shown]
    if hidden:
        total = tuple(sum(int(found[label][i] or 0) for label in hidden) for i in range(len(about.sums + about.over)))
        bars.append(Bar(REST, f"{len(hidden)} others", selecting.value(about, total), rest=True))
    return bars


def _bars_of_histograms(
    scope: Scope,
    window: Window,
    about: Figure,
    chosen: selecting.Rows,
    by: str,
    most: int,
    now: datetime | None,
) -> list[Bar]:
    found = {label: each for (label, _), (each,) in selecting.histograms(chosen, (about.histogram,)).items()}
    if about.histogram == "wait" and now is not None:
        for label, waiting in selecting.pending_by(scope, by, window, now).items():
            found[label] = found.get(label, 0) + waiting
    values = {label: _seconds(histogram.quantile(each, about.quantile)) for label, each in found.items()}
    ranked = sorted(values, key=lambda label: (-(values[label] or 0), label))
    shown, hidden = (ranked, []) if len(ranked) <= most else (ranked[: most - 1], ranked[most - 1 :])
    named = labels.of(by, shown)
    bars = [Bar(*named[label], values[label]) for label in shown]
    if hidden:
        rest = sum(found[label] for label in hidden)
        bars.append(Bar(REST, f"{len(hidden)} others", _seconds(histogram.quantile(rest, about.quantile)), rest=True))
    return bars


def totals(scope: Scope, window: Window, now: datetime) -> Totals:
    """The headline figures of a window. A scope narrowed to an agent, model or tool has no runs: they are 0 then."""
    runs = _sum(scope, window, RUNS, _RUNS)
    steps = _sum_by_part(scope, window, _STEPS)
    spread = _histograms(scope, window, RUNS, ("machine", "human", "queue"))
    waits, waiting = _waits(scope, window, now)
    models, tools, every = steps.get("model", {}), steps.get("tool", {}), _added(steps.values())
    ended = runs["ended"]
    return Totals(
        runs=runs["started"], ended=ended, completed=runs["completed"], failed=runs["failed"],
        cancelled=runs["cancelled"], abnormal=runs["abnormal"],
        well_share=(ended - runs["abnormal"]) / ended if ended else None,
        retries=runs["retries"], forks=runs["forks"],
        machine=_three(spread["machine"]), human=_three(spread["human"]),
        queue_p95=_seconds(histogram.quantile(spread["queue"], 0.95)),
        wait_p95=_seconds(histogram.quantile(waits, 0.95)), pending=waiting,
        calls=models.get("calls", 0), tool_calls=tools.get("calls", 0),
        failed_calls=models.get("failed", 0) + tools.get("failed", 0),
        tries_again=models.get("again", 0) + tools.get("again", 0), fallbacks=every["fallbacks"],
        input_tokens=every["input_tokens"], output_tokens=every["output_tokens"],
        cached_tokens=every["cached_tokens"], reasoning_tokens=every["reasoning_tokens"],
        cost=every["cost_micros"] / 1e6, lost_cost=runs["broken_off_micros"] / 1e6,
        unpriced=every["unpriced"], odd=every["odd"] + runs["odd"],
    )  # fmt: skip


def approvals(scope: Scope, window: Window, now: datetime) -> Approvals:
    """What became of requests. The scope may be narrowed to a workflow, an agent or a tool."""
    chosen = selecting.rows(scope, window, APPROVALS, "verdict", whole=True)
    names = ("raised", "opened", "decided", "expired", "escalated", "moot", "unopened")
    verdicts: dict[str, int] = {}
    sums = dict.fromkeys(names, 0)
    for part, _, *row in selecting.sums(chosen, names):
        for name, each in zip(names, row, strict=True):
            sums[name] += int(each or 0)
        if part and row[2]:
            verdicts[part] = int(row[2])
    spread = _histograms(scope, window, APPROVALS, ("to_open", "to_decide"))
    waits, waiting = _waits(scope, window, now)
    lost = {"rejected": 0, "expired": 0}
    if scope.cut()[0] == "all":
        chosen = selecting.rows(scope, window, RUNS, "stop_reason", tuple(lost), whole=True)
        lost |= {label: int(cost or 0) for label, _, cost in selecting.sums(chosen, ("cost_micros",))}
    return Approvals(
        **sums, verdicts=sorted(verdicts.items(), key=lambda pair: (-pair[1], pair[0])),
        to_open=_three(spread["to_open"]), to_decide=_three(spread["to_decide"]), wait=_three(waits), pending=waiting,
        rejected_cost=lost["rejected"] / 1e6, expired_cost=lost["expired"] / 1e6,
    )  # fmt: skip


def revisions_side_by_side(scope: Scope, window: Window, workflow: UUID) -> list[Revision]:
    """The revisions of a workflow that had runs in the window, the newest first."""
    narrowed = Scope(scope.tenant, workflow)
    chosen = selecting.rows(narrowed, window, RUNS, "revision", whole=True)
    found = {
        row[0]: dict(zip(_RUNS, (int(each or 0) for each in row[2:]), strict=True))
        for row in selecting.sums(chosen, _RUNS)
    }
    spread = {label: pair for (label, _), pair in selecting.histograms(chosen, ("machine", "human")).items()}
    told = []
    for number, runs in found.items():
        ended = runs["ended"]
        machine, human = spread.get(number, (0, 0))
        told.append(
            Revision(
                int(number), runs["started"], ended, (ended - runs["abnormal"]) / ended if ended else None,
                runs["completed"], runs["failed"], runs["cost_micros"] / 1e6 / ended if ended else None,
                (runs["input_tokens"] + runs["output_tokens"]) / ended if ended else None,
                _three(machine), _seconds(histogram.quantile(human, 0.95)), runs["unpriced"],
            )
        )  # fmt: skip
    return sorted(told, key=lambda one: -one.number)


def queue_now(scope: Scope) -> Queue:
    """What waits for a worker right now, from the runs themselves."""
    tenants, values = "tenant_id = ANY(ARRAY(SELECT id FROM tenants_tenant))", []
    if scope.tenant is not None:
        tenants, values = "tenant_id = %s", [scope.tenant]
    if scope.workflow is not None:
        tenants, values = f"{tenants} AND workflow_id = %s", [*values, scope.workflow]
    found = {
        status: (count, age)
        for status, count, age in selecting.ask(
            "SELECT status, COUNT(*), EXTRACT(EPOCH FROM clock_timestamp() - MIN(ready_at))::float8 FROM runs_run"  # noqa: S608
            f" WHERE {tenants} AND status IN ('queued', 'running', 'waiting') GROUP BY 1",
            values,
        )
    }
    queued, oldest = found.get("queued", (0, None))
    return Queue(queued, oldest, found.get("running", (0, None))[0], found.get("waiting", (0, None))[0])


_RUNS = (
    "started", "ended", "completed", "failed", "cancelled", "abnormal", "retries", "forks", "broken_off_micros",
    "cost_micros", "input_tokens", "output_tokens", "unpriced", "odd",
)  # fmt: skip
_STEPS = (
    "calls", "failed", "again", "fallbacks", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens",
    "cost_micros", "unpriced", "odd",
)  # fmt: skip


def _answers(scope: Scope, table: str) -> bool:
    """Whether a table can say anything of a scope: runs have no one agent, model or tool, steps no stop reason."""
    if scope.stop_reason and table != RUNS:
        return False
    return scope.cut()[0] == "all" or scope.cut()[0] in selecting.splits(scope, table)


def _sum(scope: Scope, window: Window, table: str, measures: Sequence[str]) -> dict[str, int]:
    found: list[Any] = []
    if _answers(scope, table):
        found = selecting.sums(selecting.rows(scope, window, table, whole=True), measures)
    row = found[0][2:] if found else (0,) * len(measures)
    return dict(zip(measures, (int(each or 0) for each in row), strict=True))


def _sum_by_part(scope: Scope, window: Window, measures: Sequence[str]) -> dict[str, dict[str, int]]:
    if not _answers(scope, STEPS):
        return {}
    chosen = selecting.rows(scope, window, STEPS, "kind", whole=True)
    return {
        row[0]: dict(zip(measures, (int(each or 0) for each in row[2:]), strict=True))
        for row in selecting.sums(chosen, measures)
    }


def _added(rows: Any) -> dict[str, int]:
    found = dict.fromkeys(_STEPS, 0)
    for row in rows:
        for name, each in row.items():
            found[name] += each
    return found


def _histograms(scope: Scope, window: Window, table: str, names: Sequence[str]) -> dict[str, Histogram]:
    found: dict[tuple[str, datetime | None], list[Histogram]] = {}
    if _answers(scope, table):
        found = selecting.histograms(selecting.rows(scope, window, table, whole=True), names)
    return dict(zip(names, found.get(("", None), [0] * len(names)), strict=True))


def _waits(scope: Scope, window: Window, now: datetime) -> tuple[Histogram, int]:
    """The waits of what was decided or expired, and the ages of what still waits; and how much that is."""
    if not _answers(scope, APPROVALS):
        return 0, 0
    ages = selecting.pending(scope, window, now)
    return _histograms(scope, window, APPROVALS, ("wait",))["wait"] + ages, histogram.size(ages)


def _three(spread: Histogram) -> tuple[float | None, float | None, float | None]:
    middle, high, highest = histogram.quantiles(spread, (0.5, 0.95, 0.99))
    return _seconds(middle), _seconds(high), _seconds(highest)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
