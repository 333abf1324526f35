"""Letting go: suspended, cancelled, lost, torn down."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from console.durable import (
    Done,
    Finished,
    Gate,
    Handle,
    Json,
    Loop,
    Lost,
    Run,
    Safety,
    Status,
    Stopped,
    Suspended,
    advance,
)

from .lab import Lab, look, pay

SECONDS = timedelta(seconds=20)


class Slow:
    """A body that says when it has begun, and ends when it is told."""

    def __init__(self) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.go: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def __call__(self, call: Any) -> Done:
        self.begun.set_result(None)
        try:
            await self.go
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return Done("slow")


def in_loop(go: Callable[[], Any], said: list[Any] | None = None) -> Any:
    """Run it, and fail on anything that reaches the loop's exception handler."""
    heard: list[Any] = [] if said is None else said
    with asyncio.Runner(loop_factory=Loop) as runner:

        async def main() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
            result = await go()
            gc.collect()
            return result

        result = runner.run(main())
    gc.collect()
    if said is None:
        assert heard == []
    return result


@pytest.mark.parametrize(
    ("hand", "expected"),
    [
        (Handle.suspend, Suspended(shutdown=True)),
        (Handle.cancel, Stopped("cancelled")),
        (Handle.lose, Lost()),
        (lambda handle: handle.stop("timeout", "10 minutes"), Stopped("timeout", "10 minutes")),
    ],
    ids=["suspend", "cancel", "lose", "stop"],
)
@pytest.mark.parametrize("safety", list(Safety))
def test_effects_in_flight(hand: Callable[[Handle], None], expected: Any, safety: Safety) -> None:
    """What is read-only is cut off; what is not gets to finish, and is recorded."""

    async def go() -> None:
        slow = Slow()

        async def main(run: Run) -> Json:
            return (await pay(run, lab.world, "pay", safety=safety, gated=False, body=slow)).value

        lab = Lab(main)
        turn = asyncio.create_task(lab.turn(grace=SECONDS))
        await slow.begun
        hand(lab.handle)
        if safety is not Safety.READ_ONLY:
            asyncio.get_running_loop().call_later(0.01, lambda: slow.go.done() or slow.go.set_result(None))
        assert await turn == expected
        assert lab.left == set()
        if safety is Safety.READ_ONLY:
            assert slow.cancelled and lab.record == []
            slow.begun, slow.go = slow.begun.get_loop().create_future(), slow.go.get_loop().create_future()
            slow.go.set_result(None)
        else:
            assert [step.status for step in lab.record] == [Status.DONE]
        assert await lab.turn() == Finished("slow")
        assert [step.status for step in lab.record] == [Status.DONE]

    in_loop(go)


def test_grace_has_an_end() -> None:
    async def go() -> None:
        slow = Slow()

        async def main(run: Run) -> Json:
            return (await pay(run, lab.world, "pay", gated=False, body=slow)).value

        lab = Lab(main)
        turn = asyncio.create_task(lab.turn(grace=timedelta(milliseconds=5)))
        await slow.begun
        lab.handle.suspend()
        assert await turn == Suspended(shutdown=True)
        assert slow.cancelled and [step.status for step in lab.record] == [Status.INTENT]

    in_loop(go)


def test_a_body_that_swallows_its_cancellation() -> None:
    async def go() -> None:
        begun = asyncio.get_running_loop().create_future()
        swallowed = 0

        async def stubborn(call: Any) -> Done:
            nonlocal swallowed
            begun.set_result(None)
            while swallowed < 2:
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    swallowed += 1
            return Done("late")

        lab = Lab(lambda run: look(run, lab.world, "m", body=stubborn))
        turn = asyncio.create_task(lab.turn())
        await begun
        lab.handle.suspend()
        assert await turn == Suspended(shutdown=True)
        assert lab.left == set()

    in_loop(go)


def test_the_first_word_counts() -> None:
    async def go() -> None:
        lab = Lab(lambda run: look(run, lab.world, "m"))
        handle = Handle()
        handle.cancel()
        handle.suspend()
        assert await lab.turn(handle=handle) == Stopped("cancelled")
        assert lab.record == [] and not lab.world.began
        handle.poke()
        handle.cancel()  # of no effect any more

    in_loop(go)


def test_cancelled_before_it_began_leaves_the_record_alone() -> None:
    async def go() -> None:
        lab = Lab(lambda run: pay(run, lab.world, "p"))
        await lab.turn()
        record = lab.record
        handle = Handle()
        handle.suspend()
        assert await lab.turn(handle=handle) == Suspended(shutdown=True)
        assert lab.record == record

    in_loop(go)


def test_no_task_is_left_of_a_team_that_will_not_hear_of_it() -> None:
    """AutoGen's ways: swallowed cancellations, work in finally, tasks that nobody waits for, queues that complain."""
    steps: list[str] = []

    async def go() -> None:
        async def swallower(run: Run) -> None:
            for _ in range(3):
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    steps.append("swallowed")
            await look(run, lab.world, "more")  # parks: the run is over
            steps.append("unreached")

        async def cleaner(run: Run) -> None:
            try:
                await look(run, lab.world, "never", body=never)
            finally:
                steps.append("cleaning")
                await asyncio.shield(asyncio.create_task(asyncio.sleep(0)))
                await pay(run, lab.world, "cleaned")
                steps.append("unreached")

        async def complaining() -> None:
            queue: asyncio.Queue[int] = asyncio.Queue()
            try:
                await queue.get()
            finally:
                queue.task_done()

        async def never(call: Any) -> Done:
            await asyncio.get_running_loop().create_future()
            raise AssertionError("unreached")

        async def main(run: Run) -> Json:
            kept = [
                asyncio.create_task(swallower(run)),
                asyncio.create_task(cleaner(run)),
                asyncio.create_task(complaining()),
            ]
            await run.gate("q", Gate("question", "?"))
            return len(kept)

        lab = Lab(main)
        turn = asyncio.create_task(lab.turn())
        while ("q", 1) not in lab.gates.announced:
            await asyncio.sleep(0)
        lab.handle.suspend()
        assert await turn == Suspended(shutdown=True)
        assert lab.left == set()
        assert [step.scope for step in lab.record] == ["q"]
        assert lab.world.began == {}

    in_loop(go)
    assert steps.count("swallowed") == 3 and "cleaning" in steps and "unreached" not in steps


def test_what_comes_after_the_end_gets_nowhere() -> None:
    """An object of the team that outlives its run, in a task that nobody will cancel any more."""

    async def go() -> None:
        async def main(run: Run) -> Json:
            kept.append(run)
            return None

        kept: list[Run] = []
        lab = Lab(main)
        assert await lab.turn() == Finished(None)
        with pytest.raises(asyncio.CancelledError):
            await look(kept[0], lab.world, "m")
        assert lab.record == [] and not lab.world.began

    in_loop(go)


def test_a_parked_run_leaves_nothing_behind() -> None:
    async def go() -> None:
        async def main(run: Run) -> Json:
            async def ticker() -> None:
                await asyncio.get_running_loop().create_future()

            tasks = [asyncio.create_task(ticker()) for _ in range(5)]
            await asyncio.gather(*(pay(run, lab.world, f"p{i}") for i in range(5)))
            return len(tasks)

        lab = Lab(main)
        outcome = await lab.turn()
        assert isinstance(outcome, Suspended) and len(outcome.parked) == 5
        assert lab.left == set() and len(asyncio.all_tasks()) == 1

    in_loop(go)


def test_what_a_finished_team_leaves_running_is_ended() -> None:
    async def go() -> None:
        async def main(run: Run) -> Json:
            kept.append(asyncio.create_task(pay(run, lab.world, "late", gated=False)))
            await look(run, lab.world, "m")
            return "done"

        kept: list[Any] = []
        lab = Lab(main)
        assert await lab.turn(grace=SECONDS) == Finished("done")
        assert lab.left == set() and kept[0].done()
        # The payment had begun: it is in the record, finished.
        assert {step.scope: step.status for step in lab.record} == {"late": Status.DONE, "m": Status.DONE}
        assert await lab.turn() == Finished("done")

    in_loop(go)


def test_real_errors_reach_the_loop() -> None:
    said: list[Any] = []

    async def go() -> None:
        async def broken() -> None:
            raise ValueError("real")

        async def main(run: Run) -> Json:
            task = asyncio.create_task(broken())
            await look(run, lab.world, "m")
            del task
            gc.collect()
            return None

        lab = Lab(main)
        assert await lab.turn() == Finished(None)

    in_loop(go, said)
    assert [str(context["exception"]) for context in said] == ["real"]


def test_errors_out_of_the_team_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async def main(run: Run) -> Json:
        await look(run, lab.world, "m")
        raise KeyError("oops")

    lab = Lab(main)
    outcome = lab.advance()
    assert outcome == Stopped("tool_error", "KeyError: 'oops'")
    assert "oops" in caplog.text and "Traceback" in caplog.text
    caplog.clear()
    assert lab.advance() == outcome


def test_errors_out_of_an_effect_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(call: Any) -> Done:
        raise ZeroDivisionError("by nought")

    lab = Lab(lambda run: look(run, lab.world, "m", body=broken))
    outcome = lab.advance()
    assert outcome == Stopped("model_error", "ZeroDivisionError: by nought", ("m", 1))
    (step,) = lab.record
    assert step.error == {"type": "ZeroDivisionError", "message": "by nought", "stop": "model_error"}
    assert "by nought" in caplog.text
    assert lab.advance() == outcome
    lab = Lab(lambda run: pay(run, lab.world, "p", gated=False, body=broken))
    assert lab.advance() == Stopped("tool_error", "ZeroDivisionError: by nought", ("p", 1))


def test_a_stop_from_inside() -> None:
    async def main(run: Run) -> Json:
        await look(run, lab.world, "m")
        try:
            await run.stop("max_turns", "20 turns")
        finally:
            await look(run, lab.world, "never")

    lab = Lab(main)
    assert lab.advance() == Stopped("max_turns", "20 turns")
    assert lab.advance() == Stopped("max_turns", "20 turns")
    assert [step.scope for step in lab.record] == ["m"] and not lab.left


def test_waiting_for_something_that_is_no_effect() -> None:
    async def main(run: Run) -> Json:
        await look(run, lab.world, "m")
        await asyncio.get_running_loop().create_future()

    lab = Lab(main)
    outcome = lab.advance()
    assert isinstance(outcome, Stopped) and outcome.reason == "tool_error" and "no effect" in outcome.detail


def test_a_lock_shared_with_another_run_may_be_waited_for() -> None:
    async def go() -> None:
        lock = asyncio.Lock()
        slow = Slow()

        async def main(run: Run) -> Json:
            async with lock:
                await look(run, labs[0].world, "m", body=slow if run.run_id == "first" else quick)
            return run.run_id

        async def quick(call: Any) -> Done:
            return Done(None)

        labs = [Lab(main), Lab(main)]
        turns = [
            asyncio.create_task(advance(main, run_id=name, journal=lab.store.claim(), gates=lab.gates, clock=lab.clock))
            for name, lab in zip(["first", "second"], labs, strict=True)
        ]
        await slow.begun
        for _ in range(10):
            await asyncio.sleep(0)
        slow.go.set_result(None)
        assert await asyncio.gather(*turns) == [Finished("first"), Finished("second")]

    in_loop(go)


@pytest.mark.parametrize("where", ["append", "judge", "announce", "decisions"])
def test_failures_of_the_surroundings_are_raised_and_harmless(where: str) -> None:
    async def go() -> None:
        async def main(run: Run) -> Json:
            await pay(run, lab.world, "p")
            return "paid"

        lab = Lab(main)
        journal = lab.store.claim()

        async def broken(*args: Any) -> Any:
            raise ConnectionError("database is away")

        setattr(journal if where == "append" else lab.gates, where, broken)
        with pytest.raises(ConnectionError):
            await lab.turn(journal=journal)
        assert lab.left == set()
        if where != "append":
            delattr(lab.gates, where)
        outcome = await lab.turn()
        lab.approve(outcome)
        assert await lab.turn() == Finished("paid")
        assert lab.world.done["p", 1] == 1

    in_loop(go)


def test_context_of_the_caller_does_not_flow_into_the_run() -> None:
    import contextvars

    secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret", default="none")

    async def go() -> None:
        secret.set("of the caller")

        async def main(run: Run) -> Json:
            seen = [secret.get()]
            secret.set("of the run")
            seen.append((await look(run, lab.world, "m", body=body)).value)
            return seen

        async def body(call: Any) -> Done:
            return Done(secret.get())

        lab = Lab(main)
        assert await lab.turn() == Finished(["none", "of the run"])

    in_loop(go)


def test_chunks_name_their_step_and_attempt() -> None:
    class Feed:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def step_opened(self, step: Any) -> None:
            self.heard.append(("opened", step.scope, step.n, step.seq))

        def step_settled(self, step: Any) -> None:
            self.heard.append(("settled", step.scope, step.n, step.seq))

        def chunk(self, *words: Any) -> None:
            self.heard.append(words)

    async def streaming(call: Any) -> Done:
        call.emit("Hel")
        call.attempt += 1
        call.emit("Hello")
        return Done("Hello")

    lab = Lab(lambda run: look(run, lab.world, "m", body=streaming))
    feed = Feed()
    lab.advance(observer=feed)
    assert feed.heard == [
        ("opened", "m", 1, 0),
        ("m", 1, 1, "Hel"),
        ("m", 1, 2, "Hello"),
        ("settled", "m", 1, 1),
    ]
    feed.heard.clear()
    lab.advance(observer=feed)
    assert feed.heard == []  # a replay is nobody's news


def test_nothing_is_logged_on_the_good_way(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "console.durable")
    lab = Lab(lambda run: look(run, lab.world, "m"))
    lab.advance()
    assert [record for record in caplog.records if record.name.startswith("console.")] == []


def test_suspended_runs_are_gone_at_once() -> None:
    """A hundred runs in the middle of their work let go together, and not one task stays."""

    async def go() -> None:
        async def main(run: Run) -> Json:
            return await asyncio.gather(*(look(run, lab.world, f"m{i}", body=never) for i in range(3)))

        async def never(call: Any) -> Done:
            nonlocal begun
            begun += 1
            await asyncio.get_running_loop().create_future()
            raise AssertionError("unreached")

        begun = 0
        lab = Lab(main)
        handles = [Handle() for _ in range(100)]
        turns = [
            asyncio.create_task(
                advance(
                    main, run_id="r", journal=Lab(main).store.claim(), gates=lab.gates, clock=lab.clock, handle=hand
                )
            )
            for hand in handles
        ]
        while begun < 300:
            await asyncio.sleep(0)
        for handle in handles:
            handle.suspend()
        assert set(await asyncio.gather(*turns)) == {Suspended(shutdown=True)}
        assert len(asyncio.all_tasks()) == 1

    in_loop(go)
