"""Effects of which nobody can know whether they happened."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from console.durable import (
    Decision,
    Done,
    EffectFailed,
    Finished,
    Gate,
    Json,
    Kind,
    Loop,
    Lost,
    OutcomeUnknown,
    Run,
    Safety,
    Status,
    Stopped,
    Suspended,
    Verdict,
)

from .lab import Lab, look, pay

MINUTE = timedelta(minutes=1)


def interrupted(safety: Safety = Safety.NEITHER, gated: bool = False) -> Lab:
    """A run whose worker died in the middle of its second effect."""

    async def main(run: Run) -> Json:
        await look(run, lab.world, "model", 1)
        settled = await pay(run, lab.world, "pay", {"amount": 5}, safety=safety, gated=gated, timeout=MINUTE, body=body)
        await look(run, lab.world, "model", 2)
        return [settled.value, settled.failed]

    async def body(call: Any) -> Done:
        if die:
            raise Died
        return await lab.world.act(call)

    class Died(BaseException):
        pass

    lab = Lab(main, seed=5)
    if gated:
        lab.approve(lab.advance(), "edit", arguments={"amount": 4})
    die = True
    with pytest.raises(Died):
        lab.advance()
    die = False
    assert [step.status for step in lab.record][-1] is Status.INTENT
    lab.world.keys.clear()
    return lab


def test_it_may_still_be_under_way() -> None:
    lab = interrupted()
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and outcome.parked == () and outcome.wake_after is not None
    assert timedelta(seconds=59) < outcome.wake_after <= MINUTE
    assert not lab.world.began["pay", 1] and not lab.gates.announced


def test_an_idempotent_effect_is_called_again_with_the_same_key() -> None:
    lab = interrupted(Safety.IDEMPOTENT)
    assert isinstance(lab.advance(), Suspended)
    key = lab.record[-1].key
    lab.clock.forward(minutes=2)
    outcome = lab.advance()
    assert isinstance(outcome, Finished)
    assert key in lab.world.keys and lab.world.done["pay", 1] == 1
    step = next(step for step in lab.record if step.scope == "pay")
    assert step.status is Status.DONE and [attempt["cause"] for attempt in step.attempts] == ["worker_lost", None]
    assert lab.advance() == outcome and lab.world.done["pay", 1] == 1


def doubted(gated: bool = False) -> Lab:
    lab = interrupted(gated=gated)
    lab.clock.forward(minutes=2)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and outcome.wake_after is None
    (ask,) = outcome.parked
    assert (ask.scope, ask.n, ask.kind, ask.tool) == ("pay/doubt", 1, "in_doubt", "pay")
    assert ("pay/doubt", 1) in lab.gates.announced
    assert lab.record[-1].status is Status.IN_DOUBT and lab.record[-1].settled is None
    assert lab.advance() == outcome
    return lab


def test_it_happened() -> None:
    lab = doubted()
    lab.gates.decide("pay/doubt", 1, Decision("respond", answer="happened", result={"id": 7}, by="maria"))
    outcome = lab.advance()
    assert outcome == Finished([{"id": 7}, False])
    assert not lab.world.began["pay", 1]
    step = next(step for step in lab.record if step.scope == "pay")
    assert step.status is Status.DONE and step.attempts[-1]["by"] == "maria"
    assert lab.advance() == outcome


def test_it_did_not_happen() -> None:
    lab = doubted()
    lab.gates.decide("pay/doubt", 1, Decision("respond", answer="did not happen"))
    outcome = lab.advance()
    assert isinstance(outcome, Finished) and lab.world.done["pay", 1] == 1
    assert lab.advance() == outcome and lab.world.done["pay", 1] == 1


def test_an_answer_serves_once() -> None:
    """In doubt a second time is another question: the answer to the first must not set it off again."""
    lab = doubted()
    lab.gates.decide("pay/doubt", 1, Decision("respond", answer="did not happen"))

    class Died(BaseException):
        pass

    async def dying(call: Any) -> Done:
        lab.world.began[call.scope, call.n] += 1
        raise Died

    act, lab.world.act = lab.world.act, dying  # type: ignore[method-assign]
    with pytest.raises(Died):
        lab.advance()
    lab.world.act = act  # type: ignore[method-assign]
    assert lab.world.began["pay", 1] == 1
    assert isinstance(lab.advance(), Suspended)  # begun anew: its time counts from then
    lab.clock.forward(minutes=2)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and [ask.scope for ask in outcome.parked] == ["pay/doubt/2"]
    assert lab.world.began["pay", 1] == 1
    lab.gates.decide("pay/doubt/2", 1, Decision("respond", answer="happened", result=1))
    assert lab.advance() == Finished([1, False])


@pytest.mark.parametrize(("verdict", "reason"), [("terminate", "terminated"), ("expire", "expired")])
def test_ending_the_run_over_it(verdict: str, reason: str) -> None:
    lab = doubted()
    lab.gates.decide("pay/doubt", 1, Decision(verdict, "who knows"))
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == reason and outcome.step == ("pay", 1)
    assert lab.record[-1].status is Status.FAILED
    assert lab.advance() == outcome and not lab.world.began["pay", 1]


@pytest.mark.parametrize("decision", [Decision("approve"), Decision("respond", answer="perhaps"), Decision("reject")])
def test_no_other_answer_moves_it(decision: Decision, caplog: pytest.LogCaptureFixture) -> None:
    lab = doubted()
    lab.gates.decide("pay/doubt", 1, decision)
    assert isinstance(lab.advance(), Suspended)
    assert not lab.world.began["pay", 1] and "cannot be answered" in caplog.text


def test_the_person_sees_what_was_approved() -> None:
    lab = doubted(gated=True)
    ask = lab.gates.announced["pay/doubt", 1]
    assert ask.decision is not None and ask.decision.arguments == {"amount": 4}
    lab.gates.decide("pay/doubt", 1, Decision("respond", answer="did not happen"))
    outcome = lab.advance()
    assert isinstance(outcome, Finished) and outcome.value[0]["arguments"] == {"amount": 4}
    assert len([ask for ask in lab.gates.judged if ask.scope == "pay/review"]) == 2


async def hang(call: Any) -> Done:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreached")


@pytest.mark.parametrize("safety", [Safety.READ_ONLY, Safety.IDEMPOTENT])
def test_a_tool_out_of_time_is_a_failure(safety: Safety) -> None:
    async def main(run: Run) -> Json:
        try:
            await pay(run, lab.world, "pay", gated=False, safety=safety, timeout=timedelta(0), body=hang)
        except EffectFailed as failed:
            return failed.error["type"]

    lab = Lab(main)
    assert lab.advance() == Finished("Timeout")
    assert lab.record[0].status is Status.FAILED
    assert lab.advance() == Finished("Timeout")


def test_an_effect_out_of_time_that_is_neither_is_in_doubt() -> None:
    async def main(run: Run) -> Json:
        return (await pay(run, lab.world, "pay", gated=False, timeout=timedelta(0), body=hang)).value

    lab = Lab(main)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and [ask.kind for ask in outcome.parked] == ["in_doubt"]
    lab.gates.decide("pay/doubt", 1, Decision("respond", answer="happened", result="late"))
    assert lab.advance() == Finished("late")


def test_a_model_out_of_time_ends_the_run() -> None:
    lab = Lab(lambda run: look(run, lab.world, "m", timeout=timedelta(0), body=hang))
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "model_error" and outcome.step == ("m", 1)
    assert lab.advance() == outcome


def test_a_library_that_cancels_its_caller_leaves_a_payment_in_doubt() -> None:
    async def cancelled(call: Any) -> Done:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return await hang(call)

    async def main(run: Run) -> Json:
        return (await pay(run, lab.world, "pay", gated=False, body=cancelled)).value

    lab = Lab(main)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and [ask.kind for ask in outcome.parked] == ["in_doubt"]
    lab = Lab(lambda run: look(run, lab.world, "m", body=cancelled))
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "model_error"


def test_an_outcome_under_a_stale_token_is_kept_as_evidence() -> None:
    """The lease went while the payment was under way; it went through all the same."""

    async def main(run: Run) -> Json:
        return (await pay(run, lab.world, "pay", gated=False, body=body)).value

    async def body(call: Any) -> Done:
        lab.store.claim()
        return Done("paid")

    lab = Lab(main)
    assert lab.advance() == Lost()
    (step,) = lab.record
    assert step.status is Status.INTENT
    (late,) = lab.store.late
    assert late.status is Status.DONE and late.result == "paid"


def test_what_was_only_read_under_a_stale_token_is_no_evidence() -> None:
    # Nothing is open for it in the journal, and the place it would have had may be another step's by now.
    async def body(call: Any) -> Done:
        lab.store.claim()
        return Done("read")

    lab = Lab(lambda run: look(run, lab.world, "m", body=body))
    assert lab.advance() == Lost()
    assert lab.record == [] and lab.store.late == []


def test_siblings_of_a_lost_run_are_kept_as_evidence_too() -> None:
    async def main(run: Run) -> Json:
        await asyncio.gather(*(pay(run, lab.world, f"p{i}", gated=False, body=body) for i in range(3)))
        return None

    async def body(call: Any) -> Done:
        done = await lab.world.act(call)
        if call.scope == "p1":
            lab.store.claim()
        return done

    lab = Lab(main, seed=2)
    assert lab.advance(grace=timedelta(seconds=20)) == Lost()
    recorded = {step.scope for step in lab.record if step.status is Status.DONE}
    assert recorded | {step.scope for step in lab.store.late} == {"p0", "p1", "p2"}
    assert "p1" not in recorded and not lab.left


def test_doubt_does_not_hold_up_the_others() -> None:
    async def main(run: Run) -> Json:
        async def other() -> str:
            await look(run, lab.world, "other")
            return (await run.gate("q", Gate("question", "?"))).answer or ""

        paying = pay(run, lab.world, "pay", gated=False, timeout=MINUTE, body=body)
        settled, answer = await asyncio.gather(paying, other())
        return [settled.value, answer]

    async def body(call: Any) -> Done:
        lab.world.began["pay", 1] += 1
        return await hang(call)

    lab = Lab(main)
    with asyncio.Runner(loop_factory=Loop) as runner:

        async def cut() -> Any:
            turn = asyncio.create_task(lab.turn())
            while not lab.world.began["pay", 1]:
                await asyncio.sleep(0)
            turn.cancel()
            return (await asyncio.gather(turn, return_exceptions=True))[0]

        assert isinstance(runner.run(cut()), asyncio.CancelledError)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and outcome.wake_after and [ask.scope for ask in outcome.parked] == ["q"]
    lab.gates.decide("q", 1, Decision("respond", answer="yes"))
    lab.clock.forward(minutes=3)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and [ask.scope for ask in outcome.parked] == ["pay/doubt"]
    lab.gates.decide("pay/doubt", 1, Decision("respond", answer="happened", result=1))
    assert lab.advance() == Finished([1, "yes"])


def test_an_allowed_effect_in_doubt_is_not_judged_again() -> None:
    lab = interrupted()
    lab.gates.policy = lambda ask: Verdict("deny")
    lab.clock.forward(minutes=2)
    assert isinstance(lab.advance(), Suspended)
    assert not lab.gates.judged and Kind.REVIEW not in {step.kind for step in lab.record}


def test_a_lost_run_gives_a_payment_its_own_time_and_keeps_what_came_of_it() -> None:
    """Somebody cancelled the run while the bank was thinking: nobody waits for this worker, but the answer is evidence."""
    answered = asyncio.Event()

    async def body(call: Any) -> Done:
        lab.store.claim()
        lab.handle.lose()
        await answered.wait()
        return Done("paid")

    async def bank() -> Any:
        turn = asyncio.create_task(lab.turn(grace=timedelta(0)))
        while not lab.handle._run or not lab.handle._run.closed:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)  # far longer than the grace
        assert not turn.done()
        answered.set()
        return await turn

    lab = Lab(lambda run: pay(run, lab.world, "pay", gated=False, timeout=MINUTE, body=body))
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(bank()) == Lost()
    assert [(step.status, step.result) for step in lab.store.late] == [(Status.DONE, "paid")]


def test_a_process_that_leaves_cuts_that_short() -> None:
    async def body(call: Any) -> Done:
        lab.store.claim()
        lab.handle.lose()
        return await hang(call)

    async def leave() -> Any:
        turn = asyncio.create_task(lab.turn(grace=timedelta(0)))
        while not lab.handle._run or not lab.handle._run.closed:
            await asyncio.sleep(0)
        lab.handle.suspend()
        return await turn

    lab = Lab(lambda run: pay(run, lab.world, "pay", gated=False, timeout=MINUTE, body=body))
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(leave()) == Lost()
    assert lab.store.late == [] and not lab.left


def test_a_timeout_under_a_stale_token_is_evidence_too() -> None:
    async def body(call: Any) -> Done:
        lab.store.claim()
        raise OutcomeUnknown("the line broke")

    lab = Lab(lambda run: pay(run, lab.world, "pay", gated=False, body=body))
    assert lab.advance() == Lost()
    (late,) = lab.store.late
    assert late.status is Status.IN_DOUBT and late.error["message"] == "the line broke"


def test_why_it_is_in_doubt_is_recorded_and_the_team_hears_whose_word_it_is() -> None:
    async def body(call: Any) -> Done:
        raise OutcomeUnknown("the line broke")

    async def main(run: Run) -> Json:
        settled = await pay(run, lab.world, "pay", gated=False, body=body)
        return [settled.value, settled.by]

    lab = Lab(main)
    outcome = lab.advance()
    (step,) = lab.record
    assert step.status is Status.IN_DOUBT and step.error["message"] == "the line broke"
    lab.approve(outcome, "respond", answer="happened", result="RF-1", by="Rita")
    assert lab.advance() == Finished(["RF-1", "Rita"])
    (step,) = lab.record
    assert step.error is None and step.attempts[-1]["told"]
    assert lab.advance() == Finished(["RF-1", "Rita"])


@pytest.mark.parametrize("safety", [Safety.NEITHER, Safety.IDEMPOTENT])
def test_a_call_kept_from_a_run_that_ended_meanwhile_gets_its_time_before_anybody_is_asked(safety: Safety) -> None:
    """The old worker may still be waiting for the bank's answer when the retry begins."""

    async def main(run: Run) -> Json:
        return (await pay(run, lab.world, "pay", gated=False, safety=safety, timeout=MINUTE)).value

    lab = Lab(main)
    with asyncio.Runner(loop_factory=Loop) as runner:

        async def cut() -> Any:
            turn = asyncio.create_task(lab.turn(journal=lab.store.claim()))
            while not lab.record:
                await asyncio.sleep(0)
            lab.handle.suspend()
            return await turn

        lab.world.latency = lambda: asyncio.sleep(60)  # type: ignore[method-assign]
        runner.run(cut())
    del lab.world.latency
    (step,) = lab.store.steps.values()
    step.status, step.inherited = Status.IN_DOUBT, True
    outcome = lab.advance()
    assert isinstance(outcome, Suspended) and not outcome.parked and outcome.wake_after
    lab.clock.forward(minutes=2)
    outcome = lab.advance()
    if safety is Safety.IDEMPOTENT:
        assert isinstance(outcome, Finished) and not lab.gates.announced
    else:
        assert isinstance(outcome, Suspended) and [ask.kind for ask in outcome.parked] == ["in_doubt"]
