"""Teams of every kind, and whether one can come to an end."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from autogen_agentchat import teams as autogen_teams
from autogen_agentchat.teams import DiGraph
from pydantic import ValidationError

from console.agents import anatomy, providers
from console.agents.tools import clip
from console.agents.walk.agents import MAX_DEPTH, Agents
from console.agents.walk.base import CODE, Node, node, plain

# What AutoGen's classes have defaults for, and their schemas have not.
DEFAULTS = {
    kind: {name: inspect.signature(getattr(autogen_teams, kind)).parameters[name].default for name in names}
    for kind, names in {
        "SelectorGroupChat": ("selector_prompt", "allow_repeated_speaker"),
        "MagenticOneGroupChat": ("max_stalls", "final_answer_prompt"),
    }.items()
}
NESTING = ("RoundRobinGroupChat", "SelectorGroupChat")  # the kinds that take teams as members


class Walk(Agents):
    """See console.agents.walk."""

    def root(self, given: Any, path: str) -> Node | None:
        """The whole document: a team, or a single agent, which becomes a team of one that speaks once."""
        if isinstance(given, dict) and str(given.get("provider")) in providers.AGENTS:
            agent = self.agent(given, path, 1)
            if agent is None:
                return None
            self.say(path, "A single agent: it answers once.", "info")
            config = {"participants": [agent], "max_turns": 1}
            return node("autogen_agentchat.teams.RoundRobinGroupChat", "team", config)
        return self.team(given, path)

    def team(self, given: Any, path: str, depth: int = 0) -> Node | None:
        """A team, with everything in it."""
        if depth > MAX_DEPTH:
            self.say(path, f"Teams and agents are nested more than {MAX_DEPTH} deep.")
            return None
        found = self._component(given, path, providers.TEAMS, "a team")
        if found is None:
            return None
        kind, config = found
        for name in ("selector_func", "candidate_func"):
            if config.get(name):
                self.say(f"{path}.config.{name}", CODE)
        participants = self._list(config, "participants", f"{path}.config", required=True)
        members = [
            self._member(kind, member, f"{path}.config.participants[{i}]", depth + 1)
            for i, member in enumerate(participants)
        ]
        names = self._unique([anatomy.name_of(member) if member else None for member in members], path)
        config = {**DEFAULTS.get(kind, {}), **{name: value for name, value in config.items() if value is not None}}
        kept = self._kept(kind, config, members, path)
        if kind == "SelectorGroupChat":
            self._template(config, "selector_prompt", f"{path}.config", ("roles", "participants", "history"))
        if kind == "GraphFlow":
            self._graph(config, path, names)
        if kind == "Swarm":
            self._swarm(members, path, names)
        # Before AutoGen's schema sees them: a condition may be a callable there.
        rest = self._schema(getattr(autogen_teams, kind), {**config, **plain(kept)}, f"{path}.config")
        turns = rest.get("max_turns")
        if turns is not None and turns < 1:
            self.say(f"{path}.config.max_turns", "There must be at least one turn.")
        config = {k: v for k, v in {**rest, **kept}.items() if v is not None and not k.endswith("_func")}
        team = node(f"autogen_agentchat.teams.{kind}", "team", config)
        if not any(finding.level == "error" for finding in self.findings):  # what was refused is not there to be asked
            self._ends(team, path)
        return team

    def _kept(self, kind: str, config: Node, members: list[Node | None], path: str) -> Node:
        """What of a team's configuration is looked at by itself."""
        kept: Node = {"participants": members}
        at = f"{path}.config"
        if config.get("termination_condition") is not None:
            kept["termination_condition"] = self.condition(
                config["termination_condition"], f"{at}.termination_condition"
            )
        if kind in ("SelectorGroupChat", "MagenticOneGroupChat"):
            kept["model_client"] = self.model(config.get("model_client"), f"{at}.model_client")
        if kind == "SelectorGroupChat" and config.get("model_context") is not None:
            kept["model_context"] = self.context(config["model_context"], f"{at}.model_context")
        return kept

    def _member(self, kind: str, given: Any, path: str, depth: int) -> Node | None:
        if not (isinstance(given, dict) and str(given.get("provider")) in providers.TEAMS):
            return self.agent(given, path, depth)
        if kind not in NESTING:
            self.say(path, f"A {kind} takes agents only; a SocietyOfMindAgent can stand for a team in it.")
            return None
        config = given.get("config")
        if isinstance(config, dict):
            config = {"name": providers.TEAMS[str(given["provider"])], **{k: v for k, v in config.items() if v}}
            if self._name(config, path, "a team inside a team") is None:
                return None
            given = {**given, "config": config}
        return self.team(given, path, depth)

    def _unique(self, names: list[str | None], path: str) -> list[str]:
        for i, own in enumerate(names):
            if own is not None and own in names[:i]:
                self.say(f"{path}.config.participants[{i}].config.name", f"Two members are called {own!r}.")
        return [name for name in names if name]

    def _graph(self, config: Node, path: str, names: list[str]) -> None:
        at = f"{path}.config.graph"
        if "user" in names:
            self.say(f"{path}.config.participants", "In a GraphFlow no agent can be called 'user': the task is.")
        try:
            graph = DiGraph.model_validate(config.get("graph"))
            for name, found in graph.nodes.items():
                if name != found.name or name not in names:
                    self.say(f"{at}.nodes.{name}", f"There is no agent {name!r}.")
                for edge in found.edges:
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
            place = f"{path}.config.participants[{i}]"
            if member and anatomy.core(member)["provider"].endswith(("SocietyOfMindAgent", "UserProxyAgent")):
                continue
            for j, handoff in enumerate(anatomy.core(member)["config"].get("handoffs") or [] if member else []):
                target = handoff["target"]
                if target not in names and (not target.isidentifier() or target in providers.RESERVED):
                    self.say(
                        f"{place}.config.handoffs[{j}]",
                        f"{target!r} is no agent of the team, and no name for a person.",
                    )

    def _ends(self, team: Node, path: str) -> None:
        """A condition that nothing in the team can meet is a slip, and a team that only its limit ends is worth a word."""
        config = team["config"]
        kind = providers.TEAMS[team["provider"]]
        ending = config.get("termination_condition")
        if ending is not None:
            voices = {"user", *anatomy.voices(team)}
            tools = {name for agent in anatomy.agents(team) for name in anatomy.tool_names(agent)}
            targets = {target for agent in anatomy.agents(team) for target in anatomy.handoff_targets(agent)}
            never = list(_never(ending, f"{path}.config.termination_condition", voices, tools, targets))
            stops = config.get("max_turns") or kind in ("GraphFlow", "MagenticOneGroupChat")
            for place, why in never:
                self.say(place, why, "error" if not stops and _hopeless(ending, voices, tools, targets) else "info")
        elif not config.get("max_turns") and kind in ("RoundRobinGroupChat", "SelectorGroupChat", "Swarm"):
            self.say(path, "Nothing in this team ends it: its run stops at the limit of turns, as max_turns.", "info")


def _never(
    ending: Node | None, path: str, voices: set[str], tools: set[str], targets: set[str]
) -> Iterable[tuple[str, str]]:
    """(path, why) of each condition that can never be met."""
    if ending is None:
        return
    for i, inner in enumerate(ending["config"].get("conditions") or []):
        yield from _never(inner, f"{path}.config.conditions[{i}]", voices, tools, targets)
    why = _why_never(ending, voices, tools, targets)
    if why:
        yield path, why


def _why_never(ending: Node, voices: set[str], tools: set[str], targets: set[str]) -> str:
    kind, config = providers.CONDITIONS[ending["provider"]], ending["config"]
    sources = config.get("sources") or ([config["source"]] if config.get("source") else [])
    if sources and not voices.intersection(sources):
        return f"This can never be met: nobody in the team is called {' or '.join(map(repr, sources))}."
    if kind == "ExternalTermination":
        return "This can never be met: nothing outside sets it. Cancel the run instead."
    if kind == "StopMessageTermination":
        return "This can never be met: no agent of this team says a StopMessage."
    if kind == "HandoffTermination" and config.get("target") not in targets:
        return f"This can never be met: no agent hands over to {config.get('target')!r}."
    if kind == "FunctionCallTermination" and config.get("function_name") not in tools:
        return f"This can never be met: no agent has a tool {config.get('function_name')!r}."
    return ""


def _hopeless(ending: Node | None, voices: set[str], tools: set[str], targets: set[str]) -> bool:
    """Whether a tree of conditions can never be met as a whole."""
    if ending is None:
        return False
    kind = providers.CONDITIONS[ending["provider"]]
    inner = [_hopeless(each, voices, tools, targets) for each in ending["config"].get("conditions") or []]
    if kind == "AndTerminationCondition":
        return any(inner)
    if kind == "OrTerminationCondition":
        return all(inner)
    return bool(_why_never(ending, voices, tools, targets))
