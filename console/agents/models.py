"""The journaled model: a client whose every call is an effect of the run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from autogen_core import CancellationToken, Component
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from console.agents import clients, providers, usage, wire
from console.agents.asking import CHARS_PER_TOKEN, Asking
from console.agents.room import here
from console.durable.digest import History
from console.durable.run import Call
from console.durable.steps import Done, Json, Kind

SELECTOR = providers.SPEAKERS["SelectorGroupChat"]  # the name under which a team's own model is asked who is next
CONTEXT_TOKENS = 128_000


class JournaledModelConfig(BaseModel):
    """Where the model stands in the team, and the configuration of the client it stands for."""

    scope: str
    agent: str
    config: dict[str, Any]


class JournaledModel(ChatCompletionClient, Component[JournaledModelConfig]):
    """Stands for a model client in a team; asks the journal first, and the real client only for what is new."""

    component_type = "model"
    component_config_schema = JournaledModelConfig
    component_provider_override = "console.agents.models.JournaledModel"

    def __init__(self, scope: str, agent: str, config: Mapping[str, Any]) -> None:
        self._room = here()
        self._scope = scope
        self._agent = agent
        self._config = dict(config)
        self._name = str(config.get("model", ""))
        self._info = clients.model_info(config)
        self._histories: dict[str, History] = {}  # by scope: each call of an agent as a tool has its own
        self._schemas = wire.Schemas()
        self._lengths = wire.Lengths()
        self._usage = RequestUsage(prompt_tokens=0, completion_tokens=0)

    @classmethod
    def _from_config(cls, config: JournaledModelConfig) -> JournaledModel:
        return cls(config.scope, config.agent, config.config)

    def _to_config(self) -> JournaledModelConfig:
        return JournaledModelConfig(scope=self._scope, agent=self._agent, config=self._config)

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        """Ask the model, or hand back what it said."""
        return await self._ask(messages, tools, tool_choice, json_output, extra_create_args, stream=False)

    async def create_stream(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> AsyncGenerator[str | CreateResult, None]:
        """Like create: chunks go to the live feed by themselves, the agent gets the whole answer only."""
        yield await self._ask(messages, tools, tool_choice, json_output, extra_create_args, stream=True)

    async def _ask(
        self,
        messages: Sequence[LLMMessage],
        tools: Sequence[Tool | ToolSchema],
        tool_choice: Tool | Literal["auto", "required", "none"],
        json_output: bool | type[BaseModel] | None,
        extra: Mapping[str, Any] | None,
        *,
        stream: bool,
    ) -> CreateResult:
        room = self._room
        await room.check_budget()
        schemas = self._schemas.of(tools)
        rest: dict[str, Json] = {"model": self._name, "tools": schemas}
        if stream:
            rest["stream"] = True
        arguments: dict[str, Any] = {"tools": schemas}
        if tool_choice != "auto":
            arguments["tool_choice"] = tool_choice
            rest["tool_choice"] = tool_choice if isinstance(tool_choice, str) else tool_choice.name
        if json_output is not None:
            arguments["json_output"] = json_output
            rest["json_output"] = json_output if isinstance(json_output, bool) else json_output.__name__
        if extra:
            arguments["extra_create_args"] = dict(extra)
            rest["extra"] = dict(extra)
        told = wire.paragraphs(messages) if self._agent == SELECTOR else messages
        scope = room.scope(self._scope)
        history = self._histories.get(scope)
        if history is None:
            history = self._histories[scope] = History(wire.encode)
        request, digest = history.request(told, rest)

        async def body(call: Call) -> Done:
            asked = self.count_tokens(messages, tools=tools)
            return await Asking(room, self._agent, self._config, messages, arguments, asked, stream).answer(call)

        # Each try has its own limit; this one is for all of them and the pauses between.
        timeout = await room.left_of_turn(
            self._agent,
            room.environment.ways
            * room.pace.tries
            * (room.limits.model_timeout + timedelta(seconds=room.pace.longest + 8)),
        )
        settled = await room.run.effect(
            scope,
            kind=Kind.MODEL,
            request=request,
            digest=digest,
            body=body,
            name=self._name,
            agent=self._agent,
            timeout=timeout,
        )
        value = settled.value
        if isinstance(value["content"], str) and self._agent not in providers.SPEAKERS.values():
            await room.notice(f"{scope} says", value["content"], f"{self._agent} said the same")
        room.spend(value["usage"], value["cost"])
        asked, answered = usage.tokens(value["usage"])
        self._usage.prompt_tokens += asked
        self._usage.completion_tokens += answered
        return wire.full_result(value, self._schemas.handoffs)

    async def close(self) -> None:
        """Nothing to close: the real clients outlive the run."""

    def actual_usage(self) -> RequestUsage:
        """Tokens that this advance of the run has seen, handed back or not."""
        return self._usage

    def total_usage(self) -> RequestUsage:
        """The same as actual_usage."""
        return self._usage

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """An estimate from the length of the text, so that no encoding is downloaded."""
        self._schemas.of(tools)
        return (self._lengths.of(messages) + self._schemas.length) // CHARS_PER_TOKEN

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """What is left of a context of 128,000 tokens."""
        return CONTEXT_TOKENS - self.count_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> ModelInfo:  # type: ignore[override]  # AutoGen's deprecated name for model_info
        """What the model can do."""
        return self._info

    @property
    def model_info(self) -> ModelInfo:
        """What the model can do."""
        return self._info
