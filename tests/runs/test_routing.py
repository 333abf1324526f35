"""Which queue a run's wake-ups go to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from console import queues, sweeper
from console.audit.models import AuditRecord
from console.celery import app
from console.management.commands import doctor
from console.runs import actions, feed, wakeups
from console.runs.models import Run
from console.tenants import access
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows.models import Workflow

from .conftest import House, make_house

SEND = wakeups.send  # before the fixtures of this package put another in its place


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(run, queue) of each wake-up that was sent."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "console.runs.wakeups.send", lambda run_id, *, resume, queue="": found.append((str(run_id), queue)) or True
    )
    return found


def name(house: House, queue: str, *, tenant: bool = False) -> None:
    with tenant_scope(house.tenant):
        workflows.put_queue(house.admin, queue, None if tenant else house.workflow)


def fresh(house: House) -> House:
    """The same with what its actors hold read anew, as each call does it."""
    with tenant_scope(house.tenant):
        tenant = Tenant.objects.get(pk=house.tenant.pk)
        workflow = Workflow.objects.select_related("current").get(pk=house.workflow.pk)
    made = House(tenant, house.operator, house.admin, workflow)
    for who in ("operator", "admin"):
        setattr(made, who, access.Actor(**{**vars(getattr(house, who)), "tenant": tenant}))
    return made


def age(*runs: Run) -> None:
    with system_scope("test"):
        Run.objects.filter(pk__in=[run.pk for run in runs]).update(ready_at=timezone.now() - timedelta(seconds=9))


def test_a_run_goes_to_its_workflows_queue_or_its_tenants(house: House, routed: list[tuple[str, str]]) -> None:
    plain = house.start()
    name(house, "northwind", tenant=True)
    tenants = fresh(house).start()
    name(house, "payments")
    own = fresh(house).start()
    name(house, "")
    again = fresh(house).start()
    expected = {plain: "", tenants: "northwind", own: "payments", again: "northwind"}
    assert routed == [(str(run.pk), queue) for run, queue in expected.items()]


def test_every_way_of_waking_a_run_knows_the_queue(house: House, routed: list[tuple[str, str]]) -> None:
    run = house.start()
    name(house, "payments")  # after the start: what is still to be done moves

    def claim() -> actions.Claim:
        claimed = actions.claim(run.pk, "test")
        assert claimed is not None
        return claimed

    routed.clear()
    with system_scope("test"):
        assert actions.release(run, claim().token)
        claimed = claim()
        assert actions.park(run, claimed.token, claimed.wake)
    with tenant_scope(house.tenant):  # a decision is made in the tenant's scope
        assert actions.wake(run.pk)
    with system_scope("test"):
        claimed = claim()
        assert actions.wake(run)
        assert actions.park(run, claimed.token, claimed.wake)  # it moved: ready at once
        claimed = claim()
        Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        assert actions.lose(run, claimed.token, 1)
        assert actions.finish(run, None, "cancelled", "cancelled")
    assert routed == [(str(run.pk), "payments")] * 4
    with tenant_scope(house.tenant):
        again = actions.retry(fresh(house).operator, Run.objects.select_related("revision__workflow").get(pk=run.pk))
    assert routed[4:] == [(str(again.pk), "payments")]


def test_a_decisions_wake_up_asks_no_more_than_before(
    house: House, routed: list[tuple[str, str]], django_assert_num_queries: Any
) -> None:
    run = house.start()
    with system_scope("test"):
        claimed = actions.claim(run.pk, "test")
        assert claimed is not None and actions.park(run, claimed.token, claimed.wake)
    with tenant_scope(house.tenant), django_assert_num_queries(2):  # the run, and what screens are told
        actions.wake(run.pk)


def test_the_sweeper_sends_each_to_its_queue(house: House, routed: list[tuple[str, str]]) -> None:
    other = make_house()
    name(house, "payments")
    runs = [fresh(house).start(), other.start()]
    age(*runs)
    routed.clear()
    assert sweeper.lost_wake_ups() == 2
    assert sorted(routed) == sorted([(str(runs[0].pk), "payments"), (str(runs[1].pk), "")])


def test_a_queue_without_a_worker_holds_up_no_other(
    house: House, routed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    other = make_house()
    name(house, "nobody")
    stuck = [fresh(house).start() for _ in range(4)]
    waiting = other.start()
    age(*stuck)
    age(waiting)
    held: dict[str, int] = {}  # not what other tests have left in the broker
    monkeypatch.setattr(wakeups, "waiting", lambda queue: held.get(queue, 0))
    monkeypatch.setattr(sweeper, "LIMIT", 3)
    monkeypatch.setattr(sweeper, "_told", {})
    routed.clear()
    assert sweeper.lost_wake_ups() == 4  # three of one queue, and the other's
    assert [queue for _, queue in routed].count("nobody") == 3 and (str(waiting.pk), "") in routed

    held["nobody"] = 3
    routed.clear()
    sweeper.lost_wake_ups()
    sweeper.lost_wake_ups()
    assert routed == [(str(waiting.pk), "")] * 2
    assert caplog.text.count("is there a worker for it") == 1


def test_messages_are_in_the_queue_of_that_name(house: House) -> None:
    broker = feed.redis_client()
    for queue in ("", "payments.eu-1"):
        broker.delete(queue or queues.DEFAULT)
        assert wakeups.waiting(queue) == 0
        assert SEND("run 1", resume=True, queue=queue)
        assert wakeups.waiting(queue) == 1
        assert b"console.worker.advance_run" in broker.lindex(queue or queues.DEFAULT, 0)
        broker.delete(queue or queues.DEFAULT)


def test_a_worker_that_is_told_nothing_listens_to_the_default_alone() -> None:
    app.amqp.queues["payments"]  # as a sweep has it, which sends there
    assert set(app.amqp.queues.consume_from) == {queues.DEFAULT}
    assert {entry.get("options", {}).get("queue") for entry in app.conf.beat_schedule.values()} == {None}


def test_naming_a_queue_is_recorded_and_the_admins(house: House) -> None:
    with tenant_scope(house.tenant):
        for target in (house.workflow, None):
            with pytest.raises(access.Forbidden):
                workflows.put_queue(house.operator, "payments", target)
            workflows.put_queue(house.admin, "payments", target)
            workflows.put_queue(house.admin, "", target)
        rows = AuditRecord.objects.filter(action__endswith=".queue").order_by("id")
        told = [(row.action, row.detail["before"], row.detail["after"]) for row in rows]
    assert told == [
        (f"{kind}.queue", before, after)
        for kind in ("workflow", "tenant")
        for before, after in (("", "payments"), ("payments", ""))
    ]


@pytest.mark.parametrize(
    "text", ["two words", "a_b", "a*", "ü", "-Q", ".", "a\n", "x" * 61, "unacked", "celery", "x.celery.pidbox", "a,b"]
)
def test_what_no_queue_is_called(house: House, text: str) -> None:
    assert queues.fault(text)
    with tenant_scope(house.tenant), pytest.raises(workflows.Invalid) as caught:
        workflows.put_queue(house.admin, text)
    assert caught.value.field == "queue"


@pytest.mark.parametrize("text", ["runs", "payments", "payments.eu-1", "7", "X" * 60])
def test_what_a_queue_may_be_called(text: str) -> None:
    assert queues.fault(text) is None


def test_the_doctor_names_queues_that_no_worker_listens_to(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answers:
        def active_queues(self) -> Any:
            return {"w1@here": [{"name": "runs"}], "p@here": [{"name": "payments"}]}

    monkeypatch.setattr(app.control, "inspect", lambda timeout: Answers())
    name(house, "payments")
    assert doctor.CHECKS["queues"]() == "there are workers for payments, runs"
    name(house, "nobody", tenant=True)
    with pytest.raises(LookupError, match="listens to nobody:"):
        doctor.CHECKS["queues"]()
