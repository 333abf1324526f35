"""Random histories of a run: started, stepped, decided, cancelled, crashed, delivered twice, in any order.

What must hold throughout, whatever happens:

- no gated effect without a matching approval, and what was approved is what was done;
- no recorded step is executed again, and no record ever changes;
- a payment is made at most once;
- terminal is final;
- what comes out is what comes out of the same run without a single crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from console.durable import (
    Ask,
    Decision,
    Finished,
    Gate,
    Handle,
    Json,
    Loop,
    Lost,
    MemoryGates,
    Outcome,
    Run,
    Safety,
    Step,
    Stopped,
    Suspended,
    Verdict,
    failpoints,
)

from .lab import Lab, look, pay

MINUTE = timedelta(minutes=1)

# One thing that a branch does: what it is, what the policy says of it, and what a person would.
deeds = st.tuples(
    st.sampled_from(["look", "pay", "mail", "ungated", "ask"]),
    st.sampled_from(["allow", "deny", "require", "require"]),
    st.sampled_from(["approve", "edit", "reject"]),
)
plans = st.lists(st.lists(deeds, min_size=1, max_size=4), min_size=1, max_size=3)
Plan = list[list[tuple[str, str, str]]]


class Crash(BaseException):
    """The process is gone."""


def lab_of(plan: Plan, seed: int) -> Lab:
    async def main(run: Run) -> Json:
        async def branch(place: int) -> list[Json]:
            told: list[Json] = []
            for number, (deed, _, _) in enumerate(plan[place]):
                request = [place, number]
                if deed == "look":
                    settled = await look(run, lab.world, f"{place}/look", request)
                elif deed == "ask":
                    decision = await run.gate(f"{place}/ask", Gate("question", request))
                    told.append(decision.verdict)
                    continue
                else:
                    safety = Safety.IDEMPOTENT if deed == "mail" else Safety.NEITHER
                    gated = deed != "ungated"
                    scope = f"{place}/{deed}"
                    settled = await pay(run, lab.world, scope, request, safety=safety, gated=gated, timeout=MINUTE)
                told.append(
                    [settled.value and settled.value["arguments"], settled.decision and settled.decision.verdict]
                )
            return told

        return await asyncio.gather(*(branch(place) for place in range(len(plan))))

    def policy(ask: Ask) -> Verdict:
        if ask.decision is not None:
            return Verdict("require")
        place, number = ask.request["arguments"] if ask.kind == "tool" else ask.request
        return Verdict(plan[place][number][1])

    lab = Lab(main, seed=seed, gates=MemoryGates(policy))
    return lab


def answer(lab: Lab, plan: Plan, ask: Ask) -> Decision:
    """What this run's people say: the same at any time, and the truth when something is in doubt."""
    if ask.kind == "in_doubt":
        scope = ask.scope.split("/doubt")[0]
        if not lab.world.done[scope, ask.n]:
            return Decision("respond", answer="did not happen")
        arguments = ask.decision.arguments if ask.decision else None
        return Decision("respond", answer="happened", result={"scope": scope, "n": ask.n, "arguments": arguments})
    place, number = ask.request["arguments"] if ask.kind == "tool" else ask.request
    verdict = plan[place][number][2]
    return Decision(verdict, arguments=["edited"] if verdict == "edit" and ask.kind == "tool" else None)


def told(outcome: Outcome, lab: Lab) -> list[Any]:
    """What a crash must not change: the outcome, and every step but for its place, times and attempts."""
    steps = sorted([step.scope, step.n, step.kind, step.status, step.digest, step.key] for step in lab.record)
    return [outcome, steps]


class Machine(RuleBasedStateMachine):
    @initialize(plan=plans, seed=st.integers(0, 1000))
    def start(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.lab = lab_of(plan, seed)
        self.over: Outcome | None = None
        self.parked: tuple[Ask, ...] = ()
        self.seen: dict[tuple[str, int], Step] = {}
        self.began: dict[tuple[str, int], int] = {}

    # What happens to it

    @precondition(lambda self: not self.over)
    @rule()
    def step(self) -> None:
        self.take(self.lab.advance())

    @precondition(lambda self: not self.over)
    @rule(hit=st.integers(1, 25))
    def crash(self, hit: int) -> None:
        with self.crashing(hit), contextlib.suppress(Crash):
            self.take(self.lab.advance())

    @precondition(lambda self: not self.over)
    @rule(after=st.integers(0, 40))
    def let_go(self, after: int) -> None:
        """SIGTERM at any moment, with or without the time to finish what is under way."""
        self.take(self.with_hand(after, Handle.suspend, timedelta(seconds=after % 2 * 20)))

    @precondition(lambda self: not self.over)
    @rule(ticks=st.integers(0, 60))
    def redeliver(self, ticks: int) -> None:
        """A second worker takes the run while the first still has it."""

        async def both() -> list[Outcome]:
            first = asyncio.create_task(self.lab.turn(grace=timedelta(seconds=20)))
            for _ in range(ticks):
                await asyncio.sleep(0)
            second = asyncio.create_task(self.lab.turn(grace=timedelta(seconds=20)))
            return list(await asyncio.gather(first, second))

        with asyncio.Runner(loop_factory=Loop) as runner:
            first, second = runner.run(both())
        # The first may have been done before the second came; if not, it must have noticed.
        assert isinstance(second, Finished | Suspended)
        if not isinstance(first, Lost):
            assert type(first) is type(second) or isinstance(first, Suspended)
        self.take(second)

    @precondition(lambda self: self.parked)
    @rule(choice=st.randoms(use_true_random=False))
    def decide(self, choice: random.Random) -> None:
        ask = choice.choice(self.parked)
        if (ask.scope, ask.n) not in self.lab.gates.decided:
            self.lab.gates.decide(ask.scope, ask.n, answer(self.lab, self.plan, ask))

    @rule()
    def wait(self) -> None:
        self.lab.clock.forward(minutes=2)

    @precondition(lambda self: not self.over)
    @rule(after=st.integers(0, 40))
    def cancel(self, after: int) -> None:
        outcome = self.with_hand(after, Handle.cancel, timedelta(seconds=20))
        self.take(outcome)
        if outcome == Stopped("cancelled"):
            self.over = outcome

    @precondition(lambda self: self.over and not isinstance(self.over, Stopped))
    @rule()
    def again(self) -> None:
        record, began = self.lab.record, dict(self.lab.world.began)
        assert self.lab.advance() == self.over
        assert self.lab.record == record and dict(self.lab.world.began) == began

    # What must hold

    @invariant()
    def payments_are_made_once(self) -> None:
        for (scope, n), times in self.lab.world.done.items():
            assert times == 1 or not scope.endswith(("pay", "ungated")), f"{scope}#{n} was done {times} times"

    @invariant()
    def gated_effects_were_approved(self) -> None:
        for (scope, n), times in self.lab.world.began.items():
            if scope.endswith(("pay", "mail")) and times:
                decision = self.lab.gates.decided.get((scope + "/review", n))
                place, deed = scope.split("/")
                number = [i for i, entry in enumerate(self.plan[int(place)]) if entry[0] == deed][n - 1]
                if self.plan[int(place)][number][1] != "allow":
                    assert decision is not None and decision.verdict in ("approve", "edit")

    @invariant()
    def the_record_stands(self) -> None:
        record = {(step.scope, step.n): step for step in self.lab.record}
        for place, step in self.seen.items():
            assert record[place] == step, "a settled step changed"
            assert self.lab.world.began[place] == self.began[place], "a recorded step was executed again"
        self.seen = {place: step for place, step in record.items() if step.settled is not None}
        self.began = {place: self.lab.world.began[place] for place in self.seen}
        places = sorted({step.seq for step in record.values()} | {s.settled for s in record.values() if s.settled})
        assert places == list(range(1, len(places) + 1))

    def teardown(self) -> None:
        """Bring it to its end, and compare with the run to which nothing happened."""
        failpoints.arm(None)
        if not hasattr(self, "plan") or isinstance(self.over, Stopped):
            return
        self.finish(self.lab)
        calm = lab_of(self.plan, 0)
        assert told(self.finish(calm), calm) == told(self.finish(self.lab), self.lab)
        self.payments_are_made_once()
        self.gated_effects_were_approved()

    # How

    def take(self, outcome: Outcome) -> None:
        assert not self.lab.left, "tasks are left behind"
        if isinstance(outcome, Finished):
            self.over = outcome
        self.parked = outcome.parked if isinstance(outcome, Suspended) else ()

    def finish(self, lab: Lab) -> Outcome:
        for _ in range(100):
            outcome = lab.advance()
            if isinstance(outcome, Finished):
                return outcome
            assert isinstance(outcome, Suspended), outcome
            for ask in outcome.parked:
                if (ask.scope, ask.n) not in lab.gates.decided:
                    lab.gates.decide(ask.scope, ask.n, answer(lab, self.plan, ask))
            lab.clock.forward(minutes=2)
        raise AssertionError("the run does not end")

    def with_hand(self, after: int, hand: Any, grace: timedelta) -> Outcome:
        async def go() -> Outcome:
            turn = asyncio.create_task(self.lab.turn(grace=grace))
            for _ in range(after):
                await asyncio.sleep(0)
            hand(self.lab.handle)
            return await turn

        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(go())

    @contextlib.contextmanager
    def crashing(self, hit: int) -> Iterator[None]:
        left = hit

        def hook(name: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.lab.store.token += 1  # dead processes write nothing
                raise Crash(name)

        failpoints.arm(hook)
        try:
            yield
        finally:
            failpoints.arm(None)


Machine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestRuns = Machine.TestCase
