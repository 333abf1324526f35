"""What is measured: each chart of the insights, for a large tenant, a middle one and all, over four times; then on raw rows."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.test import RequestFactory
from django.utils import timezone

from console.bench.dashboard import apart, checking, making
from console.bench.figures import ms, percentile
from console.tenants.scopes import system_scope, tenant_scope
from telemetry import address, notable, pages, query
from telemetry.address import Asked
from telemetry.panels import Board
from telemetry.query import Scope, Window

RUNS = int(os.environ.get("SAYSO_BENCH_RUNS", "5000000"))
FEW = 100_000
TIMES, PAGES = 20, 5
MIDDLE = 24  # the tenant in the middle
TENANT_MS, ALL_MS = 100.0, 200.0
Pair = dict[str, float]
Spent = dict[tuple[str, str, str], list[float]]  # (whose, how long, chart): seconds, each time


@dataclass(frozen=True)
class Whose:
    """Whose insights, and what the page is then like."""

    name: str
    tenant: UUID | None

    def scope(self) -> AbstractContextManager[None]:
        """What one request sees."""
        return tenant_scope(self.tenant) if self.tenant else system_scope("bench")

    def asked(self, length: str, now: datetime) -> Asked:
        """What the page's address asks for."""
        return address.read({"range": length}, now, pages.SPLITS if self.tenant else pages.PLATFORM_SPLITS)

    def board(self, asked: Asked, now: datetime) -> Board:
        """With no answer kept yet, as at the beginning of a request."""
        return Board(Scope(self.tenant), asked.window, now, links=bool(self.tenant))


WHOSE = (
    Whose("largest", making.id_of("tenant", 0)),
    Whose("middle", making.id_of("tenant", MIDDLE)),
    Whose("all", None),
)


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    now = timezone.now()
    with apart.database():
        making.people(now)
        making.fill(min(FEW, RUNS), now)
        few, _ = measure(now)
        began = time.perf_counter()
        rows = making.fill(RUNS, now)
        made = {
            "runs": RUNS,
            "rows": rows,
            "made_in_s": round(time.perf_counter() - began),
            "rows_checked": checking.check(),
        }
        many, statements = measure(now)
        compared = compare(now)
    return report(made, few, many, statements, compared)


def report(
    made: dict[str, Any], few: Spent, many: Spent, statements: dict[str, int], compared: dict[str, dict[str, Pair]]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Figures and ratios."""
    worst = {whose.name: _worst(many, whose.name) for whose in WHOSE}
    figures: dict[str, Any] = {
        **made, "tenants": making.TENANTS, "days": making.DAYS, "hourly_rows_days": making.HOURS, "times": TIMES,
        "raw": "an unlogged copy with the columns that are asked for, a row a run",
        "worst_chart": {name: {"chart": " ".join(key[1:]), "p95_ms": p95} for name, (key, p95) in worst.items()},
        "p95_ms": _table(many, 95), "p50_ms": _table(many, 50), "few_p95_ms": _table(few, 95),
        "statements": statements, "raw_against_rollup": compared,
    }  # fmt: skip
    pairs = [pair for each in compared.values() for pair in each.values()]
    return figures, {
        "worst_p95_tenant_to_100ms": round(max(worst["largest"][1], worst["middle"][1]) / TENANT_MS, 3),
        "worst_p95_all_to_200ms": round(worst["all"][1] / ALL_MS, 3),
        "p95_5M_to_100k": round(_sum(many, 95) / _sum(few, 95), 3),
        "p50_5M_to_100k": round(_sum(many, 50) / _sum(few, 50), 3),
        "raw_to_rollup": round(sum(pair["raw_ms"] for pair in pairs) / sum(pair["rollup_ms"] for pair in pairs), 1),
    }


def measure(now: datetime) -> tuple[Spent, dict[str, int]]:
    """Every chart, each time from nothing, and the whole page; and the statements of each page."""
    spent: Spent = {}
    statements: dict[str, int] = {}
    for whose in WHOSE:
        for length in address.PRESETS:
            asked = whose.asked(length, now)
            for name, build in _questions(whose, asked, now).items():
                build()  # what is read once in a process, and from the disk, is not the chart's
                for _ in range(TIMES if name != "page" else PAGES):
                    began = time.perf_counter()
                    build()
                    spent.setdefault((whose.name, length, name), []).append(time.perf_counter() - began)
            with _counted() as count:
                _questions(whose, asked, now)["page"]()
            statements[f"{whose.name} {length}"] = count["statements"]
    return spent, statements


def _questions(whose: Whose, asked: Asked, now: datetime) -> dict[str, Callable[[], None]]:
    """What a page shows, one by one, each in a transaction and with a board of its own; and the page as one."""

    def alone(answer: Callable[[Board], object]) -> Callable[[], None]:
        def build() -> None:
            with whose.scope():
                answer(whose.board(asked, now))

        return build

    def chart(name: str) -> Callable[[], None]:
        return alone(lambda board: pages._builders(board, asked)[name]().spec())

    request = RequestFactory().get("/insights/")

    def page(board: Board) -> None:
        pages._context(request, board, asked)
        revisions(board)

    def revisions(board: Board) -> None:
        if whose.tenant:
            ids = {f"work-{n}": making.id_of("workflow", number, n) for n in range(making.WORKFLOWS)}
            pages._revisions(board, asked, ids)

    number = 0 if whose.name == "largest" else MIDDLE
    found = {name: chart(name) for name in pages._builders(whose.board(asked, now), asked)}
    found["totals"] = alone(lambda board: query.totals(board.scope, board.window, now))
    found["notable"] = alone(lambda board: notable.of(board, asked.by))
    if whose.tenant:
        found["revisions"] = alone(revisions)
    found["page"] = alone(page)
    return found


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    count: Counter[str] = Counter()

    def counting(execute: Callable[..., Any], *given: Any) -> Any:
        count["statements"] += 1
        return execute(*given)

    with connection.execute_wrapper(counting):
        yield count


def compare(now: datetime) -> dict[str, dict[str, Pair]]:
    """The same questions of the rollups and of raw rows, once each."""
    return {whose.name: _compare(whose, now) for whose in WHOSE}


def _compare(whose: Whose, now: datetime) -> dict[str, Pair]:
    """The same question of the rollups and of raw rows, over 90 days."""
    window = Window.last(timedelta(days=making.DAYS), now)
    scope = Scope(whose.tenant)
    by = "workflow" if whose.tenant else "tenant"
    asked: dict[str, tuple[Callable[[], object], str]] = {
        "stop reasons by day": (
            lambda: query.series(scope, window, "ended", "stop_reason"),
            "SELECT date_trunc('day', ended_at), stop_reason, COUNT(*) FROM bench_raw WHERE {where} GROUP BY 1, 2",
        ),
        "machine time p95 by day": (
            lambda: query.series(scope, window, "machine_p95"),
            "SELECT date_trunc('day', ended_at), percentile_disc(0.95) WITHIN GROUP (ORDER BY active_ms) FROM bench_raw"
            " WHERE {where} GROUP BY 1",
        ),
        f"cost by {by}": (
            lambda: query.breakdown(scope, window, "cost", by),
            f"SELECT {by}_id, SUM(cost_micros) FROM bench_raw WHERE {{where}} GROUP BY 1",  # noqa: S608
        ),
    }
    values: list[Any]
    where, values = "ended_at >= %s AND ended_at < %s", [window.start, window.end]
    if whose.tenant:
        where, values = f"tenant_id = %s AND {where}", [whose.tenant, *values]
    found = {}
    for words, (rollup, sql) in asked.items():
        with whose.scope():
            began = time.perf_counter()
            rollup()
            between = time.perf_counter()
            with connection.cursor() as cursor:
                cursor.execute(sql.format(where=where), values)
                cursor.fetchall()
            ended = time.perf_counter()
        found[words] = {"rollup_ms": ms(between - began), "raw_ms": ms(ended - between)}
    return found


def _worst(spent: Spent, whose: str) -> tuple[tuple[str, str, str], float]:
    """The chart with the highest p95, in milliseconds. The page is none."""
    found = {key: ms(percentile(each, 95)) for key, each in spent.items() if key[0] == whose and key[2] != "page"}
    worst = max(found, key=lambda key: found[key])
    return worst, found[worst]


def _sum(spent: Spent, percent: float) -> float:
    return sum(percentile(each, percent) for key, each in spent.items() if key[2] != "page")


def _table(spent: Spent, percent: float) -> dict[str, dict[str, float]]:
    told: dict[str, dict[str, float]] = {}
    for (whose, length, name), each in spent.items():
        told.setdefault(f"{whose} {length}", {})[name] = round(percentile(each, percent) * 1000, 1)
    return told
