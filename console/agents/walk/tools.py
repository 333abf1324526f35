"""Workbenches and tools: what a document brings is mapped to the catalogue; agents and teams as tools are kept."""

from __future__ import annotations

from typing import Any

from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core.tools import StaticWorkbench

from console.agents import executors, providers
from console.agents.tools import ToolSpec
from console.agents.walk.base import Node, node, plain
from console.agents.walk.parts import Parts

EXECUTOR = "CodeExecutor"  # AutoGen's tool for code has this one name, and does not write it down


class Tools(Parts):
    """See the module."""

    def workbench(self, given: Any, path: str, depth: int) -> Node | None:
        """A workbench whose tools are pinned to versions of the catalogue."""
        found = self._component(given, path, providers.WORKBENCHES, "a workbench of tools from the catalogue")
        if found is None:
            return None
        kind, config = found
        if kind == "McpWorkbench":
            return self._server(given, config, path)
        listed = self._list(config, "tools", f"{path}.config")
        tools = [self.tool(tool, f"{path}.config.tools[{i}]", depth) for i, tool in enumerate(listed)]
        checked = {"tools": [], "tool_overrides": config.get("tool_overrides") or {}}
        overrides = self._schema(StaticWorkbench, checked, f"{path}.config").get("tool_overrides", {})
        return bench(tools, overrides)

    def _server(self, given: Node, config: Node, path: str) -> Node | None:
        """All tools of an MCP server that an admin has registered; how the document would start one is not looked at."""
        label = given.get("label")
        names = [name for name in (label, "McpWorkbench") if isinstance(name, str) and name]
        name = next((name for name in names if name in self._mapping or self._members(name)), names[0])
        target = self._mapping.get(name, name)
        specs = self._members(target)
        if not specs:
            self._unmapped(name, path, f"The MCP server {name!r} is not run as a document says")
            return None
        self.used.add(name)
        overrides = self._schema(
            StaticWorkbench, {"tools": [], "tool_overrides": config.get("tool_overrides") or {}}, f"{path}.config"
        ).get("tool_overrides", {})
        return bench([pinned(spec.name.removeprefix(f"{target}."), spec) for spec in specs], overrides)

    def _members(self, server: str) -> list[ToolSpec]:
        return [spec for name, spec in self._catalogue.items() if name.startswith(f"{server}.")]

    def tool(self, given: Any, path: str, depth: int) -> Node | None:
        """One tool."""
        found = self._component(given, path, providers.TOOLS, "a tool")
        if found is None:
            return None
        kind, config = found
        if kind in ("AgentTool", "TeamTool"):
            return self._runner(kind, config, path, depth)
        name = EXECUTOR if kind == "PythonCodeExecutionTool" else self._own_name(kind, config)
        if not isinstance(name, str) or not name:
            self.say(f"{path}.config.name", "The tool has no name.")
            return None
        spec = self._tools.get(name)
        if spec is None and kind == "FunctionTool" and not config.get("source_code"):
            spec = self._catalogue.get(str(config.get("catalogue") or name))
        if spec is None:
            why = f"There is no tool {name!r} in the catalogue"
            if kind != "FunctionTool" or config.get("source_code"):
                why = f"The tool {name!r} {_BRINGS[kind]}"
            self._unmapped(name, path, why)
            return None
        self.used.add(name)
        description = config.get("description")
        return pinned(name, spec, description if isinstance(description, str) else "")

    def executor(self, given: Any, path: str) -> Node | None:
        """What executes an agent's code: a code executor of the catalogue, whatever the document brings."""
        own = given.get("provider") if isinstance(given, dict) else None
        if own in providers.TOOLS:  # as it is kept
            found = self.tool(given, path, 0)
        elif self._component(given, path, providers.EXECUTORS, "a code executor") is None:
            return None
        elif EXECUTOR not in self._tools:
            self._unmapped(EXECUTOR, path, "Code is never executed where a document says")
            return None
        else:
            self.used.add(EXECUTOR)
            found = pinned(EXECUTOR, self._tools[EXECUTOR])
        if found is not None and self._catalogue[found["config"]["catalogue"]].schema != executors.SCHEMA:
            self.say(path, f"{found['config']['catalogue']} is no code executor: map {EXECUTOR} to one of that kind.")
            return None
        return found

    def _own_name(self, kind: str, config: Node) -> Any:
        if kind == "McpAdapter":
            tool = config.get("tool")
            return tool.get("name") if isinstance(tool, dict) else None
        return config.get("name")

    def _unmapped(self, name: str, path: str, why: str) -> None:
        self.unmapped.setdefault(name, path)
        self.say(path, f"{why}: map it to a tool of the catalogue under tools.")

    def _runner(self, kind: str, config: Node, path: str, depth: int) -> Node | None:
        """An agent or a team as a tool: no effect by itself, what it does inside is."""
        kept: Node = {}
        if kind == "AgentTool":
            kept["agent"] = self.agent(config.get("agent"), f"{path}.config.agent", depth + 1)
            self._schema(AgentTool, {**config, **plain(kept)}, f"{path}.config")
            inner = kept["agent"]
        else:
            kept["team"] = self.team(config.get("team"), f"{path}.config.team", depth + 1)
            if self._name(config, path, "a team as a tool") is None:
                return None
            kept = {**self._schema(TeamTool, {**config, **plain(kept)}, f"{path}.config"), **kept}
            inner = kept["team"]
        if inner is None:
            return None
        kept["return_value_as_last_message"] = bool(config.get("return_value_as_last_message"))
        return node(f"autogen_agentchat.tools.{kind}", "tool", kept)


_BRINGS = {
    "FunctionTool": "brings its own code, which is never run",
    "HttpTool": "calls an address of its own choice, which is never done",
    "PythonCodeExecutionTool": "runs code where the document says, which is never done",
    "McpAdapter": "starts a server of its own, which is never done",
}


def pinned(name: str, spec: ToolSpec, description: str = "") -> Node:
    """A tool as the team knows it, and the catalogue's version that it stands for."""
    config = {
        "name": name,
        "catalogue": spec.name,
        "version": spec.version,
        "description": description or spec.description,
    }
    return node("autogen_core.tools.FunctionTool", "tool", config)


def bench(tools: list[Node | None], overrides: Node) -> Node:
    """A workbench."""
    config = {"tools": tools, "tool_overrides": overrides}
    return node("autogen_core.tools.StaticStreamWorkbench", "workbench", config)


def name_of(tool: Node) -> str:
    """The name under which a normalised tool is called."""
    config = tool["config"]
    name = config.get("name")
    return str(name) if name is not None else str(config["agent"]["config"]["name"])
