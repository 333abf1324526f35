"""The journaled workbench: every tool call is an effect behind a gate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from autogen_core import CancellationToken, Component
from autogen_core.tools import TextResultContent, ToolResult, ToolSchema, Workbench
from pydantic import BaseModel

from console.agents import deeds, doing
from console.agents.oversight import POLICY, quote
from console.agents.room import here
from console.agents.tools import ToolSpec, as_text, clip, show, words
from console.durable.digest import digest
from console.durable.errors import EffectFailed
from console.durable.run import Call, Settled
from console.durable.steps import Decision, Done, Gate, Json, Kind, Safety


class PinnedTool(BaseModel):
    """A tool as a team knows it, and the catalogue's version of it that it stands for."""

    name: str
    catalogue: str
    version: int
    description: str = ""


class JournaledWorkbenchConfig(BaseModel):
    """Where the workbench stands in the team, and what is on it."""

    scope: str
    agent: str
    tools: list[PinnedTool] = []


class JournaledWorkbench(Workbench, Component[JournaledWorkbenchConfig]):
    """Stands for a static workbench in a team."""

    component_type = "workbench"
    component_config_schema = JournaledWorkbenchConfig
    component_provider_override = "console.agents.workbenches.JournaledWorkbench"

    def __init__(self, config: JournaledWorkbenchConfig) -> None:
        self._room = here()
        self._config = config
        self._tools: dict[str, ToolSpec] = {}
        self._schemas: list[ToolSchema] = []
        for pinned in config.tools:
            spec = self._room.environment.tool(pinned.catalogue, pinned.version)
            self._tools[pinned.name] = spec
            self._schemas.append(
                {
                    "name": pinned.name,
                    "description": pinned.description or spec.description,
                    "parameters": {"type": "object", "properties": {}, **spec.schema},  # type: ignore[typeddict-item]
                    "strict": False,
                }
            )

    @classmethod
    def _from_config(cls, config: JournaledWorkbenchConfig) -> JournaledWorkbench:
        return cls(config)

    def _to_config(self) -> JournaledWorkbenchConfig:
        return self._config

    async def list_tools(self) -> list[ToolSchema]:
        """The tools' schemas, the same objects every time: stock AutoGen computes them anew at each call."""
        return self._schemas

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """Do it, after whoever must be asked was asked. Never raises: AutoGen would wait for ever."""
        spec = self._tools.get(name)
        if spec is None:
            return answer(name, f"There is no tool {name!r}.", failed=True)
        given: Json = {} if arguments is None else arguments
        try:
            settled = await self.settle(name, spec, given, call_id or "")
        except EffectFailed as failed:  # it ran out of time
            return answer(name, f"{name} failed: {failed.error['message']}", failed=True)
        return self._result(name, given, settled)

    async def settle(self, name: str, spec: ToolSpec, given: Json, call_id: str) -> Settled:
        """What comes of a call, and of whoever is asked about it. Raises EffectFailed when it runs out of time."""
        room, who = self._room, self._room.scope(self._config.scope)
        await room.notice(
            f"{who} calls", digest([name, given]), f"{self._config.agent} called {name} with the same arguments"
        )
        try:
            settled = await self._effect(name, spec, given, call_id)
        except EffectFailed:
            await self._learn(who, True)
            raise
        except Exception as error:  # a fault of ours: end the run with it, rather than hang the team
            await self._room.run.stop("tool_error", f"{name}: {type(error).__name__}: {clip(words(error), 300)}")
            raise
        await self._learn(who, settled.failed)
        if settled.by or (settled.decision is not None and settled.decision.verdict not in ("allow", "approve")):
            room.spoken = True  # the team is told what a person said
        return settled

    async def _learn(self, who: str, failed: bool) -> None:
        """Notice an error loop. A person's no is none: it is not a failure."""
        if failed:
            await self._room.notice(f"{who} fails", "", f"Tool calls of {self._config.agent} failed")
        else:
            self._room.forget(f"{who} fails")

    async def _effect(self, name: str, spec: ToolSpec, given: Json, call_id: str) -> Settled:
        room, fault = self._room, spec.fault(given)
        timeout = min(spec.timeout, room.limits.tool_timeout or spec.timeout)
        timeout = await room.left_of_turn(self._config.agent, timeout)
        shown = spec.shown(name, given, room.oversight.of_stage(self._config.agent), fault)

        async def body(call: Call) -> Done:
            try:
                room.environment.tool(spec.name, spec.version)
            except KeyError as gone:  # revoked since the team was put together, perhaps while a person thought
                return Done(f"Nothing was done. {gone.args[0] if gone.args else 'The tool is gone.'}", failed=True)
            if call.arguments is None:
                return await self._done(spec, given, fault, call.key, call, timeout)
            # A person made another deed of it: it must not be taken for a repetition of the one that was asked for.
            other = spec.deed(call.arguments)
            key = self._key(spec, other) if other else call.key
            return await self._done(spec, call.arguments, spec.fault(call.arguments), key, call, timeout)

        deed = spec.deed(given)
        return await room.run.effect(
            room.scope(self._config.scope),
            kind=Kind.TOOL,
            request={"tool": name, "version": spec.version, "arguments": given, "call_id": call_id},
            body=body,
            safety=spec.safety,
            name=spec.name,
            agent=self._config.agent,
            timeout=timeout,
            key=self._key(spec, deed) if deed else None,
            gate=Gate("tool", shown, agent=self._config.agent, tool=spec.name, digest_of=given),
        )

    def _key(self, spec: ToolSpec, deed: str) -> str:
        ledger = self._room.environment.ledger
        return f"{self._room.run.run_id}:{deed}" if ledger is None else ledger.key(spec.action_scope, deed)

    async def _done(
        self, spec: ToolSpec, arguments: Json, fault: str | None, key: str, call: Call, timeout: timedelta
    ) -> Done:
        """Call the tool, or hear from the ledger what came of this deed before."""
        if fault:
            return Done(f"Nothing was done. {fault}", failed=True)
        room, seconds = self._room, timeout.total_seconds()
        breaker = room.environment.tool_breaker(spec.name)

        async def act() -> tuple[Done, str]:
            return await doing.do(spec, arguments, key, call, room.pace, breaker, seconds)

        ledger, action = room.environment.ledger, spec.deed(arguments)
        if ledger is None or not action or spec.safety is Safety.READ_ONLY:
            return (await act())[0]
        deed = deeds.deed_of(spec, action, arguments, call)
        return await deeds.once(ledger, deed, call, room.pace, seconds, act)

    def _result(self, name: str, given: Json, settled: Settled) -> ToolResult:
        decision = settled.decision
        if settled.by:  # not the tool's word: theirs
            said = (
                f"The tool gave no answer. A person looked, and says that it was done: {quote(as_text(settled.value))}"
            )
            return answer(name, said, False)
        if decision is None or decision.verdict in ("allow", "approve"):
            return answer(name, as_text(settled.value), settled.failed)
        if decision.verdict in ("reject", "deny"):
            return answer(name, refusal(decision), failed=True)
        if decision.verdict == "edit":
            return answer(name, f"{as_text(settled.value)}\n\n{changes(given, decision)}", settled.failed)
        return answer(name, as_text(settled.value), settled.failed)

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def reset(self) -> None:
        """Nothing to reset."""

    async def save_state(self) -> Mapping[str, Any]:
        """A workbench has no state; a run is its journal."""
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""


def answer(name: str, text: str, failed: bool) -> ToolResult:
    """What an agent gets for a call."""
    return ToolResult(name=name, result=[TextResultContent(content=text)], is_error=failed)


def refusal(decision: Decision) -> str:
    """What the model is told about a call that was not made."""
    if decision.verdict == "deny":
        return f"A rule does not allow this call. It was not made. {quote(decision.reason) if decision.reason else ''}"
    if decision.by == POLICY:
        return f"This call was not made. {quote(decision.reason)}"
    why = f"The reason: {quote(decision.reason)}" if decision.reason else "No reason was given."
    return f"A person refused this call. It was not made. {why}"


def changes(given: Json, decision: Decision) -> str:
    """What the model is told about a call that a person changed."""
    before = given if isinstance(given, dict) else {}
    after = decision.arguments if isinstance(decision.arguments, dict) else {}
    told = [
        f"{name} was {show(before[name]) if name in before else 'not given'}, "
        f"and is {show(after[name]) if name in after else 'left out'}"
        for name in [*before, *(name for name in after if name not in before)]
        if before.get(name, before) != after.get(name, after)
    ]
    text = f"A person changed the arguments before the call was made: {quote('; '.join(told) or 'see the result')}."
    return f"{text} The reason: {quote(decision.reason)}" if decision.reason else text
