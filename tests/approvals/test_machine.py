"""Everything that can be done to requests, in any order: pending moves once, quorums are of distinct people."""

from __future__ import annotations

from typing import Any
from uuid import UUID

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

from approvals import actions
from approvals.actions import Claimed, Conflict, Invalid, TooLate
from approvals.models import ApprovalRequest, Vote
from console.durable.digest import digest
from tests.approvals.desk import Desk, make_desk, refund
from tests.world import World

FINAL = {"decided", "expired", "moot"}
amounts = st.sampled_from([10.0, 999.0, 1001.0, 4000.0])


class Requests(RuleBasedStateMachine):
    """The model keeps, for each request: its state, the arguments on the table, who agreed to them, and how many must."""

    desk: Desk

    @initialize(amount=amounts, second=amounts)
    def begin(self, amount: float, second: float) -> None:
        self.run, requests = self.desk.waiting(refund(amount), refund(second, n=1))
        self.people = [self.desk.house.reviewer, self.desk.house.reviewer2]
        self.ids = [request.pk for request in requests]
        self.states = {request.pk: "pending" for request in requests}
        self.amounts = dict(zip(self.ids, (amount, second), strict=True))
        self.need = {pk: 2 if self.amounts[pk] > 1000 else 1 for pk in self.ids}
        self.agreed: dict[UUID, set[Any]] = {pk: set() for pk in self.ids}
        self.outcomes: dict[UUID, tuple[Any, ...]] = {}
        self.held: dict[UUID, int | None] = dict.fromkeys(self.ids)
        self.over = False

    def kept_from(self, pk: UUID, who: int) -> bool:
        """Whether a colleague has it in hand."""
        return self.states[pk] == "pending" and self.held[pk] not in (None, who)

    def say(self, place: int, who: int, verdict: str, **words: Any) -> ApprovalRequest | None:
        """The request after a decision; None when it came too late, or a colleague has it in hand, which must be so exactly
        when the model says so."""
        pk, person = self.ids[place], self.people[who]
        settled, kept = self.states[pk] != "pending", self.kept_from(pk, who)
        try:
            with self.desk.house.scope():
                found = actions.decide(person.actor, pk, verdict, **words)
        except TooLate:
            assert settled
            return None
        except Claimed:
            assert kept
            return None
        assert not settled and not kept
        self.held[pk] = None  # whoever had it in hand has said what they had to say
        return found

    @rule(place=st.integers(0, 1), who=st.integers(0, 1), take_over=st.booleans())
    def claim(self, place: int, who: int, take_over: bool) -> None:
        pk = self.ids[place]
        try:
            with self.desk.house.scope():
                actions.claim(self.people[who].actor, pk, take_over=take_over)
        except TooLate:
            assert self.states[pk] != "pending"
        except Claimed:
            assert self.kept_from(pk, who) and not take_over
        else:
            assert self.states[pk] == "pending" and (take_over or not self.kept_from(pk, who))
            self.held[pk] = who

    @rule(place=st.integers(0, 1), who=st.integers(0, 1))
    def let_go(self, place: int, who: int) -> None:
        pk = self.ids[place]
        try:
            with self.desk.house.scope():
                actions.release(self.people[who].actor, pk)
        except TooLate:
            assert self.states[pk] != "pending"
        except Claimed:
            assert self.kept_from(pk, who)
        else:
            self.held[pk] = None

    @rule(place=st.integers(0, 1), who=st.integers(0, 1))
    def approve(self, place: int, who: int) -> None:
        pk = self.ids[place]
        if self.states[pk] == "pending" and who in self.agreed[pk] and not self.kept_from(pk, who):
            with pytest.raises(Conflict):
                self.say(place, who, "approve")
            return
        found = self.say(place, who, "approve")
        if found is not None:
            self.agreed[pk].add(who)
            self.settle_if_agreed(pk)

    @rule(place=st.integers(0, 1), who=st.integers(0, 1), amount=amounts)
    def edit(self, place: int, who: int, amount: float) -> None:
        pk = self.ids[place]
        found = self.say(place, who, "edit", arguments={"order": "A-17", "amount": amount})
        if found is not None:
            self.amounts[pk] = amount
            self.agreed[pk] = {who}
            self.need[pk] = max(self.need[pk], 2 if amount > 1000 else 1)
            self.settle_if_agreed(pk)

    @rule(place=st.integers(0, 1), who=st.integers(0, 1))
    def forbidden_edit(self, place: int, who: int) -> None:
        if self.states[self.ids[place]] == "pending" and not self.kept_from(self.ids[place], who):
            with pytest.raises(Invalid):
                self.say(place, who, "edit", arguments={"order": "A-17", "amount": 9000.0})

    @rule(place=st.integers(0, 1), who=st.integers(0, 1))
    def reject(self, place: int, who: int) -> None:
        if self.say(place, who, "reject", reason="no") is not None:
            self.states[self.ids[place]] = "decided"

    @precondition(lambda self: not self.over)
    @rule(place=st.integers(0, 1), who=st.integers(0, 1))
    def terminate(self, place: int, who: int) -> None:
        if self.say(place, who, "terminate") is not None:
            self.states[self.ids[place]] = "decided"
            self.end()

    @rule()
    def cancel(self) -> None:
        try:
            with self.desk.house.scope():
                actions.cancel_run(self.desk.house.operator.actor, self.run)
        except Conflict:
            assert self.over
        else:
            assert not self.over
            self.end()

    @rule(place=st.integers(0, 1))
    def time_passes(self, place: int) -> None:
        pk = self.ids[place]
        had = self.desk.late(pk)
        moved = actions.expire_due()
        expected = bool(had) and self.states[pk] == "pending"
        assert moved == expected
        if expected:
            self.states[pk] = "expired"

    def settle_if_agreed(self, pk: UUID) -> None:
        if len(self.agreed[pk]) >= self.need[pk]:
            self.states[pk] = "decided"

    def end(self) -> None:
        self.over = True
        for pk, state in self.states.items():
            if state == "pending":
                self.states[pk] = "moot"

    @invariant()
    def as_the_model_says(self) -> None:
        with self.desk.house.scope():
            rows = {row.pk: row for row in ApprovalRequest.objects.filter(run=self.run)}
            votes = list(Vote.objects.filter(request__run=self.run, voided=False))
            decided = dict(
                (ask.n, decision) for ask, decision in actions.decisions_for(self.run.pk, [refund(), refund(n=1)])
            )
        for place, pk in enumerate(self.ids):
            row = rows[pk]
            assert row.status == self.states[pk]
            assert row.approvers >= self.need[pk]
            if row.status == "pending":
                holder = self.held[pk]
                assert row.claimed_by_id == (None if holder is None else self.people[holder].user.id)
            standing = [vote for vote in votes if vote.request_id == pk and vote.verdict in ("approve", "edit")]
            assert len({vote.voter_id for vote in standing}) == len(standing)
            on_table = digest({"order": "A-17", "amount": self.amounts[pk]})
            assert {vote.digest for vote in standing} <= {on_table}
            if row.status in FINAL:
                outcome = (
                    row.status,
                    row.verdict,
                    row.decided_at,
                    row.decided_by_name,
                    bytes(row.sealed_decision or b""),
                )
                assert self.outcomes.setdefault(pk, outcome) == outcome  # terminal is final
            if row.verdict in ("approve", "edit"):
                assert len(standing) >= row.approvers
                assert decided[place].digest == on_table
        assert (self.desk.now(self.run).status == "cancelled") == self.over


def test_requests_move_once(world: World) -> None:
    Requests.desk = make_desk(world.northwind)
    run_state_machine_as_test(
        Requests,
        settings=settings(
            max_examples=12,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
