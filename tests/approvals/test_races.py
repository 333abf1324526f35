"""Two people, or a person and time, at the very same moment: exactly one of them moves the request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections

from approvals import actions
from approvals.actions import RunOver, TooLate
from approvals.models import ApprovalRequest, Vote
from console.audit.models import AuditRecord
from console.runs import actions as runs
from tests.approvals.desk import Desk, refund


def together(*deeds: Callable[[], Any]) -> list[Any]:
    """What each deed returned or raised, all begun at once, each on a connection of its own."""
    barrier = threading.Barrier(len(deeds))
    outcomes: list[Any] = [None] * len(deeds)

    def do(place: int, deed: Callable[[], Any]) -> None:
        try:
            barrier.wait(10)
            outcomes[place] = deed()
        except Exception as error:  # handed to the test
            outcomes[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=each) for each in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return outcomes


def test_two_tabs_decide_at_once(committed: Desk) -> None:
    who = committed.house
    for _ in range(5):
        _, [request] = committed.waiting(refund())
        outcomes = together(
            lambda request=request: committed.decide(who.reviewer, request, "approve"),
            lambda request=request: committed.decide(who.reviewer2, request, "reject", reason="no"),
        )
        won = [each for each in outcomes if isinstance(each, ApprovalRequest)]
        lost = [each for each in outcomes if isinstance(each, TooLate)]
        assert (len(won), len(lost)) == (1, 1), outcomes
        assert lost[0].request.decided_by_name == won[0].decided_by_name == committed.request(request).decided_by_name
        with committed.house.scope():
            assert Vote.objects.filter(request=request).count() == 1
            assert AuditRecord.objects.filter(action="request.decided", object_id=str(request.pk)).count() == 1


def test_two_halves_of_a_quorum_make_one_decision(committed: Desk) -> None:
    _, [request] = committed.waiting(refund(1500.0))
    outcomes = together(
        lambda: committed.decide(committed.house.reviewer, request, "approve"),
        lambda: committed.decide(committed.house.reviewer2, request, "approve"),
    )
    assert sorted(each.status for each in outcomes) == ["decided", "pending"]
    assert committed.request(request).status == "decided"


def test_one_person_twice_is_one_vote(committed: Desk) -> None:
    _, [request] = committed.waiting(refund(1500.0))
    outcomes = together(*[lambda: committed.decide(committed.house.reviewer, request, "approve")] * 4)
    assert sum(isinstance(each, ApprovalRequest) for each in outcomes) == 1, outcomes
    assert committed.request(request).status == "pending"


def test_a_decision_and_a_cancel(committed: Desk) -> None:
    def cancel(run: Any) -> Any:
        with committed.house.scope():
            return actions.cancel_run(committed.house.operator.actor, run)

    for _ in range(5):
        run, [request] = committed.waiting(refund())
        decided, cancelled = together(
            lambda request=request: committed.decide(committed.house.reviewer, request, "terminate"),
            lambda run=run: cancel(run),
        )
        ended = committed.now(run)
        if isinstance(decided, TooLate):
            assert committed.request(request).status == "moot" and ended.stop_reason == "cancelled"
        else:
            assert isinstance(cancelled, RunOver)
            assert committed.request(request).status == "decided" and ended.stop_reason == "terminated"


def test_a_decision_and_a_parking_never_lose_the_wake_up(committed: Desk) -> None:
    def park(run: Any, claim: Any) -> bool:
        with committed.house.scope():
            return runs.park(run.pk, claim.token, claim.wake)

    for _ in range(5):
        run = committed.start()
        with committed.house.scope():
            claim = runs.claim(run.pk, "test")
            request = committed.announce(run, refund())
        outcomes = together(
            lambda request=request: committed.decide(committed.house.reviewer, request, "approve"),
            lambda run=run, claim=claim: park(run, claim),
        )
        assert isinstance(outcomes[0], ApprovalRequest) and outcomes[1] is True, outcomes
        assert committed.now(run).status == "queued"


def test_decisions_on_many_runs_do_not_wait_for_each_other_in_a_circle(committed: Desk) -> None:
    requests = [committed.waiting(refund(), refund(n=1))[1] for _ in range(4)]
    deeds = [
        lambda request=request, who=who: committed.decide(who, request, "approve")
        for pair in requests
        for request, who in zip(pair, (committed.house.reviewer, committed.house.reviewer2), strict=True)
    ]
    outcomes = together(*deeds)
    assert [each.status for each in outcomes] == ["decided"] * 8
