"""Everything that can be done to probes, in any order, among real work: never does a run behind one move."""

from __future__ import annotations

import itertools
from datetime import timedelta

from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from approvals import actions
from approvals.errors import Conflict, Invalid
from approvals.models import ApprovalRequest
from approvals.probes import planting
from approvals.probes.models import Planting, Probe
from console import sweeper
from tests.approvals.desk import Desk, refund
from tests.approvals.planted import ARGUMENTS, BODY, define, nothing_happened, probe_desk
from tests.world import World

RULES = [
    {"name": "soon", "match": {"tool": "issue_*"}, "effect": "require", "expires_in": "PT1H", "on_expiry": "approve"}
]
NUMBERS = itertools.count()
ENDED = {"caught", "missed", "expired", "withdrawn"}


class Probes(RuleBasedStateMachine):
    """The model keeps what became of each planting: once it has ended, it stays so."""

    desk: Desk

    @initialize()
    def begin(self) -> None:
        self.real, [self.request] = self.desk.waiting(refund())
        self.outcomes: dict[object, str] = {}
        with self.desk.house.scope():  # earlier examples share the database
            Planting.objects.update(planted_at=timezone.now() - timedelta(days=30))

    def waiting(self) -> list[ApprovalRequest]:
        with self.desk.house.scope():
            return list(ApprovalRequest.objects.filter(probe=True, status="pending").order_by("created_at"))

    @rule()
    def plant(self) -> None:
        try:
            probe = define(self.desk, name=f"probe {next(NUMBERS)}", edit_field="customer")
            with self.desk.house.scope():
                planting.plant(self.desk.house.admin.actor, probe.pk)
        except Conflict as refusal:
            assert "the most" in str(refusal)

    @rule(
        who=st.integers(0, 1),
        verdict=st.sampled_from(["approve", "reject", "terminate", "edit", "escalate"]),
        customer=st.sampled_from(["Ann", "Mallory"]),
    )
    def decide(self, who: int, verdict: str, customer: str) -> None:
        person = (self.desk.house.reviewer, self.desk.house.reviewer2)[who]
        for row in self.waiting()[:1]:
            words = {"arguments": {**ARGUMENTS, "customer": customer}} if verdict == "edit" else {"reason": "So."}
            try:
                self.desk.decide(person, row, verdict, **words)
            except (Conflict, Invalid):
                pass

    @rule()
    def late(self) -> None:
        for row in self.waiting()[:1]:
            self.desk.late(row)

    @rule()
    def sweep(self) -> None:
        sweeper.sweep()

    @rule()
    def withdraw(self) -> None:
        with self.desk.house.scope():
            probe = Probe.objects.filter(withdrawn_at=None).first()
            if probe is not None:
                planting.withdraw(self.desk.house.admin.actor, probe.pk)

    @rule()
    def cancel(self) -> None:
        for row in self.waiting()[:1]:
            with self.desk.house.scope():
                actions.cancel_run(self.desk.house.operator.actor, row.run)

    @invariant()
    def nothing_moves(self) -> None:
        nothing_happened(self.desk)
        with self.desk.house.scope():
            for made in Planting.objects.select_related("request__run"):
                over = made.request.status != "pending"
                assert (made.outcome in ENDED) == over == (made.request.run.status == "cancelled")
                if over:
                    assert self.outcomes.setdefault(made.pk, made.outcome) == made.outcome


def test_probes_never_move_a_run(world: World) -> None:
    Probes.desk = probe_desk(world.northwind)
    with world.northwind.scope():
        revision = Probes.desk.workflow.current
        assert revision is not None
        revision.body = {**BODY, "rules": RULES}
        revision.save()
    run_state_machine_as_test(
        Probes,
        settings=settings(
            max_examples=8, stateful_step_count=12, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )  # fmt: skip
