"""Gates: policy, people, and what is executed."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from console.durable import (
    Ask,
    Decision,
    Done,
    Finished,
    Gate,
    Json,
    Kind,
    Loop,
    MemoryGates,
    Run,
    Status,
    Stopped,
    Suspended,
    Verdict,
    digest,
)

from .lab import Lab, look, pay


def one_payment(**options: Any) -> Lab:
    async def main(run: Run) -> Json:
        settled = await pay(run, lab.world, "payer/tools", {"amount": 5}, **options)
        return [settled.value and settled.value["arguments"], settled.decision and settled.decision.verdict]

    lab = Lab(main)
    return lab


def test_allowed_by_the_policy() -> None:
    lab = one_payment()
    lab.gates.policy = lambda ask: Verdict("allow", "small", {"rule": "r"})
    outcome = lab.advance()
    assert outcome == Finished([None, None])
    (step,) = lab.record
    assert step.verdict == {"effect": "allow", "reason": "small", "detail": {"rule": "r"}}
    assert lab.advance() == outcome and len(lab.gates.judged) == 1


def test_denied_by_the_policy() -> None:
    lab = one_payment()
    lab.gates.policy = lambda ask: Verdict("deny", "never")
    outcome = lab.advance()
    assert outcome == Finished([None, "deny"])
    (step,) = lab.record
    assert (step.scope, step.kind, step.status, step.result["reason"]) == (
        "payer/tools/review",
        Kind.REVIEW,
        Status.DONE,
        "never",
    )
    assert not lab.world.began
    assert lab.advance() == outcome and len(lab.gates.judged) == 1


@pytest.mark.parametrize("effect", ["require", "", "ALLOW", "perhaps"])
def test_anything_else_goes_to_a_person(effect: str) -> None:
    lab = one_payment()
    lab.gates.policy = lambda ask: Verdict(effect)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended)
    assert [(ask.scope, ask.n, ask.kind, ask.tool, ask.agent) for ask in outcome.parked] == [
        ("payer/tools/review", 1, "tool", "pay", "payer")
    ]
    assert not lab.world.began and not lab.left


@pytest.mark.parametrize(
    ("decision", "result"),
    [
        (Decision("approve"), [None, "approve"]),
        (Decision("edit", arguments={"amount": 4}), [{"amount": 4}, "edit"]),
        (Decision("edit", arguments={"amount": 4}, digest=digest({"amount": 4})), [{"amount": 4}, "edit"]),
        (Decision("reject", "too much"), [None, "reject"]),
        (Decision("unheard of"), [None, "unheard of"]),
    ],
    ids=lambda value: value.verdict if isinstance(value, Decision) else "",
)
def test_decided_by_a_person(decision: Decision, result: Json) -> None:
    lab = one_payment()
    waiting = lab.advance()
    assert isinstance(waiting, Suspended)
    assert lab.advance() == waiting  # nothing has happened: the same again
    assert len(lab.gates.judged) == 1
    ask = waiting.parked[0]
    lab.gates.decide(ask.scope, ask.n, decision)
    assert lab.advance() == Finished(result)
    assert sum(lab.world.done.values()) == (decision.verdict in ("approve", "edit"))
    record = lab.record
    assert lab.advance() == Finished(result) and lab.record == record


def test_what_was_approved_is_what_is_executed() -> None:
    lab = one_payment()
    waiting = lab.advance()
    assert isinstance(waiting, Suspended)
    assert waiting.parked[0].digest == digest({"amount": 5})
    lab.gates.decide("payer/tools/review", 1, Decision("approve", digest=digest({"amount": 1})))
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence" and "approved" in outcome.detail
    assert not lab.world.began


def test_an_edit_whose_digest_is_of_something_else_is_not_executed() -> None:
    lab = one_payment()
    lab.advance()
    edited = Decision("edit", arguments={"amount": 4000}, digest=digest({"amount": 4}))
    lab.gates.decide("payer/tools/review", 1, edited)
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence"
    assert not lab.world.began


def test_the_rules_of_the_day_win_over_an_old_approval() -> None:
    lab = one_payment()
    lab.approve(lab.advance(), "edit", arguments={"amount": 3})
    asked: list[Ask] = []

    def revoked(ask: Ask) -> Verdict:
        asked.append(ask)
        return Verdict("deny", "revoked")

    lab.gates.policy = revoked
    outcome = lab.advance()
    assert outcome == Finished([None, "deny"])
    assert asked[0].decision is not None and asked[0].decision.arguments == {"amount": 3}
    assert not lab.world.began
    assert lab.advance() == outcome and len(asked) == 1


@pytest.mark.parametrize(("verdict", "reason"), [("terminate", "terminated"), ("expire", "expired")])
def test_a_decision_that_ends_the_run(verdict: str, reason: str) -> None:
    lab = one_payment()
    lab.approve(lab.advance(), verdict, reason="enough")
    outcome = lab.advance()
    assert outcome == Stopped(reason, "enough", ("payer/tools/review", 1))
    assert lab.advance() == outcome and not lab.world.began


@pytest.mark.parametrize(
    ("kind", "step_kind"), [("message", Kind.REVIEW), ("question", Kind.QUESTION), ("final", Kind.FINAL)]
)
def test_gates_by_themselves(kind: str, step_kind: Kind) -> None:
    async def main(run: Run) -> Json:
        decision = await run.gate("team", Gate(kind, {"text": "well?"}, agent="a"))
        return [decision.verdict, decision.answer]

    lab = Lab(main)
    waiting = lab.advance()
    assert isinstance(waiting, Suspended) and [ask.kind for ask in waiting.parked] == [kind]
    assert lab.record[0].kind is step_kind
    lab.approve(waiting, "respond", answer="yes")
    assert lab.advance() == Finished(["respond", "yes"])
    for effect in ("allow", "deny"):
        other = Lab(main, gates=MemoryGates(lambda ask, effect=effect: Verdict(effect)))  # type: ignore[misc]
        assert other.advance() == Finished([effect, None])
        assert len(other.record) == 1 and other.advance() == Finished([effect, None])


def test_an_edited_message_is_bound_by_its_own_digest() -> None:
    async def main(run: Run) -> Json:
        return (await run.gate("a/message", Gate("message", "first words"))).answer

    lab = Lab(main)
    lab.approve(lab.advance(), "edit", answer="other words", digest=digest("other words"))
    assert lab.advance() == Finished("other words")


def two_branches() -> Lab:
    async def main(run: Run) -> Json:
        log: list[str] = []

        async def branch(name: str) -> None:
            await look(run, lab.world, f"{name}/model")
            await pay(run, lab.world, f"{name}/tools", name)
            log.append(name)
            await look(run, lab.world, f"{name}/model", len(log))

        await asyncio.gather(branch("a"), branch("b"))
        return log

    lab = Lab(main)
    return lab


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("between", [True, False])
def test_two_gates_at_once_decided_in_either_order(first: str, between: bool) -> None:
    lab = two_branches()
    waiting = lab.advance()
    assert isinstance(waiting, Suspended) and len(waiting.parked) == 2
    second = "b" if first == "a" else "a"
    lab.gates.decide(f"{first}/tools/review", 1, Decision("approve"))
    if between:
        again = lab.advance()
        assert isinstance(again, Suspended) and [ask.scope for ask in again.parked] == [f"{second}/tools/review"]
    lab.gates.decide(f"{second}/tools/review", 1, Decision("approve"))
    outcome = lab.advance()
    if between:
        assert outcome == Finished([first, second])
    assert isinstance(outcome, Finished) and sorted(outcome.value) == ["a", "b"]
    assert lab.advance() == outcome
    assert set(lab.world.done.values()) == {1}


@pytest.mark.parametrize("seed", range(20))
def test_a_random_mix_of_gates_replays(seed: int) -> None:
    hand = random.Random(seed)

    async def main(run: Run) -> Json:
        log: list[Any] = []

        async def branch(name: str) -> None:
            for step in range(4):
                await look(run, lab.world, f"{name}/model", [step, len(log)])
                settled = await pay(run, lab.world, f"{name}/tools", [name, step])
                log.append([name, step, settled.decision and settled.decision.verdict])

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(branch(name))
        return log

    lab = Lab(main, seed=seed)
    effects = ["allow", "deny", "require", "require"]
    lab.gates.policy = lambda ask: Verdict("require" if ask.decision else hand.choice(effects))
    outcome = lab.advance()
    while isinstance(outcome, Suspended):
        ask = hand.choice(outcome.parked)
        lab.gates.decide(ask.scope, ask.n, Decision(hand.choice(["approve", "reject"])))
        outcome = lab.advance()
    assert isinstance(outcome, Finished) and len(outcome.value) == 12
    assert set(lab.world.done.values()) == {1}
    for log_entry in outcome.value:
        paid = lab.world.done[f"{log_entry[0]}/tools", log_entry[1] + 1]
        assert paid == (log_entry[2] in (None, "approve"))
    assert lab.advance() == outcome


def test_a_decision_is_taken_while_a_sibling_is_still_at_work() -> None:
    """A poke makes the run look; the sibling's effect stays in flight the whole time."""
    events: list[str] = []

    async def main(run: Run) -> Json:
        async def gated() -> None:
            await pay(run, lab.world, "a")
            events.append("paid")
            release.set_result(None)

        async def slow(call: Any) -> Done:
            events.append("slow begins")
            await release
            events.append("slow ends")
            return Done(None)

        await asyncio.gather(gated(), look(run, lab.world, "b", body=slow))
        return None

    class Poking(MemoryGates):
        async def announce(self, ask: Ask) -> None:
            await super().announce(ask)
            # A reviewer decides the moment the request appears; the worker hears of it a little later.
            self.decide(ask.scope, ask.n, Decision("approve"))
            asyncio.get_running_loop().call_later(0, lambda: lab.handle.poke())

    lab = Lab(main, gates=Poking())
    with asyncio.Runner(loop_factory=Loop) as runner:

        async def go() -> Any:
            nonlocal release
            release = asyncio.get_running_loop().create_future()
            return await lab.turn()

        release: asyncio.Future[None] = None  # type: ignore[assignment]
        assert runner.run(go()) == Finished(None)
    assert events == ["slow begins", "paid", "slow ends"]


def test_a_request_is_announced_again_when_nobody_can_know_whether_it_was() -> None:
    lab = one_payment()
    waiting = lab.advance()
    assert isinstance(waiting, Suspended)
    lab.gates.announced.clear()  # the worker died between the record and the announcement
    assert lab.advance() == waiting
    assert list(lab.gates.announced) == [("payer/tools/review", 1)]
    (ask,) = lab.gates.announced.values()
    assert ask == replace(waiting.parked[0])
    assert ask.verdict == Verdict("require")


def test_nobody_waits_for_an_approved_call_that_the_team_gave_up() -> None:
    async def main(run: Run) -> Json:
        call = asyncio.create_task(pay(run, lab.world, "a"))
        await look(run, lab.world, "m")
        call.cancel()
        return (await run.gate("q", Gate("question", "sure?"))).answer

    lab = Lab(main)
    waiting = lab.advance()
    assert isinstance(waiting, Suspended)
    lab.gates.decide("a/review", 1, Decision("approve"))
    lab.gates.decide("q", 1, Decision("respond", answer="sure"))
    assert lab.advance() == Finished("sure")
    assert not lab.world.began["a", 1]
