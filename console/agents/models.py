"""The journaled model: a client whose every call is an effect of the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from autogen_core import CancellationToken, Component
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from console.agents import clients, failures, providers, wire
from console.agents.room import here
from console.durable.digest import History
from console.durable.errors import EffectFailed
from console.durable.run import Call
from console.durable.steps import Done, Json, Kind

SELECTOR = providers.SPEAKERS["SelectorGroupChat"]  # the name under which a team's own model is asked who is next
CHARS_PER_TOKEN = 4  # a local estimate: the real encodings would have to be downloaded
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
            return await self._persist(call, messages, arguments, stream)

        settled = await room.run.effect(
            scope,
            kind=Kind.MODEL,
            request=request,
            digest=digest,
            body=body,
            name=self._name,
            agent=self._agent,
            # Each try has its own limit; this one is for all of them and the pauses between.
            timeout=room.pace.tries * (room.limits.model_timeout + timedelta(seconds=room.pace.longest + 8)),
        )
        value = settled.value
        room.spend(value["usage"], value["cost"])
        self._usage.prompt_tokens += value["usage"]["input_tokens"]
        self._usage.completion_tokens += value["usage"]["output_tokens"]
        return wire.full_result(value, self._schemas.handoffs)

    async def _persist(
        self, call: Call, messages: Sequence[LLMMessage], arguments: dict[str, Any], stream: bool
    ) -> Done:
        """Try until there is an answer, a failure that will not go away, or no try left."""
        pace = self._room.pace
        attempts: list[Json] = []
        secrets: tuple[str, ...] = ()
        while True:
            number = len(attempts) + 1
            started = pace.clock()
            call.attempt = number
            try:
                # Inside the loop: a credential that cannot be used is a failure of the call, too.
                client = self._room.environment.model_client(self._agent, self._config)
                secrets = clients.secrets(client)
                async with asyncio.timeout(self._room.limits.model_timeout.total_seconds()):
                    result = await self._once(call, client, messages, arguments, stream)
                return self._done(result, attempts, started)
            except Exception as error:
                failure = failures.read(error, self._name, secrets, pace.clock())
            attempts.append({**_times(started, pace.clock()), "cause": failure.cause})
            if not failure.transient or number >= pace.tries or (failure.wait or 0) > pace.longest:
                raise EffectFailed(
                    {"type": failure.cause, "message": failure.sentence}, attempts=attempts, stop="model_error"
                )
            backoff = min(8.0, 0.5 * 2 ** (number - 1)) * (0.5 + pace.random() / 2)
            await pace.sleep(backoff if failure.wait is None else max(failure.wait, backoff))

    async def _once(
        self,
        call: Call,
        client: ChatCompletionClient,
        messages: Sequence[LLMMessage],
        arguments: dict[str, Any],
        stream: bool,
    ) -> CreateResult:
        if messages and isinstance(messages[-1], AssistantMessage):
            # AutoGen's client strips the last message in place, for some models; ours is part of a digest.
            messages = [*messages[:-1], messages[-1].model_copy()]
        if not stream:
            return _sane(await client.create(messages, **arguments))
        extra = {"stream_options": {"include_usage": True}, **arguments.get("extra_create_args", {})}
        result: CreateResult | None = None
        async for chunk in client.create_stream(messages, **{**arguments, "extra_create_args": extra}):
            if isinstance(chunk, CreateResult):
                result = chunk
            else:
                call.emit(chunk)
        # A complete stream names its reason to stop, and its usage; some providers have reasons of their own invention.
        if result is None or (result.finish_reason == "unknown" and not result.usage.prompt_tokens):
            raise failures.CutShort("the stream ended before the answer did.")
        return _sane(result)

    def _done(self, result: CreateResult, attempts: list[Json], started: datetime) -> Done:
        usage = {"input_tokens": result.usage.prompt_tokens, "output_tokens": result.usage.completion_tokens}
        cost = self._room.environment.price(self._name, usage)
        attempts.append({**_times(started, self._room.pace.clock()), "cause": None})
        value = {**wire.plain_result(result), "usage": usage, "cost": cost}
        return Done(value, usage=usage, cost=cost, attempts=attempts)

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
        chars = sum(len(str(message.content)) + 16 for message in messages)
        return (chars + sum(len(str(schema)) for schema in self._schemas.of(tools))) // CHARS_PER_TOKEN

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


def _times(started: datetime, ended: datetime) -> dict[str, str]:
    return {"started_at": started.isoformat(), "ended_at": ended.isoformat()}


def _sane(result: CreateResult) -> CreateResult:
    """The answer, or Nonsense when there is none in it."""
    if isinstance(result.content, str):
        if not result.content.strip():
            if result.finish_reason == "content_filter":
                raise failures.Nonsense("its content filter left nothing.")
            if result.finish_reason == "length":
                raise failures.Nonsense("it ran out of tokens before it said anything.")
            raise failures.Nonsense("it is empty.")
        return result
    for call in result.content:
        if not all(isinstance(part, str) for part in (call.id, call.name, call.arguments)) or not call.name:
            raise failures.Nonsense("a tool call in it has no name or no arguments.")
    if not result.content:
        raise failures.Nonsense("it is empty.")
    return result
