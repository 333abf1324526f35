"""Deeds that are done once, in a team: answered from the ledger, and never silently repeated or mistaken."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from console.agents.deeds import Deed, Found, once
from console.agents.pacing import Pace
from console.agents.tools import Failed, NoAnswer, ToolSpec
from console.durable.bodies import Call
from console.durable.errors import OutcomeUnknown
from console.durable.steps import Safety, Status, Step
from tests.agents.stage import Script, World, agent, never, team

SCHEMA = {
    "properties": {"order": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order", "amount"],
}


@dataclass
class Book:
    """A ledger in memory that may be told what to answer."""

    says: list[Found] = field(default_factory=list)
    rows: dict[str, tuple[str, Deed, Any]] = field(default_factory=dict)
    begun: list[tuple[Deed, bool]] = field(default_factory=list)
    broken: bool = False

    def key(self, scope: str, action: str) -> str:
        return f"{scope}:{action}"

    async def begin(self, deed: Deed, sure: bool) -> Found:
        self.begun.append((deed, sure))
        if self.broken:
            raise OSError("the database is away")
        if self.says:
            return self.says.pop(0)
        status, other, result = self.rows.get(deed.action, ("failed", deed, None))
        if status == "failed" or (other.step, other.n) == (deed.step, deed.n) or (status == "unknown" and sure):
            self.rows[deed.action] = ("begun", deed, None)
            return Found("ours")
        if other.digest != deed.digest:
            return Found("other", run="abc", tool=other.tool)
        return Found(status, run="abcdef012", step=f"{other.step}#{other.n}", tool=other.tool, result=result)

    async def end(self, deed: Deed, status: str, result: Any = None) -> None:
        self.rows[deed.action] = (status, deed, result)


def desk(*asked: tuple[str, float], call: Any = None, safety: Safety = Safety.NEITHER) -> World:
    """A clerk who refunds one order after the other, and says at the end what he heard."""

    def answer(messages: list[Any]) -> Any:
        turn = (len(messages) - 2) // 2
        if turn < len(asked):
            order, amount = asked[turn]
            return [("refund", {"order": order, "amount": amount})]
        heard = [part.content for message in messages for part in message.content if hasattr(part, "call_id")]
        return f"{' | '.join(heard)} TERMINATE"

    document = team("RoundRobinGroupChat", agent("clerk", "refund", max_tool_iterations=9))
    world = World({"clerk": Script(answer)}, never(document), ledger=Book())
    facts = {"call": call} if call else {"result": {"refunded": True}}
    world.give("refund", SCHEMA, approval="allow", safety=safety, action="refund {order}", **facts)
    return world


def tools(world: World) -> list[Step]:
    return [step for step in world.store.snapshot() if step.kind == "tool"]


def test_a_repeated_deed_is_answered_with_what_was_recorded() -> None:
    world = desk(("7", 5), ("7", 5), ("8", 5))
    said = world.finishes()["result"]
    assert len(world.done) == 2 and said.count('{"refunded": true}') == 3 and said.count("Done already") == 1
    first, second, third = tools(world)
    assert second.status is Status.DONE
    [told] = second.attempts
    assert (told["cause"], told["run"], told["step"]) == ("ledger", "abcdef012", "clerk/tools#1")
    assert first.key == second.key == "run:refund 7" and third.key == "run:refund 8"


def test_the_same_deed_with_another_amount_is_a_conflict() -> None:
    world = desk(("7", 5), ("7", 500))
    said = world.finishes()["result"]
    assert len(world.done) == 1 and "Nothing was done. Conflict" in said and "other arguments" in said
    assert tools(world)[1].status is Status.FAILED and tools(world)[1].attempts[0]["cause"] == "ledger_other"


def test_what_surely_failed_may_be_done_again() -> None:
    outcomes: list[Any] = [Failed("the till is shut"), {"refunded": True}]

    async def call(arguments: dict[str, Any], key: str) -> Any:
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    world = desk(("7", 5), ("7", 5), call=call)
    assert "the till is shut" in (said := world.finishes()["result"]) and "true" in said and "already" not in said


@pytest.mark.parametrize("error", [RuntimeError("half done?"), NoAnswer("silence")])
def test_a_deed_of_which_nobody_knows_asks_a_person_when_it_comes_again(error: Exception) -> None:
    calls: list[str] = []

    async def call(arguments: dict[str, Any], key: str) -> Any:
        calls.append(key)
        if len(calls) == 1:
            raise error
        return "refunded"

    world = desk(("7", 5), ("7", 5), call=call)
    if isinstance(error, NoAnswer):
        [ask] = world.parks()
        world.decide(ask, "respond", answer="happened", result="by hand")
        world.ledger.rows["refund 7"] = ("unknown", world.ledger.rows["refund 7"][1], None)
    [ask] = world.parks()
    assert ask.kind == "in_doubt" and ask.n == 2 and len(calls) == 1
    assert tools(world)[1].attempts[0]["cause"] == "ledger_unknown"
    world.decide(ask, "respond", answer="did not happen")
    assert "refunded" in world.finishes()["result"] and len(calls) == 2
    assert world.ledger.begun[-1][1]  # said by a person


def test_an_idempotent_deed_is_tried_with_its_key() -> None:
    keys: list[str] = []

    async def call(arguments: dict[str, Any], key: str) -> Any:
        keys.append(key)
        if len(keys) == 1:
            raise NoAnswer("silence")
        return "refunded"

    world = desk(("7", 5), call=call, safety=Safety.IDEMPOTENT)
    world.finishes()
    assert keys == ["run:refund 7"] * 2 and world.ledger.begun[0][0].idempotent


def test_another_run_that_is_at_it_is_waited_for_within_the_limit() -> None:
    world = desk(("7", 5))
    busy = Found("under_way", run="abc", tool="refund")
    world.ledger.says = [busy, busy, Found("done", run="abc", tool="refund", result="paid")]
    assert "paid" in world.finishes()["result"] and not world.done and world.slept == [0.2, 0.5]
    world = desk(("7", 5))
    world.ledger.says = [busy] * 10
    assert "at this moment" in world.finishes()["result"] and not world.done and sum(world.slept) <= 4


def test_without_the_ledger_nothing_is_done() -> None:
    world = desk(("7", 5))
    world.ledger.broken = True
    assert "Nothing was done. The ledger" in world.finishes()["result"] and not world.done


@pytest.mark.parametrize(("again", "unknown"), [("", False), ("in_doubt", False), ("worker_lost", True)])
def test_nobody_says_that_nothing_was_done_of_a_call_that_was_begun_before(
    again: str, unknown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Away:
        async def begin(self, deed: Deed, sure: bool) -> Found:
            raise ConnectionError("the ledger is away")

    async def do() -> Any:
        raise AssertionError("the deed is done without the ledger")

    deed = Deed("run", "refund 7", "refund", 1, "d", True, "a/tools", 1)
    call = Call("a/tools", 1, "key", None, None, again)
    trying = once(Away(), deed, call, Pace(), 5.0, do)  # type: ignore[arg-type]  # the rest of it is not asked for
    if unknown:
        with pytest.raises(OutcomeUnknown, match="earlier try"):
            asyncio.run(trying)
    else:
        told = asyncio.run(trying)
        assert told.failed and told.value.startswith("Nothing was done")
    assert "the ledger is away" in caplog.text


def spec(action: str) -> ToolSpec:
    async def call(arguments: dict[str, Any], key: str) -> Any: ...

    return ToolSpec("refund", 1, "", SCHEMA, Safety.NEITHER, call, action=action)


def test_the_name_of_a_deed_leaves_nothing_out() -> None:
    pay = spec("pay {order}")
    long = "x" * 200
    assert pay.deed({"order": "7"}) == "pay 7" and pay.deed({"order": 7}) == "pay 7"
    assert pay.deed({"order": long + "a"}) != pay.deed({"order": long + "b"})
    assert pay.deed({"order": "7\n"}) != pay.deed({"order": "7"})
    assert pay.deed({"order": {"b": 1, "a": 2}}) == pay.deed({"order": {"a": 2, "b": 1}})
    for open_ in ({}, {"order": None}, {"order": ""}, [], None):
        assert pay.deed(open_) is None  # a deed without a name is none that could be repeated
    for name in ("x" * 500, "\ud800" * 200, "\x00"):
        assert len(pay.deed({"order": name}) or "") <= 120 and (pay.deed({"order": name}) or "").isprintable()
