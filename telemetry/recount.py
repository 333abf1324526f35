"""Counts everything again, from the journal, and compares it with what the rollups say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from django.db import connection, transaction

from console.tenants.scopes import system_scope
from telemetry import cells, decider_days, facts, histogram, kept, projector, reading, retention, storing
from telemetry.cells import EVERYBODY, Cell, Key, Rows, Sums
from telemetry.deciders import Looked
from telemetry.facts import RequestRow, RunRow
from telemetry.figures import APPROVALS, RUNS, STEPS
from telemetry.kept import Fact
from telemetry.reading import SOURCES, Place

AT_ONCE = 500  # runs or requests
STEPS_AT_ONCE = 5000  # of one run
TABLES = (RUNS, STEPS, APPROVALS)


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that is not what the journal gives. ``figure`` is a measure, or "histogram.<name>"."""

    table: str
    key: Key
    figure: str
    stored: object
    counted: object

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.key.at, UTC)
        where = f"{self.table} {self.key.grain} {at:%Y-%m-%dT%H:%MZ} tenant {self.key.tenant}"
        what = f"{self.key.cut}={self.key.key!r} workflow {self.key.workflow} part {self.key.part!r}"
        return f"{where} {what}: {self.figure} is {self.stored}, the journal gives {self.counted}"


@dataclass(frozen=True, slots=True)
class DayDifference:
    """What is kept of a person's decisions of a day, and is not what the decisions give; see deciders.Looked."""

    tenant: str
    who: str
    day: date
    stored: object
    counted: object

    table = "telemetry_deciderday"

    def __str__(self) -> str:
        where = f"{self.table} {self.day} tenant {self.tenant} person {self.who}"
        return f"{where}: kept is {self.stored}, the decisions give {self.counted}"


@dataclass(slots=True)
class Report:
    """What was found. ``stale``: runs and requests of which something else is kept than they contribute."""

    tenants: int = 0
    runs: int = 0
    steps: int = 0
    requests: int = 0
    rows: int = 0
    stale: int = 0
    repaired: int = 0
    differences: list[Difference | DayDifference] = field(default_factory=list)


def verify(tenant: str | None = None, repair: bool = False) -> Report:
    """Catch up, then compare every row of one tenant or of all, and of the sums of all; with ``repair`` write it right.

    One snapshot, under the projector's lock. Of runs that go on, steps count as far as they were projected: later ones are
    projected with the next sign of life of their run. Call outside any scope.
    """
    report = Report()
    with _alone():
        _catch_up()
        ids = [row[0] for row in reading.ask("SELECT id::text FROM tenants_tenant ORDER BY id", [])]
        ((now,),) = reading.ask("SELECT clock_timestamp()", [])
        platform: Rows = {}
        for each in ids if tenant is None else [tenant]:
            counted = _tenant(each, now.timestamp(), report, repair)
            for table, rows in counted.items():
                for key in [key for key in rows if key.tenant == EVERYBODY]:
                    platform.setdefault(table, {}).setdefault(key, Cell()).add(rows.pop(key))
            _compare(each, counted, now, report, repair)
            _days(each, now, report, repair)
            report.tenants += 1
        if tenant is None:
            _compare(EVERYBODY, platform, now, report, repair)
    return report


@contextmanager
def _alone() -> Iterator[None]:
    """One transaction as the system that sees the database as it was at its beginning, with no projector beside it."""
    # The lock comes first, by itself: the snapshot must be of after whatever the projector before us has written.
    with kept.held(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with system_scope("verifying rollups"):
            yield


def _catch_up() -> None:
    """Project whatever can be seen, also of transactions beside which others still go on: those are read again later."""
    safe, _, _ = reading.horizon(reading.SETTLED)
    while projector.within(reading.EVERYTHING).more:
        pass
    for source in SOURCES:
        if kept.places()[source.name].changed > safe:
            kept.move(source, Place(safe, source.lowest))


def _tenant(tenant: str, now: float, report: Report, repair: bool) -> Rows:
    sums = Sums()
    for runs in reading.all_runs(tenant, AT_ONCE):
        _runs(sums, [run for run in runs if not run.unreal], now, report, repair)
    for requests in reading.all_requests(tenant, AT_ONCE):
        _requests(sums, requests, now, report, repair)
    return sums.rows()


def _runs(sums: Sums, runs: Sequence[RunRow], now: float, report: Report, repair: bool) -> None:
    known = kept.facts(kept.RUNS, [run.id for run in runs])
    stale: dict[str, Fact] = {}
    for run in runs:
        fact = known.setdefault(run.id, Fact(run.tenant))
        said = facts.of_run(run, fact.clock(now))
        cells.of_run(sums, run.tenant, run.workflow, [], said)
        if said != fact.said:
            fact.said = said
            stale[run.id] = fact
    report.runs += len(runs)
    report.stale += len(stale)
    last = {run.id: 0 for run in runs}
    rows = {run.id: run for run in runs}
    while last:
        found = reading.steps(last.items(), max(20, STEPS_AT_ONCE // len(last)))
        last = {}
        for step in found:
            run, fact = rows[step.run], known[step.run]
            if run.ended is None and step.settled > fact.seen:
                last.pop(step.run, None)
                continue
            cells.of_step(sums, run.tenant, run.workflow, facts.of_step(step, run.made, run.dims, fact.clock(now)))
            report.steps += 1
            last[step.run] = step.settled
            if step.settled > fact.seen:
                fact.seen = step.settled
                stale[step.run] = fact
    if repair:
        kept.keep(kept.RUNS, stale)


def _requests(sums: Sums, requests: Iterable[RequestRow], now: float, report: Report, repair: bool) -> None:
    rows = list(requests)
    known = kept.facts(kept.REQUESTS, [row.id for row in rows])
    stale: dict[str, Fact] = {}
    for row in rows:
        fact = known.setdefault(row.id, Fact(row.tenant))
        said = facts.of_request(row, fact.clock(now))
        sums.replace(APPROVALS, row.tenant, row.workflow, [], said)
        if said != fact.said:
            fact.said = said
            stale[row.id] = fact
    report.requests += len(rows)
    report.stale += len(stale)
    if repair:
        kept.keep(kept.REQUESTS, stale)


def _compare(tenant: str, counted: Rows, now: datetime, report: Report, repair: bool) -> None:
    how = retention.of(tenant)
    since = {grain: how.since(grain, now).timestamp() for grain in ("h", "d")}
    for table in TABLES:
        left = {key: cell for key, cell in counted.get(table, {}).items() if key.at >= since[key.grain]}
        right: dict[Key, Cell] = {}
        wrong: list[Key] = []
        for key, cell in storing.every(table, [tenant]):
            if key.at < since[key.grain]:
                continue
            report.rows += 1
            mine = left.pop(key, None)
            found = list(differences(table, key, cell, mine))
            if found:
                report.differences += found
                if mine is None:
                    wrong.append(key)
                else:
                    right[key] = mine
        for key, cell in left.items():
            found = list(differences(table, key, None, cell))
            if found:
                report.differences += found
                right[key] = cell
        if repair:
            storing.drop(table, wrong)
            for batch in storing.batches(right):
                storing.put(table, batch)
            report.repaired += len(wrong) + len(right)


def _days(tenant: str, now: datetime, report: Report, repair: bool) -> None:
    for who, day, stored, counted in decider_days.every(tenant, retention.of(tenant).since("d", now), now):
        report.rows += 1
        was = (stored or Looked()).plain()
        if was == counted.plain():
            continue
        report.differences.append(DayDifference(tenant, who, day, was, counted.plain()))
        if repair:
            decider_days.put(tenant, who, day, counted)
            report.repaired += 1


def differences(table: str, key: Key, stored: Cell | None, counted: Cell | None) -> Iterator[Difference]:
    """What two cells of a row do not agree about; none is like one of nothing."""
    was, is_ = (stored or Cell()).plain(), (counted or Cell()).plain()
    for name in sorted(was[0].keys() | is_[0].keys()):
        if was[0].get(name, 0) != is_[0].get(name, 0):
            yield Difference(table, key, name, was[0].get(name, 0), is_[0].get(name, 0))
    for name in sorted(was[1].keys() | is_[1].keys()):
        pair = was[1].get(name, 0), is_[1].get(name, 0)
        if pair[0] != pair[1]:
            yield Difference(table, key, f"histogram.{name}", *map(histogram.counts, pair))
