"""What verify_runs finds: each thing that has to hold, broken by hand, is found and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from approvals import verify
from approvals.verify import RequestFacts
from console.runs import verify as journals
from console.runs.verify import RunFacts, StepFacts

RUN = RunFacts(UUID(int=1), UUID(int=2), "completed", "completed", ended=True)
MODEL = StepFacts(1, "agent/model", 1, "model", "done", 1, True, "read_only", digest="m")
REVIEW = StepFacts(2, "agent/tools/review", 1, "review", "done", 3, True, "read_only", "require", "d")
PAY = StepFacts(4, "agent/tools", 1, "tool", "done", 5, True, "neither", "require", "t")
STEPS = [MODEL, REVIEW, PAY]
ASKED = RequestFacts("q", "agent/tools/review", 1, "tool", "decided", "d", "approve", True, True, True, 1)
OPEN = replace(REVIEW, status="intent", settled=None, ended=False)
WAITING = replace(RUN, status="waiting", stop_reason="", ended=False)
PENDING = replace(ASKED, status="pending", verdict="", decided=False, kept=False, audited=False, voters=0)
IN_DOUBT = replace(PAY, status="in_doubt", settled=None, ended=False)
DOUBT = replace(PENDING, scope="agent/tools/doubt", kind="in_doubt", digest="t")


def changed(step: StepFacts, **to: Any) -> list[StepFacts]:
    return [replace(each, **to) if each is step else each for each in STEPS]


def test_what_is_well_is_well() -> None:
    assert journals.faults(RUN, STEPS) == []
    assert verify.faults(RUN, STEPS, [ASKED]) == []
    assert journals.faults(WAITING, [MODEL, OPEN]) == []
    assert verify.faults(WAITING, [MODEL, OPEN], [PENDING]) == []
    doubtful = [MODEL, REVIEW, IN_DOUBT]
    assert journals.faults(WAITING, doubtful) + verify.faults(WAITING, doubtful, [ASKED, DOUBT]) == []
    cancelled = replace(RUN, status="cancelled", stop_reason="cancelled")
    broken_off = [MODEL, REVIEW, replace(PAY, status="intent", settled=None, ended=False)]
    assert journals.faults(cancelled, broken_off) + verify.faults(cancelled, broken_off, [ASKED]) == []
    running = replace(WAITING, status="running", leased=True, owner="w")
    assert journals.faults(running, []) == journals.faults(replace(WAITING, status="queued", ready=True), []) == []
    assert journals.faults(replace(WAITING, wakes=True), [MODEL]) == []  # an interrupted call that is to time out
    smoke = replace(RUN, smoke=True)
    assert verify.faults(smoke, STEPS, []) == [], "nobody is asked in a smoke test"
    inherited = [replace(step, inherited=True) for step in STEPS]
    assert verify.faults(RUN, inherited, []) == [], "what a retry keeps was decided in the run before"


@pytest.mark.parametrize(
    ("run", "steps", "says"),
    [
        (replace(RUN, stop_reason=""), STEPS, "its stop reason is missing"),
        (replace(RUN, stop_reason="bored"), STEPS, "its stop reason is bored"),
        (replace(RUN, stop_reason="timeout"), STEPS, "does not go with the stop reason timeout"),
        (replace(RUN, ended=False), STEPS, "nothing says since when"),
        (replace(RUN, leased=True, owner="w1"), STEPS, "yet w1 holds a lease"),
        (replace(RUN, ready=True), STEPS, "counts as ready"),
        (replace(RUN, wakes=True), STEPS, "is to be woken"),
        (replace(WAITING, status="lost"), STEPS, "unknown status lost"),
        (replace(WAITING, ended=True), [OPEN], "yet has an end"),
        (replace(WAITING, stop_reason="timeout"), [OPEN], "yet has the stop reason timeout"),
        (replace(WAITING, status="running"), [OPEN], "no worker holds a lease"),
        (replace(WAITING, status="queued"), [OPEN], "the sweeper never finds it"),
        (WAITING, [MODEL], "no step of it is open"),
        (RUN, changed(MODEL, settled=None), "is done, and its end is not in the journal"),
        (RUN, changed(MODEL, ended=False), "step 1 (agent/model 1) is done, and its end"),
        (RUN, changed(PAY, status="intent"), "is intent, yet has an end"),
        (RUN, changed(PAY, settled=2), "ended at place 2, before it began"),
        (RUN, changed(PAY, seq=3, settled=4), "place 3 of the journal is taken twice"),
        (RUN, changed(PAY, seq=5, settled=6), "has a hole: place 4 is missing"),
        (RUN, changed(REVIEW, scope="agent/tools"), "step 4 (agent/tools 1) is in the journal twice"),
        (RUN, changed(PAY, kind="dance"), "unknown kind dance"),
        (RUN, changed(PAY, status="maybe"), "or status maybe"),
        (RUN, changed(MODEL, status="in_doubt", settled=None, ended=False), "which only an effect can be"),
        (RUN, changed(MODEL, payload=False), "has lost what it said"),
        (RUN, [MODEL, replace(PAY, seq=2, settled=3)], "no review of it is in the journal"),
        (RUN, [MODEL, replace(PAY, seq=2, settled=3, effect="deny")], "although the rules refused it"),
        (RUN, changed(REVIEW, effect="deny"), "refused it"),
        (RUN, changed(REVIEW, status="intent", settled=None, ended=False), "was begun while step 2"),
        (RUN, [MODEL, replace(REVIEW, settled=5), replace(PAY, seq=3, settled=4)], "was begun before step 2"),
    ],
)  # fmt: skip
def test_each_fault_of_a_journal_is_named(run: RunFacts, steps: list[StepFacts], says: str) -> None:
    assert any(says in fault for fault in journals.faults(run, steps)), journals.faults(run, steps)


@pytest.mark.parametrize(
    ("run", "steps", "requests", "says"),
    [
        (RUN, STEPS, [replace(PENDING, digest="d")], "still asks people, and the run is over"),
        (WAITING, [MODEL, OPEN], [PENDING, replace(PENDING, n=2, status="moot")], "is no longer needed"),
        (WAITING, [MODEL, OPEN], [replace(PENDING, verdict="approve")], "is pending, yet has the verdict approve"),
        (RUN, STEPS, [replace(ASKED, verdict="")], "what was decided is not there"),
        (RUN, STEPS, [replace(ASKED, kept=False)], "what was decided is not there"),
        (RUN, STEPS, [replace(ASKED, audited=False)], "the audit record says nothing of it"),
        (RUN, STEPS, [replace(ASKED, approvers=2)], "takes 2 people, and 1 said yes"),
        (RUN, STEPS, [replace(ASKED, digest="e")], "shows other arguments than step 2"),
        (RUN, [MODEL], [ASKED], "a gate that the journal does not have"),
        (RUN, STEPS, [ASKED, replace(DOUBT, scope="else/doubt")], "an effect that the journal does not have"),
        (RUN, STEPS, [], "was settled, and nobody decided it"),
        (RUN, STEPS, [replace(ASKED, status="moot", verdict="")], "was settled, and nobody decided it"),
        (RUN, STEPS, [replace(ASKED, verdict="reject")], "was not approved (reject)"),
        (replace(WAITING, status="running"), STEPS, [PENDING], "is pending, yet step 2"),
        (WAITING, [MODEL, OPEN], [], "nobody is asked about it"),
        (WAITING, [MODEL, REVIEW, IN_DOUBT], [ASKED], "which is in doubt, and nobody is asked"),
        (WAITING, [MODEL], [], "neither a request nor a time"),
    ],
)  # fmt: skip
def test_each_fault_between_requests_and_a_journal_is_named(
    run: RunFacts, steps: list[StepFacts], requests: list[RequestFacts], says: str
) -> None:
    found = verify.faults(run, steps, requests)
    assert any(says in fault for fault in found), found
