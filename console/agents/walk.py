"""One walk over a component document: each fault by its JSON path (``$.team...``), and the normalised document.

Normalised: providers by their one canonical path, AssistantAgent in version 2, tools pinned to a catalogue version and
without source code, keys and addresses left out. AutoGen's own schemas of the allowed classes check the types.
"""

from __future__ import annotations

import inspect
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from autogen_agentchat import conditions as autogen_conditions
from autogen_agentchat import teams as autogen_teams
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.base import Handoff
from autogen_agentchat.teams import DiGraph
from autogen_core import model_context as autogen_contexts
from autogen_core.tools import StaticWorkbench
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel, ValidationError

from console.agents import clients, providers
from console.agents.tools import ToolSpec, clip

Node = dict[str, Any]
MAX_CONDITIONS_DEPTH = 16
KEYS = ("api_key", "base_url", "organization", "default_headers")  # the tenant's credential supplies these
# What AutoGen's class has defaults for, and its schema has not.
SELECTOR = {
    name: inspect.signature(autogen_teams.SelectorGroupChat).parameters[name].default
    for name in ("selector_prompt", "allow_repeated_speaker")
}
RESERVED = {"team", "selector"}  # scopes of the journal


@dataclass(frozen=True)
class Finding:
    """One thing about a document that somebody should know. An error keeps it from being used."""

    path: str
    message: str
    level: Literal["error", "info"] = "error"


class Walk:
    """One walk over a document: findings on the way, the normalised node as the result (None for a hopeless one)."""

    def __init__(self, tools: Mapping[str, ToolSpec], catalogue: Mapping[str, ToolSpec]) -> None:
        self._tools = tools
        self._catalogue = catalogue
        self.findings: list[Finding] = []
        self.used: set[str] = set()

    def say(self, path: str, message: str, level: Literal["error", "info"] = "error") -> None:
        self.findings.append(Finding(path, message, level))

    def team(self, node: Any, path: str) -> Node | None:
        found = self._component(node, path, providers.TEAMS, "a team")
        if found is None:
            return None
        kind, config = found
        for name in ("selector_func", "candidate_func"):
            if config.get(name):
                self.say(f"{path}.config.{name}", "Functions in a document are code, and code is not run.")
        participants = self._list(config, "participants", f"{path}.config", required=True)
        members = [self.agent(m, f"{path}.config.participants[{i}]") for i, m in enumerate(participants)]
        names = [member["config"]["name"] for member in members if member]
        for i, member in enumerate(members):
            own = member["config"]["name"] if member else None
            if own is not None and [m["config"]["name"] for m in members[:i] if m].count(own):
                self.say(f"{path}.config.participants[{i}].config.name", f"Two agents are called {own!r}.")
        kept: Node = {"participants": members}
        if config.get("termination_condition") is not None:
            kept["termination_condition"] = self.condition(
                config["termination_condition"], f"{path}.config.termination_condition"
            )
        if kind == "SelectorGroupChat":
            config = {**SELECTOR, **config}
            kept["model_client"] = self.model(config.get("model_client"), f"{path}.config.model_client")
            if config.get("model_context") is not None:
                kept["model_context"] = self.context(config["model_context"], f"{path}.config.model_context")
            self._template(config, "selector_prompt", f"{path}.config", ("roles", "participants", "history"))
        if kind == "GraphFlow":
            self._graph(config, path, names)
        if kind == "Swarm":
            self._swarm(members, path, names)
        # Before AutoGen's schema sees them: a condition may be a callable there.
        rest = self._schema(getattr(autogen_teams, kind), {**config, **_plain(kept)}, f"{path}.config")
        turns = rest.get("max_turns")
        if turns is not None and turns < 1:
            self.say(f"{path}.config.max_turns", "There must be at least one turn.")
        config = {k: v for k, v in {**rest, **kept}.items() if v is not None and not k.endswith("_func")}
        return {"provider": f"autogen_agentchat.teams.{kind}", "component_type": "team", "config": config}

    def agent(self, node: Any, path: str) -> Node | None:
        if isinstance(node, dict) and str(node.get("provider")) in providers.TEAMS:
            self.say(path, "A team inside a team is not supported yet.")
            return None
        found = self._component(node, path, providers.AGENTS, "an agent")
        if found is None:
            return None
        kind, config = found
        name = config.get("name")
        if not isinstance(name, str) or not name.isidentifier() or name in RESERVED or len(name) > 64:
            self.say(f"{path}.config.name", "The name of an agent is a word of letters, digits and underscores.")
            return None
        if kind == "UserProxyAgent":
            if config.get("input_func"):
                self.say(f"{path}.config.input_func", "Functions in a document are code, and code is not run.")
            rest = self._schema(UserProxyAgent, {**config, "input_func": None}, f"{path}.config")
            kept = {"name": name, **{k: v for k, v in rest.items() if k == "description"}}
            return {"provider": "autogen_agentchat.agents.UserProxyAgent", "component_type": "agent", "config": kept}
        version = node.get("component_version") or node.get("version") or 2
        if version not in (1, 2):
            self.say(f"{path}.component_version", f"Version {version} of AssistantAgent is not known.")
        return self._assistant(config, path)

    def _assistant(self, config: Node, path: str) -> Node:
        at = f"{path}.config"
        config = {
            "description": "An agent that provides assistance with ability to use tools.",
            "reflect_on_tool_use": False,
            "tool_call_summary_format": "{result}",
            **{key: value for key, value in config.items() if value is not None},
        }
        kept: Node = {"name": config["name"]}
        kept["model_client"] = self.model(config.get("model_client"), f"{at}.model_client")
        if config.get("model_context") is not None:
            kept["model_context"] = self.context(config["model_context"], f"{at}.model_context")
        benches = config.get("workbench")
        if isinstance(benches, dict):  # AutoGen 0.5 wrote a single one
            benches = [benches]
        config["workbench"] = benches
        kept["workbench"] = [
            self.workbench(b, f"{at}.workbench[{i}]") for i, b in enumerate(self._list(config, "workbench", at))
        ]
        loose = [self.tool(t, f"{at}.tools[{i}]") for i, t in enumerate(self._list(config, "tools", at))]
        if loose and kept["workbench"]:
            self.say(f"{at}.tools", "An agent has either tools or a workbench, not both.")
        if loose:  # version 1 kept tools beside the workbench
            kept["workbench"] = [_bench(loose, {})]
        if self._list(config, "memory", at):
            self.say(f"{at}.memory", "Memory is not supported yet.")
        if config.get("structured_message_factory") is not None:
            self.say(f"{at}.structured_message_factory", "Structured messages are not supported yet.")
        kept["handoffs"] = self._handoffs(config, at)
        self._template(config, "tool_call_summary_format", at, ("tool_name", "arguments", "result", "is_error"))
        self._unique_tools(kept, at)
        dropped = {"tools": None, "memory": None, "structured_message_factory": None}
        rest = self._schema(AssistantAgent, {**config, **_plain(kept), **dropped}, at)
        both = {k: v for k, v in {**rest, **kept}.items() if v not in (None, [])}
        provider = "autogen_agentchat.agents.AssistantAgent"
        return {"provider": provider, "component_type": "agent", "component_version": 2, "config": both}

    def _unique_tools(self, kept: Node, at: str) -> None:
        seen = {handoff["name"] for handoff in kept["handoffs"]}
        for i, bench in enumerate(kept["workbench"]):
            config = bench["config"] if bench else {"tools": [], "tool_overrides": {}}
            for tool in filter(None, config["tools"]):
                own = tool["config"]["name"]
                name = (config["tool_overrides"].get(own) or {}).get("name") or own
                if name in seen:
                    self.say(f"{at}.workbench[{i}]", f"Two tools of the agent are called {name!r}.")
                seen.add(name)

    def _handoffs(self, config: Node, at: str) -> list[Any]:
        kept: list[Any] = []
        for i, given in enumerate(self._list(config, "handoffs", at)):
            place = f"{at}.handoffs[{i}]"
            target = given.get("target") if isinstance(given, dict) else given
            if not isinstance(target, str) or not target:
                self.say(f"{place}.target" if isinstance(given, dict) else place, "A handoff names an agent as target.")
                continue
            try:
                handoff = Handoff(target=given) if isinstance(given, str) else Handoff.model_validate({**given})
            except ValidationError as error:
                self.say(place, _first(error))
            else:
                kept.append(handoff.model_dump())
                if any(other["name"] == handoff.name for other in kept[:-1]):
                    self.say(place, f"Two handoffs are called {handoff.name!r}.")
        return kept

    def model(self, node: Any, path: str) -> Node | None:
        found = self._component(node, path, providers.MODELS, "a model client")
        if found is None:
            return None
        config = found[1]
        for name in KEYS:
            if config.get(name) is not None:
                self.say(f"{path}.config.{name}", "Left out: the tenant's credential supplies it.", "info")
        if not isinstance(config.get("model"), str) or not config["model"].strip():
            self.say(f"{path}.config.model", "The name of the model is missing.")
        kept = {name: value for name, value in config.items() if name in clients.CREATE_ARGUMENTS and value is not None}
        self._schema(OpenAIChatCompletionClient, {"model": "", **kept}, f"{path}.config")
        kept.pop("stream_options", None)
        provider = "autogen_ext.models.openai.OpenAIChatCompletionClient"
        return {"provider": provider, "component_type": "model", "config": kept}

    def workbench(self, node: Any, path: str) -> Node | None:
        found = self._component(node, path, providers.WORKBENCHES, "a workbench of tools from the catalogue")
        if found is None:
            return None
        config = found[1]
        given = self._list(config, "tools", f"{path}.config")
        tools = [self.tool(tool, f"{path}.config.tools[{i}]") for i, tool in enumerate(given)]
        checked = {"tools": [], "tool_overrides": config.get("tool_overrides") or {}}
        overrides = self._schema(StaticWorkbench, checked, f"{path}.config").get("tool_overrides", {})
        return _bench(tools, overrides)

    def tool(self, node: Any, path: str) -> Node | None:
        found = self._component(node, path, providers.TOOLS, "a tool")
        if found is None:
            return None
        config = found[1]
        name = config.get("name")
        if not isinstance(name, str) or not name:
            self.say(f"{path}.config.name", "The tool has no name.")
            return None
        spec = self._tools.get(name)
        if spec is None and not config.get("source_code"):
            spec = self._catalogue.get(str(config.get("catalogue") or name))
        if spec is None:
            message = f"The tool {name!r} brings its own code, which is never run: map it to a tool of the catalogue."
            if not config.get("source_code"):
                message = f"There is no tool {name!r} in the catalogue: map it to one that there is."
            self.say(path, message)
            return None
        self.used.add(name)
        description = config.get("description")
        kept = {
            "name": name,
            "catalogue": spec.name,
            "version": spec.version,
            "description": description if isinstance(description, str) and description else spec.description,
        }
        return {"provider": "autogen_core.tools.FunctionTool", "component_type": "tool", "config": kept}

    def context(self, node: Any, path: str) -> Node | None:
        found = self._component(node, path, providers.CONTEXTS, "a model context")
        if found is None:
            return None
        kind, config = found
        kept: Node = {}
        if kind == "TokenLimitedChatCompletionContext":
            kept["model_client"] = self.model(config.get("model_client"), f"{path}.config.model_client")
        rest = self._schema(getattr(autogen_contexts, kind), {**config, **_plain(kept)}, f"{path}.config")
        both = {k: v for k, v in {**rest, **kept}.items() if v is not None}
        provider = f"autogen_core.model_context.{kind}"
        return {"provider": provider, "component_type": "chat_completion_context", "config": both}

    def condition(self, node: Any, path: str, depth: int = 0) -> Node | None:
        found = self._component(node, path, providers.CONDITIONS, "a termination condition")
        if found is None:
            return None
        kind, config = found
        if kind in ("AndTerminationCondition", "OrTerminationCondition"):
            if depth >= MAX_CONDITIONS_DEPTH:
                self.say(path, "Conditions are nested too deeply.")
                return None
            inner = self._list(config, "conditions", f"{path}.config", required=True)
            kept = {
                "conditions": [
                    self.condition(c, f"{path}.config.conditions[{i}]", depth + 1) for i, c in enumerate(inner)
                ]
            }
            return {"provider": f"autogen_agentchat.base.{kind}", "component_type": "termination", "config": kept}
        rest = self._schema(getattr(autogen_conditions, kind), config, f"{path}.config")
        provider = f"autogen_agentchat.conditions.{kind}"
        return {"provider": provider, "component_type": "termination", "config": rest}

    def _graph(self, config: Node, path: str, names: list[str]) -> None:
        at = f"{path}.config.graph"
        if "user" in names:
            self.say(f"{path}.config.participants", "In a GraphFlow no agent can be called 'user': the task is.")
        try:
            graph = DiGraph.model_validate(config.get("graph"))
            for name, node in graph.nodes.items():
                if name != node.name or name not in names:
                    self.say(f"{at}.nodes.{name}", f"There is no agent {name!r}.")
                for edge in node.edges:
                    if edge.target not in graph.nodes:
                        self.say(f"{at}.nodes.{name}.edges", f"There is no node {edge.target!r}.")
            if graph.default_start_node is not None and graph.default_start_node not in graph.nodes:
                self.say(f"{at}.default_start_node", f"There is no node {graph.default_start_node!r}.")
            if not any(finding.path.startswith(at) for finding in self.findings):
                graph.graph_validate()
        except ValidationError as error:
            self._told(error, at)
        except (ValueError, RecursionError) as error:
            self.say(at, clip(str(error), 300))

    def _swarm(self, members: list[Node | None], path: str, names: list[str]) -> None:
        for i, member in enumerate(members):
            for j, handoff in enumerate((member or {"config": {}})["config"].get("handoffs") or []):
                target = handoff["target"]
                if target not in names and (not target.isidentifier() or target in RESERVED):
                    place = f"{path}.config.participants[{i}].config.handoffs[{j}]"
                    self.say(place, f"{target!r} is no agent of the team, and no name for a person.")

    def _component(self, node: Any, path: str, allowed: Mapping[str, str], what: str) -> tuple[str, Node] | None:
        if not isinstance(node, dict):
            self.say(path, f"This should be {what}, as an object with provider and config.")
            return None
        provider, config = node.get("provider"), node.get("config")
        if not isinstance(provider, str) or not provider:
            self.say(f"{path}.provider", f"The provider is missing: the class of {what}.")
            return None
        kind = allowed.get(provider)
        if kind is None:
            if provider in providers.LATER:
                message = f"{providers.LATER[provider]} is not supported yet."
            elif provider in providers.ALIASES:
                message = f"Write the provider in full: {providers.ALIASES[provider]}."
            else:
                message = f"{clip(provider, 120)} is not on the list of what may be {what}."
            self.say(f"{path}.provider", message)
            return None
        if not isinstance(config, dict):
            self.say(f"{path}.config", "The configuration is missing.")
            return None
        return kind, config

    def _list(self, config: Node, name: str, path: str, *, required: bool = False) -> list[Any]:
        value = config.get(name)
        if value is None and not required:
            return []
        if not isinstance(value, list) or (required and not value):
            self.say(f"{path}.{name}", "This should be a list" + (" with something in it." if required else "."))
            return []
        return value

    def _template(self, config: Node, name: str, path: str, fields: tuple[str, ...]) -> None:
        text = config.get(name)
        if not isinstance(text, str):
            return
        try:
            named = {field for _, field, spec, _ in string.Formatter().parse(text) if field is not None or spec}
        except ValueError as error:
            self.say(f"{path}.{name}", f"{error}.")
            return
        if not named <= set(fields):
            self.say(f"{path}.{name}", f"Only {', '.join('{' + field + '}' for field in fields)} can be filled in.")

    def _schema(self, component: Any, config: Node, path: str) -> Node:
        """The configuration as AutoGen's schema of the class has it, unknown fields left out; {} when it is wrong."""
        schema = cast(type[BaseModel], component.component_config_schema)
        try:
            checked = schema.model_validate(config)
        except ValidationError as error:
            self._told(error, path)
            return {}
        dumped = checked.model_dump(mode="json", exclude_none=True)
        return {name: value for name, value in dumped.items() if name in config}

    def _told(self, error: ValidationError, path: str) -> None:
        for fault in error.errors(include_url=False, include_input=False, include_context=False)[:20]:
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
            self.say(path + place, fault["msg"])


def _plain(kept: Node) -> Node:
    """Nodes that have been checked already, with those that were refused left out of AutoGen's sight."""
    blank = {"provider": "", "config": {}}
    return {k: [v or blank for v in value] if isinstance(value, list) else value or blank for k, value in kept.items()}


def _bench(tools: list[Node | None], overrides: Node) -> Node:
    config = {"tools": tools, "tool_overrides": overrides}
    return {"provider": "autogen_core.tools.StaticStreamWorkbench", "component_type": "workbench", "config": config}


def _first(error: ValidationError) -> str:
    return str(error.errors(include_url=False)[0]["msg"])
