"""Tools and models that end their own process, or block it: never silently repeated, and never for ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.durable.loop import new_loop
from console.hosting.stalls import StallWatch
from console.runs import record
from console.runs.models import TERMINAL, Run
from console.tenants.scopes import system_scope, tenant_scope

from . import scripted
from .conftest import House
from .test_crashes import Graveyard


@pytest.fixture
def graveyard(house: House, tmp_path: Path) -> Iterator[Graveyard]:
    made = Graveyard(house, tmp_path, at_once=1)
    yield made
    made.close()


def live(graveyard: Graveyard, run: Run, most: int = 8) -> list[int]:
    """What each worker came to that had the run, until it is over or waits for a person."""
    ends: list[int] = []
    while graveyard.house.run(run).status not in TERMINAL and len(ends) < most:
        ends.append(graveyard.worker(run))
        found = graveyard.house.run(run)
        if ends[-1] == 0 and found.status == "waiting":
            break
        with system_scope("test"):  # its lease runs out, without the test waiting for it
            Run.objects.filter(pk=run.pk, status="running").update(lease_until="2026-01-01T00:00Z")
    return ends


def test_a_tool_that_kills_its_process_is_not_done_again_but_asked_about(graveyard: Graveyard) -> None:
    graveyard.house.revise(scripted.body_of(turns=1, tool="neither", exits="tool"))
    run = graveyard.house.start()
    assert live(graveyard, run) == [7, 0]
    assert len(graveyard.done()) == 1 and graveyard.house.run(run).status == "waiting"
    with tenant_scope(graveyard.house.tenant):
        assert str(record.steps(run.pk)[-1].status) == "in_doubt"


@pytest.mark.parametrize(("exits", "tool"), [("tool", "idempotent"), ("tool", "read_only"), ("model", "neither")])
def test_what_kills_its_process_each_time_ends_the_run(graveyard: Graveyard, exits: str, tool: str) -> None:
    graveyard.house.revise(scripted.body_of(turns=1, tool=tool, exits=exits))
    run = graveyard.house.start()
    ends = live(graveyard, run)
    found = graveyard.house.run(run)
    assert (found.status, found.stop_reason) == ("failed", "worker_lost"), ends
    assert 3 <= len([end for end in ends if end == 7]) <= 4
    keys = {line.split()[-1] for line in graveyard.done() if " tool " in line}
    assert len(keys) <= 1  # the other side could tell that it was the same call
    if tool == "idempotent":
        with tenant_scope(graveyard.house.tenant):
            step = record.steps(run.pk)[-1]
        # How often it was called is in the step, and as what: no key keeps a tool honest that does it twice.
        assert {each["cause"] for each in step.attempts} == {"worker_lost"} and {step.key} == keys


def test_a_loop_that_stands_still_is_told_of_with_its_step() -> None:
    loop, free, blocked, now = new_loop(), threading.Event(), threading.Event(), [0.0]

    async def block() -> None:
        blocked.set()
        free.wait(10)

    def run() -> None:
        loop.run_until_complete(loop.create_task(block(), name="clerk/tools#3"))

    thread = threading.Thread(target=run)
    watch = StallWatch(loop, thread, limit=5.0, clock=lambda: now[0])
    thread.start()
    try:
        assert blocked.wait(10) and watch.look() == ""
        now[0] = 4.0
        assert watch.look() == ""
        now[0] = 6.0
        said = watch.look()
        assert "standing still for 6 s in step clerk/tools#3" in said and "block (" in said
        now[0] = 7.0
        assert watch.look() == ""  # told already
        now[0] = 13.0
        assert "13 s" in watch.look()
    finally:
        free.set()
        thread.join(10)
    loop.run_until_complete(loop.create_task(_nothing()))
    assert watch.look() == "" and not watch._told
    loop.close()


async def _nothing() -> None:
    """A round of the loop."""


def test_a_loop_that_comes_round_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    loop = new_loop()
    thread = threading.Thread(target=loop.run_forever)
    watch = StallWatch(loop, thread, limit=0.02)
    thread.start()
    with caplog.at_level(logging.WARNING):
        watch.start()
        rounds = threading.Event()
        loop.call_soon_threadsafe(loop.call_later, 0.1, rounds.set)
        assert rounds.wait(10)
        watch.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
