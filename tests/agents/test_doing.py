"""Tool calls live: what is tried again, and with which key; what never is; and tools that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from console.agents.tools import Failed, NoAnswer, Unavailable
from console.durable.steps import Finished, Safety, Status, Step, Stopped
from tests.agents.stage import Script, World, agent, never, team

SCHEMA = {"properties": {"order": {"type": "string"}}, "required": ["order"]}


def desk(call: Callable[..., Any], safety: Safety, **body: Any) -> World:
    """A clerk who calls one tool once, and repeats what it says."""

    def answer(messages: list[Any]) -> Any:
        if len(messages) > 2:
            return f"{messages[-1].content[0].content} TERMINATE"
        return [("pay", {"order": "7"})]

    document = team("RoundRobinGroupChat", agent("clerk", "pay", max_tool_iterations=5))
    world = World({"clerk": Script(answer)}, never(document, **body))
    world.give("pay", SCHEMA, approval="allow", call=call, safety=safety)
    return world


class Till:
    """A tool that does what it is told to at each call: raise, or return."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.keys: list[str] = []

    async def __call__(self, arguments: dict[str, Any], key: str) -> Any:
        self.keys.append(key)
        found = self.outcomes.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found


def step(world: World) -> Step:
    return next(each for each in world.store.snapshot() if each.kind == "tool")


def causes(world: World) -> list[Any]:
    return [each["cause"] for each in step(world).attempts]


@pytest.mark.parametrize(
    "error", [Unavailable("out"), NoAnswer("silence"), TimeoutError(), ConnectionResetError("gone")]
)
@pytest.mark.parametrize("safety", [Safety.READ_ONLY, Safety.IDEMPOTENT])
def test_what_may_be_done_again_is_tried_again_with_the_same_key(safety: Safety, error: Exception) -> None:
    till = Till(error, error, "paid")
    world = desk(till, safety)
    assert "paid" in world.finishes()["result"]
    assert len(till.keys) == 3 and len(set(till.keys)) == 1
    assert len(causes(world)) == 3 and causes(world)[-1] is None and None not in causes(world)[:2]
    assert all(each["started_at"] < each["ended_at"] for each in step(world).attempts)
    if safety is Safety.IDEMPOTENT:  # anybody can see how often it was called, and as what
        assert [each["key"] for each in step(world).attempts] == till.keys
    assert world.slept == [0.375, 0.75]  # twice as long each time, with jitter; and never a real sleep


def test_a_call_that_never_happened_is_tried_again_whatever_it_does() -> None:
    till = Till(Unavailable("refused", cause="connection"), "paid")
    world = desk(till, Safety.NEITHER)
    assert "paid" in world.finishes()["result"] and causes(world) == ["connection", None]


@pytest.mark.parametrize("first", [[], [Unavailable("busy")]])
@pytest.mark.parametrize("error", [NoAnswer("silence"), TimeoutError(), ConnectionResetError()])
def test_what_may_have_happened_is_never_done_again_by_itself(error: Exception, first: list[Exception]) -> None:
    till = Till(*first, error, "paid twice")
    world = desk(till, Safety.NEITHER)
    [ask] = world.parks()
    assert ask.kind == "in_doubt" and len(till.keys) == len(first) + 1 and step(world).status is Status.IN_DOUBT
    assert causes(world)[-1] != "ledger" and len(causes(world)) == len(first) + 1


def test_no_answer_and_then_no_connection_is_still_not_known() -> None:
    till = Till(NoAnswer("silence"), *[Unavailable("out")] * 3)
    world = desk(till, Safety.IDEMPOTENT)
    world.go()
    assert step(world).error["type"] == "OutcomeUnknown" and len(till.keys) == 4


def test_it_waits_as_long_as_the_tool_asks_within_its_limit() -> None:
    world = desk(Till(Unavailable("busy", wait=3.0), "paid"), Safety.NEITHER)
    assert "paid" in world.finishes()["result"] and world.slept == [3.0]
    world = desk(till := Till(Unavailable("busy", wait=6.0), "paid"), Safety.NEITHER)  # the tool has five seconds
    assert "busy" in world.finishes()["result"] and world.slept == [] and len(till.keys) == 1


def test_what_makes_no_sense_to_try_again_is_not() -> None:
    for error in (Unavailable("may not be reached", again=False), Failed("no such order"), ValueError("odd")):
        till = Till(error)
        world = desk(till, Safety.READ_ONLY)
        assert str(error) in world.finishes()["result"] and len(till.keys) == 1


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot even say what is wrong")


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), RecursionError("deep"), Mute(), BaseExceptionGroup("g", [KeyboardInterrupt()]),
     MemoryError(), StopAsyncIteration(), GeneratorExit(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_tool_raises_the_run_goes_on(error: BaseException) -> None:
    world = desk(Till(error), Safety.READ_ONLY)
    outcome = world.go()
    assert isinstance(outcome, Finished | Stopped), outcome
    assert step(world).status is Status.FAILED
    world.replays_the_same(outcome)


@pytest.mark.parametrize("value", [object(), float("nan"), b"x", {1, 2}])
def test_a_result_that_cannot_be_kept_is_no_failure_of_what_was_done(value: Any) -> None:
    world = desk(Till(value), Safety.NEITHER)
    assert "came to an end" in world.finishes()["result"] and step(world).status is Status.DONE
    world = desk(Till(value), Safety.READ_ONLY)
    assert "no JSON" in world.finishes()["result"] and step(world).status is Status.FAILED


def test_a_tool_that_hangs_is_cancelled_and_its_try_is_kept() -> None:
    async def hang(arguments: dict[str, Any], key: str) -> Any:
        await asyncio.Event().wait()

    world = desk(hang, Safety.READ_ONLY, limits={"tool_timeout": "PT0.05S"})
    assert "no answer within" in world.finishes()["result"] and causes(world) == ["timeout"]


def test_a_tool_that_will_not_be_cancelled_does_not_hold_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.durable.bodies.NUDGE", 0.01)
    stubborn: list[asyncio.Task[Any] | None] = []
    let_go = []

    async def deaf(arguments: dict[str, Any], key: str) -> Any:
        stubborn.append(asyncio.current_task())
        while not let_go:
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                if len(stubborn) > 5:
                    raise
                stubborn.append(None)

    world = desk(deaf, Safety.NEITHER, limits={"tool_timeout": "PT0.05S"})
    from console.durable.loop import new_loop

    loop = new_loop()
    try:
        with pytest.raises(AssertionError):  # the stage counts tasks, and this one is still there
            loop.run_until_complete(world._advance())
        assert step(world).status is Status.IN_DOUBT and causes(world) == ["timeout"]
        let_go.append(True)
        assert stubborn[0] is not None
        loop.run_until_complete(asyncio.wait([stubborn[0]]))
    finally:
        loop.close()


def test_a_thousand_calls_in_one_answer_are_a_loop() -> None:
    calls = [("pay", {"order": str(number)}) for number in range(1000)]
    world = desk(Till(), Safety.NEITHER)
    world.models["clerk"] = Script(lambda messages: calls)
    world.costs = {"gpt-4o-mini": "0.25"}
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == "repetition" and "1000 tool calls" in outcome.detail
    [asked] = world.store.snapshot()
    assert asked.status is Status.FAILED and asked.cost == "0.25" and asked.attempts[0]["usage"]
    world.replays_the_same(outcome)


@pytest.mark.parametrize("same", [True, False])
def test_a_thousand_calls_one_after_the_other_are_bounded(same: bool) -> None:
    done: list[Any] = []

    async def call(arguments: dict[str, Any], key: str) -> Any:
        done.append(arguments)
        return "ok"

    limits = {"max_repeats": 5} if same else {"max_tokens": 5000}
    world = desk(call, Safety.NEITHER, limits=limits)
    world.body["team"]["config"]["participants"][0]["config"]["max_tool_iterations"] = 1000
    world.models["clerk"] = Script(lambda messages: [("pay", {"order": "7" if same else str(len(messages))})])
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == ("repetition" if same else "budget")
    assert len(done) < 60


def test_an_unknown_tool_again_and_again_is_a_loop() -> None:
    world = desk(Till(), Safety.NEITHER)
    world.models["clerk"] = Script(lambda messages: [("ghost", {"n": len(messages)})])
    world.body["limits"] = {"max_turns": 7}
    outcome = world.go()
    assert isinstance(outcome, Finished) and outcome.value["stop_reason"] in ("max_turns", "completed")
    assert world.asked["clerk"] <= 7 * 5


def test_a_turn_that_takes_too_long_ends_the_run() -> None:
    async def slow(arguments: dict[str, Any], key: str) -> Any:
        world.ticks += 60_000  # a minute, by the clock of the run
        return "ok"

    world = desk(slow, Safety.NEITHER, limits={"turn_timeout": "PT5M", "tool_timeout": "PT2M"})
    world.body["team"]["config"]["participants"][0]["config"]["max_tool_iterations"] = 100
    world.models["clerk"] = Script(lambda messages: [("pay", {"order": str(len(messages))})])
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == "timeout" and "turn of clerk" in outcome.detail
    assert len([each for each in world.store.snapshot() if each.kind == "tool"]) == 5
    world.replays_the_same(outcome)


def test_turns_have_the_time_each_for_itself() -> None:
    async def slow(arguments: dict[str, Any], key: str) -> Any:
        world.ticks += 60_000
        return "ok"

    def answer(messages: list[Any]) -> Any:
        if len(messages) > 14:
            return "TERMINATE"
        return [("pay", {"order": str(len(messages))})]

    world = World(
        {"clerk": Script(answer)},
        never(team("RoundRobinGroupChat", agent("clerk", "pay")), limits={"turn_timeout": "PT1M30S"}),
    )
    world.give("pay", SCHEMA, approval="allow", call=slow)
    world.finishes()
