"""The people of the chaos bench: what one of them leaves undecided keeps nobody from starting the next run."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from console.bench.chaos import people
from console.bench.chaos.people import Operators, Register, Reviewer


class Api:
    """Starts what it is asked to, ends nothing, and has one request for each run."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.made: list[str] = []

    def get(self, path: str, **_: Any) -> Any:
        if path == "/runs":
            return {"items": []}
        one = {"scope": "a", "index": 1, "kind": "tool", "approvers": 2, "votes": [], "workflow": "w", "verdicts": []}
        return {"items": [{**one, "id": run, "run": run, "digest": "d"} for run in self.made], "next": None}

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        if path != "/runs":
            return 201, {}
        self.made.append(f"run {next(self._numbers)}")
        return 202, {"id": self.made[-1]}


def test_what_is_left_undecided_takes_no_others_place(monkeypatch: pytest.MonkeyPatch) -> None:
    register, api = Register(), Api()
    operators = Operators(api, register, 1, ["w"], 3, 100)  # type: ignore[arg-type]
    reviewer = Reviewer(api, register, "http://127.0.0.1:1", 1, 0, 2)  # type: ignore[arg-type]
    try:
        monkeypatch.setattr(people, "CANCELLED", 0.0)
        monkeypatch.setattr(people, "UNDECIDED", 0.0)
        operators.round(lambda: True)
        reviewer.round()
        operators.round(lambda: True)
        assert len(api.made) == 3 and not register.left
        monkeypatch.setattr(people, "UNDECIDED", 1.0)
        reviewer.round()
        assert register.left == set(api.made)
        operators.round(lambda: True)
        assert len(api.made) == 6
    finally:
        reviewer.close()
