"""What a resumed run hears of decisions: what was read with its claim at first, the database from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from console.durable.steps import Ask, Decision
from console.hosting.database import Database
from console.hosting.gates import HostGates
from console.runs.models import Run

APPROVED = Decision("approve", by="Rita Reviewer", request="1", at="2026-01-01T00:00:00Z", digest="d")
LATER = Decision("reject", by="Rita Reviewer", request="2", at="2026-01-01T00:00:01Z", digest="d")


class Counting:
    """A database in which the second request has been decided by now."""

    def __init__(self) -> None:
        self.asked = 0

    async def run(self, work: Callable[..., Any], run: Run, asks: list[Ask]) -> Any:
        self.asked += 1
        return 7, None, None, [(ask, LATER) for ask in asks if ask.scope == "b/review"]


def ask(scope: str) -> Ask:
    return Ask(scope, 1, "tool", "d", {}, "agent", "tool")


def gates(database: Counting) -> HostGates:
    found = {("a/review", 1): APPROVED, ("b/review", 1): None}
    return HostGates(cast(Database, database), Run(), 5, None, found)


def test_the_first_look_needs_no_database_and_the_second_does() -> None:
    database, both = Counting(), [ask("b/review"), ask("a/review")]
    held = gates(database)
    assert asyncio.run(held.decisions(both)) == [(both[1], APPROVED)]
    assert (database.asked, held.wake_seen) == (0, 5)
    assert asyncio.run(held.decisions(both)) == [(both[0], LATER)]
    assert (database.asked, held.wake_seen) == (1, 7)


def test_a_gate_that_the_claim_did_not_see_is_looked_up() -> None:
    database = Counting()
    held = gates(database)
    assert asyncio.run(held.decisions([ask("a/review"), ask("new")])) == []
    assert (database.asked, held.wake_seen) == (1, 7)


def test_what_was_read_is_forgotten_when_the_run_was_woken_since() -> None:
    database = Counting()
    held = gates(database)
    held.forget()
    assert asyncio.run(held.decisions([ask("b/review")])) == [(ask("b/review"), LATER)]
    assert database.asked == 1


class Announcing(Counting):
    """A database that says of a request that was announced how often its run had been woken; None: it is decided."""

    def __init__(self, wake: int | None) -> None:
        super().__init__()
        self.wake = wake

    async def run(self, work: Callable[..., Any], run: Run, asks: Any) -> Any:
        return self.wake if isinstance(asks, Ask) else await super().run(work, run, asks)


def test_a_request_that_was_announced_undecided_is_not_asked_about_before_its_run_is_parked() -> None:
    database = Announcing(wake=5)
    held = gates(database)
    asyncio.run(held.announce(ask("new")))
    assert asyncio.run(held.decisions([ask("a/review"), ask("new")])) == [(ask("a/review"), APPROVED)]
    assert (database.asked, held.wake_seen) == (0, 5)  # parking compares the counter with 5, under the run's lock
    assert asyncio.run(held.decisions([ask("b/review"), ask("new")])) == [(ask("b/review"), LATER)]
    assert (database.asked, held.wake_seen) == (1, 7)


@pytest.mark.parametrize("wake", [6, None])
def test_it_is_asked_about_when_something_was_decided_meanwhile(wake: int | None) -> None:
    database = Announcing(wake)
    held = gates(database)
    asyncio.run(held.announce(ask("b/review")))
    assert asyncio.run(held.decisions([ask("b/review"), ask("new")])) == [(ask("b/review"), LATER)]
    assert database.asked == 1


def test_what_is_decided_while_a_request_is_announced_is_looked_up_when_the_run_is_poked() -> None:
    database = Announcing(wake=5)
    held = gates(database)
    asyncio.run(held.announce(ask("b/review")))
    held.forget()
    assert asyncio.run(held.decisions([ask("b/review")])) == [(ask("b/review"), LATER)]
    assert database.asked == 1
