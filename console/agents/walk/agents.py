"""Agents: assistants, people, agents that execute code or hear only some of the talk, and teams that speak as one."""

from __future__ import annotations

from typing import Any

from autogen_agentchat.agents import (
    AssistantAgent,
    CodeExecutorAgent,
    MessageFilterAgent,
    SocietyOfMindAgent,
    UserProxyAgent,
)
from autogen_agentchat.base import Handoff
from pydantic import ValidationError

from console.agents import executors, providers
from console.agents.walk.base import CODE, Node, first, node, plain, present
from console.agents.walk.tools import Tools, bench, name_of

MAX_AGENTS = 100  # in one document
MAX_DEPTH = 6  # of teams and agents inside one another


class Agents(Tools):
    """See the module."""

    def agent(self, given: Any, path: str, depth: int = 0) -> Node | None:
        """One agent."""
        self.agents += 1
        if self.agents == MAX_AGENTS + 1:
            self.say(path, f"There are more than {MAX_AGENTS} agents in this document; split the work into workflows.")
        if self.agents > MAX_AGENTS:
            return None
        if depth > MAX_DEPTH:
            self.say(path, f"Teams and agents are nested more than {MAX_DEPTH} deep.")
            return None
        found = self._component(given, path, providers.AGENTS, "an agent")
        if found is None:
            return None
        kind, config = found
        if self._name(config, path, "an agent") is None:
            return None
        if kind == "UserProxyAgent":
            return self._person(config, path)
        if kind == "MessageFilterAgent":
            return self._filter(config, path, depth)
        if kind == "SocietyOfMindAgent":
            return self._society(config, path, depth)
        if kind == "CodeExecutorAgent":
            return self._coder(config, path)
        version = given.get("component_version") or given.get("version") or 2
        if version not in (1, 2):
            self.say(f"{path}.component_version", f"Version {version} of AssistantAgent is not known.")
        return self._assistant(config, path, depth)

    def _person(self, config: Node, path: str) -> Node:
        if config.get("input_func"):
            self.say(f"{path}.config.input_func", CODE)
        rest = self._schema(UserProxyAgent, {**config, "input_func": None}, f"{path}.config")
        kept = {"name": config["name"], **{k: v for k, v in rest.items() if k == "description"}}
        return node("autogen_agentchat.agents.UserProxyAgent", "agent", kept)

    def _filter(self, config: Node, path: str, depth: int) -> Node | None:
        inner = self.agent(config.get("wrapped_agent"), f"{path}.config.wrapped_agent", depth + 1)
        self.agents -= 1  # it is one agent, with something in front of it
        kept = {"wrapped_agent": inner}
        rest = self._schema(MessageFilterAgent, {**config, **plain(kept)}, f"{path}.config")
        if inner is None or not rest:
            return None
        return node("autogen_agentchat.agents.MessageFilterAgent", "agent", {**rest, **kept})

    def _society(self, config: Node, path: str, depth: int) -> Node | None:
        at = f"{path}.config"
        kept: Node = {
            "team": self.team(config.get("team"), f"{at}.team", depth + 1),
            "model_client": self.model(config.get("model_client"), f"{at}.model_client"),
        }
        if config.get("model_context") is not None:
            kept["model_context"] = self.context(config["model_context"], f"{at}.model_context")
        rest = self._schema(SocietyOfMindAgent, {**config, **plain(kept)}, at)
        if kept["team"] is None:
            return None
        return node("autogen_agentchat.agents.SocietyOfMindAgent", "agent", present({**rest, **kept}))

    def _coder(self, config: Node, path: str) -> Node | None:
        at = f"{path}.config"
        kept: Node = {"code_executor": self.executor(config.get("code_executor"), f"{at}.code_executor")}
        if config.get("model_client") is not None:
            kept["model_client"] = self.model(config["model_client"], f"{at}.model_client")
        if config.get("model_context") is not None:
            kept["model_context"] = self.context(config["model_context"], f"{at}.model_context")
        for i, language in enumerate(self._list(config, "supported_languages", at)):
            if language not in executors.LANGUAGES:
                known = ", ".join(executors.LANGUAGES)
                self.say(f"{at}.supported_languages[{i}]", f"Only {known} can be executed here; leave others out.")
        rest = self._schema(CodeExecutorAgent, {**config, **plain(kept)}, at)
        if kept["code_executor"] is None:
            return None
        return node("autogen_agentchat.agents.CodeExecutorAgent", "agent", present({**rest, **kept}))

    def _assistant(self, config: Node, path: str, depth: int) -> Node:
        at = f"{path}.config"
        config = {
            "description": "An agent that provides assistance with ability to use tools.",
            # What its constructor makes of nothing, and its schema does not.
            "reflect_on_tool_use": config.get("structured_message_factory") is not None,
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
            self.workbench(b, f"{at}.workbench[{i}]", depth) for i, b in enumerate(self._list(config, "workbench", at))
        ]
        # Version 1 kept tools beside the workbench.
        loose = [self.tool(t, f"{at}.tools[{i}]", depth) for i, t in enumerate(self._list(config, "tools", at))]
        if loose:
            kept["workbench"].append(bench(loose, {}))
        kept["memory"] = [self.memory(m, f"{at}.memory[{i}]") for i, m in enumerate(self._list(config, "memory", at))]
        if config.get("structured_message_factory") is not None:
            place = f"{at}.structured_message_factory"
            kept["structured_message_factory"] = self.structure(config["structured_message_factory"], place)
        kept["handoffs"] = self._handoffs(config, at)
        self._template(config, "tool_call_summary_format", at, ("tool_name", "arguments", "result", "is_error"))
        self._unique_tools(kept, at)
        rest = self._schema(AssistantAgent, {**config, **plain(kept), "tools": None}, at)
        both = present({**rest, **kept})
        return node("autogen_agentchat.agents.AssistantAgent", "agent", both, component_version=2)

    def _unique_tools(self, kept: Node, at: str) -> None:
        seen = {handoff["name"] for handoff in kept["handoffs"]}
        for i, found in enumerate(kept["workbench"]):
            config = found["config"] if found else {"tools": [], "tool_overrides": {}}
            for tool in filter(None, config["tools"]):
                own = name_of(tool)
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
                self.say(place, first(error))
            else:
                kept.append(handoff.model_dump())
                if any(other["name"] == handoff.name for other in kept[:-1]):
                    self.say(place, f"Two handoffs are called {handoff.name!r}.")
        return kept
