"""Transitions of a run: who is second is told, and terminal is final."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from console.audit.models import AuditRecord
from console.runs import actions, feed, inputs
from console.runs.models import Run
from console.runs.totals import Totals
from console.tenants import access, crypto
from console.tenants.scopes import system_scope, tenant_scope

from .conftest import House


def system(call, *args, **kwargs):
    with system_scope("test"):
        return call(*args, **kwargs)


def test_a_started_run_is_queued_sealed_and_recorded(house: House, sent: list[tuple[str, bool]]) -> None:
    run = house.start("Refund order 7\nplease")
    assert run.status == "queued" and run.title == "Refund order 7" and run.ready_at is not None
    assert sent == [(str(run.id), False)]
    with tenant_scope(house.tenant):
        stored = Run.objects.get(pk=run.pk)
        assert crypto.unseal_json(house.tenant.id, "run.input", bytes(stored.sealed_input)) == "Refund order 7\nplease"
        assert b"Refund" not in bytes(stored.sealed_input)
        audit = AuditRecord.objects.get(object_id=str(run.id))
        assert (audit.action, audit.actor_name) == ("run.started", "Olga Operator")
        assert [event["payload"]["status"] for event in feed.read(feed.run_topic(run.id))] == ["queued"]


@pytest.mark.parametrize("value", ["", "   ", 7, None, [], {}, float("nan"), object(), "x" * 65_536])
def test_input_that_cannot_be_used_is_refused_by_field(house: House, value: object) -> None:
    with pytest.raises(actions.Invalid) as caught:
        house.start(value)
    assert caught.value.field == "input"


def test_the_largest_input_is_accepted_and_the_limit_is_stated(house: House) -> None:
    house.start("x" * (inputs.LIMIT - 2))
    with pytest.raises(actions.Invalid, match="65,536"):
        house.start("x" * (inputs.LIMIT - 1))


def test_input_has_to_fit_the_schema_of_the_revision(house: House) -> None:
    house.revise({"team": {}, "input_schema": {"type": "object", "properties": {"order": {"type": "integer"}}}})
    with pytest.raises(actions.Invalid) as caught:
        house.start({"order": "seven"})
    assert caught.value.field == "input.order" and "seven" in caught.value.message
    assert house.start({"order": 7}).status == "queued"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "https://schemas.example.com/order.json"},
        {"$ref": "#"},
        {"pattern": "("},
    ],
)
def test_a_schema_that_cannot_be_followed_refuses_and_fetches_nothing(house: House, schema: object) -> None:
    house.revise({"team": {}, "input_schema": schema})
    with pytest.raises(actions.Invalid, match="cannot be checked"):
        house.start("Refund order 7")


def test_a_workflow_without_a_revision_cannot_start(house: House) -> None:
    house.workflow.current = None
    with pytest.raises(actions.Invalid, match="no revision"):
        house.start()


def test_reviewers_do_not_start_runs(house: House) -> None:
    reviewer = access.Actor(tenant=house.tenant, role="reviewer", kind="user", id=None, name="R")
    with tenant_scope(house.tenant), pytest.raises(access.Forbidden):
        actions.start(reviewer, house.workflow, "x")


def test_one_claim_wins(house: House) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "one")
    assert claim is not None and claim.token == 1 and claim.run.status == "running"
    assert system(actions.claim, run.id, "two") is None
    stored = house.run(run)
    assert stored.lease_owner == "one" and stored.queue_s >= 0 and stored.ready_at is None
    seconds = (stored.lease_until - datetime.now(UTC)).total_seconds()
    assert 5 < seconds <= 11


def test_a_parked_run_waits_and_a_wake_makes_it_ready(house: House, sent: list[tuple[str, bool]]) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "w")
    assert claim is not None
    totals = Totals(10, 5, Decimal("0.25"), 1, 2.0, 1.0)
    assert system(actions.park, run.id, claim.token, claim.wake, totals=totals)
    stored = house.run(run)
    assert stored.status == "waiting" and stored.waiting_since is not None and stored.lease_until is None
    assert (stored.input_tokens, stored.cost, stored.unpriced_steps) == (10, Decimal("0.25"), 1)
    assert system(actions.claim, run.id, "w") is None
    sent.clear()
    assert system(actions.wake, run.id)
    stored = house.run(run)
    assert stored.status == "queued" and stored.wake == 1 and stored.waiting_since is None
    assert sent == [(str(run.id), True)]


def test_a_decision_during_a_resume_is_not_lost(house: House, sent: list[tuple[str, bool]]) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "w")
    assert claim is not None
    assert system(actions.wake, run.id)  # lands while the worker is on its way to parking
    assert house.run(run).status == "running"
    sent.clear()
    assert system(actions.park, run.id, claim.token, claim.wake)
    assert house.run(run).status == "queued"
    assert sent == [(str(run.id), True)]


def test_a_cancel_request_keeps_a_run_from_waiting(house: House) -> None:
    run = house.start()
    assert not system(actions.request_cancel, run.id)
    claim = system(actions.claim, run.id, "w")
    assert claim is not None and system(actions.request_cancel, run.id)
    assert system(actions.park, run.id, claim.token, claim.wake)
    assert house.run(run).status == "queued"
    again = system(actions.claim, run.id, "w")
    assert again is not None and again.run.cancel_requested


def test_a_stale_token_moves_nothing(house: House) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "w")
    assert claim is not None
    for token in (claim.token - 1, claim.token + 1):
        assert not system(actions.park, run.id, token, claim.wake)
        assert not system(actions.release, run.id, token)
        assert not system(actions.finish, run.id, token, "completed", "completed")
        assert system(actions.renew, [(run.id, token)]) == {}
    assert house.run(run).status == "running"
    assert system(actions.renew, [(run.id, claim.token)]) == {run.id: (0, False)}


def test_terminal_is_final(house: House, sent: list[tuple[str, bool]]) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "w")
    assert claim is not None
    done = {"result": "refunded"}
    assert system(actions.finish, run.id, claim.token, "completed", "completed", "all said", done)
    stored = house.run(run)
    assert stored.status == "completed" and stored.ended_at is not None and stored.lease_until is None
    assert crypto.unseal_json(house.tenant.id, "run.result", bytes(stored.sealed_result)) == done
    sent.clear()
    assert not system(actions.finish, run.id, claim.token, "failed", "timeout")
    assert not system(actions.finish, run.id, None, "cancelled", "cancelled")
    assert not system(actions.park, run.id, claim.token, 0)
    assert not system(actions.release, run.id, claim.token)
    assert not system(actions.wake, run.id)
    assert not system(actions.request_cancel, run.id)
    assert system(actions.claim, run.id, "w") is None
    assert house.run(run).stop_reason == "completed" and sent == []


def test_a_person_ends_a_running_run_and_fences_its_worker(house: House) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "w")
    assert claim is not None
    assert system(actions.finish, run.id, None, "cancelled", "cancelled", "Olga cancelled the run.\x00")
    stored = house.run(run)
    assert stored.status == "cancelled" and stored.token == claim.token + 1 and "\x00" not in stored.stop_detail
    assert not system(actions.finish, run.id, claim.token, "completed", "completed")


def test_released_runs_are_ready_at_once(house: House, sent: list[tuple[str, bool]]) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "w")
    sent.clear()
    assert claim is not None and system(actions.release, run.id, claim.token)
    stored = house.run(run)
    assert stored.status == "queued" and stored.active_s >= 0 and sent == [(str(run.id), True)]


def test_a_wake_up_in_a_rolled_back_transaction_is_not_sent(house: House, sent: list[tuple[str, bool]]) -> None:
    with pytest.raises(ZeroDivisionError), tenant_scope(house.tenant):
        actions.start(house.operator, house.workflow, "x")
        raise ZeroDivisionError
    assert sent == []
    with tenant_scope(house.tenant):
        assert Run.objects.count() == 0


def test_a_wake_at_is_kept(house: House) -> None:
    run = house.start()
    claim = system(actions.claim, run.id, "w")
    due = datetime.now(UTC) + timedelta(seconds=30)
    assert claim is not None and system(actions.park, run.id, claim.token, claim.wake, due, None, False)
    stored = house.run(run)
    assert stored.wake_at == due and stored.waiting_since is None


def test_an_unknown_run_is_nobodys(house: House) -> None:
    nobody = UUID(int=0)
    assert system(actions.claim, nobody, "w") is None
    assert not system(actions.wake, nobody)
