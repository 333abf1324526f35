"""Teams that were parked under an older version go on under this one: their journals replay as they were recorded.

A change of console/agents (or of AutoGen) that would ask for anything else, or tell anything else, fails here. Such a
change needs a journal version of its own, or it ends every run that waits for a person as a divergence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console.agents.clients import Clients
from console.agents.team import run_team
from console.demo import effects
from console.durable import SCHEMA_VERSION, engine
from console.durable.loop import new_loop
from console.durable.memory import MemoryGates, MemoryStore
from console.durable.steps import Finished, Kind, Outcome, Status, Step, Stopped, Suspended
from console.hosting.lending import Key, Lent
from tests.agents.golden.write import STORIES
from tests.durable.golden.form import from_json, to_json

FILES = sorted((Path(__file__).parent / "golden").glob("v*.json"))
GATES = (Kind.REVIEW, Kind.QUESTION, Kind.FINAL)
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYSO_DATA", str(tmp_path))


class Worker:
    """A worker of today with a record of old. It has no model and no gate to ask."""

    def __init__(self, golden: dict[str, Any], steps: list[Step]) -> None:
        self.golden = golden
        self.store = MemoryStore()
        self.store.steps = {(step.scope, step.n): step for step in steps}
        self.store.seq = max(max(step.seq, step.settled or 0) for step in steps)
        self.gates = MemoryGates()
        self.messages: list[dict[str, Any]] = []

    def advance(self) -> Outcome:
        clients, loop = Clients(), new_loop()
        lent = Lent({}, {"default": Key("default", "demo", NOWHERE, "demo")}, clients)

        async def main(run: Any) -> Any:
            body, task = self.golden["body"], self.golden["task"]
            return await run_team(run, body=body, task=task, environment=lent, emit=self.messages.append)

        async def turn() -> Outcome:
            try:
                return await engine.advance(
                    main, run_id="demo", journal=self.store.claim(), gates=self.gates, clock=lambda: datetime.now(UTC),
                    started_at=datetime.fromisoformat(self.golden["began"]),
                )  # fmt: skip
            finally:
                await clients.close()

        try:
            return loop.run_until_complete(turn())
        finally:
            loop.close()


def read(path: Path) -> tuple[dict[str, Any], list[Step]]:
    golden = json.loads(path.read_text())
    return golden, [from_json(form) for form in golden["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_whole_run_replays_to_the_same_words_and_the_same_end(path: Path) -> None:
    golden, steps = read(path)
    worker = Worker(golden, steps)
    assert worker.advance() == Finished(golden["value"])
    assert worker.messages == golden["messages"]
    assert [to_json(step) for step in worker.store.snapshot()] == golden["steps"]
    assert not worker.gates.judged and not worker.gates.announced and effects.recorded() == []


def parked(steps: list[Step]) -> Iterator[tuple[Step, list[Step]]]:
    """The record as it was at each gate that a person decided: what waits in the database while a version is replaced."""
    for gate in steps:
        if gate.kind not in GATES or gate.settled is None or gate.settled == gate.seq:
            continue
        then = [
            step
            if step.settled is not None and step.settled < gate.settled
            else replace(step, status=Status.INTENT, settled=None, result=None, ended_at=None)
            for step in steps
            if step.seq < gate.settled
        ]
        if all(step.settled is not None or step.kind in GATES for step in then):
            yield gate, then


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_run_that_waits_at_any_gate_meets_it_again(path: Path) -> None:
    golden, steps = read(path)
    gates = list(parked(steps))
    assert gates
    for gate, then in gates:
        outcome = Worker(golden, then).advance()
        assert isinstance(outcome, Suspended), outcome
        assert (gate.scope, gate.n, gate.digest) in [(ask.scope, ask.n, ask.digest) for ask in outcome.parked]


def test_a_difference_is_named_in_words() -> None:
    golden, steps = read(next(path for path in FILES if path.stem == "v1_refund-desk"))
    changed = next(step for step in steps if step.kind is Kind.TOOL and step.name == "issue_refund")
    outcome = Worker(golden, [replace(step, digest="0" * 64) if step is changed else step for step in steps]).advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence"
    assert f"Step {changed.seq}, a tool call of issue_refund by payer" in outcome.detail


def test_every_version_has_its_journals() -> None:
    assert {path.stem for path in FILES} == {f"v{v}_{name}" for v in range(1, SCHEMA_VERSION + 1) for name in STORIES}
