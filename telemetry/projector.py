"""Brings the rollups up to date with the journal: a batch at a time, each one transaction.

Rows are taken in the order of the transactions that wrote them, as far as all of those are over (see reading.SETTLED), so none
is passed over. What a run or request had contributed is taken back and what is true now is added; a step is added once, when it
has ended. Rollups, what was contributed, and how far was read are one transaction: a projector that dies in the middle has
done nothing, and one that runs twice adds nothing.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from console.tenants.scopes import system_scope
from telemetry import cells, decider_days, facts, kept, reading, storing
from telemetry.cells import Sums
from telemetry.figures import APPROVALS
from telemetry.kept import Fact
from telemetry.reading import RUN, Change, Place, RunRow, Source

log = logging.getLogger(__name__)

RUNS = 400  # rows of a source in a batch
STEPS = 8000  # steps in a batch, more or less


@dataclass(frozen=True, slots=True)
class Progress:
    """What a batch did. ``more``: there is more to read right now. ``busy``: another projector is at it."""

    rows: int = 0
    steps: int = 0
    more: bool = False
    busy: bool = False


def catch_up(seconds: float, upto: str = reading.SETTLED) -> Progress:
    """Project batch after batch until nothing is left, or about so much time has passed. Call outside any scope."""
    rows = steps = 0
    until = time.monotonic() + seconds
    while True:
        found = project(upto=upto)
        rows, steps = rows + found.rows, steps + found.steps
        if found.busy or not found.more or time.monotonic() > until:
            return Progress(rows, steps, found.more, found.busy)


def project(upto: str = reading.SETTLED, runs: int = RUNS, steps: int = STEPS) -> Progress:
    """Project one batch: up to ``runs`` rows of each source, and about so many steps. Call outside any scope."""
    with system_scope("projecting"):
        if not kept.lock():
            return Progress(busy=True)
        return within(upto, runs, steps)


def within(upto: str, runs: int = RUNS, steps: int = STEPS) -> Progress:
    """The same for whoever holds the lock, in a system scope."""
    below, last, now = reading.horizon(upto)
    places, sums = kept.places(), Sums()
    if any(place.changed > last for place in places.values()):
        places = _anew()
    changed = reading.changes(RUN, places[RUN.name], below, runs)
    done, unfinished = _runs(sums, [change.about for change in changed], now, steps)
    more = _moves(RUN, places[RUN.name], changed, below, runs, unfinished)
    rows, about = len(changed), {}
    for source in reading.REQUESTS:
        changed = reading.changes(source, places[source.name], below, runs)
        about |= dict.fromkeys(change.about for change in changed)
        more |= _moves(source, places[source.name], changed, below, runs, set())
        rows += len(changed)
    _requests(sums, list(about), now)
    storing.add(sums.rows())
    # A day is made once all that was marked of it is read: while there is more to read, it would be made again and again.
    more = more or decider_days.build(datetime.fromtimestamp(now, UTC))
    return Progress(rows, done, more)


def _moves(source: Source, was: Place, changed: list[Change], below: int, limit: int, unfinished: set[str]) -> bool:
    """Move the cursor behind what was read, but not past what is unfinished. Whether there is more to read now."""
    to, more = Place(below, source.lowest), len(changed) == limit
    if more:
        to = changed[-1].place
    for number, change in enumerate(changed):
        if change.about in unfinished:
            to, more = (changed[number - 1].place if number else was), True
            break
    if changed and to != was:
        kept.move(source, to)
    return more


def _anew() -> dict[str, Place]:
    """The cursor is ahead of every transaction: this database was restored from another server, whose numbers its rows have.

    They are stamped anew, and everything is read again; what is in already adds nothing.
    """
    log.warning(
        "The database seems to have been restored from another server: figures are brought up to date from the start."
    )
    for source in reading.SOURCES:
        reading.restamp(source)
        kept.move(source, Place(0, source.lowest))
    return kept.places()


def _runs(sums: Sums, ids: list[str], now: float, budget: int) -> tuple[int, set[str]]:
    """Add what is new of runs. Returns how many steps were added, and the runs of which some are left."""
    rows = {row.id: row for row in reading.runs(ids) if not row.unreal}
    known = kept.facts(kept.RUNS, list(rows))
    changed: dict[str, Fact] = {}
    for row in rows.values():
        fact = known.setdefault(row.id, Fact(row.tenant))
        new = facts.of_run(row, fact.clock(now))
        if new != fact.said:
            cells.of_run(sums, row.tenant, row.workflow, fact.said, new)
            fact.said = new
            changed[row.id] = fact
    done, unfinished = 0, set(rows)
    while unfinished and done < budget:
        each = max(20, (budget - done) // len(unfinished))
        many = _steps(sums, rows, known, [run for run in rows if run in unfinished], each, now)
        changed |= {run: known[run] for run in many}
        unfinished = {run for run, count in many.items() if count == each}
        done += sum(many.values())
    kept.keep(kept.RUNS, changed)
    return done, unfinished


def _steps(
    sums: Sums, rows: dict[str, RunRow], known: dict[str, Fact], ids: list[str], each: int, now: float
) -> dict[str, int]:
    """Add up to ``each`` new steps of each of these runs; how many there were of those that had some."""
    found: dict[str, int] = {}
    dims = {run: rows[run].dims for run in ids}
    clocks = {run: known[run].clock(now) for run in ids}
    for step in reading.steps(((run, known[run].seen) for run in ids), each):
        row = rows[step.run]
        cells.of_step(sums, row.tenant, row.workflow, facts.of_step(step, row.made, dims[step.run], clocks[step.run]))
        known[step.run].seen = step.settled
        found[step.run] = found.get(step.run, 0) + 1
    return found


def _requests(sums: Sums, ids: list[str], now: float) -> None:
    if not ids:
        return
    decider_days.mark(ids)
    known = kept.facts(kept.REQUESTS, ids)
    changed: dict[str, Fact] = {}
    for row in reading.requests(ids):
        fact = known.setdefault(row.id, Fact(row.tenant))
        new = facts.of_request(row, fact.clock(now))
        if new != fact.said:
            sums.replace(APPROVALS, row.tenant, row.workflow, fact.said, new)
            fact.said = new
            changed[row.id] = fact
    kept.keep(kept.REQUESTS, changed)
