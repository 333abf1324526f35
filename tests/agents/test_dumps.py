"""What ``dump_component()`` writes of each class on the list is taken as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from autogen_agentchat import agents, teams, tools
from autogen_agentchat.agents import MessageFilterConfig, PerSourceFilter
from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_core import model_context as contexts
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from autogen_core.tools import FunctionTool, StaticWorkbench
from autogen_ext.code_executors.local import LocalCommandLineCodeExecutor
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from console.agents import documents, executors
from console.agents.tools import ToolSpec
from tests.agents.stage import World

KEY = "only for tests"


class Report(BaseModel):
    depth: int


def add(a: float, b: float) -> float:
    return a + b


def client(**config: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model="gpt-4o-mini", api_key=KEY, **config)


def one(name: str = "a", **config: Any) -> agents.AssistantAgent:
    return agents.AssistantAgent(name, model_client=client(), **config)


def chat(*members: Any) -> teams.RoundRobinGroupChat:
    return teams.RoundRobinGroupChat([*members], termination_condition=ENDING)


def tool() -> FunctionTool:
    return FunctionTool(add, description="Adds.", name="add")


def graph() -> teams.GraphFlow:
    first, second = one("a"), one("b")
    builder = teams.DiGraphBuilder().add_node(first).add_node(second).add_edge(first, second)
    return teams.GraphFlow(builder.get_participants(), builder.build())


def filtered() -> agents.MessageFilterAgent:
    keep = MessageFilterConfig(per_source=[PerSourceFilter(source="user", position="last", count=1)])
    return agents.MessageFilterAgent("a", wrapped_agent=one(), filter=keep)


def remembering() -> agents.AssistantAgent:
    kept = MemoryContent(content="Refunds are slow.", mime_type=MemoryMimeType.TEXT)
    return one(memory=[ListMemory("house", [kept])])


ENDING = TextMentionTermination("DONE") | MaxMessageTermination(9)
MADE: dict[str, Callable[[], Any]] = {
    "an agent alone": one,
    "a tool": lambda: one(tools=[tool()], reflect_on_tool_use=True, max_tool_iterations=3),
    "a workbench": lambda: one(workbench=StaticWorkbench([tool()])),
    "handoffs": lambda: teams.Swarm([one("a", handoffs=["b", Handoff(target="owner")]), one("b")], termination_condition=ENDING),
    "memory": remembering,
    "a structured answer": lambda: one(output_content_type=Report, output_content_type_format="{depth} m"),
    "streaming": lambda: one(model_client_stream=True),
    "unbounded": lambda: one(model_context=contexts.UnboundedChatCompletionContext()),
    "buffered": lambda: one(model_context=contexts.BufferedChatCompletionContext(5)),
    "head and tail": lambda: one(model_context=contexts.HeadAndTailChatCompletionContext(1, 2)),
    "token limited": lambda: one(model_context=contexts.TokenLimitedChatCompletionContext(client(), token_limit=900)),
    "settings of the model": lambda: agents.AssistantAgent("a", model_client=client(temperature=0.2, max_tokens=90, seed=7)),
    "round robin": lambda: chat(one(), agents.UserProxyAgent("owner")),
    "selector": lambda: teams.SelectorGroupChat([one(), one("b")], client(), termination_condition=ENDING, max_turns=4),
    "magentic": lambda: teams.MagenticOneGroupChat([one()], client()),
    "graph": graph,
    "team in team": lambda: chat(chat(one()), one("b")),
    "society": lambda: agents.SocietyOfMindAgent("s", chat(one()), client()),
    "filter": filtered,
    "agent as a tool": lambda: one("b", tools=[tools.AgentTool(one())]),
    "team as a tool": lambda: one("b", tools=[tools.TeamTool(chat(one()), "crew", "Digs.")]),
    "code": lambda: agents.CodeExecutorAgent("c", LocalCommandLineCodeExecutor(), model_client=client()),
}  # fmt: skip


def catalogue() -> dict[str, ToolSpec]:
    world = World({}, {})
    world.give("sum", {"properties": {"a": {"type": "number"}}})
    world.give("sandbox", executors.SCHEMA)
    return world.specs


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")  # of AutoGen, about its own classes
@pytest.mark.parametrize("what", MADE)
def test_what_autogen_writes_is_taken_unchanged(what: str) -> None:
    dumped = json.loads(json.dumps(MADE[what]().dump_component().model_dump(mode="json")))
    kept, findings = documents.examine(dumped, {"add": "sum", "CodeExecutor": "sandbox"}, catalogue())
    assert kept is not None, findings
    assert KEY not in json.dumps(kept) and "def add" not in json.dumps(kept)
    assert documents.examine(kept, {"add": "sum", "CodeExecutor": "sandbox"}, catalogue())[0] == kept
