"""Results and messages that a person sees first."""

from __future__ import annotations

from typing import Any

import pytest

from console.durable.steps import Stopped
from tests.agents.stage import Script, World, agent, at_most, either, mention, never, team, text_of

# The final review


def drafts(messages: list[Any]) -> Any:
    rejected = sum("rejected the result" in text_of(message) for message in messages)
    return f"Draft {rejected + 1}. TERMINATE"


def office(mode: str = "TERMINATE", **oversight: Any) -> World:
    document = team("RoundRobinGroupChat", agent("clerk"))
    return World({"clerk": Script(drafts)}, {"team": document, "oversight": {"mode": mode, **oversight}})


def test_a_result_is_approved_edited_or_rejected() -> None:
    world = office()
    (ask,) = world.parks()
    assert (ask.kind, ask.scope) == ("final", "team/final")
    assert ask.request == {"result": "Draft 1. TERMINATE", "stop_detail": "Text 'TERMINATE' mentioned"}
    world.decide(ask, "approve")
    assert world.finishes()["result"] == "Draft 1. TERMINATE"

    world = office()
    (ask,) = world.parks()
    world.decide(ask, "edit", answer="My own words")
    assert world.finishes()["result"] == "My own words"

    world = office()
    (ask,) = world.parks()
    world.decide(ask, "reject", reason="TERMINATE is no way to talk")
    (ask,) = world.parks()
    assert ask.request["result"] == "Draft 2. TERMINATE"
    world.decide(ask, "approve")
    assert world.finishes()["result"] == "Draft 2. TERMINATE"
    assert [message.get("note") for message in world.messages] == [None, None, True, None]


@pytest.mark.parametrize("mode", ["TERMINATE", "ALWAYS"])
@pytest.mark.parametrize(
    ("verdict", "by", "says"),
    [
        ("reject", "Rita", "A person rejected"),
        ("reject", "policy", "Nobody accepted"),
        ("deny", "", "A rule does not allow"),
    ],
)
def test_the_team_hears_who_did_not_accept_its_words(mode: str, verdict: str, by: str, says: str) -> None:
    heard: list[str] = []

    def answer(messages: list[Any]) -> str:
        heard.append(text_of(messages[-1]))
        return "Said. TERMINATE"

    document = team("RoundRobinGroupChat", agent("clerk"))
    world = World({"clerk": Script(answer)}, {"team": document, "oversight": {"mode": mode}})
    (ask,) = world.parks()
    world.decide(ask, verdict, reason="because", by=by)
    world.parks()
    assert heard[-1].startswith(says) and "<reviewer>because</reviewer>" in heard[-1]


def test_a_result_is_rejected_once_too_often() -> None:
    world = office(max_reviews=1)
    (ask,) = world.parks()
    world.decide(ask, "reject", reason="no")
    (ask,) = world.parks()
    world.decide(ask, "reject", reason="still no")
    assert world.go() == Stopped("rejected", "still no")


def test_a_rejected_graph_is_not_run_again() -> None:
    document = team(
        "GraphFlow",
        agent("clerk"),
        graph={"nodes": {"clerk": {"name": "clerk", "edges": []}}},
        termination_condition=None,
    )
    world = World({"clerk": Script(drafts)}, {"team": document})
    (ask,) = world.parks()
    world.decide(ask, "reject", reason="no")
    assert world.go() == Stopped("rejected", "no")
    assert world.asked == {"clerk": 1}


def test_a_swarm_goes_on_after_a_rejection() -> None:
    def back(messages: list[Any]) -> Any:
        return "Better. TERMINATE" if "rejected" in text_of(messages[-1]) else "Bad. TERMINATE"

    document = team("Swarm", agent("front", handoffs=["back"]), agent("back"))
    world = World({"front": Script(lambda m: [("transfer_to_back", {})]), "back": Script(back)}, {"team": document})
    (ask,) = world.parks()
    world.decide(ask, "reject", reason="try again")
    (ask,) = world.parks()
    world.decide(ask, "approve")
    assert world.finishes()["result"] == "Better. TERMINATE"


CONTRACT = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


def test_a_result_must_fit_its_contract() -> None:
    for said, ended in (('{"total": 3}', {"total": 3}), ("three", None), ('{"total": "3"}', None)):
        document = team("RoundRobinGroupChat", agent("clerk"), termination_condition=at_most(2))
        world = World({"clerk": Script(lambda m, said=said: said)}, never(document, output_contract=CONTRACT))
        if ended:
            assert world.finishes()["result"] == ended
        else:
            outcome = world.go()
            assert isinstance(outcome, Stopped) and outcome.reason == "contract_violation"


def test_a_reviewer_sees_and_may_mend_a_result_that_does_not_fit() -> None:
    document = team("RoundRobinGroupChat", agent("clerk"), termination_condition=at_most(2))
    world = World({"clerk": Script(lambda m: "three")}, {"team": document, "output_contract": CONTRACT})
    (ask,) = world.parks()
    assert ask.request["fault"]
    world.decide(ask, "edit", answer='{"total": 3}')
    assert world.finishes()["result"] == {"total": 3}


# ALWAYS, and stages


def pair(**oversight: Any) -> World:
    def writer(messages: list[Any]) -> Any:
        last = text_of(messages[-1])
        if "rejected" in last:
            return "A kinder letter"
        return "A rude letter" if len(messages) < 3 else f"I see: {text_of(messages[-2])}"

    document = team(
        "RoundRobinGroupChat",
        agent("writer"),
        agent("reader"),
        termination_condition=either(at_most(4), mention("STOP")),
    )
    scripts = {"writer": Script(writer), "reader": Script(lambda m: f"I read: {text_of(m[-1])}")}
    return World(scripts, {"team": document, "oversight": oversight})


def test_every_message_is_seen_before_the_others_see_it() -> None:
    world = pair(mode="ALWAYS")
    (ask,) = world.parks()
    assert (ask.kind, ask.scope, ask.request["content"]) == ("message", "writer/message", "A rude letter")
    assert world.asked == {"writer": 1, "reader": 0}
    world.decide(ask, "reject", reason="STOP being rude")
    (ask,) = world.parks()
    assert (ask.n, ask.request["content"]) == (2, "A kinder letter")
    world.decide(ask, "approve")
    (ask,) = world.parks()
    assert (ask.scope, ask.request["content"]) == ("reader/message", "I read: A kinder letter")
    world.decide(ask, "edit", answer="I like it")
    (ask,) = world.parks()
    assert ask.scope == "writer/message" and "I like it" not in str(world.done)
    world.decide(ask, "approve")
    assert world.finishes()["stop_reason"] == "max_turns"
    assert ("reader", "I like it") in world.said()
    assert "A rude letter" not in str(world.said())


def test_an_edited_message_is_told_to_its_author_at_its_next_turn() -> None:
    seen: list[str] = []

    def writer(messages: list[Any]) -> Any:
        seen.append(" | ".join(text_of(message) for message in messages))
        return f"letter {len(messages)}"

    document = team("RoundRobinGroupChat", agent("writer"), termination_condition=at_most(3))
    world = World({"writer": Script(writer)}, {"team": document, "oversight": {"mode": "ALWAYS"}})
    (ask,) = world.parks()
    world.decide(ask, "edit", answer="my letter")
    (ask,) = world.parks()
    assert "A person changed your last message" in seen[-1] and "<reviewer>my letter</reviewer>" in seen[-1]
    world.decide(ask, "approve")
    world.finishes()


def test_an_agent_that_is_rejected_too_often_stops_the_run() -> None:
    world = pair(mode="ALWAYS", max_reviews=1)
    for _ in range(2):
        (ask,) = world.parks()
        world.decide(ask, "reject", reason="no")
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == "rejected"


@pytest.mark.parametrize("stage", ["ALWAYS", "TERMINATE"])
def test_a_stage_may_be_watched_more_than_the_rest(stage: str) -> None:
    world = pair(mode="NEVER", stages={"reader": stage})
    (ask,) = world.parks()
    assert ask.scope == "reader/message"
    world.decide(ask, "approve")
    world.finishes()
