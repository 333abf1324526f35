"""Runs that end, park and expire together with their requests."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import actions
from approvals.actions import RunOver, TooLate
from approvals.actions.requests import lock_run
from approvals.models import ApprovalRequest
from console.audit.models import AuditRecord
from console.runs import actions as runs
from console.runs import feed
from console.runs.models import Run
from console.tenants.access import Forbidden
from console.tenants.scopes import system_scope
from tests.approvals.desk import Desk, asking, make_desk, refund

EXPIRES = {"name": "soon", "match": {"tool": "*"}, "effect": "require", "expires_in": "PT1H"}


def overdue(desk: Desk, request: ApprovalRequest) -> None:
    """As if an hour had passed."""
    assert desk.late(request)


def expiring(world: Any, on_expiry: str) -> Desk:
    return make_desk(world.northwind, {"team": {}, "rules": [{**EXPIRES, "on_expiry": on_expiry}]})


def test_a_locked_run_knows_the_slug_and_the_name_of_its_workflow(desk: Desk, world: Any) -> None:
    run, _ = desk.waiting(refund())
    with desk.house.scope(), CaptureQueriesContext(connection) as asked:
        locked = lock_run(run.pk)
        assert (locked.pk, locked.status, locked.title) == (run.pk, run.status, run.title)
        told = (locked.workflow_id, locked.workflow.pk, locked.workflow.slug, locked.workflow.name)
        assert "FOR NO KEY UPDATE OF r" in asked[-1]["sql"]  # nothing was asked for since
    with desk.house.scope():
        assert told == (run.workflow_id, run.workflow_id, run.workflow.slug, run.workflow.name)
        assert locked.workflow.queue == run.workflow.queue  # the rest comes when it is asked for
        assert lock_run(run.pk, desk.house.tenant.pk) == run
        with pytest.raises(Run.DoesNotExist):
            lock_run(run.pk, world.fabrikam.tenant.pk)
    with world.fabrikam.scope(), pytest.raises(Run.DoesNotExist):
        lock_run(run.pk)


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_cancel(desk: Desk, role: str) -> None:
    run, [request] = desk.waiting(refund())
    with desk.house.scope():
        ended = actions.cancel_run(getattr(desk.house, role).actor, run)
    assert (ended.status, ended.stop_reason) == ("cancelled", "cancelled")
    assert desk.request(request).status == "moot"
    with desk.house.scope():
        assert AuditRecord.objects.filter(action="run.cancelled", object_id=str(run.pk)).count() == 1
        queue = feed.read(feed.queue_topic(desk.house.tenant.id))
        with pytest.raises(RunOver):
            actions.cancel_run(desk.house.operator.actor, run)
    assert [event["payload"]["status"] for event in queue] == ["pending", "moot"]


def test_reviewers_do_not_cancel(desk: Desk) -> None:
    run, _ = desk.waiting(refund())
    with desk.house.scope(), pytest.raises(Forbidden):
        actions.cancel_run(desk.house.reviewer.actor, run)


def test_finish_moots_what_is_pending_and_needs_the_token(desk: Desk) -> None:
    run = desk.start()
    with desk.house.scope():
        claim = runs.claim(run.pk, "test")
        assert claim is not None
        request = desk.announce(run, refund())
        assert not actions.finish_run(run.pk, claim.token - 1, "completed", "completed")
        assert desk.request(request).status == "pending"
        assert actions.finish_run(run.pk, claim.token, "completed", "completed", result="done")
        assert not actions.finish_run(run.pk, claim.token, "failed", "tool_error")
    assert desk.request(request).status == "moot"
    assert desk.now(run).status == "completed"


def test_a_decision_before_the_parking_is_not_lost(committed: Desk, woken: list[str]) -> None:
    run = committed.start()
    with committed.house.scope():
        claim = runs.claim(run.pk, "test")
        assert claim is not None
        request = committed.announce(run, refund())
    committed.decide(committed.house.reviewer, request, "approve")
    assert committed.now(run).status == "running"
    with committed.house.scope():
        assert runs.park(run.pk, claim.token, claim.wake)
    assert committed.now(run).status == "queued"


def test_expiry_rejects(transactional_db: None, world: Any, woken: list[str]) -> None:
    desk = expiring(world, "reject")
    run, [request] = desk.waiting(refund())
    assert actions.expire_due() == 0
    overdue(desk, request)
    with pytest.raises(TooLate, match="ended at"):
        desk.decide(desk.house.reviewer, request, "approve")
    woken.clear()
    assert actions.expire_due() == 1
    assert actions.expire_due() == 0
    gone = desk.request(request)
    assert (gone.status, gone.verdict, gone.decided_by_name) == ("expired", "reject", "policy")
    [decision] = desk.decisions(run, [refund()])
    assert (decision.verdict, decision.by) == ("reject", "policy")
    assert woken == [str(run.pk)] and desk.now(run).status == "queued"
    with pytest.raises(TooLate, match="Nobody answered in time"):
        desk.decide(desk.house.reviewer, request, "approve")


def test_expiry_terminates(world: Any) -> None:
    desk = expiring(world, "terminate")
    run, requests = desk.waiting(refund(), asking("question", question="?"))
    overdue(desk, requests[0])
    assert actions.expire_due() == 1
    ended = desk.now(run)
    assert (ended.status, ended.stop_reason) == ("failed", "expired")
    assert [desk.request(each).status for each in requests] == ["expired", "moot"]


def test_expiry_escalates_once_and_goes_on_waiting(world: Any) -> None:
    desk = expiring(world, "escalate")
    run, [request] = desk.waiting(refund())
    overdue(desk, request)
    assert actions.expire_due() == 1
    assert actions.expire_due() == 0
    still = desk.request(request)
    assert still.status == "pending" and still.escalated_at is not None
    assert desk.now(run).status == "waiting"
    assert desk.decide(desk.house.reviewer, request, "approve").status == "decided"


def test_expiry_sees_every_tenant(world: Any) -> None:
    desks = [make_desk(house, {"team": {}, "rules": [{**EXPIRES, "on_expiry": "reject"}]}) for house in world.houses]
    for desk in desks:
        _, [request] = desk.waiting(refund())
        overdue(desk, request)
    assert actions.expire_due() == 2
    with system_scope("tests"):
        assert set(ApprovalRequest.objects.values_list("status", flat=True)) == {"expired"}


def test_one_that_cannot_expire_does_not_hold_up_the_others(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = expiring(world, "reject")
    requests = [desk.waiting(refund())[1][0] for _ in range(2)]
    for request in requests:
        overdue(desk, request)
    wake = runs.wake

    def fails_once(run: Any) -> bool:
        monkeypatch.setattr(runs, "wake", wake)
        raise RuntimeError("a test's")

    monkeypatch.setattr(runs, "wake", fails_once)
    assert actions.expire_due() == 1
    assert sorted(desk.request(request).status for request in requests) == ["expired", "pending"]
    assert actions.expire_due() == 1
    assert {desk.request(request).status for request in requests} == {"expired"}
