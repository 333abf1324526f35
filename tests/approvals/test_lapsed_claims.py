"""A claim that is over: every screen hears of it once, from the sweeper, and of nothing that was decided or taken anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import actions
from approvals.actions import requests
from approvals.models import ApprovalRequest
from console import sweeper
from console.audit.models import AuditRecord
from console.runs import feed
from tests.approvals.desk import Desk, refund


def over(desk: Desk, request: ApprovalRequest) -> None:
    """Let the time of its claim be over."""
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=request.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def held(desk: Desk) -> ApprovalRequest:
    _, [request] = desk.waiting(refund())
    with desk.house.scope():
        return actions.claim(desk.house.reviewer.actor, request.pk)


def heard(desk: Desk) -> list[dict[str, Any]]:
    with desk.house.scope():
        return [each["payload"] for each in feed.read(feed.queue_topic(desk.house.tenant.pk), 0, 99, kind="request")]


def test_all_screens_hear_of_it_once(desk: Desk, held: ApprovalRequest) -> None:
    before = len(heard(desk))
    assert actions.lapse() == 0  # it is not over yet
    over(desk, held)
    assert actions.lapse() == 1
    assert actions.lapse() == 0
    told = heard(desk)[before:]
    assert [(one["id"], one["claimed_by"], one["claimed_until"], one["holder"]) for one in told] == [
        (str(held.pk), "", None, "")
    ]
    with desk.house.scope():
        rows = AuditRecord.objects.filter(action="request.claim_lapsed")
        assert [(row.actor_name, row.detail["was"]) for row in rows] == [("The clock", "Reviewer")]
    now = desk.request(held)
    assert (now.claimed_by_id, now.claimed_by_name, now.claimed_until, now.status) == (None, "", None, "pending")


def test_what_was_decided_is_left_alone(desk: Desk, held: ApprovalRequest) -> None:
    desk.decide(desk.house.reviewer, held, "approve")
    over(desk, held)
    before = len(heard(desk))
    assert actions.lapse() == 0 and len(heard(desk)) == before


def test_taken_again_between_the_look_and_the_lock(
    desk: Desk, held: ApprovalRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(desk, held)
    lock = requests.lock_run

    def late(*given: Any) -> Any:
        run = lock(*given)
        ApprovalRequest.objects.filter(pk=held.pk).update(claimed_until=timezone.now() + timedelta(minutes=1))
        return run

    monkeypatch.setattr("approvals.actions.sweeping.lock_run", late)
    assert actions.lapse() == 0
    assert desk.request(held).claimed_by_id == desk.house.reviewer.user.pk


def test_one_that_cannot_be_moved_holds_up_no_other(
    desk: Desk, held: ApprovalRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, [other] = desk.waiting(refund())
    with desk.house.scope():
        actions.claim(desk.house.reviewer.actor, other.pk)
    over(desk, held)
    over(desk, other)
    lock = requests.lock_run

    def broken(run_id: Any, *more: Any) -> Any:
        if run_id == held.run_id:
            raise RuntimeError("broken")
        return lock(run_id, *more)

    monkeypatch.setattr("approvals.actions.sweeping.lock_run", broken)
    assert actions.lapse() == 1
    assert desk.request(other).claimed_until is None


def test_the_sweeper_asks(desk: Desk, held: ApprovalRequest) -> None:
    over(desk, held)
    sweeper.sweep()
    assert desk.request(held).claimed_until is None
