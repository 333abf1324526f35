"""Worlds with teams inside teams, agents as tools, an orchestrator, memory and structured answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from console.agents import executors
from tests.agents.stage import Script, World, agent, at_most, mention, model, never, node, team, text_of

ANY: dict[str, Any] = {"properties": {"what": {"type": "string"}}}


def with_tools(scripts: dict[str, Callable[[list[Any]], Any]], document: dict[str, Any], *tools: str) -> World:
    """A world in which these agents answer so, with tools that need approval."""
    world = World({name: Script(answer) for name, answer in scripts.items()}, never(document))
    for tool in tools:
        world.give(tool, ANY)
    return world


def worker(tool: str, last: str = "") -> Callable[[list[Any]], Any]:
    """Uses its tool once, and then says that it is done."""

    def answer(messages: list[Any]) -> Any:
        if any(f"{tool} done" in text_of(message) for message in messages):
            return f"I did {tool}. {last}"
        return [(tool, {"what": tool})]

    return answer


def society(name: str, inner: dict[str, Any], **config: Any) -> dict[str, Any]:
    provider = "autogen_agentchat.agents.SocietyOfMindAgent"
    return node(provider, "agent", name=name, team=inner, model_client=model(), **config)


def hears(inner: dict[str, Any], *entries: dict[str, Any]) -> dict[str, Any]:
    provider = "autogen_agentchat.agents.MessageFilterAgent"
    name = inner["config"]["name"]
    return node(provider, "agent", name=name, wrapped_agent=inner, filter={"per_source": list(entries)})


def agent_tool(inner: dict[str, Any], **config: Any) -> dict[str, Any]:
    return node("autogen_agentchat.tools.AgentTool", "tool", agent=inner, **config)


def team_tool(name: str, inner: dict[str, Any], **config: Any) -> dict[str, Any]:
    provider = "autogen_agentchat.tools.TeamTool"
    return node(provider, "tool", team=inner, name=name, description=f"The {name}.", **config)


def with_bench(member: dict[str, Any], *tools: dict[str, Any]) -> dict[str, Any]:
    bench = node("autogen_core.tools.StaticStreamWorkbench", "workbench", tools=list(tools))
    member["config"]["workbench"] = [*member["config"]["workbench"], bench]
    return member


def single() -> World:
    return with_tools({"a": worker("dig")}, agent("a", "dig", max_tool_iterations=3), "dig")


def team_in_team() -> World:
    inner = team(
        "RoundRobinGroupChat", agent("b", "dig"), agent("c", "fill"), name="yard", termination_condition=at_most(4)
    )
    scripts: dict[str, Any] = {"a": lambda m: "Begin.", "b": worker("dig"), "c": worker("fill")}
    document = team("RoundRobinGroupChat", agent("a"), inner, agent("d"), name="site")
    return with_tools({**scripts, "d": lambda m: f"Heard {len(m)}. TERMINATE"}, document, "dig", "fill")


def team_under_selector() -> World:
    def choose(messages: list[Any]) -> Any:
        said = text_of(messages[0]).split("Read the following")[-1]
        return "d" if "I did dig" in said or "dig done" in said else "yard"

    inner = team("RoundRobinGroupChat", agent("b", "dig"), name="yard", max_turns=2, termination_condition=None)
    document = team("SelectorGroupChat", inner, agent("d"), model_client=model())
    scripts: dict[str, Any] = {"b": worker("dig"), "d": lambda m: "TERMINATE", "selector": choose}
    return with_tools(scripts, document, "dig")


def societies() -> World:
    inner = team("RoundRobinGroupChat", agent("b", "dig"), agent("c"), max_turns=2, termination_condition=None)
    document = team("RoundRobinGroupChat", society("minds", inner), agent("d"))
    scripts: dict[str, Any] = {
        "b": worker("dig"),
        "c": lambda m: "Seen.",
        "minds": lambda m: f"We think so, after {len(m)}.",
        "d": lambda m: "TERMINATE" if len(m) > 3 else "Again, please.",
    }
    return with_tools(scripts, document, "dig")


def filtered() -> World:
    one = hears(agent("b", "dig"), {"source": "user", "position": "last", "count": 1})
    document = team("RoundRobinGroupChat", agent("a"), one, agent("c"))
    scripts: dict[str, Any] = {"a": lambda m: "Noise.", "b": worker("dig"), "c": lambda m: "TERMINATE"}
    return with_tools(scripts, document, "dig")


def agents_as_tools() -> World:
    """Two calls of one agent at once, and one after: it remembers, and takes them one at a time."""

    def boss(messages: list[Any]) -> Any:
        results = sum("I did dig" in text_of(message) for message in messages)
        if results == 0:
            return [("helper", {"task": "one"}), ("helper", {"task": "two"})]
        return [("helper", {"task": "three"})] if results == 1 else "TERMINATE"

    def helper(messages: list[Any]) -> Any:
        asked = sum(type(message).__name__ == "UserMessage" for message in messages)
        done = sum("dig done" in text_of(message) for message in messages)
        return f"I did dig {done}." if done >= asked else [("dig", {"what": str(asked)})]

    inner = agent("helper", "dig", max_tool_iterations=3)
    document = team("RoundRobinGroupChat", with_bench(agent("boss", max_tool_iterations=4), agent_tool(inner)))
    return with_tools({"boss": boss, "helper": helper}, document, "dig")


def teams_as_tools() -> World:
    def boss(messages: list[Any]) -> Any:
        if any("I did dig" in text_of(message) for message in messages):
            return "TERMINATE"
        return [("crew", {"task": "dig"}), ("fill", {"what": "besides"})]

    inner = team("RoundRobinGroupChat", agent("b", "dig"), agent("c"), max_turns=3, termination_condition=None)
    document = team(
        "RoundRobinGroupChat", with_bench(agent("boss", "fill", max_tool_iterations=3), team_tool("crew", inner))
    )
    return with_tools({"boss": boss, "b": worker("dig"), "c": lambda m: "Seen."}, document, "dig", "fill")


def magentic() -> World:
    def orchestrator(messages: list[Any]) -> Any:
        asked = text_of(messages[-1])
        if "is_request_satisfied" not in asked:
            return "The final answer." if "final answer" in asked.lower() else "Some facts, and a plan."
        done = any("dig done" in text_of(message) for message in messages)
        entry = {
            "is_request_satisfied": done,
            "is_in_loop": False,
            "is_progress_being_made": True,
            "next_speaker": "b",
            "instruction_or_question": "Please dig.",
        }
        return json.dumps({name: {"answer": value, "reason": "So it is."} for name, value in entry.items()})

    document = team(
        "MagenticOneGroupChat",
        agent("b", "dig"),
        agent("c"),
        model_client=model(),
        max_stalls=3,
        final_answer_prompt="Give the final answer.",
        termination_condition=None,
    )
    scripts: dict[str, Any] = {"b": worker("dig"), "c": lambda m: "Seen."}
    return with_tools({**scripts, "MagenticOneOrchestrator": orchestrator}, document, "dig")


def remembering() -> World:
    memory = node(
        "autogen_core.memory.ListMemory",
        "memory",
        name="house",
        memory_contents=[{"content": "Refunds are slow.", "mime_type": "text/plain"}],
    )

    def answer(messages: list[Any]) -> Any:
        assert any("Refunds are slow." in text_of(message) for message in messages)
        return worker("dig", "TERMINATE")(messages)

    document = team("RoundRobinGroupChat", agent("a", "dig", memory=[memory], reflect_on_tool_use=True))
    return with_tools({"a": answer}, document, "dig")


def structured() -> World:
    schema = {
        "type": "object",
        "title": "Report",
        "properties": {"depth": {"type": "integer"}, "note": {"type": "string"}},
        "required": ["depth", "note"],
    }
    factory = node(
        "autogen_agentchat.messages.StructuredMessageFactory",
        "structured_message",
        json_schema=schema,
        format_string="{depth} m: {note}",
        content_model_name="Report",
    )

    def answer(messages: list[Any]) -> Any:
        if not any("dig done" in text_of(message) for message in messages):
            return [("dig", {"what": "x"})]
        return '{"depth": 3, "note": "TERMINATE"}'

    document = team("RoundRobinGroupChat", agent("a", "dig", structured_message_factory=factory))
    return with_tools({"a": answer}, document, "dig")


PYTHON = "```python\nprint(6 * 7)\n```"


def coder(name: str, **config: Any) -> dict[str, Any]:
    """An agent as AutoGen writes it, with an executor of its own choice."""
    executor = node(
        "autogen_ext.code_executors.docker.DockerCommandLineCodeExecutor", "code_executor", image="python:3-slim"
    )
    provider = "autogen_agentchat.agents.CodeExecutorAgent"
    return node(provider, "agent", name=name, code_executor=executor, **config)


def with_executor(scripts: dict[str, Callable[[list[Any]], Any]], document: dict[str, Any], **facts: Any) -> World:
    world = with_tools(scripts, document)
    world.body["tools"] = {"CodeExecutor": "sandbox"}
    world.give("sandbox", executors.SCHEMA, **{"result": {"exit_code": 0, "output": "42"}, **facts})
    return world


def executing() -> World:
    """One writes code, and another only executes it."""

    def writer(messages: list[Any]) -> Any:
        return "TERMINATE" if any(text_of(message).startswith("42") for message in messages) else f"Try this:\n{PYTHON}"

    document = team("RoundRobinGroupChat", agent("writer"), coder("terminal", sources=["writer"]))
    return with_executor({"writer": writer}, document)


def coding() -> World:
    """One agent writes code, executes it, and says what came of it."""

    def answer(messages: list[Any]) -> Any:
        return "It is 42. TERMINATE" if any(text_of(message) == "42" for message in messages) else PYTHON

    document = team("RoundRobinGroupChat", coder("b", model_client=model(), supported_languages=["python", "sh"]))
    return with_executor({"b": answer}, document)


def deep_swarm() -> World:
    """A Swarm inside a team, whose agent asks somebody outside."""

    def front(messages: list[Any]) -> Any:
        if any(type(message).__name__ == "FunctionExecutionResultMessage" for message in messages):
            return [("dig", {"what": "x"})] if not any("dig done" in text_of(m) for m in messages) else "Dug."
        return [("transfer_to_owner", {})]

    swarm = team("Swarm", agent("b", "dig", handoffs=["owner"]), name="crew", termination_condition=mention("dig done"))
    document = team("RoundRobinGroupChat", swarm, agent("d"))
    return with_tools({"b": front, "d": lambda m: "TERMINATE"}, document, "dig")


NESTED = [
    single, team_in_team, team_under_selector, societies, filtered, agents_as_tools, teams_as_tools, magentic,
    remembering, structured, executing, coding,
]  # fmt: skip
