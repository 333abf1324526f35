"""The stage on which teams are played: scripted models, counted tools, and a worker that can be killed anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage

from console.agents.breakers import Breaker, Breakers
from console.agents.documents import normalise
from console.agents.room import Pace, Price, Route
from console.agents.team import run_team
from console.agents.tools import ToolSpec
from console.durable.engine import Handle, advance
from console.durable.loop import new_loop
from console.durable.memory import MemoryGates, MemoryStore
from console.durable.steps import Ask, Decision, Finished, Outcome, Safety, Step, Suspended, Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)

Answer = str | list[tuple[str, Any]]  # a text, or tool calls as (name, arguments)


class Script(ChatCompletionClient):
    """A model that is a function of the messages it is given, and never of how often it was asked."""

    component_type = "model"

    def __init__(self, answer: Callable[[list[Any]], Answer]) -> None:
        self.answer = answer
        self.asked = 0

    async def create(self, messages: Sequence[Any], **options: Any) -> CreateResult:
        self.asked += 1
        said = self.answer(list(messages))
        usage = RequestUsage(prompt_tokens=10 * len(messages), completion_tokens=7)
        if isinstance(said, str):
            return CreateResult(finish_reason="stop", content=said, usage=usage, cached=False)
        calls = [
            FunctionCall(
                id=f"call-{len(messages)}-{i}",
                name=name,
                arguments=given if isinstance(given, str) else json.dumps(given),
            )
            for i, (name, given) in enumerate(said)
        ]
        return CreateResult(finish_reason="function_calls", content=calls, usage=usage, cached=False)

    async def create_stream(self, messages: Sequence[Any], **options: Any) -> AsyncGenerator[str | CreateResult, None]:
        result = await self.create(messages, **options)
        if isinstance(result.content, str):
            for word in result.content.split():
                yield word
        yield result

    async def close(self) -> None: ...

    def actual_usage(self) -> RequestUsage:
        raise NotImplementedError

    def total_usage(self) -> RequestUsage:
        raise NotImplementedError

    def count_tokens(self, messages: Sequence[Any], **options: Any) -> int:
        raise NotImplementedError

    def remaining_tokens(self, messages: Sequence[Any], **options: Any) -> int:
        raise NotImplementedError

    @property
    def capabilities(self) -> ModelInfo:
        raise NotImplementedError

    @property
    def model_info(self) -> ModelInfo:
        raise NotImplementedError


class Unlimited:
    """A budget without a bottom."""

    refused = ""

    def settle(self, cost: Decimal) -> None: ...


@dataclass(frozen=True)
class Fixed:
    """What a call of a model costs, whatever it uses."""

    costs: Mapping[str, str]

    def of(self, model: str, usage: Mapping[str, Any]) -> Price | None:
        cost = self.costs.get(model)
        return None if cost is None or usage.get("missing") else Price(cost, "the world")


@dataclass
class World:
    """What outlives a worker: the journal, the requests, the ledger of what tools did, and a clock."""

    models: dict[str, Script]
    body: dict[str, Any]
    task: Any = "Please refund order 7."
    policy: Callable[[Ask], Verdict] | None = None
    specs: dict[str, ToolSpec] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=MemoryStore)
    done: list[tuple[str, Any]] = field(default_factory=list)
    ticks: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[tuple[str, int, int, str]] = field(default_factory=list)
    costs: Mapping[str, str] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)
    revision: dict[str, Any] | None = None
    lost_money: Decimal = Decimal(0)
    ledger: Any = None
    handle: Handle | None = None
    breakers: Breakers = field(default_factory=lambda: Breakers(lambda: 0.0))

    def __post_init__(self) -> None:
        self.gates = MemoryGates(self.policy or by_tool)

    # Environment

    def tool(self, name: str, version: int) -> ToolSpec:
        return self.specs[name]

    def model_client(self, agent: str, config: Mapping[str, Any]) -> ChatCompletionClient:
        return self.models[agent]

    ways = 1

    def routes(self, agent: str, config: Mapping[str, Any]) -> list[Route]:
        name = str(config.get("model", ""))
        breaker = self.breakers.get("provider", "default")
        return [Route(name, "default", lambda: self.model_client(agent, config), breaker)]

    def tool_breaker(self, name: str) -> Breaker:
        return self.breakers.get("tool", name)

    async def reserve(self, cost: Decimal) -> Unlimited:
        return Unlimited()

    def broken_off(self, cost: Decimal) -> None:
        self.lost_money += cost

    async def prices(self) -> Fixed:
        return Fixed(self.costs)

    # Observer

    def step_opened(self, step: Step) -> None: ...

    def step_settled(self, step: Step) -> None: ...

    def chunk(self, scope: str, n: int, attempt: int, text: str) -> None:
        self.chunks.append((scope, n, attempt, text))

    # A worker

    def clock(self) -> datetime:
        self.ticks += 1
        return START + timedelta(milliseconds=self.ticks)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def go(self) -> Outcome:
        """One worker takes the run as far as it goes, and forgets everything but the world."""
        loop = new_loop()
        try:
            return loop.run_until_complete(self._advance())
        finally:
            loop.close()

    def prepare(self) -> dict[str, Any]:
        """The body as a revision keeps it, made once."""
        if self.revision is None:
            self.revision = {**self.body, "team": normalise(self.body["team"], self.body.get("tools", {}), self.specs)}
        return self.revision

    async def _advance(self) -> Outcome:
        self.messages = []
        body = self.prepare()
        pace = Pace(clock=self.clock, sleep=self._sleep, random=lambda: 0.5)
        outcome = await advance(
            lambda run: run_team(
                run, body=body, task=self.task, environment=self, emit=self.messages.append, pace=pace
            ),
            run_id="run",
            journal=self.store.claim(),
            gates=self.gates,
            clock=self.clock,
            observer=self,
            handle=self.handle,
            started_at=START,
        )
        assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return outcome

    def parks(self) -> list[Ask]:
        """Advance until it waits for people; the requests they see, in the order of their scopes."""
        outcome = self.go()
        assert isinstance(outcome, Suspended), outcome
        assert outcome.parked
        return sorted(outcome.parked, key=lambda ask: ask.scope)

    def decide(self, ask: Ask, verdict: str, **said: Any) -> None:
        self.gates.decide(ask.scope, ask.n, Decision(verdict, **{"by": "Rea", **said}))

    def finishes(self) -> Any:
        """Advance to the end; then replay all of it once more: nothing may happen again, and nothing may differ."""
        outcome = self.go()
        assert isinstance(outcome, Finished), outcome
        self.replays_the_same(outcome)
        return outcome.value

    def replays_the_same(self, outcome: Outcome) -> None:
        before = (self.asked, list(self.done), self.messages, self.store.snapshot())
        assert self.go() == outcome
        assert (self.asked, list(self.done), self.messages, self.store.snapshot()) == before

    @property
    def asked(self) -> dict[str, int]:
        return {name: script.asked for name, script in self.models.items()}

    def said(self) -> list[tuple[str, Any]]:
        """Who said what."""
        return [(message["source"], message["content"]) for message in self.messages]

    # Tools

    def give(self, name: str, schema: Mapping[str, Any], **facts: Any) -> ToolSpec:
        """Put a tool into the catalogue that writes down what it did."""

        async def call(arguments: dict[str, Any], key: str) -> Any:
            self.done.append((name, arguments))
            return facts["result"] if "result" in facts else f"{name} done"

        spec = ToolSpec(
            name=name,
            version=1,
            description=f"Does {name}.",
            schema={"type": "object", **schema},
            safety=facts.get("safety", Safety.NEITHER),
            call=facts.get("call", call),
            approval=facts.get("approval", "require"),
            title=facts.get("title", ""),
            timeout=facts.get("timeout", timedelta(seconds=5)),
            action=facts.get("action"),
            action_scope=facts.get("action_scope", "run"),
        )
        self.specs[name] = spec
        return spec


def by_tool(ask: Ask) -> Verdict:
    """The policy: as the tool says; messages, questions and results always."""
    allowed = ask.kind == "tool" and ask.request["approval"] == "allow"
    return Verdict("allow" if allowed else "require")


# Documents, in the shape that AutoGen Studio writes


def node(provider: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"provider": provider, "component_type": kind, "version": 1, "component_version": 1, "config": config}


def model(**config: Any) -> dict[str, Any]:
    return node("autogen_ext.models.openai.OpenAIChatCompletionClient", "model", **{"model": "gpt-4o-mini", **config})


def pinned(name: str, catalogue: str | None = None) -> dict[str, Any]:
    return node(
        "autogen_core.tools.FunctionTool",
        "tool",
        name=name,
        catalogue=catalogue or name,
        version=1,
        description=f"Does {name}.",
    )


def agent(name: str, *tools: str, **config: Any) -> dict[str, Any]:
    bench = node("autogen_core.tools.StaticStreamWorkbench", "workbench", tools=[pinned(tool) for tool in tools])
    found = node(
        "autogen_agentchat.agents.AssistantAgent",
        "agent",
        **{
            "name": name,
            "model_client": model(),
            "workbench": [bench] if tools else [],
            "description": f"The {name}.",
            "system_message": f"You are {name}.",
            "reflect_on_tool_use": False,
            "tool_call_summary_format": "{result}",
            **config,
        },
    )
    return {**found, "version": 2, "component_version": 2}


def person(name: str = "user_proxy") -> dict[str, Any]:
    return node("autogen_agentchat.agents.UserProxyAgent", "agent", name=name, description="A human user")


def mention(text: str = "TERMINATE") -> dict[str, Any]:
    return node("autogen_agentchat.conditions.TextMentionTermination", "termination", text=text)


def at_most(messages: int) -> dict[str, Any]:
    return node("autogen_agentchat.conditions.MaxMessageTermination", "termination", max_messages=messages)


def either(*conditions: dict[str, Any]) -> dict[str, Any]:
    return node("autogen_agentchat.base.OrTerminationCondition", "termination", conditions=list(conditions))


def team(kind: str, *members: dict[str, Any], **config: Any) -> dict[str, Any]:
    ending = {} if "termination_condition" in config else {"termination_condition": mention()}
    return node(f"autogen_agentchat.teams.{kind}", "team", participants=list(members), **ending, **config)


def never(document: dict[str, Any], **body: Any) -> dict[str, Any]:
    return {"team": document, "oversight": {"mode": "NEVER"}, **body}


def text_of(message: Any) -> str:
    """What a model message says, tool results included."""
    content = message.content
    if isinstance(content, str):
        return content
    return " ".join(str(getattr(part, "content", getattr(part, "arguments", part))) for part in content)
