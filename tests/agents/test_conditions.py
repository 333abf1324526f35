"""Every termination condition, as AutoGen itself writes it, ends a team that has paused, was torn down and replayed."""

from __future__ import annotations

from typing import Any

import pytest
from autogen_agentchat import conditions as ends
from autogen_agentchat.base import TerminationCondition

from console.agents import providers
from console.durable.steps import Finished
from tests.agents.nested import with_tools, worker
from tests.agents.stage import World, agent, team

SEEN = ends.TextMentionTermination("Seen")
# (the condition, how a run ends by it, after how many turns of the agents; 0: that depends on a clock)
CASES: dict[str, tuple[TerminationCondition, str, int]] = {
    "TextMentionTermination": (SEEN, "completed", 2),
    "MaxMessageTermination": (ends.MaxMessageTermination(6), "completed", 5),
    "TokenUsageTermination": (ends.TokenUsageTermination(max_total_token=60), "budget", 2),
    "TimeoutTermination": (ends.TimeoutTermination(0.01), "timeout", 0),
    "SourceMatchTermination": (ends.SourceMatchTermination(["b"]), "completed", 2),
    "TextMessageTermination": (ends.TextMessageTermination("b"), "completed", 2),
    "FunctionCallTermination": (ends.FunctionCallTermination("dig"), "completed", 1),
    "HandoffTermination": (ends.HandoffTermination("b"), "completed", 1),
    "ExternalTermination": (ends.ExternalTermination() | SEEN, "completed", 2),
    "StopMessageTermination": (ends.StopMessageTermination() | SEEN, "completed", 2),
    "OrTerminationCondition": (SEEN | ends.TextMentionTermination("never"), "completed", 2),
    "AndTerminationCondition": (SEEN & ends.TextMentionTermination("I did dig"), "completed", 3),
}


def talking(ending: dict[str, Any], hands_over: bool) -> World:
    """Two agents that would talk for ever; the first call of a tool waits for a person."""

    def front(messages: list[Any]) -> Any:
        return [("dig", {"what": "x"}), ("transfer_to_b", {})]

    kind, more = ("Swarm", {"handoffs": ["b"]}) if hands_over else ("RoundRobinGroupChat", {})
    document = team(kind, agent("a", "dig", **more), agent("b"), termination_condition=ending)
    return with_tools({"a": front if hands_over else worker("dig"), "b": lambda m: "Seen."}, document, "dig")


def test_no_condition_is_forgotten() -> None:
    assert {*CASES} == {*providers.CONDITIONS.values()}


@pytest.mark.parametrize("kind", CASES)
def test_it_ends_a_team_that_has_paused(kind: str) -> None:
    ending, reason, turns = CASES[kind]
    world = talking(ending.dump_component().model_dump(mode="json"), kind == "HandoffTermination")
    (ask,) = world.parks()
    assert world.done == []
    world.decide(ask, "approve")
    outcome = world.go()
    assert isinstance(outcome, Finished)
    world.replays_the_same(outcome)
    assert outcome.value["stop_reason"] == reason, outcome
    assert [name for name, _ in world.done] == ["dig"]
    assert world.messages and (turns == 0 or _turns(world) == turns), world.said()


def _turns(world: World) -> int:
    spoken = [who for who, _ in world.said() if who in ("a", "b")]
    return sum(here != before for here, before in zip(spoken, ["", *spoken], strict=False))
