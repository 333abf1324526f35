"""Clocks that are wrong, and clocks that jump: what a run does, and what is taken for dead, does not depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from approvals import actions as approvals
from approvals.errors import TooLate
from approvals.models import ApprovalRequest
from console import sweeper
from console.durable import failpoints
from console.durable.run import Call
from console.durable.run import Run as EngineRun
from console.durable.steps import Done, Gate, Kind, Safety, Step
from console.hosting import advancing
from console.hosting.clock import Clock
from console.runs import actions, record
from console.runs.models import Run
from console.tenants.scopes import system_scope, tenant_scope

from .clocks import MachineClock
from .conftest import House, join
from .turns import Crash, Worker, at_point, expire_lease, pending

MINUTES = [5, -5]
TIMEOUT = timedelta(minutes=2)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> MachineClock:
    return MachineClock(monkeypatch)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("one")
    yield made
    made.close()
    failpoints.arm(None)


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "_clock", None)
    monkeypatch.setattr(sweeper, "_held", 0.0)
    advancing._revision.cache_clear()


def team(safety: Safety, between: Callable[[int], None] = lambda turn: None) -> Callable[..., Any]:
    """Two calls, each two minutes at most; the result is how long the run's own clock says they took, in seconds."""

    async def main(run: EngineRun, *, body: Any, task: Any, environment: Any, emit: Any, pace: Any) -> Any:
        began = run.now()
        shown = {"arguments": {}, "safety": str(safety), "approval": "allow"}
        for turn in (1, 2):

            async def pay(call: Call, turn: int = turn) -> Done:
                between(turn)
                return Done({"paid": turn})

            await run.effect(
                "agent/tools", kind=Kind.TOOL, request={"turn": turn}, body=pay, safety=safety, name="pay", agent="a",
                gate=Gate("tool", shown, "a", "pay", {}), timeout=TIMEOUT,
            )  # fmt: skip
        return {"result": (run.now() - began).total_seconds(), "stop_reason": "completed", "stop_detail": ""}

    return main


def steps(run: Run) -> list[Step]:
    with system_scope("test"):
        return record.steps(run.pk)


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def test_a_turn_counts_on_from_the_lease_by_the_steady_clock() -> None:
    at, ticks = datetime(2026, 1, 1, tzinfo=UTC), iter([7.0, 7.0, 10.5, 10.5])
    clock = Clock(at, lambda: next(ticks))
    assert (clock(), clock(), clock.worked) == (at, at + timedelta(seconds=3.5), 3.5)


def test_a_turn_is_never_before_what_is_recorded() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    clock = Clock(at, lambda: 0.0)
    clock.follow([])
    clock.follow([Step("s", 1, Kind.MODEL, 1, "d", None, at - timedelta(hours=1), ended_at=at - timedelta(minutes=1))])
    assert clock() == at
    clock.follow([Step("s", 1, Kind.MODEL, 1, "d", None, at, ended_at=at + timedelta(minutes=5))])
    assert clock() == at + timedelta(minutes=5)


@pytest.mark.parametrize("minutes", MINUTES)
@pytest.mark.parametrize("safety", [Safety.NEITHER, Safety.IDEMPOTENT])
def test_a_call_under_way_is_given_its_time_by_a_machine_with_another_clock(
    house: House, worker: Worker, machine: MachineClock, monkeypatch: pytest.MonkeyPatch, minutes: int, safety: Safety
) -> None:
    made: list[int] = []
    monkeypatch.setattr(advancing, "run_team", team(safety, made.append))
    run = house.start()
    at_point(3, lambda name: None, dead=True)
    with pytest.raises(Crash):  # the intent is recorded, and who knows what became of it
        worker.advance(run.pk)
    failpoints.arm(None)
    (intent,) = steps(run)
    expire_lease(run)
    machine.minutes = minutes
    assert worker.advance(run.pk)
    found = house.run(run)
    assert found.status == "waiting" and found.wake_at is not None and not pending(run) and not made
    assert abs(found.wake_at - (intent.started_at + TIMEOUT)) < timedelta(seconds=5)
    # Not before that time, and at that time, by whichever machine's sweep.
    assert sweeper.due_runs() == 0
    with system_scope("test"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET started_at = started_at - interval '2 minutes' WHERE run_id = %s", [run.pk]
        )
        cursor.execute("UPDATE runs_run SET wake_at = wake_at - interval '2 minutes' WHERE id = %s", [run.pk])
    assert sweeper.due_runs() == 1
    assert worker.advance(run.pk)
    assert bool(pending(run)) == (safety is Safety.NEITHER)
    assert made == ([1, 2] if safety is Safety.IDEMPOTENT else [])


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_clock_that_jumps_in_the_middle_of_a_run_is_no_time_that_it_took(
    house: House, worker: Worker, machine: MachineClock, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    def jump(turn: int) -> None:
        machine.minutes += minutes

    monkeypatch.setattr(advancing, "run_team", team(Safety.NEITHER, jump))
    began = database_now()
    run = house.start()
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(deadline_s=60)
    assert worker.advance(run.pk)
    found = house.run(run)
    assert (found.status, found.stop_reason) == ("completed", "completed")
    assert found.active_s < 60 and found.tool_s < 60 and found.waiting_s == 0
    times = [time for step in steps(run) for time in (step.started_at, step.ended_at) if time is not None]
    assert times == sorted(times) and began - timedelta(seconds=1) < times[0] and times[-1] <= database_now()


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_jump_of_the_databases_clock_is_no_time_that_a_run_took(
    house: House, worker: Worker, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    run = house.start()

    def jump(turn: int) -> None:
        """As if it had been set: what was written before is older by so much, or still to come."""

        def back() -> None:
            with system_scope("test"), connection.cursor() as cursor:
                ago = timedelta(minutes=minutes)
                cursor.execute("UPDATE runs_run SET leased_at = leased_at - %s WHERE id = %s", [ago, run.pk])
            connection.close()

        worker.database.submit(back).result(10)

    monkeypatch.setattr(advancing, "run_team", team(Safety.NEITHER, jump))
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(deadline_s=60)
    assert worker.advance(run.pk)
    found = house.run(run)
    assert found.status == "completed" and 0 < found.active_s < 60


def test_a_run_goes_on_when_the_databases_clock_was_set_back_meanwhile(
    house: House, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advancing, "run_team", team(Safety.IDEMPOTENT))
    run = house.start()
    at_point(5, lambda name: None, dead=True)
    with pytest.raises(Crash):  # the first call is recorded
        worker.advance(run.pk)
    failpoints.arm(None)
    expire_lease(run)
    with system_scope("test"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET started_at = started_at + interval '5 minutes',"
            " ended_at = ended_at + interval '5 minutes' WHERE run_id = %s",
            [run.pk],
        )
    assert worker.advance(run.pk)
    times = [time for step in steps(run) for time in (step.started_at, step.ended_at) if time is not None]
    assert house.run(run).status == "completed" and times == sorted(times)


def test_leases_are_not_taken_for_expired_right_after_a_jump(house: House) -> None:
    run = house.start()
    with system_scope("test"):
        assert actions.claim(run.pk, "one")
        Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(minutes=5))
    now = database_now()
    assert not sweeper._jumped(now - timedelta(minutes=5), 100.0)
    assert sweeper._jumped(now + timedelta(seconds=1), 101.0)  # by 300 s, in a second
    assert sweeper._jumped(now + timedelta(seconds=2), 102.0)
    assert not sweeper._jumped(now + timedelta(seconds=5), 105.0)
    assert sweeper._jumped(now - timedelta(minutes=5), 106.0)  # and back
    assert not sweeper._jumped(now - timedelta(minutes=4), 166.0)
    sweeper._clock, sweeper._held = (now, -1e9), 0.0  # long ago by our clock, just now by the database's
    assert sweeper.expired_leases() == 0 and house.run(run).status == "running"
    sweeper._held = 0.0
    assert sweeper.expired_leases() == 1 and house.run(run).status == "queued"


def test_a_sweep_says_when_the_first_lease_runs_out(house: House) -> None:
    run = house.start()
    assert sweeper.expired_leases() == 0 and sweeper.next_loss() is None
    with system_scope("test"):
        assert actions.claim(run.pk, "one")
        Run.objects.filter(pk=run.pk).update(lease_until=database_now() + timedelta(seconds=5))
    assert sweeper.expired_leases() == 0
    left = sweeper.next_loss()
    assert left is not None and 0 < left <= 5
    assert expire_lease(run) == 1 and sweeper.next_loss() is None


def test_a_lease_from_a_time_to_come_is_nobodys(house: House) -> None:
    run = house.start()
    with system_scope("test"):
        claim = actions.claim(run.pk, "one")
        assert claim and sweeper.expired_leases() == 0
        Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() + timedelta(minutes=5))
    assert sweeper.expired_leases() == 1
    found = house.run(run)
    assert (found.status, found.lost_leases) == ("queued", 1)


def test_a_run_that_is_ready_since_a_time_to_come_is_found(house: House, sent: list[tuple[str, bool]]) -> None:
    run = house.start()
    sent.clear()
    assert sweeper.lost_wake_ups() == 0  # it is ready since now: somebody may be on the way
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(ready_at=timezone.now() + timedelta(minutes=5))
    assert sweeper.lost_wake_ups() == 1 and sent == [(str(run.pk), False)]


SLOW = {"name": "slow", "match": {"tool": "pay"}, "effect": "require", "expires_in": "PT4M", "on_expiry": "reject"}


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_request_is_decided_or_expires_once_by_clocks_that_differ(
    house: House, worker: Worker, machine: MachineClock, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    made: list[int] = []
    monkeypatch.setattr(advancing, "run_team", team(Safety.NEITHER, made.append))
    house.revise({"team": {}, "rules": [SLOW]})
    run, rita = house.start(), join(house.tenant)
    assert worker.advance(run.pk)
    (request,) = pending(run)
    machine.minutes = minutes  # of the machine that sweeps
    expired = minutes > 0
    assert approvals.expire_due() == expired
    machine.minutes = 0  # and of the one that the reviewer talks to
    with tenant_scope(house.tenant):
        if expired:
            with pytest.raises(TooLate):
                approvals.decide(rita, request.pk, "approve")
        else:
            approvals.decide(rita, request.pk, "approve")
    machine.minutes = minutes
    assert approvals.expire_due() == 0
    assert worker.advance(run.pk)
    with tenant_scope(house.tenant):
        first = ApprovalRequest.objects.get(pk=request.pk)
        second = ApprovalRequest.objects.get(run=run, n=2)
    assert first.status == ("expired" if expired else "decided") and made == ([] if expired else [1])
    assert second.status == "pending" and second.due_at is not None
