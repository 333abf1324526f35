"""Agents and teams used as tools. A call of one may be gated, and is no effect itself: what it does inside is."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from autogen_agentchat.base import TaskResult
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import CancellationToken, Component, ComponentModel
from autogen_core.tools import BaseTool, StaticStreamWorkbench, ToolResult, ToolSchema
from pydantic import BaseModel

from console.agents.room import here, inside
from console.agents.workbenches import answer, changes, refusal
from console.durable.steps import Decision, Gate, Json, Safety

_PLAIN = re.compile(r"^[A-Za-z0-9_-]{1,40}$")


class Runner(BaseModel):
    """An agent or team as a tool, under the name and description that the calling agent knows."""

    tool: ComponentModel
    name: str
    description: str = ""


class RunnerWorkbenchConfig(BaseModel):
    """Where the workbench stands in the team, and whom its tools run."""

    scope: str
    agent: str
    runners: list[Runner] = []


# AutoGen passes on what happens inside a call only for this very class of workbench.
class RunnerWorkbench(StaticStreamWorkbench, Component[RunnerWorkbenchConfig]):  # type: ignore[misc]
    """A workbench of agents and teams."""

    component_type = "workbench"
    component_config_schema = RunnerWorkbenchConfig  # type: ignore[assignment]
    component_provider_override = "console.agents.runners.RunnerWorkbench"

    def __init__(self, config: RunnerWorkbenchConfig) -> None:
        super().__init__([])
        self._room = here()
        self._config = config
        self._runners: dict[str, AgentTool | TeamTool] = {}
        self._schemas: list[ToolSchema] = []
        self._turn: dict[str, asyncio.Lock] = {}
        for runner in config.runners:
            tool: Any = BaseTool.load_component(runner.tool)
            self._runners[runner.name] = tool
            self._turn[runner.name] = asyncio.Lock()
            schema: ToolSchema = {**tool.schema, "name": runner.name}
            if runner.description:
                schema["description"] = runner.description
            self._schemas.append(schema)

    @classmethod
    def _from_config(cls, config: RunnerWorkbenchConfig) -> RunnerWorkbench:  # type: ignore[override]
        return cls(config)

    def _to_config(self) -> RunnerWorkbenchConfig:  # type: ignore[override]
        return self._config

    async def list_tools(self) -> list[ToolSchema]:
        """The schemas of the agents and teams."""
        return self._schemas

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """The result alone."""
        async for item in self.call_tool_stream(name, arguments, cancellation_token, call_id):
            if isinstance(item, ToolResult):
                return item
        raise AssertionError("a call ended without a result")

    async def call_tool_stream(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
        call_id: str | None = None,
    ) -> AsyncGenerator[Any | ToolResult, None]:
        """Run the agent or team on a task; what is said inside on the way, and the result at the end."""
        tool = self._runners.get(name)
        if tool is None:
            yield answer(name, f"There is no tool {name!r}.", failed=True)
            return
        given: Json = {} if arguments is None else dict(arguments)
        scope = self._room.scope(f"{self._config.scope}/{_short(call_id or name)}")
        decision = await self._asked(scope, name, tool, given)
        if decision.verdict in ("reject", "deny"):
            self._room.spoken = True
            yield answer(name, refusal(decision), failed=True)
            return
        task = decision.arguments if decision.verdict == "edit" else given
        if not isinstance(task, dict) or not isinstance(task.get("task"), str):
            yield answer(name, f"Nothing was done. {name} takes a task, as text.", failed=True)
            return
        # It remembers what it was asked before, as AutoGen's does, so one task at a time; in the order of the calls.
        async with self._turn[name]:
            async for item in self._run(scope, name, tool, str(task["task"]), cancellation_token):
                if isinstance(item, ToolResult) and decision.verdict == "edit":
                    self._room.spoken = True
                    item = answer(name, f"{item.to_text()}\n\n{changes(given, decision)}", item.is_error)
                yield item

    async def _run(
        self, scope: str, name: str, tool: AgentTool | TeamTool, task: str, token: CancellationToken | None
    ) -> AsyncGenerator[Any | ToolResult, None]:
        result: TaskResult | None = None
        with inside(scope):
            async for item in tool._task_runner.run_stream(task=task, cancellation_token=token):
                if isinstance(item, TaskResult):
                    result = item
                else:
                    yield item
        if result is None:
            raise RuntimeError(f"{name} ended without a result")
        try:
            yield answer(name, tool.return_value_as_string(result), failed=False)
        except ValueError as error:  # its last message is none
            yield answer(name, f"{name} came to no result: {error}", failed=True)

    async def _asked(self, scope: str, name: str, tool: AgentTool | TeamTool, given: Json) -> Decision:
        """What the rules, and where they say so a person, think of the call."""
        shown: dict[str, Json] = {
            "title": f"Give {name} a task",
            "tool": name,
            "arguments": given,
            "description": tool.description,
            "schema": dict(self._parameters(name)),
            "safety": str(Safety.READ_ONLY),
            "risk": "low",
            "approval": "allow",
            "mode": self._room.oversight.of_stage(self._config.agent),
        }
        gate = Gate("tool", shown, agent=self._config.agent, tool=name, digest_of=given)
        return await self._room.run.gate(scope, gate)

    def _parameters(self, name: str) -> Mapping[str, Any]:
        return next(schema.get("parameters") or {} for schema in self._schemas if schema["name"] == name)


def _short(call_id: str) -> str:
    """A call's id as a part of a scope; some providers write long ones, or ones with slashes."""
    return call_id if _PLAIN.match(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:16]
