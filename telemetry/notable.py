"""What is to be looked at, in sentences: what moved most against the time before, and because of what.

Each sentence is drawn from the same rollups as the charts, and says the numbers that it rests on. Nothing is said of what
is too small to mean anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from console.templatetags.sayso import usd
from console.tenants.models import Tenant
from console.workflows.models import Workflow
from console.workflows.reasons import ABOUT
from telemetry import query
from telemetry.panels import ABNORMAL, VOTES, Board
from telemetry.query import Bar, Scope, Window

FEW = 5  # of fewer nothing is said
RISE = 1.5  # times as many as before
DEAR = 0.01  # US dollars
MOST = 5  # sentences


@dataclass(frozen=True, slots=True)
class Notable:
    """A sentence, what it is because of, and where to look. Of all tenants together that is the chart of the page with the
    same numbers, and ``into`` is the tenant (slug, name) that most of it is of: its runs are seen from inside."""

    says: str
    because: str = ""
    link: str = ""
    into: tuple[str, str] | None = None


def of(board: Board, by: str) -> list[Notable]:
    """The most important first; ``by`` is what cost is split by: tenant, workflow, agent, model or topic."""
    return [*_stops(board), *_cost(board, by), *_unpriced(board), *_reviewers(board)][:MOST]


def _stops(board: Board) -> Iterator[Notable]:
    """Reasons that ended more runs than before, the worst first: on which day, and of which workflow."""
    before = board.by_key("ended", "stop_reason", before=True)
    lines = {line.key: line.points for line in board.lines("ended", "stop_reason", len(ABOUT) + 1)}
    risen = []
    for reason, points in lines.items():
        many = sum(value or 0 for _, value in points)
        if reason in ABNORMAL and many >= FEW and many >= RISE * before.get(reason, 0):
            risen.append((many, reason, points))
    for many, reason, points in sorted(risen, reverse=True, key=lambda each: each[0])[:2]:
        at, most = max(points, key=lambda point: point[1] or 0)
        was = before.get(reason, 0)
        says = f"{many:,.0f} runs ended as {reason.replace('_', ' ')}, {f'{was:,.0f}' if was else 'none'} in the time before."
        peak, into = "", None
        if (most or 0) >= max(FEW, many * 0.3):
            peak = f" {most:,.0f} of them {_when(at, board.window.step)}"
            where, into = _where(board, reason, at)
            peak += f", {where}." if where else "."
        yield Notable(says, peak.strip(), board.within(on="ended", reason=reason) or "#panel-stops", into)


def _where(board: Board, reason: str, at: datetime) -> tuple[str, tuple[str, str] | None]:
    """The workflow and revision (or the tenant, with its slug and name) that most of it was of, where one has more than
    half."""
    window = Window(at, at + board.window.step, board.window.grain)
    scope = replace(board.scope, stop_reason=reason)
    if board.scope.tenant is None:
        into = _most(query.breakdown(scope, window, "ended", "tenant"))
        return (f"most of them at {into[1]}", into) if into else ("", None)
    if board.workflow:
        name, workflow = board.workflow, board.scope.workflow
    else:
        found = _most(query.breakdown(scope, window, "ended", "workflow"))
        if found is None:
            return "", None
        name = found[0]
        workflow = Workflow.objects.filter(tenant_id=board.scope.tenant, slug=name).values_list("id", flat=True).first()
        if workflow is None:
            return f"most of them in {found[1]}", None
    revision = _most(query.breakdown(replace(scope, workflow=workflow), window, "ended", "revision"))
    return f"most of them in {name} revision {revision[0]}" if revision else f"most of them in {name}", None


def _most(bars: list[Bar]) -> tuple[str, str] | None:
    """The key and the label of the first, where it has more than half of all."""
    if not bars or (bars[0].value or 0) * 2 <= sum(bar.value or 0 for bar in bars):
        return None
    return bars[0].key, bars[0].label


def _cost(board: Board, by: str) -> Iterator[Notable]:
    """What of the split cost most, how that differs from before, and whether it is more runs or dearer ones."""
    now = board.bars("cost", by)
    if not now or (now[0].value or 0) < DEAR:
        return
    before = board.by_key("cost", by, before=True)
    calls, called = board.by_key("calls", by), board.by_key("calls", by, before=True)
    top, spent = now[0], now[0].value or 0.0
    was = before.get(top.key, 0.0)
    total = sum(bar.value or 0.0 for bar in now)
    says = f"{top.label or 'None'} cost most: {usd(spent)} of {usd(total)}"
    because = ""
    if was:
        says += f", {(spent - was) / was:+,.0%} on the time before.".replace("-", "−")
        many, few = calls.get(top.key, 0.0), called.get(top.key, 0.0)
        if many and few and abs(spent - was) > 0.05 * was:
            each, once = spent / many, was / few
            # spent - was = (many - few) * once + many * (each - once): the larger of the two is said.
            if abs(many - few) * once >= abs(each - once) * many:
                because = f"Because of {'more' if many > few else 'fewer'} model calls: {many:,.0f}, {few:,.0f} before."
            else:
                because = f"Because calls were {'dearer' if each > once else 'cheaper'}: {usd(each)} each, {usd(once)} before."
            because += _driver(board, by, top.key)
    else:
        # There is nothing to compare it with: what it is new beside, and what it is made of, is the reason.
        says += ", and nothing in the time before: it is new." if any(before.values()) else "."
        many = calls.get(top.key, 0.0)
        because = _new(board, by, top.key, many, spent)
    link = board.within(on="ended", sort="cost", **{by: top.key}) if by != "tenant" else ""
    yield Notable(says, because, link or "#panel-cost", (top.key, top.label) if by == "tenant" and top.key else None)


def _new(board: Board, by: str, key: str, many: float, spent: float) -> str:
    """What something that cost nothing before did, and what most of its cost is of."""
    first = f"It asked models {many:,.0f} time{'' if many == 1 else 's'}, never in the time before." if many else ""
    scope = _inside(board, by, key)
    bars = query.breakdown(scope, board.window, "cost", "model", most=50) if scope is not None else []
    if bars and (bars[0].value or 0.0) * 2 > spent:
        first += f" Most of it is {bars[0].label}: {usd(bars[0].value)}."
    return first.strip()


def _inside(board: Board, by: str, key: str) -> Scope | None:
    """Figures of one workflow of the tenant, or on the platform's board of one tenant; None where there are none by this."""
    if by == "workflow" and board.scope.tenant is not None:
        found = Workflow.objects.filter(tenant_id=board.scope.tenant, slug=key).values_list("id", flat=True).first()
        return Scope(board.scope.tenant, found) if found else None
    if by == "tenant" and board.scope.tenant is None:
        tenant = Tenant.objects.filter(slug=key).values_list("id", flat=True).first()
        return Scope(tenant) if tenant else None
    return None


def _driver(board: Board, by: str, key: str) -> str:
    """The model that the rise is mostly of, within a workflow, or a tenant on the platform's board."""
    scope = _inside(board, by, key)
    if scope is None:
        return ""
    now = query.breakdown(scope, board.window, "cost", "model", most=50)
    before = {
        bar.key: bar.value or 0.0 for bar in query.breakdown(scope, board.window.before(), "cost", "model", most=50)
    }
    moved = max(now, key=lambda bar: abs((bar.value or 0.0) - before.get(bar.key, 0.0)), default=None)
    if moved is None or moved.rest:
        return ""
    return f" Most of it is {moved.label}: {usd(moved.value or 0)}, {usd(before.get(moved.key, 0))} before."


def _unpriced(board: Board) -> Iterator[Notable]:
    bars = board.bars("unpriced", "model")
    if bars:
        many = sum(bar.value or 0 for bar in bars)
        names = ", ".join(bar.label for bar in bars[:3])
        into = _most(board.bars("unpriced", "tenant")) if board.scope.tenant is None else None
        yield Notable(
            f"{many:,.0f} model calls have no known price, so the cost is too low.",
            f"Of {names}{f', most of them at {into[1]}' if into else ''}: an admin can give prices.",
            board.within(on="ended", like="unpriced") or "#tile-cost",
            into,
        )


def _reviewers(board: Board) -> Iterator[Notable]:
    """Who voted much without opening: said where there is enough to mean something."""
    if board.scope.tenant is None or not board.names:
        return
    votes = {bar.key: bar for bar in board.bars("decided", "reviewer")}
    for bar in board.bars("unopened", "reviewer"):
        whole = votes.get(bar.key)
        if whole and whole.value and (bar.value or 0) >= FEW and (bar.value or 0) * 4 >= whole.value:
            yield Notable(
                f"{bar.label} voted {whole.value:,.0f} times, {bar.value:,.0f} of them without opening the request.",
                VOTES,
                "/people/looking/" if board.links else "",
            )
            return


def _when(at: datetime, step: timedelta) -> str:
    return f"on {at:%-d %B}" if step >= timedelta(days=1) else f"on {at:%-d %B between %H:00} and {at + step:%H:00}"
