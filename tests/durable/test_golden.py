"""Journals of old must replay for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.durable import SCHEMA_VERSION, Done, Finished, Json, expand

from .golden.form import from_json, to_json
from .golden.programs import NAMES, programs
from .lab import Lab

FILES = sorted((Path(__file__).parent / "golden").glob("v*.json"))


async def never(scope: str, n: int, arguments: Json) -> Done:
    raise AssertionError(f"{scope}#{n} was done again")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_replays_to_the_same_outcome(path: Path) -> None:
    golden = json.loads(path.read_text())
    lab = Lab(programs(never)[path.stem.split("_", 1)[1]])
    steps = [from_json(form) for form in golden["steps"]]
    lab.store.steps = {(step.scope, step.n): step for step in steps}
    lab.store.seq = max(max(step.seq, step.settled or 0) for step in steps)
    assert lab.advance() == Finished(golden["value"])
    assert lab.record == steps
    assert [to_json(step) for step in steps] == golden["steps"]
    assert not lab.gates.judged and not lab.gates.announced


def test_requests_of_old_can_be_shown_in_full() -> None:
    golden = json.loads(next(path for path in FILES if path.stem == "v1_conversation").read_text())
    shown = [request for step, request in expand(map(from_json, golden["steps"])) if step.scope == "clerk/model"]
    whole = golden["value"][0]
    assert shown == [{"tools": [{"name": "look_up"}], "messages": whole[: 1 + 2 * turn]} for turn in range(3)]


def test_every_version_has_its_journals() -> None:
    assert set(programs(never)) == set(NAMES)
    assert {path.stem for path in FILES} == {f"v{v}_{name}" for v in range(1, SCHEMA_VERSION + 1) for name in NAMES}
