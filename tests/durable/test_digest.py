"""Canonical JSON, and requests kept as differences."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.durable import Finished, History, Json, Kind, Run, canonical, digest, expand

from .lab import Lab

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@settings(max_examples=60, deadline=None)
@given(values)
def test_canonical_does_not_depend_on_order(value: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = list(value.items())
            random.Random(1).shuffle(items)
            return {key: shuffled(each) for key, each in items}
        return [shuffled(each) for each in value] if isinstance(value, list) else value

    assert canonical(shuffled(value)) == canonical(value)
    assert digest(value) == hashlib.sha256(canonical(value)).hexdigest()


def test_canonical_takes_json_and_nothing_else() -> None:
    assert canonical({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'.encode()
    assert canonical("\ud800") != canonical("\ud801")
    with pytest.raises(TypeError):
        canonical({"when": object()})


edits = st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, 3), max_size=4), st.integers(0, 2)), max_size=8)


@settings(max_examples=60, deadline=None)
@given(edits)
def test_every_request_can_be_shown_in_full(edits: list[tuple[int, list[int], int]]) -> None:
    """Whatever becomes of the list (grown, cut, changed in the middle), differences add up to it."""
    full: list[Json] = []
    asked: list[Json] = []
    history = History()
    stored = []
    for keep, add, tools in edits:
        full = [*full[:keep], *({"m": each} for each in add)]
        asked.append({"messages": list(full), "tools": tools})
        stored.append(history.request(full, {"tools": tools}))

    async def main(run: Run) -> Json:
        for request, key in stored:
            await run.effect("m", kind=Kind.MODEL, request=request, digest=key, body=lab.world.act)
        return None

    lab = Lab(main)
    assert lab.advance() == Finished(None)
    assert [request for _, request in expand(lab.record)] == asked


def test_the_digest_is_of_the_whole_request() -> None:
    one, two, three = History(), History(), History()
    one.request([1, 2], {"tools": []})
    assert one.request([1, 2, 3], {"tools": []})[1] == two.request([1, 2, 3], {"tools": []})[1]
    assert two.request([1, 2, 4], {"tools": []})[1] != one.request([1, 2, 3], {"tools": []})[1]
    assert three.request([1, 2, 3], {"tools": ["x"]})[1] != one.request([1, 2, 3], {"tools": []})[1]
    assert History().request([[1], [2]])[1] != History().request([[1, 2]])[1]


def test_growth_is_linear() -> None:
    """What was asked before is neither encoded, hashed nor stored again."""
    encoded: list[int] = []

    def encode(message: int) -> Json:
        encoded.append(message)
        return {"text": message}

    history = History(encode)
    messages: list[int] = []
    stored = []
    for turn in range(100):
        messages.append(turn)
        stored.append(history.request(messages, {"tools": ["a lot of schema"] * 20})[0])
    assert encoded == list(range(100))
    assert stored[0] == {"keep": 0, "add": [{"text": 0}], "rest": {"tools": ["a lot of schema"] * 20}}
    assert stored[99] == {"keep": 99, "add": [{"text": 99}]}


def test_a_missing_step_is_not_papered_over() -> None:
    history = History()
    stored = [history.request(list(range(n))) for n in range(1, 4)]

    async def main(run: Run) -> Json:
        for request, key in stored:
            await run.effect("m", kind=Kind.MODEL, request=request, digest=key, body=lab.world.act)
        return None

    lab = Lab(main)
    lab.advance()
    first, _, third = lab.record
    assert [request for _, request in expand([first, third])] == [{"messages": [0]}, third.request]


def test_other_requests_pass_through() -> None:
    async def main(run: Run) -> Json:
        await run.effect("t", kind=Kind.TOOL, request={"amount": 5}, body=lab.world.act)
        return None

    lab = Lab(main)
    lab.advance()
    assert [request for _, request in expand(lab.record)] == [{"amount": 5}]
