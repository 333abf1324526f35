"""Whatever a tool returns is made plain, small JSON, or said to be none."""

from __future__ import annotations

import json
import tracemalloc
from enum import IntEnum
from typing import Any

import pytest

from console.agents.results import RESULT_LIMIT, NotJson, fit
from console.agents.tools import as_text


class Colour(IntEnum):
    RED = 1


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


def own() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize("value", [None, 0, 1.5, "x", [1, "a", None], {"a": {"b": [True]}}, deep(150)])
def test_plain_values_stay_themselves(value: Any) -> None:
    assert fit(value) is value


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", {1, 2}, float("nan"), [float("inf")], {"a": object()}, deep(1000), deep(100_000), own(),
     {(1, 2): "x"}, 10**10_000, {"a": 1j}, (x for x in "abc")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_json_is_said_to_be_none(value: Any) -> None:
    with pytest.raises(NotJson):
        fit(value)


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, {None: 1, True: 2}, (1, (2,)), Colour.RED, {"a": (1,)}])
def test_what_is_nearly_json_becomes_what_a_replay_would_read(value: Any) -> None:
    found = fit(value)
    assert json.loads(json.dumps(found)) == found and as_text(found) == as_text(json.loads(json.dumps(found)))


def test_halves_of_surrogate_pairs_are_kept_and_can_be_shown() -> None:
    assert as_text(fit({"a": "\ud800"})).encode()
    assert as_text(fit("\ud800" * 300_000)).encode()


@pytest.mark.parametrize(
    "value",
    ["x" * 50_000_000, "é" * 30_000_000, "\x00" * 400_000, ["y" * 1000] * 50_000, list(range(6_000_000)),
     {f"k{i}": "v" * 100 for i in range(100_000)}, ["\x01" * 200_000]],
)  # fmt: skip
def test_fifty_megabytes_are_cut_with_little_memory(value: Any) -> None:
    tracemalloc.start()
    try:
        found = fit(value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found, str) and "[Cut here: the tool returned" in found
    assert len(found.encode()) <= RESULT_LIMIT and len(json.dumps(found)) <= 3 * RESULT_LIMIT
    assert peak < 64 * 1024 * 1024 / 4
