"""AutoGen's CodeExecutorAgent, governed: each block of code that it executes is a call of a code executor of the catalogue,
an effect behind a gate like that of any tool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autogen_agentchat.agents import ApprovalRequest, ApprovalResponse, CodeExecutorAgent
from autogen_core import CancellationToken, Component
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from pydantic import BaseModel

from console.agents import executors
from console.agents.room import here
from console.agents.tools import as_text
from console.agents.workbenches import JournaledWorkbench, JournaledWorkbenchConfig, PinnedTool, changes, refusal
from console.durable.errors import EffectFailed
from console.durable.run import Settled
from console.durable.steps import Json


class NotExecuted(Exception):
    """The code was not executed, or not to its end; the message says why, for the team."""


class JournaledExecutorConfig(BaseModel):
    """Where the executor stands in the team, and what it stands for."""

    scope: str
    agent: str
    tool: PinnedTool


class JournaledExecutor(CodeExecutor, Component[JournaledExecutorConfig]):
    """Stands for a code executor in a team."""

    component_config_schema = JournaledExecutorConfig
    component_provider_override = "console.agents.coding.JournaledExecutor"

    def __init__(self, config: JournaledExecutorConfig) -> None:
        self._config = config
        bench = JournaledWorkbenchConfig(scope=config.scope, agent=config.agent, tools=[config.tool])
        self._bench = JournaledWorkbench(bench)
        pinned = here().environment.tool(config.tool.catalogue, config.tool.version)
        self._spec = replace(pinned, schema=executors.WITH_LANGUAGE)

    @classmethod
    def _from_config(cls, config: JournaledExecutorConfig) -> JournaledExecutor:
        return cls(config)

    def _to_config(self) -> JournaledExecutorConfig:
        return self._config

    async def execute_code_blocks(
        self, code_blocks: list[CodeBlock], cancellation_token: CancellationToken
    ) -> CodeResult:
        """One after the other, each for itself, up to the first that fails. Raises NotExecuted."""
        said: list[str] = []
        for block in code_blocks:
            result = await self._execute(block)
            said.append(result.output)
            if result.exit_code:
                return CodeResult(result.exit_code, "\n".join(said))
        return CodeResult(0, "\n".join(said))

    async def _execute(self, block: CodeBlock) -> CodeResult:
        language = block.language.lower()
        given: Json = {"code": block.code} if language == "python" else {"code": block.code, "language": language}
        name = self._config.tool.name
        try:
            settled = await self._bench.settle(name, self._spec, given, "")
        except EffectFailed as failed:  # it ran out of time
            raise NotExecuted(f"{name} failed: {failed.error['message']}") from failed
        decision = settled.decision
        if decision is not None and decision.verdict in ("reject", "deny"):
            raise NotExecuted(refusal(decision))
        if settled.failed:
            raise NotExecuted(as_text(settled.value))
        result = _result(settled)
        if decision is not None and decision.verdict == "edit":
            result.output = f"{result.output}\n\n{changes(given, decision)}"
        return result

    async def start(self) -> None:
        """Nothing to start: a container is made for each execution."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def restart(self) -> None:
        """Nothing to start again."""


def _result(settled: Settled) -> CodeResult:
    """What an executor of the catalogue answers: ``exit_code`` and ``output``, or just what it has to say."""
    value = settled.value
    if isinstance(value, dict) and isinstance(value.get("exit_code"), int):
        return CodeResult(value["exit_code"], str(value.get("output") or ""))
    return CodeResult(0, as_text(value))


class GovernedCoder(CodeExecutorAgent):
    """A CodeExecutorAgent that says plainly when its code was not executed."""

    component_provider_override = "console.agents.coding.GovernedCoder"

    def __init__(self, *args: Any, approval_func: Any = None, **config: Any) -> None:
        super().__init__(*args, approval_func=_at_the_gate, **config)

    async def execute_code_block(
        self, code_blocks: list[CodeBlock], cancellation_token: CancellationToken
    ) -> CodeResult:
        """AutoGen's own way, or the reason why nothing was executed."""
        try:
            return await super().execute_code_block(code_blocks, cancellation_token)
        except NotExecuted as reason:
            return CodeResult(1, str(reason))


def _at_the_gate(request: ApprovalRequest) -> ApprovalResponse:
    """Whoever must be asked is asked by the executor; without a function AutoGen warns that nobody is."""
    return ApprovalResponse(approved=True, reason="")
