"""Retrying many runs over the API: what was retried, what was not and why, roles, walls, limits, and being sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from console.runs import actions as runs
from console.runs import reasons
from console.runs.models import Run
from tests.api.problems import problem
from tests.approvals.desk import Desk
from tests.pages.test_reasons import ended, unwatched
from tests.workflows.waiving import waive
from tests.world import World

ADDRESS = "/api/v1/runs/retries"
BODY = {"stop_reason": "model_error"}


def retried(desk: Desk) -> int:
    with desk.house.scope():
        return Run.objects.exclude(retry_of=None).count()


def test_each_is_told_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = ended(desk, "model_error", 3)
    retry = runs.retry

    def picky(actor: Any, run: Run) -> Run:
        if run.pk == second.pk:
            raise runs.Refused("Not this one.")
        return retry(actor, run)

    monkeypatch.setattr("console.runs.actions.retry", picky)
    answer = desk.house.operator.api.post(ADDRESS, BODY)
    assert answer.status_code == 202
    items = answer.json()["items"]
    assert [(one["run"], one["problem"]) for one in items] == [
        (str(first.pk), ""), (str(second.pk), "Not this one."), (str(third.pk), ""),
    ]  # fmt: skip
    assert items[1]["retry"] is None and answer.json()["left"] == 0
    new = desk.house.operator.api.get(f"/api/v1/runs/{items[0]['retry']}").json()
    assert new["retry_of"] == str(first.pk) and new["status"] == "queued"
    again = desk.house.operator.api.post(ADDRESS, BODY).json()  # another call: only what was not retried before
    assert [one["run"] for one in again["items"]] == [str(second.pk)] and retried(desk) == 2


def test_sent_twice_happens_once(desk: Desk) -> None:
    ended(desk, "model_error", 2)
    first, again = (desk.house.operator.api.post(ADDRESS, BODY, key="k") for _ in range(2))
    assert first.json() == again.json() and len(first.json()["items"]) == 2 and retried(desk) == 2
    problem(desk.house.operator.api.post(ADDRESS, {"stop_reason": "tool_error"}, key="k"), 422)


def test_so_many_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(desk, "model_error", 3)
    monkeypatch.setattr(reasons, "AT_ONCE", 2)
    answers = [desk.house.admin.api.post(ADDRESS, BODY).json() for _ in range(3)]
    assert [(len(each["items"]), each["left"]) for each in answers] == [(2, 1), (1, 0), (0, 0)]


def test_what_cannot_be_retried_stands_before_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    old, late = unwatched(desk, "model_error", 3), ended(desk, "model_error", 3)
    monkeypatch.setattr(reasons, "AT_ONCE", 2)
    refusal = desk.house.operator.api.post(f"/api/v1/runs/{old[0].pk}/retry").json()["detail"]
    answers = [desk.house.operator.api.post(ADDRESS, BODY).json() for _ in range(3)]
    taken = [one["run"] for each in answers for one in each["items"]]
    assert taken == [str(run.pk) for run in late] and retried(desk) == 3
    assert [(len(each["items"]), each["left"]) for each in answers] == [(2, 1), (1, 0), (0, 0)]
    assert [each["refused"] for each in answers] == [[{"problem": refusal, "runs": 3}]] * 3
    assert refusal.startswith("Nobody reviewed payer in this run")


def test_a_waiver_lets_them_be_retried(desk: Desk) -> None:
    old = unwatched(desk, "model_error", 2)
    with desk.house.scope():
        waive(desk.workflow, "payer")
    answer = desk.house.operator.api.post(ADDRESS, BODY).json()
    assert [one["run"] for one in answer["items"]] == [str(run.pk) for run in old]
    assert answer["refused"] == [] and all(one["retry"] for one in answer["items"])


def test_runs_of_before_oversight_was_kept_are_told_apart(desk: Desk) -> None:
    (bare, kept), (watched,) = unwatched(desk, "model_error", 2), ended(desk, "model_error")
    with desk.house.scope():
        Run.objects.filter(pk=bare.pk).update(oversight=None)  # its revision says that nobody watched payer
    answer = desk.house.operator.api.post(ADDRESS, BODY).json()
    assert [one["run"] for one in answer["items"]] == [str(watched.pk)] and kept.oversight
    assert [one["runs"] for one in answer["refused"]] == [2]


def test_a_limit_of_the_organisation_leaves_the_rest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(desk, "model_error", 2)

    def full(actor: Any, run: Run) -> Run:
        raise runs.AtLimit("Too many runs are open.", 1)

    monkeypatch.setattr("console.runs.actions.retry", full)
    items = desk.house.operator.api.post(ADDRESS, BODY).json()["items"]
    assert ["Too many runs are open." in one["problem"] for one in items] == [True, True]
    assert {one["retry"] for one in items} == {None}


@pytest.mark.parametrize("reason", ["rejected", "completed", "divergence", "contract_violation", "max_turns"])
def test_what_may_not_be_retried_is_refused(desk: Desk, reason: str) -> None:
    ended(desk, reason)
    problem(desk.house.operator.api.post(ADDRESS, {"stop_reason": reason}), 409)
    assert retried(desk) == 0


def test_others_have_nothing_to_do_with_it(desk: Desk, world: World) -> None:
    ended(desk, "model_error")
    problem(desk.house.reviewer.api.post(ADDRESS, BODY), 403)
    assert world.fabrikam.operator.api.post(ADDRESS, BODY).json() == {"items": [], "left": 0, "refused": []}
    assert retried(desk) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "stop_reason"),
        ({"stop_reason": ""}, "stop_reason"),
        ({"stop_reason": "bad luck"}, "stop_reason"),
        ({"stop_reason": 1}, "stop_reason"),
        ({**BODY, "more": 1}, "more"),
    ],
)
def test_nonsense(desk: Desk, body: Any, field: str) -> None:
    ended(desk, "model_error")
    problem(desk.house.operator.api.post(ADDRESS, body), 422, field)
    assert retried(desk) == 0
