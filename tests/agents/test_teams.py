"""Each kind of team pauses, is torn down, replays and finishes; in any order of decisions, and killed at any step."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from console.agents import anatomy, providers
from console.agents import team as teams
from console.agents.limits import Limits
from console.agents.oversight import Oversight
from console.agents.rewrite import wrapped
from console.agents.room import shortened
from console.agents.tools import Unavailable
from console.durable import failpoints
from console.durable.memory import MemoryGates
from console.durable.steps import Ask, Suspended, Verdict
from tests.agents.nested import (
    NESTED,
    PYTHON,
    agents_as_tools,
    coder,
    deep_swarm,
    executing,
    team_in_team,
    teams_as_tools,
    with_executor,
    with_tools,
    worker,
)
from tests.agents.stage import (
    World,
    agent,
    at_most,
    model,
    team,
    text_of,
)


def chain(*names: str, **branches: tuple[str, ...]) -> dict[str, Any]:
    nodes = {name: {"name": name, "edges": []} for name in names}
    for source, targets in branches.items():
        nodes[source]["edges"] = [{"target": target} for target in targets]
    return {"nodes": nodes}


def round_robin() -> World:
    document = team("RoundRobinGroupChat", agent("a", "dig"), agent("b", "fill"))
    return with_tools({"a": worker("dig"), "b": worker("fill", "TERMINATE")}, document, "dig", "fill")


def selector() -> World:
    def choose(messages: list[Any]) -> Any:
        said = text_of(messages[0])
        return "b" if "I did dig" in said.split("Read the following")[-1] else "a is next"

    document = team(
        "SelectorGroupChat", agent("a", "dig", max_tool_iterations=3), agent("b", "fill"), model_client=model()
    )
    scripts = {"a": worker("dig"), "b": worker("fill", "TERMINATE"), "selector": choose}
    return with_tools(scripts, document, "dig", "fill")


def swarm() -> World:
    def front(messages: list[Any]) -> Any:
        return [("dig", {"what": "x"}), ("transfer_to_b", {})]

    def back(messages: list[Any]) -> Any:
        if any("fill done" in text_of(message) for message in messages):
            return "All done. TERMINATE"
        return [("fill", {"what": "y"})]

    document = team("Swarm", agent("a", "dig", handoffs=["b"]), agent("b", "fill", handoffs=["a"]))
    return with_tools({"a": front, "b": back}, document, "dig", "fill")


def graph_parallel() -> World:
    names = ("start", "left", "right", "join")
    document = team(
        "GraphFlow",
        agent("start"),
        agent("left", "dig"),
        agent("right", "fill"),
        agent("join"),
        graph=chain(*names, start=("left", "right"), left=("join",), right=("join",)),
        termination_condition=None,
    )
    scripts: dict[str, Any] = {"start": lambda m: "Begin.", "left": worker("dig"), "right": worker("fill")}
    return with_tools({**scripts, "join": lambda m: f"Joined {len(m)} messages."}, document, "dig", "fill")


def graph_starts() -> World:
    """Two start nodes: a set in AutoGen, so their order depends on the process."""
    document = team(
        "GraphFlow",
        agent("left", "dig"),
        agent("right", "fill"),
        agent("join"),
        graph=chain("left", "right", "join", left=("join",), right=("join",)),
        termination_condition=None,
    )
    scripts: dict[str, Any] = {"left": worker("dig"), "right": worker("fill"), "join": lambda m: "Joined."}
    return with_tools(scripts, document, "dig", "fill")


def graph_loop() -> World:
    def writer(messages: list[Any]) -> Any:
        drafts = sum("draft" in text_of(message) for message in messages)
        return f"draft {drafts}"

    def critic(messages: list[Any]) -> Any:
        if text_of(messages[-1]).startswith("dig done"):
            return "GOOD" if any("draft 2" in text_of(message) for message in messages) else "AGAIN"
        return [("dig", {"what": text_of(messages[-1])})]

    nodes = {
        "writer": {"name": "writer", "edges": [{"target": "critic", "activation_condition": "any"}]},
        "critic": {
            "name": "critic",
            "edges": [
                {"target": "writer", "condition": "AGAIN", "activation_group": "again"},
                {"target": "press", "condition": "GOOD"},
            ],
        },
        "press": {"name": "press", "edges": []},
    }
    document = team(
        "GraphFlow",
        agent("writer"),
        agent("critic", "dig", max_tool_iterations=2),
        agent("press"),
        graph={"nodes": nodes, "default_start_node": "writer"},
        termination_condition=at_most(30),
    )
    return with_tools({"writer": writer, "critic": critic, "press": lambda m: "Printed."}, document, "dig")


def two_calls() -> World:
    def answer(messages: list[Any]) -> Any:
        if "dig done" in text_of(messages[-1]):
            return "TERMINATE"
        return [("dig", {"what": "1"}), ("fill", {"what": "2"})]

    document = team("RoundRobinGroupChat", agent("a", "dig", "fill"))
    return with_tools({"a": answer}, document, "dig", "fill")


SPOKEN = ("TextMessage", "ToolCallSummaryMessage", "HandoffMessage", "StructuredMessage")
ALL = [round_robin, selector, swarm, graph_parallel, graph_starts, graph_loop, two_calls, *NESTED]
PARALLEL = [graph_parallel, graph_starts, two_calls]


def play(world: World, last_first: bool = False) -> Any:
    """Decide one request at a time until the run is over."""
    while True:
        outcome = world.go()
        if not isinstance(outcome, Suspended):
            world.replays_the_same(outcome)
            return outcome.value  # type: ignore[union-attr]
        asks = sorted(outcome.parked, key=lambda ask: (ask.scope, ask.n), reverse=last_first)
        world.decide(asks[0], "approve")


@pytest.mark.parametrize("build", ALL)
def test_it_stops_is_torn_down_replays_and_finishes(build: Callable[[], World]) -> None:
    world = build()
    result = play(world)
    assert result["stop_reason"] == "completed", result
    assert sorted(name for name, _ in world.done) == sorted(
        step.name for step in world.store.snapshot() if step.kind == "tool"
    )
    models = [step for step in world.store.snapshot() if step.kind == "model"]
    assert sum(world.asked.values()) == len(models)
    assert [message["index"] for message in world.messages] == list(range(len(world.messages)))
    assert sorted(message["at"] for message in world.messages) == [message["at"] for message in world.messages]


@pytest.mark.parametrize("build", PARALLEL)
@pytest.mark.parametrize("last_first", [False, True])
def test_two_gates_at_once_take_decisions_in_either_order(build: Callable[[], World], last_first: bool) -> None:
    world = build()
    asks = world.parks()
    assert [ask.tool for ask in asks] == ["dig", "fill"]
    assert world.done == []
    first, second = reversed(asks) if last_first else asks
    world.decide(first, "approve")
    (still,) = world.parks()
    assert still.scope == second.scope and [name for name, _ in world.done] == [first.tool]
    world.decide(second, "approve")
    assert world.finishes()["stop_reason"] == "completed"
    assert [name for name, _ in world.done] == [first.tool, second.tool]


def test_a_handoff_that_is_slow_to_come_back_from_its_thread_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoGen runs a handoff in a thread: on replay the record must wait for it, not call it a divergence."""
    submit = ThreadPoolExecutor.submit

    def slowly(self: ThreadPoolExecutor, fn: Callable[..., Any], *args: Any) -> Any:
        return submit(self, lambda: (time.sleep(0.02), fn(*args))[1])

    monkeypatch.setattr(ThreadPoolExecutor, "submit", slowly)
    assert play(swarm())["stop_reason"] == "completed"


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("build", ALL)
def test_killed_at_any_point_it_comes_to_the_same_end(build: Callable[[], World]) -> None:
    whole = build()
    expected = play(whole)
    golden = [(s.scope, s.n, s.kind, s.status, s.digest, _timeless(s.result)) for s in whole.store.snapshot()]

    class Kill:
        def __init__(self, at: int) -> None:
            self.left = at

        def __call__(self, name: str) -> None:
            # Between an effect that may not be repeated and its record there is doubt, not a resume: see durable.
            if name in ("after_intent", "after_effect", "before_finish"):
                return
            self.left -= 1
            if self.left == 0:
                raise Killed

    points = 0
    while True:
        points += 1
        world, kill = build(), Kill(points)
        failpoints.arm(kill)
        try:
            ended = _play_through_deaths(world)
        finally:
            failpoints.arm(None)
        assert ended == expected
        steps = [(s.scope, s.n, s.kind, s.status, s.digest, _timeless(s.result)) for s in world.store.snapshot()]
        assert sorted(steps[i][:2] for i in range(len(steps))) == sorted(step[:2] for step in golden)
        assert sorted(map(repr, steps)) == sorted(map(repr, golden))
        assert sorted(world.done, key=repr) == sorted(whole.done, key=repr)
        if kill.left > 0:
            break
    assert points > 5


def _timeless(result: Any) -> Any:
    """A result without the time at which a rule let a call through."""
    return {**result, "at": ""} if isinstance(result, dict) and result.get("verdict") == "allow" else result


def _play_through_deaths(world: World) -> Any:
    while True:
        try:
            outcome = world.go()
        except Killed:
            continue
        if not isinstance(outcome, Suspended):
            return outcome.value  # type: ignore[union-attr]
        for ask in sorted(outcome.parked, key=lambda ask: (ask.scope, ask.n)):
            if (ask.scope, ask.n) not in world.gates.decided:
                world.decide(ask, "approve")
                break


def test_a_wrapped_team_names_nothing_but_our_classes_and_the_listed_ones() -> None:
    allowed = {
        *providers.TEAMS,
        *providers.AGENTS,
        *providers.CONDITIONS,
        *providers.CONTEXTS,
        *providers.MEMORIES,
        *providers.STRUCTURES,
        "autogen_agentchat.tools.AgentTool",
        "autogen_agentchat.tools.TeamTool",
    }
    for build in ALL:
        todo: list[Any] = [wrapped(build().prepare()["team"], Limits(), Oversight("ALWAYS"))]
        while todo:
            item = todo.pop()
            if isinstance(item, dict):
                if "provider" in item:
                    assert item["provider"] in allowed or item["provider"].startswith("console.agents.")
                todo.extend(item.values())
            elif isinstance(item, list):
                todo.extend(item)


@pytest.mark.parametrize("build", ALL)
def test_a_wrapped_document_is_kept_for_the_next_resume_and_only_read(build: Callable[[], World]) -> None:
    world = build()
    body = world.prepare()
    recipe = teams._Recipe(body["team"], Limits.of(body), Oversight.of(body), None)
    kept = teams._wrapped(recipe)
    before = copy.deepcopy(kept)
    play(world)
    assert teams._wrapped(replace(recipe, limits=Limits.of(body))) is kept == before
    others = {
        "document": copy.deepcopy(body["team"]),
        "limits": Limits(max_turns=3),
        "oversight": Oversight("ALWAYS"),
        "filters": {"a": [{"source": "user"}]},
    }
    for name, other in others.items():
        assert teams._wrapped(replace(recipe, **{name: other})) is not kept


@pytest.mark.parametrize("build", ALL)
def test_every_kind_of_team_with_each_message_reviewed(build: Callable[[], World]) -> None:
    plain, watched = build(), build()
    watched.body["oversight"] = {"mode": "ALWAYS"}
    expected = play(plain)
    assert play(watched, last_first=True) == expected
    assert sorted(watched.done, key=repr) == sorted(plain.done, key=repr)
    reviewed = [step for step in watched.store.snapshot() if step.scope.endswith("/message")]
    agents = anatomy.names(watched.prepare()["team"]) - {*providers.SPEAKERS.values()}
    spoken = [m for m in watched.messages if m["source"] in agents and m["type"] in SPOKEN]
    assert len(reviewed) == len(spoken) > 0
    assert watched.asked == plain.asked


def test_somebody_outside_a_swarm_inside_a_team_is_asked() -> None:
    world = deep_swarm()
    (ask,) = world.parks()
    assert (ask.kind, ask.scope, ask.request["to"]) == ("question", "crew/owner", "owner")
    world.decide(ask, "respond", answer="Go on.")
    (ask,) = world.parks()
    assert (ask.tool, ask.scope) == ("dig", "crew/b/tools/review")
    world.decide(ask, "approve")
    assert world.finishes()["stop_reason"] == "completed"
    assert [name for name, _ in world.done] == ["dig"]


def test_what_is_inside_a_call_stands_below_it() -> None:
    world = agents_as_tools()
    play(world)
    scopes = {step.scope for step in world.store.snapshot()}
    assert {
        "boss/model",
        "boss/runs/call-2-0",
        "boss/runs/call-2-0/helper/model",
        "boss/runs/call-2-1/helper/tools",
    } <= scopes
    assert [given["what"] for _, given in world.done] == ["1", "2", "3"]  # it remembers what it was asked before


def test_the_call_of_an_agent_can_be_gated_edited_and_refused() -> None:
    def by_rule(ask: Ask) -> Verdict:
        return Verdict("require")

    world = teams_as_tools()
    world.policy = by_rule
    world.gates = MemoryGates(by_rule)
    call = next(ask for ask in world.parks() if ask.tool == "crew")
    assert call.scope.startswith("boss/runs/") and call.request["arguments"] == {"task": "dig"}
    world.decide(call, "edit", arguments={"task": "dig deeper"})
    (inner,) = [ask for ask in world.parks() if ask.tool == "dig"]
    assert inner.scope.startswith(f"{call.scope}/b/tools")
    refused = teams_as_tools()
    refused.gates = MemoryGates(by_rule)
    call = next(ask for ask in refused.parks() if ask.tool == "crew")
    refused.decide(call, "reject", reason="No crew today.")
    assert [ask.tool for ask in refused.parks()] == ["fill"]
    assert "b" not in refused.asked or refused.asked["b"] == 0


def test_what_ends_a_team_inside_another_says_nothing_about_the_run() -> None:
    world = team_in_team()  # its inner team is ended by a count of messages
    assert play(world)["stop_reason"] == "completed"
    assert {message["source"] for message in world.messages} >= {"a", "b", "c", "d"}


def test_a_long_path_is_shortened_and_stays_its_own() -> None:
    long = [shortened("x" * 300 + end) for end in ("a", "b")]
    assert long[0] != long[1] and all(len(scope) <= 240 for scope in long)
    assert shortened("a/model") == "a/model"


def test_code_is_shown_edited_and_refused_before_it_is_executed() -> None:
    world = executing()
    (ask,) = world.parks()
    assert (ask.kind, ask.tool, ask.agent, ask.scope) == ("tool", "sandbox", "terminal", "terminal/code/review")
    assert ask.request["arguments"] == {"code": "print(6 * 7)\n"}
    world.decide(ask, "edit", arguments={"code": "print(7 * 6)", "language": "python"}, reason="TERMINATE it")
    assert world.go().value["stop_reason"] == "completed"
    assert world.done == [("sandbox", {"code": "print(7 * 6)", "language": "python"})]
    told = next(content for source, content in world.said() if source == "terminal")
    assert told.startswith("42") and "code was print(6 * 7)" in told

    world = executing()
    (ask,) = world.parks()
    world.decide(ask, "reject", reason="TERMINATE, not on my machine")
    world.parks()  # its word ended nothing: the writer tries again
    told = next(content for source, content in world.said() if source == "terminal")
    assert told.startswith("A person refused this call.") and "not on my machine" in told and world.done == []


def test_blocks_are_executed_one_by_one_up_to_the_first_that_fails() -> None:
    def writer(messages: list[Any]) -> Any:
        if any("went wrong" in text_of(message) for message in messages):
            return "TERMINATE"
        return "```python\n1\n```\n```sh\nls\n```\n```python\n2\n```"

    document = team("RoundRobinGroupChat", agent("writer"), coder("terminal", sources=["writer"]))

    async def call(arguments: dict[str, Any], key: str) -> Any:
        world.done.append(("sandbox", arguments))
        return {"exit_code": 1, "output": "it went wrong"} if "language" in arguments else "fine"

    world = with_executor({"writer": writer}, document, approval="allow", call=call)
    assert world.finishes()["stop_reason"] == "completed"
    assert world.done == [("sandbox", {"code": "1\n"}), ("sandbox", {"code": "ls\n", "language": "sh"})]
    told = next(content for source, content in world.said() if source == "terminal")
    assert "POSIX exit code: 1" in told and told.endswith("fine\nit went wrong")


def test_code_that_cannot_be_executed_is_said_so() -> None:
    async def call(arguments: dict[str, Any], key: str) -> Any:
        raise Unavailable("Docker is not there")

    def writer(messages: list[Any]) -> Any:
        return "TERMINATE" if any("Docker is not there" in text_of(message) for message in messages) else PYTHON

    document = team("RoundRobinGroupChat", agent("writer"), coder("terminal", sources=["writer"]))
    world = with_executor({"writer": writer}, document, approval="allow", call=call)
    assert world.finishes()["stop_reason"] == "completed"
    told = next(content for source, content in world.said() if source == "terminal")
    assert told == "sandbox failed: Docker is not there"
