"""The budget of a day: never exceeded whatever happens at once, and nothing that a dead worker left is forgotten."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from console.hosting.database import Database
from console.hosting.purse import Purse, _reserve, _settle
from console.runs import actions, admission, spending
from console.runs.models import Reservation, Run, RunStatus, Step
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows import limits
from console.workflows.errors import Refused

from .conftest import House, make_house

D = Decimal


def test_two_hundred_calls_at_once_never_exceed_it(house: House) -> None:
    run = house.start()
    cap, amount = D("1.00"), D("0.004")
    with system_scope("a test"):
        first = spending.reserve(house.tenant.id, run.id, 1, cap, D("0.99"))
        assert isinstance(first, UUID) and spending.settle(first, D("0.99"))
    gate = threading.Barrier(20)

    def ten(_: int) -> list[UUID | spending.Day]:
        gate.wait()
        found = []
        try:
            for _ in range(10):
                with system_scope("a test"):
                    found.append(spending.reserve(house.tenant.id, run.id, 1, cap, amount))
        finally:
            connection.close()
        return found

    with ThreadPoolExecutor(20) as threads:
        every = [one for batch in threads.map(ten, range(20)) for one in batch]
    made = [one for one in every if isinstance(one, UUID)]
    assert len(every) == 200 and len(made) == 2  # 0.99 + 2 x 0.004
    with system_scope("a test"):
        day = spending.today(house.tenant.id)
        assert day == spending.Day(D("0.99"), D("0.008"))
        assert spending.settle(made[0], D("0.001")) and not spending.settle(made[0], D("0.001"))
        assert spending.today(house.tenant.id) == spending.Day(D("0.991"), D("0.004"))
    refused = next(one for one in every if isinstance(one, spending.Day))
    assert "may spend 1.00 US dollars a day" in refused.refusal(cap, amount)


@pytest.mark.parametrize("cap", [D("0.5"), D("0.3")])  # with room for it once more, and without
def test_asked_again_after_a_lost_answer_it_is_put_aside_once(house: House, cap: D) -> None:
    run, made = house.start(), uuid4()
    for _ in range(3):
        assert _reserve(house.tenant.id, run.id, 1, cap, D("0.2"), made) == made
    with system_scope("a test"):
        assert spending.today(house.tenant.id) == spending.Day(D(0), D("0.2"))


def test_what_a_dead_worker_put_aside_is_charged_once_and_shown(house: House) -> None:
    run = house.start()
    with system_scope("a test"):
        made = spending.reserve(house.tenant.id, run.id, 1, D(1), D("0.25"))
        spending.reserve(house.tenant.id, run.id, 2, D(1), D("0.5"))  # the worker that has it now
        assert spending.charge(run.id, 2) == D("0.25")
        assert spending.charge(run.id, 2) == 0
        assert isinstance(made, UUID) and not spending.settle(made, D("0.01"))
        assert spending.today(house.tenant.id) == spending.Day(D("0.25"), D("0.5"))
    assert house.run(run).broken_off_cost == D("0.25")


def test_the_day_begins_with_what_was_spent_before_there_was_a_limit(house: House) -> None:
    run = house.start()
    with system_scope("a test"), connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
        for seq, (cost, inherited) in enumerate([(D("0.3"), False), (D("5"), True), (None, False)], 1):
            Step.objects.create(
                run=run, tenant=house.tenant, seq=seq, settled=seq, scope="a/model", n=seq, kind="model", status="done",
                digest="", started_at=now, cost=cost, inherited=inherited,
            )  # fmt: skip
        assert spending.today(house.tenant.id) == spending.Day(D("0.3"), D(0))
        assert spending.reserve(house.tenant.id, run.id, 1, D("0.31"), D("0.02")) == spending.Day(D("0.3"), D(0))
        assert isinstance(spending.reserve(house.tenant.id, run.id, 1, D("0.31"), D("0.01")), UUID)


def test_at_the_limit_a_call_without_a_price_does_not_go_out_either(house: House) -> None:
    run = house.start()
    with system_scope("a test"):
        made = spending.reserve(house.tenant.id, run.id, 1, D(1), D(1))
        assert isinstance(made, UUID)
        spending.settle(made, D(1))
        assert isinstance(spending.reserve(house.tenant.id, run.id, 1, D(1), D(0)), spending.Day)


class Budget(RuleBasedStateMachine):
    """Workers reserve, settle and die in any order: spent and reserved are what a ledger says, and never too much."""

    cap = D(10)

    @initialize()
    def begin(self) -> None:
        self.house = make_house()
        self.run = self.house.start()
        self.open: dict[UUID, tuple[D, int]] = {}
        self.spent, self.token = D(0), 1

    @rule(amount=st.decimals(0, 6, places=2))
    def reserve(self, amount: D) -> None:
        reserved = sum((held for held, _ in self.open.values()), D(0))
        with system_scope("a test"):
            found = spending.reserve(self.house.tenant.id, self.run.id, self.token, self.cap, amount)
        fits = self.spent + reserved + amount <= self.cap and self.spent < self.cap
        assert isinstance(found, UUID) == fits
        if isinstance(found, UUID):
            self.open[found] = (amount, self.token)

    @rule(share=st.decimals(0, 1, places=2), data=st.data())
    def settle(self, share: D, data: st.DataObject) -> None:
        if not self.open:
            return
        which = data.draw(st.sampled_from(sorted(self.open)))
        amount, _ = self.open.pop(which)
        with system_scope("a test"):
            assert spending.settle(which, amount * share)
            assert not spending.settle(which, amount)
        self.spent += amount * share

    @rule()
    def die(self) -> None:
        self.token += 1
        lost = sum((held for held, token in self.open.values() if token < self.token), D(0))
        with system_scope("a test"):
            assert spending.charge(self.run.id, self.token) == lost
        self.open = {key: held for key, held in self.open.items() if held[1] >= self.token}
        self.spent += lost

    @invariant()
    def the_ledger_agrees(self) -> None:
        with system_scope("a test"):
            day = spending.today(self.house.tenant.id)
        assert (day.spent, day.reserved) == (self.spent, sum((held for held, _ in self.open.values()), D(0)))
        assert day.spent + day.reserved <= self.cap


def test_the_budget_holds_in_any_order(transactional_db: None) -> None:
    run_state_machine_as_test(
        Budget,
        settings=settings(max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=[*HealthCheck]),
    )


# Inheritance


def test_the_lowest_limit_holds_and_what_nobody_set_has_a_default() -> None:
    held = limits.effective({"max_turns": 9, "run_timeout": "PT2M"}, {"max_turns": 7}, {"run_timeout": "PT90S"})
    assert (held["max_turns"], held["run_timeout"]) == (7, "PT90S")
    assert held["max_cost"] == limits.DEFAULTS["max_cost"]
    assert set(held) == set(limits.OF_RUN)


def test_a_limit_above_one_further_up_is_refused_by_its_path(house: House) -> None:
    with tenant_scope(house.tenant):
        workflows.put_limits(house.admin, {"max_cost": "1.00", "run_timeout": "PT5M"})
        with pytest.raises(Refused) as caught:
            workflows.put_limits(house.admin, {"run_timeout": "PT6M"}, house.workflow)
        assert [each.path for each in caught.value.findings] == ["$.run_timeout"]
        workflows.put_limits(house.admin, {"max_turns": 5}, house.workflow)
        house.workflow.refresh_from_db()
        team = {"provider": "autogen_agentchat.teams.RoundRobinGroupChat", "config": {"participants": []}}
        with pytest.raises(Refused):  # the team is none, too; limits are judged when the rest is fine
            workflows.create_revision(house.admin, house.workflow, {"team": team, "limits": {"max_turns": 6}})
        above = dict(
            limits.above(
                {"max_turns": 6, "max_cost": "2"}, ("tenant", {"max_cost": "1.00"}), ("workflow", {"max_turns": 5})
            )
        )
        assert above.keys() == {".max_turns", ".max_cost"} and "workflow's limit of 5" in above[".max_turns"]


def test_a_run_keeps_what_held_when_it_started(house: House) -> None:
    with tenant_scope(house.tenant):
        workflows.put_limits(house.admin, {"run_timeout": "PT2M"})
    run = house.start()
    with tenant_scope(house.tenant):
        workflows.put_limits(house.admin, {"run_timeout": "PT1M"})
    kept = house.run(run)
    assert (kept.limits["run_timeout"], kept.deadline_s) == ("PT2M", 120.0)


# Admission


def test_runs_at_work_and_starts_a_minute_are_limited(house: House) -> None:
    with tenant_scope(house.tenant):
        workflows.put_limits(house.admin, {"max_runs": 2})
    one = house.start()
    house.start()
    with pytest.raises(admission.AtLimit, match="max_runs"):
        house.start()
    with system_scope("a test"):
        Run.objects.filter(pk=one.pk).update(status=RunStatus.WAITING)  # waits for a person: takes no place
    house.start()
    with tenant_scope(house.tenant):
        workflows.put_limits(house.admin, {"starts_per_minute": 3})
    with pytest.raises(admission.AtLimit, match="starts_per_minute") as caught:
        house.start()
    assert caught.value.wait == 60


def test_starts_at_once_do_not_slip_past_the_limit(house: House) -> None:
    with tenant_scope(house.tenant):
        workflows.put_limits(house.admin, {"max_runs": 3})
    gate = threading.Barrier(8)

    def start(_: int) -> bool:
        gate.wait()
        try:
            house.start()
            return True
        except actions.AtLimit:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(start, range(8))) == 3


def test_after_the_days_budget_a_retry_waits_for_room(house: House) -> None:
    run = house.start()
    with system_scope("a test"):
        detail = spending.Day(D(1), D(0)).refusal(D(1), D("0.1"))
        Run.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, stop_reason="budget", stop_detail=detail)
        made = spending.reserve(house.tenant.id, uuid4(), 1, D(1), D(1))
        assert isinstance(made, UUID) and spending.settle(made, D(1))
    with tenant_scope(house.tenant):
        workflows.put_limits(house.admin, {"max_cost_per_day": "1.00"})
        with pytest.raises(actions.Refused):
            actions.retry(house.operator, house.run(run))
        workflows.put_limits(house.admin, {"max_cost_per_day": "2.00"})
        assert actions.retry(house.operator, house.run(run)).retry_of_id == run.id
        assert not Reservation.objects.exists()


def test_a_call_waits_for_what_others_set_aside_and_not_for_what_is_spent(house: House) -> None:
    database, slept = Database(1), []
    run = house.run(house.start())
    with system_scope("a test"):
        other = spending.reserve(house.tenant.id, run.id, 1, D(1), D("0.9"))
        assert isinstance(other, UUID)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            await database.run(_settle, other, D("0.1"))

    async def ask(cost: D) -> str:
        return (await Purse(database, run, 1, D(1), sleep).reserve(cost)).refused

    try:
        assert asyncio.run(ask(D("0.5"))) == "" and len(slept) == 3
        assert "0.1000 are spent" in asyncio.run(ask(D("0.95"))) and len(slept) == 3  # would not fit by itself
        assert "a day" in asyncio.run(ask(D("0.6"))) and len(slept) > 8  # patience has an end
    finally:
        database.close()
