"""A team with one tool call a turn and a model that answers at once: by itself on stock AutoGen, and as a revision body.

The model is a function of the messages it is given, so that a replayed team hears the same.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Team
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken, ComponentModel, FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelInfo, RequestUsage
from autogen_core.tools import FunctionTool, Tool, ToolSchema

from console.agents.tools import ToolSpec
from console.durable.steps import Safety

MODEL = "bench-model"
SYSTEM = "You keep notes. Call take_note once a turn."
INFO = ModelInfo(vision=False, function_calling=True, json_output=True, family="unknown", structured_output=False)


class Scripted(ChatCompletionClient):
    """Calls ``take_note`` once a turn; thinks for ``latency`` milliseconds."""

    component_type = "model"

    def __init__(self, latency: int = 0) -> None:
        self._latency = latency

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Any = "auto",
        json_output: Any = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        if self._latency:
            await asyncio.sleep(self._latency / 1000)
        turn = len(messages)
        arguments = json.dumps({"text": f"Note after {turn} messages: all is well in the warehouse.", "priority": turn})
        call = FunctionCall(id=f"call_{turn}", name="take_note", arguments=arguments)
        usage = RequestUsage(prompt_tokens=20 * turn, completion_tokens=20)
        return CreateResult(finish_reason="function_calls", content=[call], usage=usage, cached=False)

    async def create_stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[str | CreateResult, None]:  # type: ignore[override]
        yield await self.create(*args, **kwargs)

    def dump_component(self) -> ComponentModel:
        """As a document names it: by a client that is never made."""
        provider = "autogen_ext.models.openai.OpenAIChatCompletionClient"
        config = {"model": f"{MODEL}-{self._latency}", "model_info": dict(INFO)}
        return ComponentModel(provider=provider, component_type="model", config=config)

    async def close(self) -> None:
        return None

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    total_usage = actual_usage

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        return 20 * len(messages)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        return 100_000

    @property
    def model_info(self) -> ModelInfo:
        return INFO

    capabilities = model_info  # type: ignore[assignment]


_NAMED = re.compile(rf"{MODEL}-(\d+)")


def named(model: str) -> Scripted | None:
    """The client that a document's model name stands for; None for a model of somebody else."""
    found = _NAMED.fullmatch(model)
    return None if found is None else Scripted(int(found[1]))


async def take_note(text: str, priority: int) -> str:
    """Keep a note."""
    return f"Noted with priority {priority}: {text}"


async def find_note(words: str, limit: int = 5) -> str:
    """Find notes by their words."""
    return "nothing"


async def drop_note(number: int, why: str) -> str:
    """Throw a note away."""
    return "gone"


FUNCTIONS = (take_note, find_note, drop_note)


def stock_team(turns: int, latency: int = 0) -> Team:
    """The team on AutoGen as it comes."""
    tools = [FunctionTool(function, description=function.__doc__ or "") for function in FUNCTIONS]
    agent = AssistantAgent("notary", Scripted(latency), tools=list(tools), system_message=SYSTEM)
    return RoundRobinGroupChat([agent], termination_condition=MaxMessageTermination(turns + 1))


def body(turns: int, latency: int = 0) -> dict[str, Any]:
    """The very same team as a normalised revision body."""
    document = stock_team(turns, latency).dump_component().model_dump(mode="json")
    return {
        "team": document,
        "credential": "default",
        "tools": {function.__name__: function.__name__ for function in FUNCTIONS},
        "oversight": {"mode": "NEVER"},
        "output_contract": {"type": "string"},
        "limits": {"max_turns": turns + 10, "max_tokens": 10**12, "run_timeout": "PT1H"},
    }


def specs() -> dict[str, ToolSpec]:
    """The tools as a catalogue has them: read-only, so that nothing but their result is recorded."""
    found = {}
    for function in FUNCTIONS:
        schema = FunctionTool(function, description=function.__doc__ or "").schema["parameters"]

        async def call(arguments: dict[str, Any], key: str, function: Any = function) -> str:
            result: str = await function(**arguments)
            return result

        found[function.__name__] = ToolSpec(
            name=function.__name__,
            version=1,
            description=function.__doc__ or "",
            schema=dict(schema),
            safety=Safety.READ_ONLY,
            approval="allow",
            call=call,
        )
    return found
