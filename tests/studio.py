"""Team documents as AutoGen Studio writes them: their shapes, and the real files where they lie beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.agents.stage import agent, at_most, either, mention, node, team

BESIDE = Path(__file__).parents[2] / "shared" / "data" / "studio"  # not ours, so not in the project


def own_files(name: str) -> list[dict[str, Any]]:
    """Studio's own file of that name, where there is one."""
    return [json.loads((BESIDE / name).read_text())] if (BESIDE / name).exists() else []


def names(name: str) -> list[str]:
    """Names for a test's cases: the shape, and the file where there is one."""
    return ["shape", *(name for _ in own_files(name))]


def code(name: str, source: str = "def f(a: float) -> float:\n    return a\n") -> dict[str, Any]:
    config = {"name": name, "description": "From a file.", "source_code": source, "global_imports": []}
    return node("autogen_core.tools.FunctionTool", "tool", has_cancellation_support=False, **config)


def studio() -> dict[str, Any]:
    """The shape of AutoGen Studio's default team: a function tool with its source, on a workbench."""
    bench = node("autogen_core.tools.StaticStreamWorkbench", "workbench", tools=[code("calculator")])
    member = agent(
        "assistant_agent",
        workbench=[bench],
        model_context=node("autogen_core.model_context.UnboundedChatCompletionContext", "chat_completion_context"),
        model_client_stream=False,
        max_tool_iterations=1,
        metadata={},
        system_message="When done, say TERMINATE.",
    )
    ending = either(mention(), at_most(10))
    ending["config"]["conditions"][1]["config"]["include_agent_event"] = False
    return {
        **team("RoundRobinGroupChat", member, termination_condition=ending, emit_team_events=False),
        "label": "RoundRobin Team",
        "description": "A single AssistantAgent.",
    }


def first_version() -> dict[str, Any]:
    """The shape of Studio's older files: AssistantAgent in version 1, with tools beside it."""
    old = []
    for name in ("planner", "guide"):
        member = agent(name, tools=[code("calculator")] if name == "planner" else [], handoffs=[])
        member["config"].pop("workbench")
        old.append({**member, "version": 1, "component_version": 1})
    return team("RoundRobinGroupChat", *old)
