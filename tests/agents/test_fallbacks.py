"""Who answers when a provider fails, who is left alone, and what a call may cost while others are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from console.agents.breakers import MOST, REST, Breaker, Breakers
from console.agents.failures import CutShort, Nonsense
from console.agents.limits import Limits
from console.agents.room import Room, Route
from console.durable.steps import Stopped
from tests.agents.nested import ANY, with_tools, worker
from tests.agents.stage import Script, World, agent, never, team


class Failing(Script):
    """A provider that fails for the first calls."""

    def __init__(self, error: Exception, times: int = 10**6) -> None:
        super().__init__(lambda messages: "Said by the first. TERMINATE")
        self.error = error
        self.left = times

    async def create(self, messages: Any, **options: Any) -> Any:
        if self.left > 0:
            self.left -= 1
            self.asked += 1
            raise self.error
        return await super().create(messages, **options)


class Chain(World):
    """A world with a way to fall back on."""

    ways = 2

    def routes(self, agent: str, config: Mapping[str, Any]) -> list[Route]:
        return [
            Route(model, name, lambda name=name: self.models[name], self.breakers.get("provider", name))  # type: ignore[misc]
            for name, model in (("first", "gpt-4o-mini"), ("second", "gpt-4o"))
        ]


def chain(error: Exception, times: int = 10**6, second: Script | None = None) -> Chain:
    document = team("RoundRobinGroupChat", agent("a"))
    models = {
        "first": Failing(error, times),
        "second": second or Script(lambda messages: "Said by the second. TERMINATE"),
    }
    return Chain(models, never(document), costs={"gpt-4o-mini": "0.001", "gpt-4o": "0.01"})


@pytest.mark.parametrize(("error", "tries"), [(CutShort("it broke off."), 2), (Nonsense("it is empty."), 1)])
def test_the_next_way_answers_and_the_step_says_so(error: Exception, tries: int) -> None:
    world = chain(error)
    assert "Said by the second" in world.finishes()["result"]
    [step] = world.store.snapshot()
    assert step.result["answered_by"] == {"credential": "second", "model": "gpt-4o"}
    # What broke off in the middle is charged at what it was reckoned; an answer that is none says itself what it took.
    broken_off = tries if isinstance(error, CutShort) else 0
    assert Decimal(step.cost or 0) == Decimal("0.01") + broken_off * Decimal("0.001")
    assert [each.get("reckoned", False) for each in step.attempts] == [bool(broken_off)] * tries + [False]
    assert [each["credential"] for each in step.attempts] == ["first"] * tries + ["second"]
    assert [each["cause"] is None for each in step.attempts] == [False] * tries + [True]
    assert world.asked == {"first": tries, "second": 1}


def test_a_short_failure_needs_no_fallback() -> None:
    world = chain(CutShort("it broke off."), times=1)
    assert "Said by the first" in world.finishes()["result"]
    [step] = world.store.snapshot()
    assert "answered_by" not in step.result and world.asked["second"] == 0


def test_when_no_way_answers_the_run_says_what_the_last_one_said() -> None:
    world = chain(CutShort("one."), second=Failing(Nonsense("two.")))
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == "model_error" and "two." in outcome.detail
    [step] = world.store.snapshot()
    assert len(step.attempts) == 3


def test_a_provider_that_keeps_failing_is_left_alone() -> None:
    now = [0.0]
    world = chain(CutShort("it broke off."))
    world.breakers = Breakers(lambda: now[0])
    world.breakers.get("provider", "first").failures = MOST - 1
    assert "second" in world.finishes()["result"]
    assert world.asked["first"] == 1  # its failure opened the breaker; the other try was not made
    [step] = world.store.snapshot()
    assert [each["cause"] for each in step.attempts] == ["cut_short", "resting", None]


def test_alone_it_waits_for_the_provider_instead_of_giving_up() -> None:
    now = [0.0]
    world = World({"a": Failing(CutShort("no."), 1)}, never(team("RoundRobinGroupChat", agent("a"))))
    world.breakers = Breakers(lambda: now[0])
    world.breakers.get("provider", "default").failures = MOST - 1

    async def sleep(seconds: float) -> None:
        world.slept.append(seconds)
        now[0] += seconds

    world._sleep = sleep  # type: ignore[method-assign]
    assert "Said by the first" in world.finishes()["result"]
    assert max(world.slept) > REST - 2


class BreakerMachine(RuleBasedStateMachine):
    """Never more than one call goes out while it rests; a success closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(lambda: self.now)
        self.out = 0
        self.row = 0
        self.opened = False

    @rule(seconds=st.floats(0, 2 * REST))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        wait = self.breaker.wait()
        assert wait >= 0
        if not wait:
            self.out += 1

    @rule(ok=st.booleans())
    def answer(self, ok: bool) -> None:
        if self.out:
            self.out -= 1
            self.breaker.told(ok)
            self.row = 0 if ok else self.row + 1

    @invariant()
    def it_is_open_exactly_after_failures_in_a_row(self) -> None:
        assert bool(self.breaker.until) == (self.row >= MOST)


TestBreaker = BreakerMachine.TestCase


# Repetition


def stopped(world: World) -> Stopped:
    outcome = world.go()
    while not isinstance(outcome, Stopped):
        for ask in outcome.parked:  # type: ignore[union-attr]
            if (ask.scope, ask.n) not in world.gates.decided:
                world.decide(ask, "approve")
        outcome = world.go()
    return outcome


def test_the_same_call_again_and_again_stops_the_run() -> None:
    document = team("RoundRobinGroupChat", agent("a", "dig"))
    world = with_tools({"a": lambda messages: [("dig", {"what": "x"})]}, document, "dig")
    end = stopped(world)
    assert (end.reason, len(world.done)) == ("repetition", 5)
    assert "a called dig with the same arguments 6 times in a row" in end.detail


def test_the_same_message_again_and_again_stops_the_run() -> None:
    document = team("RoundRobinGroupChat", agent("a"), agent("b"))
    scripts: dict[str, Any] = {"a": lambda m: "I agree.", "b": lambda m: f"Point {len(m)}."}
    end = stopped(with_tools(scripts, document))
    assert end.reason == "repetition" and "a said the same 6 times" in end.detail


def test_calls_that_fail_in_a_row_stop_the_run() -> None:
    async def breaks(arguments: dict[str, Any], key: str) -> Any:
        raise ValueError("no")

    document = team("RoundRobinGroupChat", agent("a", "dig"))
    world = World({"a": Script(lambda m: [("dig", {"what": str(len(m))})])}, never(document))
    world.give("dig", ANY, call=breaks, approval="allow")
    assert "failed 6 times in a row" in stopped(world).detail


def test_other_calls_in_between_and_a_persons_no_are_no_repetition() -> None:
    def answer(messages: list[Any]) -> Any:
        return "TERMINATE" if len(messages) > 30 else [("dig", {"what": str(len(messages) % 4)})]

    document = team("RoundRobinGroupChat", agent("a", "dig", max_tool_iterations=20))
    world = with_tools({"a": answer}, document, "dig")
    world.give("dig", ANY, approval="allow")
    assert world.finishes()["stop_reason"] == "completed"

    asked = with_tools({"a": worker("dig")}, team("RoundRobinGroupChat", agent("a", "dig")), "dig")
    asked.models["a"] = Script(lambda m: "TERMINATE" if len(m) > 16 else [("dig", {"what": str(len(m))})])
    while asks := getattr(asked.go(), "parked", ()):
        asked.decide(asks[0], "reject", reason="no")
    assert asked.finishes()["stop_reason"] == "completed"


# What may be spent


def room(**limits: Any) -> Room:
    return Room(None, None, Limits(**limits))  # type: ignore[arg-type]


def test_calls_under_way_count_at_what_they_may_take() -> None:
    held = room(max_cost=Decimal(1), max_tokens=1000)
    assert held.hold(400, Decimal("0.4")) is None and held.hold(700, Decimal("0.7")) is None
    assert "1100 of 1000 tokens" in (held.hold(1, Decimal(0)) or "")
    for tokens, cost in ((1, "0"), (700, "0.7")):
        held.let_go(tokens, Decimal(cost))
    assert held.hold(1, Decimal("0.6")) is None
    assert "1.0 of 1 US dollars" in (held.hold(1, Decimal(0)) or "")


def test_a_call_that_the_budget_refuses_ends_the_run_and_asks_no_model() -> None:
    class Poor(World):
        async def reserve(self, cost: Decimal) -> Any:
            class No:
                refused = "The organisation has nothing left."

                def settle(self, cost: Decimal) -> None:
                    raise AssertionError("nothing was put aside")

            await asyncio.sleep(0)
            return No()

    world = Poor({"a": Script(lambda m: "TERMINATE")}, never(team("RoundRobinGroupChat", agent("a"))))
    end = stopped(world)
    assert (end.reason, world.asked["a"]) == ("budget", 0) and "nothing left" in end.detail
