"""A state machine over the transitions of a run: whatever is called in whatever order, the model and the rows agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from console import sweeper
from console.runs import actions, feed
from console.runs.models import TERMINAL, Run
from console.tenants.scopes import system_scope
from console.workflows.reasons import StopReason

from .conftest import House

ENDED = {str(status) for status in TERMINAL}


def make(house: House) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        """One run, and what a person, workers (the live one and stale ones) and time do to it."""

        @initialize()
        def start(self) -> None:
            self.run = house.start()
            self.status, self.token, self.wake, self.losses = "queued", 0, 0, 0
            self.seen = 0  # the wake counter that the worker knows
            self.cancel = False
            self.statuses = ["queued"]

        def call(self, action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            with system_scope("test"):
                return action(*args, **kwargs)

        def moved(self, status: str) -> None:
            self.status = status
            self.statuses.append(status)

        @rule()
        def claim(self) -> None:
            claim = self.call(actions.claim, self.run.id, "w")
            assert (claim is not None) == (self.status == "queued")
            if claim is not None:
                self.status, self.token, self.seen = "running", self.token + 1, self.wake
                assert (claim.token, claim.wake) == (self.token, self.wake)

        @rule(stale=st.booleans())
        def park(self, stale: bool) -> None:
            token = self.token - 1 if stale else self.token
            done = self.call(actions.park, self.run.id, token, self.seen)
            assert done == (self.status == "running" and not stale)
            if done:  # without a step it got nowhere, so what was lost before still counts
                self.moved("queued" if self.wake != self.seen or self.cancel else "waiting")

        @rule(stale=st.booleans())
        def release(self, stale: bool) -> None:
            done = self.call(actions.release, self.run.id, self.token - 1 if stale else self.token)
            assert done == (self.status == "running" and not stale)
            if done:
                self.losses = 0
                self.moved("queued")

        @rule()
        def wake_up(self) -> None:
            assert self.call(actions.wake, self.run.id) == (self.status not in ENDED)
            if self.status not in ENDED:
                self.wake += 1
                if self.status == "waiting" or self.status == "queued":
                    self.moved("queued")

        @rule()
        def look(self) -> None:
            self.seen = self.wake if self.status == "running" else self.seen

        @rule()
        def request_cancel(self) -> None:
            done = self.call(actions.request_cancel, self.run.id)
            assert done == (self.status == "running")
            self.cancel = self.cancel or done

        @rule(stale=st.booleans())
        def renew(self, stale: bool) -> None:
            held = self.call(actions.renew, [(self.run.id, self.token - 1 if stale else self.token)])
            assert bool(held) == (self.status == "running" and not stale)

        @precondition(lambda self: self.status == "running")
        @rule()
        def worker_dies(self) -> None:
            with system_scope("test"):
                Run.objects.filter(pk=self.run.pk).update(lease_until="2026-01-01T00:00Z")
            assert sweeper.expired_leases() == 1
            self.losses += 1
            self.moved("failed" if self.losses == sweeper.LOSSES else "queued")

        @rule(reason=st.sampled_from(list(StopReason)), stale=st.booleans())
        def finish(self, reason: StopReason, stale: bool) -> None:
            token = self.token - 1 if stale else self.token
            done = self.call(actions.finish, self.run.id, token, reason.about.status, reason)
            assert done == (self.status == "running" and not stale)
            if done:
                self.moved(str(reason.about.status))

        @rule()
        def person_ends_it(self) -> None:
            done = self.call(actions.finish, self.run.id, None, "cancelled", "cancelled")
            assert done == (self.status not in ENDED)
            if done:
                self.token += 1
                self.moved("cancelled")

        @invariant()
        def the_row_agrees(self) -> None:
            if not hasattr(self, "run"):
                return
            row = house.run(self.run)
            assert (row.status, row.token, row.wake) == (self.status, self.token, self.wake)
            assert (row.lease_until is not None) == (self.status == "running")
            assert (row.ready_at is not None) == (self.status == "queued")
            assert (row.ended_at is not None) == (self.status in ENDED) == bool(row.stop_reason)
            assert row.lost_leases == (self.losses if self.status == "queued" else row.lost_leases)
            assert (row.waiting_since is not None) == (self.status == "waiting")

        def teardown(self) -> None:
            if hasattr(self, "run"):
                with system_scope("test"):
                    # What is left at work would be found with the next example's, once its lease has really run out.
                    Run.objects.filter(pk=self.run.pk, status="running").update(status="cancelled", lease_until=None)
                    events = feed.read(feed.run_topic(self.run.id), kind="status")
                assert [event["payload"]["status"] for event in events] == self.statuses
                assert [event["seq"] for event in events] == list(range(1, len(events) + 1))

    return Machine


@pytest.mark.parametrize("examples", [25])
def test_the_transitions_hold_in_any_order(house: House, examples: int) -> None:
    run_state_machine_as_test(
        lambda: make(house)(),
        settings=settings(
            max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
