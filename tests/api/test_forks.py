"""Forks over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from console.runs.models import Run
from tests.api.problems import problem
from tests.approvals.desk import Desk
from tests.forked import past, put
from tests.nonsense import VALUES


@pytest.fixture
def run(desk: Desk) -> Run:
    return put(desk, past())


def post(desk: Desk, run: Run, body: Any, **more: Any) -> Any:
    return desk.house.operator.api.post(f"/api/v1/runs/{run.pk}/fork", body, **more)


def test_a_fork_says_where_it_comes_from(desk: Desk, run: Run) -> None:
    answer = post(desk, run, {"from_step": 6, "metadata": {"why": "a test"}})
    assert answer.status_code == 202, answer.content
    again = answer.json()
    assert (again["fork_of"], again["forked_at"], again["fork_edited"]) == (str(run.pk), 6, None)
    assert (again["status"], again["metadata"], again["retry_of"]) == ("queued", {"why": "a test"}, None)
    steps = desk.house.reviewer.api.get(f"/api/v1/runs/{again['id']}/steps").json()["items"]
    assert [(step["seq"], step["index"], step["inherited"]) for step in steps] == [
        (1, 1, True),
        (2, 1, True),
        (4, 1, True),
    ]


def test_what_would_happen_again_is_shown_before(desk: Desk, run: Run) -> None:
    address = f"/api/v1/runs/{run.pk}/fork"
    shown = desk.house.reviewer.api.get(address, from_step=1).json()
    effect = {
        "step": 4, "scope": "payer/tools", "index": 1, "tool": "pay", "title": "Pay €5.00", "state": "done",
    }  # fmt: skip
    assert shown == {
        "from_step": 1, "kept_steps": 0, "open_steps": 0, "effects": [effect], "once": [],
        "editable": {"input": "Refund order A-17", "answer": "Pay it"},
    }  # fmt: skip
    at_gate = desk.house.reviewer.api.get(address, from_step=2).json()
    assert (at_gate["kept_steps"], at_gate["editable"]) == (1, {})
    refused = problem(post(desk, run, {"from_step": 2}), 409)
    assert refused["effects"] == [effect] and "repeat_effects: true" in refused["detail"]
    assert post(desk, run, {"from_step": 2, "repeat_effects": True}).status_code == 202
    last = desk.house.reviewer.api.get(address, from_step=6).json()
    assert (last["kept_steps"], last["effects"], last["editable"]) == (3, [], {"answer": "It is paid."})


def test_edits(desk: Desk, run: Run) -> None:
    other = post(desk, run, {"from_step": 1, "input": "Refund order A-18", "repeat_effects": True}).json()
    assert (other["fork_edited"], other["title"]) == ("input", "Refund order A-18")
    said = post(desk, run, {"from_step": 6, "answer": "It is not paid."}).json()
    last = desk.house.reviewer.api.get(f"/api/v1/runs/{said['id']}/steps").json()["items"][-1]
    assert said["fork_edited"] == "answer" and last["result"]["content"] == "It is not paid."
    [told] = last["attempts"]
    assert (told["cause"], told["by"], last["inherited"], last["cost"]) == (
        "edited",
        desk.house.operator.actor.name,
        True,
        None,
    )


@pytest.mark.parametrize(
    ("body", "field", "why"),
    [
        ({}, "from_step", "required"),
        ({"from_step": 0}, "from_step", "greater"),
        ({"from_step": -1}, "from_step", "greater"),
        ({"from_step": 2**40}, "from_step", "less"),
        ({"from_step": 3}, "from_step", "is no step of this run"),
        ({"from_step": 99}, "from_step", "from 1 to 6"),
        ({"from_step": "6"}, "from_step", "integer"),
        ({"from_step": 6.5}, "from_step", "integer"),
        ({"from_step": True}, "from_step", "integer"),
        ({"from_step": 2, "answer": "approve"}, "answer", "only a reviewer decides"),
        ({"from_step": 4, "answer": "paid", "repeat_effects": True}, "answer", "changes something in the world"),
        ({"from_step": 6, "answer": {"content": "x"}}, "answer", "must be text"),
        ({"from_step": 6, "answer": "x" * 300_000}, "answer", "the limit is"),
        ({"from_step": 6, "input": "x"}, "input", "first step"),
        ({"from_step": 1, "input": "", "repeat_effects": True}, "input", "is empty"),
        ({"from_step": 1, "input": "x", "answer": "y"}, "answer", "fork twice"),
        ({"from_step": 6, "repeat_effects": "yes"}, "repeat_effects", "boolean"),
        ({"from_step": 6, "metadata": {"x": "y" * 9000}}, "metadata", "8 kB"),
        ({"from_step": 6, "to_step": 7}, "to_step", "extra"),
    ],
)
def test_what_makes_no_sense_is_said_by_name(desk: Desk, run: Run, body: Any, field: str, why: str) -> None:
    said = problem(post(desk, run, body), 422, field)
    assert any(each["field"] == field and why.lower() in each["message"].lower() for each in said["errors"]), said
    with desk.house.scope():
        assert Run.objects.count() == 1


def test_values_that_nobody_means(desk: Desk, run: Run) -> None:
    for value in VALUES:
        for name in ("from_step", "input", "answer", "repeat_effects", "metadata"):
            answer = post(desk, run, {"from_step": 1, "repeat_effects": True, name: value})
            assert answer.status_code in (202, 400, 409, 413, 422, 429), (name, value, answer.content)


def test_a_preview_of_nonsense(desk: Desk, run: Run) -> None:
    for number in ("", "x", "0", "-1", "3", "1e3", "9" * 30, "%00", "٣"):
        problem(desk.house.operator.api.get(f"/api/v1/runs/{run.pk}/fork?from_step={number}"), 422, "from_step")
    problem(desk.house.operator.api.get(f"/api/v1/runs/{run.pk}/fork"), 422, "from_step")


def test_a_run_at_work_is_not_forked_and_one_that_waits_stays_as_it_is(desk: Desk) -> None:
    going = desk.start()
    assert "queued" in problem(post(desk, going, {"from_step": 1}), 409)["detail"]
    assert problem(post(desk, going, {"from_step": 1}), 409)["title"] == "This run cannot be forked"
    waits, _ = desk.waiting()
    assert post(desk, waits, {"from_step": 1}).status_code == 202
    assert desk.now(waits).status == "waiting"


def test_a_no_is_no_reason_not_to_fork(desk: Desk) -> None:
    for reason in ("rejected", "terminated", "contract_violation", "divergence", "budget"):
        run = put(desk, past(), "failed", reason)
        assert post(desk, run, {"from_step": 6}).status_code == 202
        problem(desk.house.operator.api.post(f"/api/v1/runs/{run.pk}/retry"), 409)


def test_sent_twice_under_one_key_happens_once(desk: Desk, run: Run) -> None:
    first, again = (post(desk, run, {"from_step": 6}, key="f-1") for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202) and first.json() == again.json()
    with desk.house.scope():
        assert Run.objects.filter(fork_of=run).count() == 1
    refused = post(desk, run, {"from_step": 4}, key="f-2")
    problem(refused, 409)
    assert post(desk, run, {"from_step": 4, "repeat_effects": True}, key="f-2").status_code == 202


def test_a_fork_of_a_fork(desk: Desk, run: Run) -> None:
    first = post(desk, run, {"from_step": 6, "answer": "So be it."}).json()
    with desk.house.scope():
        Run.objects.filter(pk=first["id"]).update(status="cancelled", stop_reason="cancelled")
        made = Run.objects.get(pk=first["id"])
    second = post(desk, made, {"from_step": 6, "answer": "Or so."}).json()
    assert second["fork_of"] == first["id"]
    steps = desk.house.reviewer.api.get(f"/api/v1/runs/{second['id']}/steps").json()["items"]
    assert [step["seq"] for step in steps] == [1, 2, 4, 6] and steps[-1]["result"]["content"] == "Or so."
