"""A replay is the run over again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from console.durable import (
    Ask,
    Done,
    EffectFailed,
    Finished,
    Gate,
    Json,
    Kind,
    Loop,
    Lost,
    NotInRun,
    Run,
    Safety,
    Stopped,
    Suspended,
    Verdict,
    advance,
    current,
)

from .lab import START, Clock, Lab, look, pay


def branches(lab: Lab, count: int = 4, steps: int = 5) -> Any:
    """Parallel branches that meet, tell each other things, and write one common log."""

    async def main(run: Run) -> Json:
        log: list[str] = []
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def branch(name: str) -> None:
            for step in range(steps):
                settled = await look(run, lab.world, f"{name}/model", {"step": step, "seen": len(log)})
                log.append(f"{name}{settled.value['n']}")
                await queue.put(name)

        async def listener() -> None:
            for _ in range(count * steps):
                heard = await queue.get()
                if len(log) % 3 == 0:
                    await look(run, lab.world, "listener", [heard, len(log)])
                    log.append(f"heard {heard}")

        async with asyncio.TaskGroup() as group:
            group.create_task(listener())
            for number in range(count):
                group.create_task(branch(chr(97 + number)))
        return log

    return main


@pytest.mark.parametrize("seed", range(12))
def test_parallel_branches_replay_in_the_order_they_ran(seed: int) -> None:
    lab = Lab(None, seed=seed)  # type: ignore[arg-type]
    lab.main = branches(lab)
    first = lab.advance()
    assert isinstance(first, Finished)
    record, began = lab.record, sum(lab.world.began.values())
    assert lab.advance() == first
    assert lab.record == record
    assert sum(lab.world.began.values()) == began


def test_different_latencies_do_give_different_orders() -> None:
    # Otherwise the test above would prove nothing.
    orders = set()
    for seed in range(10):
        lab = Lab(None, seed=seed)  # type: ignore[arg-type]
        lab.main = branches(lab)
        orders.add(str(lab.advance()))
    assert len(orders) > 3


@pytest.mark.parametrize("seed", range(12))
def test_taken_up_after_any_number_of_steps(seed: int) -> None:
    """A run cut off anywhere ends with what a whole run of the same record would have."""
    lab = Lab(None, seed=seed)  # type: ignore[arg-type]
    lab.main = branches(lab, 3, 3)
    outcome = lab.advance()
    assert isinstance(outcome, Finished)
    full = lab.record
    cut = Lab(None, seed=seed + 1000)  # type: ignore[arg-type]
    cut.main = branches(cut, 3, 3)
    keep = seed % len(full)
    cut.store.steps = {(step.scope, step.n): step for step in full[:keep]}
    cut.store.seq = keep
    outcome = cut.advance()
    assert isinstance(outcome, Finished)
    assert cut.record[:keep] == full[:keep]
    assert sum(cut.world.began.values()) == len(cut.record) - keep
    assert cut.advance() == outcome


def test_places_are_dense_and_settlements_in_order() -> None:
    lab = Lab(None, seed=3)  # type: ignore[arg-type]

    async def main(run: Run) -> Json:
        await asyncio.gather(
            *(pay(run, lab.world, f"p{i}", i, gated=False) for i in range(4)), look(run, lab.world, "m")
        )
        return None

    lab.main = main
    assert lab.advance() == Finished(None)
    places = sorted({step.seq for step in lab.record} | {step.settled for step in lab.record if step.settled})
    assert places == list(range(1, 10))


def test_results_of_one_moment_are_handed_over_one_at_a_time() -> None:
    seen: list[str] = []

    async def main(run: Run) -> Json:
        lab.world.random.seed(1)

        async def branch(name: str) -> None:
            await run.effect(name, kind=Kind.MODEL, request=None, body=instant)
            seen.append(f"{name} has it")
            for _ in range(10):
                await asyncio.sleep(0)
            seen.append(f"{name} is settled")

        await asyncio.gather(branch("a"), branch("b"), branch("c"))
        return None

    async def instant(call: Any) -> Done:
        return Done(1)

    lab = Lab(main)
    lab.advance()
    assert seen == [f"{name} {what}" for name in "abc" for what in ("has it", "is settled")]
    live, seen[:] = list(seen), []
    lab.advance()
    assert seen == live


def test_nothing_live_before_the_whole_record_is_handed_back() -> None:
    """A branch that is further on than the record waits until the other has caught up."""
    order: list[str] = []

    async def main(run: Run) -> Json:
        async def fast() -> None:
            await look(run, lab.world, "fast", 1)
            order.append(f"fast asks, replaying={run.replaying}")
            await pay(run, lab.world, "fast/pay", 2, body=body)

        async def slow() -> None:
            for step in range(3):
                await look(run, lab.world, "slow", step)
                order.append(f"slow {step}")

        await asyncio.gather(fast(), slow())
        return "ok"

    async def body(call: Any) -> Done:
        order.append("paid")
        return Done(None)

    lab = Lab(main)
    outcome = lab.advance()
    assert isinstance(outcome, Suspended)
    judged = len(lab.gates.judged)
    # Forget the gate, as if the worker had died before it: what is left is fast#1 and slow#1..3.
    del lab.store.steps["fast/pay/review", 1]
    places = {old: new for new, old in enumerate(sorted(step.seq for step in lab.store.steps.values()), 1)}
    for step in lab.store.steps.values():
        step.seq = step.settled = places[step.seq]
    lab.store.seq = len(places)
    order.clear()

    def judge(ask: Ask) -> Verdict:
        order.append("judged")
        return Verdict("allow")

    lab.gates.policy = judge
    assert lab.advance() == Finished("ok")
    assert order.index("judged") > order.index("slow 2")
    assert order[-1] == "paid"
    assert len(lab.gates.judged) == judged + 1


def test_another_request_is_a_divergence() -> None:
    what = {"ask": "one"}

    async def main(run: Run) -> Json:
        await look(run, lab.world, "a/model", what)
        return "unreached"

    lab = Lab(main)
    assert lab.advance() == Finished("unreached")
    what["ask"] = "two"
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence"
    assert "a/model#1" in outcome.detail and outcome.step == ("a/model", 1)
    assert lab.world.began["a/model", 1] == 1
    assert not lab.left


def test_other_arguments_at_a_reviewed_gate_are_a_divergence() -> None:
    arguments = {"amount": 5}

    async def main(run: Run) -> Json:
        gate = Gate("tool", {"arguments": arguments}, digest_of=arguments)
        await run.effect("t", kind=Kind.TOOL, request="same", body=lab.world.act, safety=Safety.NEITHER, gate=gate)
        return None

    lab = Lab(main)
    lab.approve(lab.advance())
    arguments["amount"] = 5000
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence" and outcome.step == ("t/review", 1)
    assert not lab.world.began


@pytest.mark.parametrize("where", ["waiting", "returned"])
def test_a_record_that_nobody_asks_for_is_a_divergence(where: str) -> None:
    asks = True

    async def main(run: Run) -> Json:
        await look(run, lab.world, "a")
        if asks:
            await look(run, lab.world, "b")
        elif where == "waiting":
            await look(run, lab.world, "c")
        return None

    lab = Lab(main)
    assert lab.advance() == Finished(None)
    asks = False
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence" and outcome.step == ("b", 1)
    assert lab.world.began["c", 1] == 0


def test_an_intent_that_nobody_asks_for_is_a_divergence() -> None:
    asks = True

    async def main(run: Run) -> Json:
        await look(run, lab.world, "a")
        if asks:
            await pay(run, lab.world, "b")
        await look(run, lab.world, "c")
        return None

    lab = Lab(main)
    assert isinstance(lab.advance(), Suspended)
    asks = False
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "divergence" and outcome.step == ("b/review", 1)
    assert lab.world.began["c", 1] == 0


def test_failures_are_the_same_at_every_replay() -> None:
    async def broken(call: Any) -> Done:
        raise EffectFailed(
            {"type": "NoSuchThing", "message": "gone"}, [{"cause": "404"}], {"input_tokens": 3}, cost="1"
        )

    async def main(run: Run) -> Json:
        try:
            await look(run, lab.world, "a", body=broken)
        except EffectFailed as failed:
            return [str(failed), failed.error, failed.attempts, failed.usage, failed.cost, failed.stop, failed.kind]

    lab = Lab(main)
    outcome = lab.advance()
    assert outcome == Finished(
        [
            "NoSuchThing: gone",
            {"type": "NoSuchThing", "message": "gone"},
            [{"cause": "404"}],
            {"input_tokens": 3},
            "1",
            None,
            Kind.MODEL,
        ]
    )
    assert lab.advance() == outcome


def test_a_call_that_the_team_gives_up_keeps_its_place_in_the_record() -> None:
    async def main(run: Run) -> Json:
        slow = asyncio.create_task(look(run, lab.world, "slow"))
        await look(run, lab.world, "quick")
        slow.cancel()
        log = [str((await asyncio.gather(slow, return_exceptions=True))[0].__class__.__name__)]
        for step in range(4):
            log.append((await look(run, lab.world, "later", step)).value["n"])
        return log

    for seed in range(12):
        lab = Lab(main, seed=seed)
        outcome = lab.advance()
        assert isinstance(outcome, Finished)
        assert lab.advance() == outcome


def test_the_clock_of_a_run_stands_still_while_a_person_thinks() -> None:
    async def main(run: Run) -> Json:
        times = [run.now()]
        await look(run, lab.world, "a", body=minute)
        times.append(run.now())
        await pay(run, lab.world, "b")
        times.append(run.now())
        stamps.append(run.at)
        return [(time - START).total_seconds() // 60 for time in times]

    async def minute(call: Any) -> Done:
        lab.clock.forward(minutes=1)
        return Done(None)

    stamps: list[Any] = []
    lab = Lab(main)
    waiting = lab.advance()
    lab.clock.forward(days=3)
    lab.approve(waiting)
    lab.clock.forward(days=1)
    outcome = lab.advance()
    assert outcome == Finished([0, 1, 1])
    assert (stamps[0] - START).days == 4  # while the wall clock went on
    assert lab.advance() == outcome
    assert stamps[0] == stamps[1]


def test_current_is_the_run_and_not_inside_a_body() -> None:
    async def body(call: Any) -> Done:
        with pytest.raises(NotInRun):
            current()
        return Done(True)

    async def main(run: Run) -> Json:
        async def inner() -> bool:
            return current() is run

        return [await asyncio.create_task(inner()), (await look(run, lab.world, "a", body=body)).value]

    lab = Lab(main)
    assert lab.advance() == Finished([True, True])
    with pytest.raises(NotInRun):
        current()


def test_a_stale_token_is_lost_at_once() -> None:
    async def main(run: Run) -> Json:
        raise AssertionError("never begins")

    lab = Lab(main)
    stale = lab.store.claim()
    lab.store.claim()
    assert lab.advance(journal=stale) == Lost()


def test_only_on_its_own_loop() -> None:
    lab = Lab(lambda run: asyncio.sleep(0))

    async def main() -> None:
        with pytest.raises(TypeError, match="Loop"):
            await advance(lab.main, run_id="r", journal=lab.store.claim(), gates=lab.gates, clock=Clock())

    asyncio.run(main())


def test_many_runs_share_a_loop() -> None:
    labs = []
    for seed in range(30):
        lab = Lab(None, seed=seed)  # type: ignore[arg-type]
        lab.main = branches(lab, 3, 3)
        labs.append(lab)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(lab.turn() for lab in labs))

    with asyncio.Runner(loop_factory=Loop) as runner:
        first = runner.run(all_of_them())
        assert first == runner.run(all_of_them())
    assert [outcome == labs[i].advance() for i, outcome in enumerate(first)] == [True] * 30


def test_replay_does_not_grow_with_the_square() -> None:
    """Counted in callbacks, not in time: a replay of twice the steps takes twice the callbacks."""

    def callbacks(steps: int) -> int:
        async def main(run: Run) -> Json:
            for step in range(steps):
                await look(run, lab.world, "a", step)
            return None

        lab = Lab(main)
        lab.advance()
        count = 0

        class Counting(Loop):
            def call_soon(self, *args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                return super().call_soon(*args, **kwargs)

        with asyncio.Runner(loop_factory=Counting) as runner:
            runner.run(lab.turn())
        return count

    assert callbacks(200) < 2.2 * callbacks(100)
