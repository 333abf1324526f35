"""How a run of the demo's history is put in the past: order, durations, promises, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.demo import past
from console.demo.past import NotOurs, Pause, Placing, Rows, place

BEGUN = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)
START = datetime(2026, 10, 3, 8, 30, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def run(**changes: Any) -> dict[str, Any]:
    kept = {
        "id": uuid4(),
        "metadata": dict(past.UNPLACED),
        "created_at": BEGUN,
        "started_at": at(0.1),
        "ended_at": at(9),
    }
    return {**kept, "waiting_s": 1.5, "active_s": 7.0, "queue_s": 0.1, "wake_at": None, **changes}


PAUSES = (Pause(at(3), 600.0), Pause(at(4), 30.0))
PLACING = Placing(BEGUN, START, PAUSES)


def test_what_people_were_waited_for_is_put_in_where_they_acted() -> None:
    placed = place(Rows(run()), PLACING).run
    assert placed["created_at"] == START and placed["started_at"] == START + timedelta(seconds=0.1)
    assert placed["ended_at"] == START + timedelta(seconds=639)
    assert placed["waiting_s"] == 631.5 and (placed["active_s"], placed["queue_s"]) == (7.0, 0.1)
    assert placed["metadata"] == {"demo": "history"} and placed["wake_at"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": dict(past.PLACED)},
        {"metadata": {}},
        {"metadata": {"demo": "history", "placed": True}},
        {"ended_at": None},
    ],
)
def test_no_other_run_is_moved_and_none_twice(changes: dict[str, Any]) -> None:
    with pytest.raises(NotOurs):
        place(Rows(run(**changes)), PLACING)
    again = place(Rows(run()), PLACING)
    with pytest.raises(NotOurs):
        place(again, PLACING)


def test_a_promise_stays_as_long_as_it_was() -> None:
    asked = {"id": uuid4(), "created_at": at(2), "due_at": at(2 + 3600), "falls": at(2 + 3600), "decided_at": at(4)}
    (found,) = place(Rows(run(), {"approvals_approvalrequest": [asked]}), PLACING).others["approvals_approvalrequest"]
    assert found["due_at"] - found["created_at"] == timedelta(hours=1) and found["falls"] == found["due_at"]
    assert found["decided_at"] - found["created_at"] == timedelta(seconds=632)
    hurried = {**asked, "due_at": at(3), "falls": NEVER}
    rows = Rows(run(), {"approvals_approvalrequest": [hurried]})
    (found,) = place(rows, PLACING, {str(asked["id"]): 600.5}).others["approvals_approvalrequest"]
    assert found["due_at"] - found["created_at"] == timedelta(seconds=600.5) and found["falls"] == NEVER


def test_moments_within_json_are_moved_and_other_texts_are_not() -> None:
    tries = [{"started_at": at(1).isoformat(), "cause": "timeout", "since": "2026-11-21"}]
    step = {"started_at": at(1), "ended_at": None, "attempts": tries, "at": "noon", "digest": "2026-11-21T12:00:00Z"}
    (found,) = place(Rows(run(), {"runs_step": [step]}), PLACING).others["runs_step"]
    assert found["attempts"][0]["started_at"] == (START + timedelta(seconds=1)).isoformat()
    assert (found["at"], found["digest"], found["attempts"][0]["since"]) == (
        "noon",
        "2026-11-21T12:00:00Z",
        "2026-11-21",
    )
    said = past.moved({"at": at(3).isoformat().replace("+00:00", "Z"), "read_at": 5}, PLACING)
    assert said == {"at": (START + timedelta(seconds=603)).isoformat().replace("+00:00", "Z"), "read_at": 5}


def test_the_record_of_deeds_says_when_they_truly_happened_and_that_it_is_a_demo() -> None:
    row = {"at": at(4), "action": "request.decided", "detail": {"verdict": "approve"}}
    (found,) = place(Rows(run(), {"audit_auditrecord": [row]}), PLACING).others["audit_auditrecord"]
    assert found["at"] == at(4) and found["detail"] == {"verdict": "approve", "demo": "history"}


def test_what_a_retry_kept_is_where_the_first_run_has_it() -> None:
    again = Placing(at(60), START + timedelta(hours=2), (), before=PLACING)
    assert again.moved(at(1)) == START + timedelta(seconds=1)
    assert again.moved(at(61)) == START + timedelta(hours=2, seconds=1)


@given(
    st.lists(st.floats(0, 500), max_size=30),
    st.lists(st.tuples(st.floats(0, 500), st.floats(0, 1e6)), max_size=8),
    st.integers(-(10**7), 0),
)
def test_order_is_kept_and_so_is_whatever_no_pause_is_in(
    moments: list[float], pauses: list[tuple[float, float]], shift: int
) -> None:
    placing = Placing(BEGUN, BEGUN + timedelta(seconds=shift), tuple(Pause(at(when), long) for when, long in pauses))
    kept = sorted(at(seconds) for seconds in moments)
    placed = [placing.moved(each) for each in kept]
    assert placed == sorted(placed)
    for (first, second), (there, then) in zip(pairwise(kept), pairwise(placed), strict=True):
        if not any(first < pause.at <= second for pause in placing.pauses):
            assert abs((then - there) - (second - first)) <= timedelta(microseconds=2)
