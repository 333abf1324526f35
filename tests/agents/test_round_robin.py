"""One agent, one gated tool: the main road."""

from __future__ import annotations

from typing import Any

from tests.agents.stage import Script, World, agent, never, team, text_of

SCHEMA = {
    "properties": {"order": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order", "amount"],
    "additionalProperties": False,
}


def clerk(messages: list[Any]) -> Any:
    last = text_of(messages[-1])
    if "refund done" in last:
        return "It is refunded. TERMINATE"
    if "refused" in last:
        return f"I was told: {last} TERMINATE"
    return [("refund", {"order": "7", "amount": 20})]


def desk(**body: Any) -> World:
    world = World({"clerk": Script(clerk)}, never(team("RoundRobinGroupChat", agent("clerk", "refund")), **body))
    world.give("refund", SCHEMA, title="Refund {amount} for order {order}")
    return world


def test_it_stops_at_the_tool_and_carries_on_when_approved() -> None:
    world = desk()
    (ask,) = world.parks()
    assert (ask.scope, ask.kind, ask.tool, ask.agent) == ("clerk/tools/review", "tool", "refund", "clerk")
    assert ask.request["title"] == "Refund 20 for order 7"
    assert ask.request["arguments"] == {"order": "7", "amount": 20}
    assert world.done == [] and world.asked == {"clerk": 1}
    world.decide(ask, "approve")
    result = world.finishes()
    assert result == {
        "result": "It is refunded. TERMINATE",
        "stop_reason": "completed",
        "stop_detail": "Text 'TERMINATE' mentioned",
    }
    assert world.done == [("refund", {"order": "7", "amount": 20})]
    assert world.asked == {"clerk": 2}
    assert [message["index"] for message in world.messages] == list(range(5))
    assert [message["type"] for message in world.messages] == [
        "TextMessage",
        "ToolCallRequestEvent",
        "ToolCallExecutionEvent",
        "ToolCallSummaryMessage",
        "TextMessage",
    ]
