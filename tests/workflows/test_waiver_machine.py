"""Whatever two admins and the calendar do in whatever order: nothing goes unreviewed but by both their words, in time."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from console.demo.documents import WORKFLOWS
from console.runs import actions as runs
from console.tenants import access, group_actions
from console.tenants import actions as tenants
from console.tenants.access import Actor, Forbidden
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions, contracts, waived, waivers
from console.workflows.errors import Conflict, Invalid
from console.workflows.models import Waiver, Workflow
from tests.workflows.waiving import ASSESSMENT
from tests.world import make_user

REFUND: dict[str, Any] = next(demo.body for demo in WORKFLOWS if demo.slug == "refund-desk")
REFUSALS = (Forbidden, Conflict, Invalid)


class Admins(RuleBasedStateMachine):
    """The model: of each waiver, who proposed it, who agreed, until when, and whether it was taken back."""

    @initialize()
    def begin(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.patches = [
            mock.patch.object(waived, "now", lambda: self.now),
            mock.patch("console.runs.wakeups.send", lambda *_, **__: True),
        ]
        for patch in self.patches:
            patch.start()
        name = uuid4().hex[:8]
        with system_scope("a test's tenant"):
            self.tenant = tenants.create_tenant(f"m-{name}", "Machine")
        system = access.system_actor(self.tenant)
        self.admins = []
        with tenant_scope(self.tenant):
            group_actions.put_group(system, "finance")  # the demo's rules name it
            for one in range(2):
                user = make_user(f"admin{one}.{name}")
                tenants.add_member(system, user, "admin")
                self.admins.append(Actor(self.tenant, "admin", "user", user.id, f"Admin {one}"))
            self.workflow = actions.create_workflow(self.admins[0], "desk", "Desk")
        self.contract, self.never = True, True
        self.said: list[dict[str, Any]] = []
        self.started: list[tuple[Any, str]] = []
        self.revise(True, True)

    def teardown(self) -> None:
        for patch in getattr(self, "patches", []):
            patch.stop()

    @rule(contract=st.booleans(), never=st.booleans())
    def revise(self, contract: bool, never: bool) -> None:
        body = {**copy.deepcopy(REFUND), "oversight": {"mode": "NEVER" if never else "TERMINATE"}}
        if not contract:
            del body["output_contract"]
        with tenant_scope(self.tenant):
            actions.create_revision(self.admins[0], self.workflow, body)
        self.contract, self.never = contract, never

    @rule(who=st.integers(0, 1), days=st.integers(1, 5))
    def propose(self, who: int, days: int) -> None:
        until = self.now + timedelta(days=days)
        may = self.contract and self.never and not any(self._open(one) for one in self.said)
        with tenant_scope(self.tenant):
            try:
                made = waivers.propose(self.admins[who], self.workflow, "", ASSESSMENT, until)
            except REFUSALS:
                assert not may
                return
        assert may
        self.said.append({"row": made, "by": who, "agreed": False, "until": until, "back": False})

    @rule(who=st.integers(0, 1), which=st.integers(0, 9))
    def consent(self, who: int, which: int) -> None:
        if which >= len(self.said):
            return
        one = self.said[which]
        may = self._open(one) and who != one["by"] and self.contract and self.never
        with tenant_scope(self.tenant):
            try:
                waivers.consent(self.admins[who], one["row"])
            except REFUSALS:
                assert not may
                return
        assert may
        one["agreed"] = True

    @rule(who=st.integers(0, 1), which=st.integers(0, 9))
    def revoke(self, who: int, which: int) -> None:
        if which >= len(self.said):
            return
        one = self.said[which]
        may = not one["back"] and one["until"] > self.now
        with tenant_scope(self.tenant):
            try:
                waivers.revoke(self.admins[who], one["row"], "It is time.")
            except REFUSALS:
                assert not may
                return
        assert may
        one["back"] = True

    @rule(hours=st.sampled_from([1, 24, 72]))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def sweep(self) -> None:
        waivers.expire()
        over = [one for one in self.said if one["agreed"] and not one["back"] and one["until"] <= self.now]
        with tenant_scope(self.tenant):
            assert Waiver.objects.filter(expiry_told_at__isnull=False).count() == len(over)
            workflow = Workflow.objects.select_related("current").get(pk=self.workflow.pk)
            assert contracts.versions(workflow)[0].text == contracts.text_of(workflow)

    @rule()
    def start(self) -> None:
        if len(self.started) < 6:
            with tenant_scope(self.tenant):
                workflow = Workflow.objects.select_related("current").get(pk=self.workflow.pk)
                run = runs.start(self.admins[0], workflow, "Refund order 7")
            assert run.body["oversight"]["mode"] == self._mode()
            self.started.append((run, self._mode()))

    @invariant()
    def what_holds_is_what_two_admins_said(self) -> None:
        if hasattr(self, "said"):
            with tenant_scope(self.tenant):
                workflow = Workflow.objects.select_related("current").get(pk=self.workflow.pk)
                assert workflow.current is not None
                assert waived.of_now(workflow, workflow.current.body)["mode"] == self._mode()
                for run, mode in self.started:
                    again = type(run).objects.select_related("revision").get(pk=run.pk)
                    assert again.body["oversight"]["mode"] == mode

    def _open(self, one: dict[str, Any]) -> bool:
        return not one["agreed"] and not one["back"] and one["until"] > self.now

    def _mode(self) -> str:
        held = any(one["agreed"] and not one["back"] and one["until"] > self.now for one in self.said)
        return "NEVER" if self.never and self.contract and held else "TERMINATE"


@pytest.mark.django_db(transaction=True)
def test_waivers_in_any_order() -> None:
    run_state_machine_as_test(
        Admins,
        settings=settings(
            max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
