"""Forks: what is kept of a record replays, leads to an end, and nothing of it is done or approved a second time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.durable import (
    Ask,
    Decision,
    Finished,
    Gate,
    Json,
    Kind,
    Outcome,
    Run,
    Safety,
    Status,
    Step,
    Stopped,
    Suspended,
    failpoints,
)
from console.durable.forks import has_effect, keep

from .lab import START, Lab, look, pay
from .test_machine import Plan, answer, lab_of, plans


class Crash(BaseException):
    """The process is gone."""


@contextlib.contextmanager
def crashing(lab: Lab, hit: int) -> Iterator[None]:
    left = hit

    def hook(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            lab.store.token += 1  # dead processes write nothing
            raise Crash(name)

    failpoints.arm(hook)
    try:
        with contextlib.suppress(Crash):
            yield
    finally:
        failpoints.arm(None)


def fork(old: Lab, new: Lab, at: Step, **options: Any) -> Lab:
    """``new`` with what a fork of ``old`` at a step begins with."""
    kept = keep(old.record, at, **options)
    places = sorted({step.step.seq for step in kept} | {s.step.settled for s in kept if s.step.settled})
    assert places == list(range(1, len(places) + 1)), "the places have gaps"
    assert all(one.step.inherited for one in kept)
    new.store.steps = {(one.step.scope, one.step.n): one.step for one in kept}
    new.store.seq = len(places)
    new.clock.time = old.clock.time
    return new


def finish(lab: Lab, decide: Any) -> Outcome:
    for _ in range(100):
        outcome = lab.advance()
        if not isinstance(outcome, Suspended):
            return outcome
        for ask in outcome.parked:
            if (ask.scope, ask.n) not in lab.gates.decided:
                lab.gates.decide(ask.scope, ask.n, decide(ask))
        lab.clock.forward(minutes=2)
    raise AssertionError("the run does not end")


def truth(plan: Plan, *labs: Lab) -> Any:
    """Who decides: of what is in doubt they know whether it happened, in whichever of the runs."""

    def decide(ask: Ask) -> Decision:
        scope = ask.scope.split("/doubt")[0]
        where = next((lab for lab in labs if lab.world.done[scope, ask.n]), labs[0])
        return answer(where, plan, ask)

    return decide


def holds(plan: Plan, old: Lab, new: Lab) -> None:
    """What must be true of a fork that has ended."""
    before = {(step.scope, step.n): step for step in new.record if step.inherited}
    for place, step in before.items():
        if step.settled is not None and not step.attempts:
            assert not new.world.began[place], f"{place} was kept and done again"
    for (scope, n), times in new.world.began.items():
        assert times == 1 or not scope.endswith(("pay", "ungated")), f"{scope}#{n} was done {times} times"
        place, deed = scope.split("/")
        if deed not in ("pay", "mail"):
            continue
        number = [i for i, entry in enumerate(plan[int(place)]) if entry[0] == deed][n - 1]
        if plan[int(place)][number][1] == "allow" or before.get((scope, n)):
            continue
        said = new.gates.decided.get((scope + "/review", n))
        assert said is not None and said.verdict in ("approve", "edit"), f"{scope}#{n} was approved in the old run only"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(
    plan=plans,
    seeds=st.tuples(*[st.integers(0, 1000)] * 3),
    crashes=st.lists(st.integers(1, 25), max_size=2),
    rounds=st.integers(0, 6),
    data=st.data(),
)
def test_a_fork_at_any_step_of_any_run_ends_as_the_run_would_have(
    plan: Plan, seeds: tuple[int, int, int], crashes: list[int], rounds: int, data: st.DataObject
) -> None:
    old = lab_of(plan, seeds[0])
    for hit in crashes:
        with crashing(old, hit):
            old.advance()
    for _ in range(rounds):  # as far as it gets: some of it may be open, or in doubt
        outcome = old.advance()
        if not isinstance(outcome, Suspended):
            break
        for ask in outcome.parked:
            if data.draw(st.booleans()) and (ask.scope, ask.n) not in old.gates.decided:
                old.gates.decide(ask.scope, ask.n, truth(plan, old)(ask))
        old.clock.forward(minutes=2)
    labs = [old]
    for seed in seeds[1:]:  # a fork, and a fork of the fork
        record = labs[-1].record
        if not record:
            return
        at = data.draw(st.sampled_from(record))
        new = fork(labs[-1], lab_of(plan, seed), at)
        assert (at.scope, at.n) not in new.store.steps
        done = finish(new, truth(plan, *reversed(labs), new))
        assert isinstance(done, Finished), done
        holds(plan, labs[-1], new)
        labs.append(new)
    calm = lab_of(plan, 0)
    assert finish(calm, truth(plan, calm)) == done


# One by one


def two_branches(lab_seed: int = 0) -> Lab:
    """A branch that looks twice beside one that pays, under a gate; then both are told."""

    async def main(run: Run) -> Json:
        async def looks() -> Json:
            return [(await look(run, lab.world, "a/look", number)).value for number in range(2)]

        async def pays() -> Json:
            settled = await pay(run, lab.world, "b/pay", {"amount": 5})
            return settled.value

        return await asyncio.gather(looks(), pays())

    lab = Lab(main, seed=lab_seed)
    return lab


def ended(lab: Lab) -> Lab:
    assert isinstance(finish(lab, lambda ask: Decision("approve", by="Rea")), Finished)
    return lab


def at(lab: Lab, scope: str, n: int = 1) -> Step:
    return next(step for step in lab.record if (step.scope, step.n) == (scope, n))


def kept(lab: Lab, step: Step, **options: Any) -> list[str]:
    return [f"{one.step.scope}#{one.step.n}" for one in keep(lab.record, step, **options)]


def test_what_a_parallel_branch_did_before_the_step_ended_is_kept() -> None:
    lab = ended(two_branches())
    paid = at(lab, "b/pay")
    assert kept(lab, paid) == ["a/look#1", "a/look#2"], "an approval was kept for a payment that is made again"
    assert kept(lab, at(lab, "b/pay/review")) == ["a/look#1", "a/look#2"]


def test_an_effect_begun_before_the_step_ended_is_kept_with_what_came_of_it_later() -> None:
    steps = [
        step("b/pay/review", Kind.REVIEW, 1, 2, result={"verdict": "approve"}),
        step("b/pay", Kind.TOOL, 3, 6, safety=Safety.NEITHER),
        step("a/look", Kind.MODEL, 4, 4),
        step("a/look", Kind.MODEL, 5, 5, n=2),
        step("c/pay", Kind.TOOL, 7, 8, safety=Safety.NEITHER),
    ]
    found = keep(steps, steps[2])
    assert [(one.step.scope, one.step.seq, one.step.settled, one.old) for one in found] == [
        ("b/pay/review", 1, 2, 1),
        ("b/pay", 3, 4, 3),
    ]


@pytest.mark.parametrize("status", [Status.INTENT, Status.IN_DOUBT])
def test_what_is_open_before_the_step_stays_open(status: Status) -> None:
    steps = [
        step("b/pay", Kind.TOOL, 1, None, safety=Safety.NEITHER, status=status),
        step("a/look", Kind.MODEL, 2, 2),
        step("b/ask", Kind.QUESTION, 3, None, status=Status.INTENT),
        step("c/pay", Kind.TOOL, 4, None, safety=Safety.NEITHER, status=status),
    ]
    assert [(one.step.scope, one.step.status) for one in keep(steps, steps[1])] == [("b/pay", status)]
    # At a gate that is still open: all that has come to an end, and what is open is asked about.
    assert [one.step.scope for one in keep(steps, steps[2])] == ["b/pay", "a/look", "c/pay"]


def test_what_ended_the_old_run_is_not_kept_and_a_doubt_that_was_given_up_is_one_again() -> None:
    steps = [
        step("a/model", Kind.MODEL, 1, 1, status=Status.FAILED, error={"type": "E", "message": "", "stop": "timeout"}),
        step("team/final", Kind.FINAL, 2, 3, result={"verdict": "terminate"}),
        step(
            "b/pay", Kind.TOOL, 4, 5, safety=Safety.NEITHER, status=Status.FAILED,
            error={"type": "InDoubt", "message": "", "stop": "terminated"},
        ),
        step("c/look", Kind.MODEL, 6, 6),
    ]  # fmt: skip
    [one] = keep(steps, steps[3])
    assert (one.step.scope, one.step.status, one.step.settled, one.step.error) == ("b/pay", Status.IN_DOUBT, None, None)
    assert has_effect(steps[2]) and not has_effect(steps[0])


def test_a_persons_no_stays_said_and_what_it_refused_is_not_done() -> None:
    lab = two_branches()
    assert isinstance(finish(lab, lambda ask: Decision("reject", by="Rea")), Finished)
    new = fork(lab, two_branches(1), at(lab, "a/look", 2))
    outcome = new.advance()
    if ("b/pay/review", 1) in new.store.steps and at(new, "b/pay/review").inherited:
        assert isinstance(outcome, Finished) and not new.world.began["b/pay", 1]


def test_an_answer_takes_the_place_of_the_steps_own() -> None:
    lab = ended(two_branches())
    looked = at(lab, "a/look")
    new = fork(lab, two_branches(3), looked, answered=True)
    place = ("a/look", 1)
    new.store.steps[place] = replace(new.store.steps[place], result={"edited": True})
    outcome = finish(new, lambda ask: Decision("approve", by="Rea"))
    assert isinstance(outcome, Finished)
    assert outcome.value[0][0] == {"edited": True} and not new.world.began[place]


def test_no_answer_can_be_given_for_a_gate_or_a_payment() -> None:
    lab = ended(two_branches())
    for place in ("b/pay", "b/pay/review"):
        with pytest.raises(ValueError, match="cannot be answered"):
            keep(lab.record, at(lab, place), answered=True)


def test_a_fork_at_a_divergence_goes_on_where_the_record_stops_fitting() -> None:
    def team(second: str) -> Lab:
        async def main(run: Run) -> Json:
            first = await look(run, lab.world, "a/look", "one")
            told = await look(run, lab.world, "a/look", second)
            last = await look(run, lab.world, "a/look", "three")
            return [first.value, told.value, last.value]

        lab = Lab(main)
        return lab

    old = team("two")
    assert isinstance(old.advance(), Finished)
    upgraded = team("another")
    upgraded.store.steps, upgraded.store.seq = dict(old.store.steps), old.store.seq
    outcome = upgraded.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence" and outcome.step == ("a/look", 2)
    new = fork(upgraded, team("another"), at(upgraded, *outcome.step))
    assert isinstance(new.advance(), Finished)
    assert new.world.began == Counter({("a/look", 2): 1, ("a/look", 3): 1})


def step(scope: str, kind: Kind, seq: int, settled: int | None, **fields: Any) -> Step:
    fields = {"n": 1, "status": Status.DONE, **fields}
    return Step(scope=scope, kind=kind, seq=seq, digest="d", request={}, started_at=START, settled=settled, **fields)


def test_the_gate_of_a_call_that_an_agent_answers_is_no_approval_of_an_effect() -> None:
    # The team was told of it (an agent began to work), so the record does not fit without it.
    steps = [
        step("a/tools/call-1", Kind.REVIEW, 1, 2, result={"verdict": "approve"}),
        step("a/tools/call-1/b/model", Kind.MODEL, 3, 3),
        step("a/model", Kind.MODEL, 4, 4),
    ]
    assert [one.step.scope for one in keep(steps, steps[2])] == ["a/tools/call-1", "a/tools/call-1/b/model"]


def test_asks_are_made_with_gates_of_their_own() -> None:
    """A question that was answered before the step is kept with its answer."""

    async def main(run: Run) -> Json:
        said = await run.gate("a/ask", Gate("question", {"question": "Really?"}))
        seen = await look(run, lab.world, "a/look")
        return [said.answer, seen.value["n"]]

    lab = Lab(main)
    assert isinstance(finish(lab, lambda ask: Decision("respond", answer="yes")), Finished)
    new = fork(lab, Lab(main), at(lab, "a/look"))
    assert new.advance() == Finished(["yes", 1]) and not new.gates.announced
