"""Whatever admins do in whatever order: where a smoke test is required, new runs take nothing that has not passed it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from console.runs import smoke
from console.runs.models import Run
from console.tenants.scopes import tenant_scope
from console.workflows import actions
from console.workflows.errors import Invalid
from console.workflows.models import Revision, SmokeTest, Workflow

from .conftest import make_house

NUMBERS = st.integers(1, 5)


class Desk(RuleBasedStateMachine):
    """The model: which suite is kept, what has passed which, what was live, and what is."""

    @initialize()
    def begin(self) -> None:
        self.house = make_house()  # with revision 1, current
        self.required, self.variant = False, 0
        self.passed: set[tuple[int, int]] = set()
        self.live, self.current, self.made = {1}, 1, 1
        self.running: dict[int, tuple[UUID, int, bool]] = {}  # by revision: the test, its variant, whether to promote
        self.keep(False, 1)

    @rule(required=st.booleans(), variant=st.integers(1, 3))
    def keep(self, required: bool, variant: int) -> None:
        case = {"name": f"case {variant}", "input": "x"}
        with tenant_scope(self.house.tenant):
            actions.put_smoke(self.house.admin, self.house.workflow, {"required": required, "cases": [case]})
        self.required, self.variant = required, variant

    @rule()
    def revise(self) -> None:
        if self.made < 5:
            self.made += 1
            with tenant_scope(self.house.tenant):
                Revision.objects.create(
                    tenant=self.house.tenant, workflow=self.house.workflow, number=self.made, body={"team": {}}
                )

    @rule(number=NUMBERS)
    def promote(self, number: int) -> None:
        if number > self.made:
            return
        may = number != self.current and self._may(number)
        assert self._tried(lambda workflow: actions.promote(self.house.admin, workflow, number)) == may
        if may:
            self._take(number)

    @rule()
    def roll_back(self) -> None:
        with tenant_scope(self.house.tenant), suppress(Invalid):
            self.current = actions.roll_back(self.house.admin, self._workflow()).number
        assert self.current in self.live

    @rule(number=NUMBERS)
    def canary(self, number: int) -> None:
        if number > self.made:
            return
        may = number != self.current and self._may(number)
        wanted = {"revision": number, "share": 10}
        assert self._tried(lambda workflow: actions.start_rollout(self.house.admin, workflow, wanted)) == may
        if may:
            with tenant_scope(self.house.tenant):
                actions.end_rollout(self.house.admin, self._workflow(), promoted=False, reason="enough")

    @rule(number=NUMBERS, promote=st.booleans())
    def test(self, number: int, promote: bool) -> None:
        if number > self.made:
            return
        with tenant_scope(self.house.tenant):
            try:
                started = smoke.start(self.house.admin, self._workflow(), number, promote=promote)
            except Invalid:
                assert number in self.running
                return
        assert number not in self.running
        self.running[number] = (started.pk, self.variant, promote)

    @rule(data=st.data(), good=st.booleans())
    def end(self, data: st.DataObject, good: bool) -> None:
        if not self.running:
            assert smoke.look() == 0
            return
        number = data.draw(st.sampled_from(sorted(self.running)))
        test_id, variant, promote = self.running.pop(number)
        with tenant_scope(self.house.tenant):
            reason = "completed" if good else "timeout"
            Run.objects.filter(smoke_test=test_id).update(status="completed", stop_reason=reason)
        assert smoke.look() == 1 and smoke.look() == 0
        with tenant_scope(self.house.tenant):
            test = SmokeTest.objects.get(pk=test_id)
        assert test.status == ("passed" if good else "failed")
        if not good:
            return
        self.passed.add((number, variant))
        may = promote and number != self.current and self._may(number)
        assert test.note.startswith("New runs have taken it" if may else "It was not promoted" if promote else "")
        if may:
            self._take(number)

    @invariant()
    def new_runs_take_what_the_model_says(self) -> None:
        with tenant_scope(self.house.tenant):
            current = self._workflow().current
        assert current is not None and current.number == self.current

    def _may(self, number: int) -> bool:
        return not self.required or number in self.live or (number, self.variant) in self.passed

    def _take(self, number: int) -> None:
        self.live.add(number)
        self.current = number

    def _workflow(self) -> Workflow:
        return Workflow.objects.select_related("current").get(pk=self.house.workflow.pk)

    def _tried(self, deed: Any) -> bool:
        with tenant_scope(self.house.tenant):
            try:
                deed(self._workflow())
            except Invalid:
                return False
        return True


def test_nothing_goes_live_untested_in_any_order(transactional_db: None) -> None:
    run_state_machine_as_test(
        Desk,
        settings=settings(max_examples=15, stateful_step_count=14, deadline=None, suppress_health_check=[*HealthCheck]),
    )
