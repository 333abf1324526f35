"""What is switched off in AutoGen by private names, and what is pinned to its version."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import weakref
from importlib.metadata import version
from typing import Any
from uuid import UUID

import pytest
from autogen_agentchat.messages import MessageFactory, StructuredMessage, TextMessage
from autogen_agentchat.teams._group_chat._chat_agent_container import ChatAgentContainer
from autogen_agentchat.teams._group_chat._round_robin_group_chat import RoundRobinGroupChatManager
from autogen_agentchat.teams._group_chat._selector_group_chat import SelectorGroupChatManager
from autogen_core import SingleThreadedAgentRuntime
from autogen_core import _single_threaded_agent_runtime as runtime
from autogen_core._telemetry._tracing import TraceHelper
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openai import not_given, omit
from openai.resources.chat.completions import completions
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import BaseModel

from console.agents import quiet
from console.agents import team as stage_of_teams
from console.durable.run import Run
from tests.agents.stage import World, agent, never, team
from tests.agents.test_round_robin import desk


def test_the_private_names_are_where_they_were() -> None:
    assert version("autogen-core") == version("autogen-agentchat") == version("autogen-ext") == "0.7.5"
    with quiet.loud():
        assert inspect.iscoroutinefunction(SingleThreadedAgentRuntime._create_otel_attributes)
        assert list(inspect.signature(SingleThreadedAgentRuntime._try_serialize).parameters) == ["self", "message"]
        assert SingleThreadedAgentRuntime.__module__ == runtime.__name__
        assert "operation" in inspect.signature(TraceHelper.trace_block).parameters
        assert SingleThreadedAgentRuntime._try_serialize is not quiet._no_payload
        assert "hello" in repr(TextMessage(source="a", content="hello"))
    assert SingleThreadedAgentRuntime._try_serialize is quiet._no_payload
    assert repr(TextMessage(source="a", content="hello")) == "<TextMessage of a>"
    for owner, name, ours in quiet._CHANGES:
        with quiet.loud():
            assert inspect.getattr_static(owner, name) is not ours
        assert inspect.getattr_static(owner, name) is ours
    bare = SingleThreadedAgentRuntime()
    assert bare._instantiated_agents == {} == bare._agent_factories  # what dismantle empties
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="k")
    assert client._resolved_model != "gpt-4o-mini"  # what trust_model_name is there for


def test_ids_are_different_and_of_the_kind_that_they_were() -> None:
    first, second = (UUID(TextMessage(source="a", content="hello").id) for _ in range(2))
    assert first != second and first.version == second.version == 4


def test_what_a_class_handles_is_looked_up_once_and_for_each_class() -> None:
    classes = (ChatAgentContainer, RoundRobinGroupChatManager, SelectorGroupChatManager)
    for one in classes:
        with quiet.loud():
            handlers, types = one._discover_handlers(), one._handles_types()
        assert [each.__name__ for each in one._discover_handlers()] == [each.__name__ for each in handlers] != []
        assert [each for each, _ in one._handles_types()] == [each for each, _ in types] != []
        assert one._discover_handlers() is one._discover_handlers()


def test_what_is_awaited_by_itself_says_what_it_says() -> None:
    async def say(word: str) -> str:
        if word == "no":
            raise ValueError(word)
        return word

    async def hear() -> None:
        assert await quiet._gather(say("yes")) == "yes"
        assert await quiet._gather(say("yes"), say("maybe")) == ["yes", "maybe"]
        assert await quiet._gather() == []
        with pytest.raises(ValueError, match="no"):
            await quiet._gather(say("no"))

    asyncio.run(hear())


def test_a_team_passes_on_the_structured_messages_that_autogen_would_refuse() -> None:
    class Report(BaseModel):
        depth: int

    with_type = StructuredMessage[Report]
    assert not quiet._is_registered(MessageFactory(), with_type)  # once it is, ``_knows`` may go
    assert MessageFactory().is_registered(with_type)
    assert not MessageFactory().is_registered(BaseModel)  # type: ignore[arg-type]


def test_a_request_to_a_model_is_what_the_package_would_make_of_it() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "dig", "arguments": "{}"}}
    given = {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Dig."},
            {"role": "user", "name": "user", "content": [{"type": "text", "text": "there"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "dug"},
        ],
        "tools": [{"type": "function", "function": {"name": "dig", "parameters": {"type": "object"}, "strict": False}}],
        "top_p": omit,
        "user": not_given,
    }
    expected = CompletionCreateParamsStreaming
    with quiet.loud():
        walked = asyncio.run(completions.async_maybe_transform(given, expected))
    assert completions.async_maybe_transform is quiet._as_it_is
    assert asyncio.run(quiet._as_it_is(given, expected)) == walked


def test_a_team_that_is_over_does_not_wait_for_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[weakref.ref[object]] = []
    rebuilt = stage_of_teams.rebuilt

    def watched(run: Run, *given: Any) -> Any:
        room, team = rebuilt(run, *given)
        kept.extend(map(weakref.ref, (run, room, team, team._runtime, *team._participants)))
        return room, team

    monkeypatch.setattr(stage_of_teams, "rebuilt", watched)
    world = desk()
    gc.collect()
    gc.disable()
    try:
        (ask,) = world.parks()
        assert len(kept) == 5 and [each() for each in kept] == [None] * 5
        world.decide(ask, "approve")
        world.finishes()
        assert len(kept) == 15 and [each() for each in kept] == [None] * 15  # once more for the replay
    finally:
        gc.enable()


def test_a_run_that_is_torn_down_is_quiet_and_a_real_fault_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        desk().parks()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []

    class Broken(World):
        def tool(self, name: str, version: int) -> None:  # type: ignore[override]
            raise KeyError(name)

    world = Broken({}, never(team("RoundRobinGroupChat", agent("a", "dig"))))
    world.give("dig", {})
    with caplog.at_level(logging.ERROR):
        world.go()
    assert any("dig" in str(record.exc_info) for record in caplog.records)
