"""What is said in a team: people in it, who hears whom, what is remembered, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from console.durable.digest import expand
from tests.agents.stage import Script, World, agent, at_most, either, mention, model, never, node, person, team, text_of
from tests.agents.test_teams import play, with_tools, worker


def test_a_person_on_the_team_is_asked_and_answers() -> None:
    def helper(messages: list[Any]) -> Any:
        return f"You said: {text_of(messages[-1])} TERMINATE" if len(messages) > 2 else "Which city?"

    world = World({"helper": Script(helper)}, never(team("RoundRobinGroupChat", agent("helper"), person())))
    (ask,) = world.parks()
    assert (ask.kind, ask.scope, ask.request["question"]) == ("question", "user_proxy", "Which city?")
    world.decide(ask, "respond", answer="Paris")
    assert world.finishes()["result"] == "You said: Paris TERMINATE"
    assert ("user_proxy", "Paris") in world.said()


def test_what_a_person_on_the_team_says_may_end_it() -> None:
    document = team("RoundRobinGroupChat", agent("helper"), person(), termination_condition=mention("APPROVE"))
    world = World({"helper": Script(lambda m: "Fine?")}, never(document))
    (ask,) = world.parks()
    world.decide(ask, "respond", answer="APPROVE")
    assert world.finishes()["stop_detail"] == "Text 'APPROVE' mentioned"


def test_a_swarm_hands_over_to_somebody_outside_and_goes_on_with_the_answer() -> None:
    def front(messages: list[Any]) -> Any:
        said = text_of(messages[-1])
        return f"Booked for {said}. TERMINATE" if "2 pm" in said else [("transfer_to_customer", {})]

    handoff = node("autogen_agentchat.conditions.HandoffTermination", "termination", target="customer")
    document = team(
        "Swarm",
        agent("front", handoffs=[{"target": "customer", "message": "When shall we come?"}]),
        termination_condition=either(handoff, mention()),
    )
    world = World({"front": Script(front)}, never(document))
    (ask,) = world.parks()
    assert (ask.kind, ask.request["question"], ask.request["from"]) == ("question", "When shall we come?", "front")
    world.decide(ask, "respond", answer="2 pm")
    assert world.finishes()["result"] == "Booked for 2 pm. TERMINATE"
    handoffs = [(m["source"], m["target"]) for m in world.messages if m["type"] == "HandoffMessage"]
    assert handoffs == [("front", "customer"), ("customer", "front")]


def test_an_agent_of_another_team_hands_over_to_somebody_outside_too() -> None:
    def front(messages: list[Any]) -> Any:
        return "Thanks. TERMINATE" if "blue" in text_of(messages[-1]) else [("transfer_to_customer", {})]

    world = World(
        {"front": Script(front)},
        never(team("RoundRobinGroupChat", agent("front", handoffs=[{"target": "customer", "message": "Colour?"}]))),
    )
    (ask,) = world.parks()
    assert (ask.kind, ask.scope, ask.request["question"]) == ("question", "front/customer", "Colour?")
    world.decide(ask, "respond", answer="blue")
    assert world.finishes()["result"] == "Thanks. TERMINATE"


def test_streaming_shows_chunks_and_gives_the_agent_the_whole_answer() -> None:
    world = World(
        {"a": Script(lambda m: "one two TERMINATE")},
        never(team("RoundRobinGroupChat", agent("a", model_client_stream=True))),
    )
    assert world.finishes()["result"] == "one two TERMINATE"
    assert world.chunks == [("a/model", 1, 1, "one"), ("a/model", 1, 1, "two"), ("a/model", 1, 1, "TERMINATE")]


def test_a_time_limit_stands_still_while_a_person_thinks() -> None:
    document = team(
        "RoundRobinGroupChat",
        agent("a", "dig"),
        termination_condition=either(
            mention(), node("autogen_agentchat.conditions.TimeoutTermination", "termination", timeout_seconds=2)
        ),
    )
    world = with_tools({"a": worker("dig", "TERMINATE")}, document, "dig")
    (ask,) = world.parks()
    world.ticks += 3_600_000
    world.decide(ask, "approve")
    assert world.finishes()["stop_reason"] == "completed"


@pytest.mark.parametrize("body,reason", [({"limits": {"max_turns": 2}}, "max_turns"), ({}, "max_turns")])
def test_counting_is_a_limit_for_a_team_that_has_an_end_of_its_own(body: dict[str, Any], reason: str) -> None:
    document = team("RoundRobinGroupChat", agent("a"), termination_condition=either(mention(), at_most(4)))
    world = World({"a": Script(lambda m: "on and on")}, never(document, **body))
    ended = world.finishes()
    assert (ended["stop_reason"], ended["result"]) == (reason, None)


def test_counting_is_the_end_of_a_team_that_has_no_other() -> None:
    for document in (
        team("RoundRobinGroupChat", agent("a"), termination_condition=at_most(3)),
        team("RoundRobinGroupChat", agent("a"), termination_condition=None, max_turns=2),
    ):
        world = World({"a": Script(lambda m: f"{len(m)}")}, never(document))
        assert world.finishes()["stop_reason"] == "completed"


def test_an_agent_hears_only_whom_its_filter_lets_through() -> None:
    heard: list[list[str]] = []

    def last(messages: list[Any]) -> Any:
        heard.append([text_of(message) for message in messages[1:]])
        return "TERMINATE"

    document = team("RoundRobinGroupChat", agent("a"), agent("b"), agent("c"))
    scripts = {"a": Script(lambda m: "from a"), "b": Script(lambda m: "from b"), "c": Script(last)}
    world = World(scripts, never(document, filters={"c": [{"source": "b", "position": "last", "count": 1}]}))
    world.body["oversight"] = {"mode": "TERMINATE"}
    (ask,) = world.parks()
    assert heard == [["from b"]]
    world.decide(ask, "reject", reason="more")
    world.parks()
    assert any("more" in said for said in heard[-1])


def test_what_a_selector_is_asked_is_stored_as_its_difference() -> None:
    def choose(messages: list[Any]) -> Any:
        return "b" if text_of(messages[0]).rsplit("Read the above", 1)[0].count("spoke") % 2 else "a"

    scripts = {"a": lambda m: f"a spoke {len(m)} " + "x" * 500, "b": lambda m: f"b spoke {len(m)} " + "y" * 500}
    document = team(
        "SelectorGroupChat",
        agent("a"),
        agent("b"),
        model_client=model(),
        allow_repeated_speaker=True,
        termination_condition=at_most(30),
    )
    world = World({**{n: Script(s) for n, s in scripts.items()}, "selector": Script(choose)}, never(document))
    world.finishes()
    asked = [step for step in world.store.snapshot() if step.scope == "selector/model"]
    sizes = [len(str(step.request)) for step in asked]
    assert len(asked) > 20 and max(sizes[2:]) < 2 * min(sizes[2:])
    whole = [request for _, request in expand(asked)][-1]["messages"]
    assert sum("spoke" in message["content"] for message in whole) == len(asked) - 1


CONTEXT = "autogen_core.model_context"


@pytest.mark.parametrize(
    "context",
    [
        node(f"{CONTEXT}.UnboundedChatCompletionContext", "chat_completion_context"),
        node(f"{CONTEXT}.BufferedChatCompletionContext", "chat_completion_context", buffer_size=2),
        node(f"{CONTEXT}.HeadAndTailChatCompletionContext", "chat_completion_context", head_size=1, tail_size=2),
        node(
            f"{CONTEXT}.TokenLimitedChatCompletionContext",
            "chat_completion_context",
            model_client=model(),
            token_limit=60,
        ),
    ],
    ids=lambda context: context["provider"].rsplit(".", 1)[1],
)
def test_a_context_that_forgets_replays_the_same(context: dict[str, Any]) -> None:
    def answer(messages: list[Any]) -> Any:
        return [("dig", {"what": f"{len(messages)}"})]

    ending = either(mention(), at_most(8))
    document = team("RoundRobinGroupChat", agent("a", "dig", model_context=context), termination_condition=ending)
    world = with_tools({"a": answer}, document, "dig")
    world.body["limits"] = {"max_repeats": 20}
    assert play(world)["stop_reason"] == "max_turns"
    assert len(world.done) == 7
    if "Unbounded" not in context["provider"]:
        asked = [request["messages"] for step, request in expand(world.store.snapshot()) if step.kind == "model"]
        assert max(len(messages) for messages in asked) < 8
