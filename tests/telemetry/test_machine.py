"""Whatever happens to runs and requests, and whenever it is projected in between, the rollups are what the journal gives."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from console.tenants.scopes import system_scope
from telemetry import projector, storing
from telemetry.models import RunRollup
from tests.telemetry.journal import AT, Journal, project, wrong

pytestmark = pytest.mark.django_db(transaction=True)
MINUTES = st.integers(-3, 60 * 50).map(lambda count: timedelta(minutes=count))
REASONS = st.sampled_from(["completed", "cancelled", "budget", "rejected", "expired", "no reason of ours"])


class Telemetry(RuleBasedStateMachine):
    world = None
    made = 0

    def __init__(self):
        super().__init__()
        Telemetry.made += 1
        self.journals = [
            Journal(house.tenant, f"w-{Telemetry.made}") for house in (self.world.northwind, self.world.fabrikam)
        ]
        self.runs, self.over, self.open, self.requests = [], [], [], []

    @rule(which=st.integers(0, 1), at=MINUTES, topic=st.sampled_from(["", "tickets"]), again=st.booleans())
    def run(self, which, at, topic, again):
        journal = self.journals[which]
        parent = next((run for mine, run in self.over if mine is journal), None) if again else None
        run = journal.run(AT + at, metadata={"topic": topic} if topic else {}, retry_of=parent)
        if parent:
            journal.step(run, inherited=True)
        self.runs.append((journal, run))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), at=MINUTES, seconds=st.integers(-2, 5000), kind=st.sampled_from(["model", "tool", "review"]),
          agent=st.sampled_from(["", "clerk", "payer"]), cost=st.none() | st.just("0.25"), hold=st.booleans())  # fmt: skip
    def step(self, data, at, seconds, kind, agent, cost, hold):
        journal, run = data.draw(st.sampled_from(self.runs))
        step = journal.step(run, AT + at, seconds, kind, agent=agent, cost=cost, open=hold)
        if hold:
            self.open.append((journal, run, step))

    @precondition(lambda self: self.open)
    @rule(at=MINUTES)
    def settle(self, at):
        journal, run, step = self.open.pop()
        if (journal, run) in self.runs:
            journal.settle(step, AT + at)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), at=MINUTES, reason=REASONS)
    def end(self, data, at, reason):
        journal, run = self.runs.pop(data.draw(st.integers(0, len(self.runs) - 1)))
        journal.end(run, AT + at, reason, active_s=3.5, waiting_s=40.0, cost=Decimal("0.1"), input_tokens=7)
        self.over.append((journal, run))

    @precondition(lambda self: self.over)
    @rule(data=st.data(), cost=st.integers(0, 5))
    def late(self, data, cost):
        journal, run = data.draw(st.sampled_from(self.over))
        journal.change(run, broken_off_cost=Decimal(cost))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), at=MINUTES)
    def ask(self, data, at):
        journal, run = data.draw(st.sampled_from(self.runs))
        self.requests.append((journal, journal.ask(run, AT + at)))

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), at=MINUTES, what=st.sampled_from(["open", "approve", "reject", "expired", "moot", "group"]))
    def answer(self, data, at, what):
        place = data.draw(st.integers(0, len(self.requests) - 1))
        journal, request = self.requests[place]
        house = self.world.northwind if journal is self.journals[0] else self.world.fabrikam
        if what == "open":
            journal.open(request, house.reviewer.actor, AT + at)
        elif what == "group":
            with system_scope("tests: passed on"):
                type(request).objects.filter(pk=request.pk).update(group="finance", escalated_at=AT + at)
        else:
            del self.requests[place]
            if what in ("approve", "reject"):
                journal.vote(request, house.reviewer.actor, what, AT + at)
            else:
                journal.over(request, what, AT + at)

    @rule(runs=st.integers(1, 4), steps=st.integers(1, 4))
    def project(self, runs, steps):
        projector.project(upto=projector.reading.EVERYTHING, runs=runs, steps=steps)

    @rule()
    def crash(self):
        put, storing.put = storing.put, _dies
        try:
            project()
        except ConnectionError:
            pass
        finally:
            storing.put = put

    @invariant()
    def nothing_is_below_nothing(self):
        with system_scope("tests: sums"):
            assert not RunRollup.objects.filter(started__lt=0).exists()

    def teardown(self):
        assert wrong() == []
        for journal, run in self.runs:
            journal.beat(run)
        project()
        assert wrong() == []


def _dies(table, cells):
    raise ConnectionError("killed")


def test_any_interleaving_ends_as_the_recount_does(world):
    Telemetry.world = world
    run_state_machine_as_test(
        Telemetry,
        settings=settings(
            max_examples=8, stateful_step_count=25, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )  # fmt: skip
