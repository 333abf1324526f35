"""From a checked team document to the same team with every reach outside wrapped.

The only providers in what comes out are those written down here, whatever went in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.agents import providers
from console.agents.limits import Limits
from console.agents.models import SELECTOR
from console.agents.oversight import Oversight

Node = dict[str, Any]


def wrapped(
    team: Mapping[str, Any],
    limits: Limits,
    oversight: Oversight,
    filters: Mapping[str, list[Mapping[str, Any]]] | None = None,
    reviewer: str = "reviewer",
) -> Node:
    """The wrapped twin of a normalised team document. Raises KeyError for what ``documents.check`` would refuse.

    ``filters`` say, by agent, whose messages it hears, and the first or last how many; it always hears ``reviewer``.
    """
    return _Rewriter(limits, oversight, filters or {}, reviewer).team(team)


class _Rewriter:
    def __init__(
        self, limits: Limits, oversight: Oversight, filters: Mapping[str, list[Mapping[str, Any]]], reviewer: str
    ) -> None:
        self._limits = limits
        self._oversight = oversight
        self._filters = filters
        self._reviewer = reviewer

    def team(self, node: Mapping[str, Any]) -> Node:
        kind = providers.TEAMS[node["provider"]]
        config = dict(node["config"])
        members = config["participants"]
        names = [member["config"]["name"] for member in members]
        outside: list[str] = []
        if kind == "Swarm":
            # Somebody outside whom an agent may hand over to is a member of the team that asks a person.
            for member in members:
                for handoff in member["config"].get("handoffs") or []:
                    target = handoff if isinstance(handoff, str) else handoff["target"]
                    if target not in names and target not in outside:
                        outside.append(target)
        insiders = [*names, *outside]
        config["participants"] = [self._filtered(self._participant(member, insiders), member) for member in members]
        config["participants"] += [_node("console.agents.participants.Person", "agent", name=name) for name in outside]
        ending = config.get("termination_condition")
        if ending:
            config["termination_condition"] = self._condition(ending, kind == "GraphFlow" or _has_goal(ending), outside)
        turns = config.get("max_turns")
        config["max_turns"] = min(turns, self._limits.max_turns) if turns else self._limits.max_turns
        if kind == "SelectorGroupChat":
            config["model_client"] = self._model(config["model_client"], f"{SELECTOR}/model", SELECTOR)
            if config.get("model_context"):
                config["model_context"] = self._context(config["model_context"], SELECTOR)
        if kind == "GraphFlow":
            return {**_node("console.agents.graphs.JournaledGraphFlow", "team"), "config": config}
        return {**_node(f"autogen_agentchat.teams.{kind}", "team"), "config": config}

    def _filtered(self, agent: Node, node: Mapping[str, Any]) -> Node:
        name = node["config"]["name"]
        heard = [dict(entry) for entry in self._filters.get(name) or []]
        if not heard:
            return agent
        heard.append({"source": self._reviewer})
        provider = "autogen_agentchat.agents.MessageFilterAgent"
        return _node(provider, "agent", name=name, wrapped_agent=agent, filter={"per_source": heard})

    def _participant(self, node: Mapping[str, Any], insiders: list[str]) -> Node:
        config, name = dict(node["config"]), node["config"]["name"]
        if providers.AGENTS[node["provider"]] == "UserProxyAgent":
            description = config.get("description") or "A human user"
            return _node("console.agents.participants.Person", "agent", name=name, description=description)
        config["model_client"] = self._model(config["model_client"], f"{name}/model", name)
        config["workbench"] = [
            self._workbench(bench, f"{name}/tools" if not index else f"{name}/tools/{index + 1}", name)
            for index, bench in enumerate(config.get("workbench") or [])
        ] or None
        config["tools"] = None
        if config.get("model_context"):
            config["model_context"] = self._context(config["model_context"], name)
        agent = {**_node("autogen_agentchat.agents.AssistantAgent", "agent"), "component_version": 2, "config": config}
        review = self._oversight.reviews_messages(name)
        handoffs = config.get("handoffs") or []
        leaves = any((h if isinstance(h, str) else h["target"]) not in insiders for h in handoffs)
        if review or leaves:
            return _node("console.agents.participants.Attended", "agent", agent=agent, review=review, insiders=insiders)
        return agent

    def _model(self, node: Mapping[str, Any], scope: str, agent: str) -> Node:
        return _node("console.agents.models.JournaledModel", "model", scope=scope, agent=agent, config=node["config"])

    def _workbench(self, node: Mapping[str, Any], scope: str, agent: str) -> Node:
        overrides = node["config"].get("tool_overrides") or {}
        tools = []
        for tool in node["config"].get("tools") or []:
            pinned = {key: tool["config"][key] for key in ("name", "catalogue", "version", "description")}
            other = {k: v for k, v in (overrides.get(pinned["name"]) or {}).items() if v}
            tools.append({**pinned, **other})
        provider = "console.agents.workbenches.JournaledWorkbench"
        return _node(provider, "workbench", scope=scope, agent=agent, tools=tools)

    def _context(self, node: Mapping[str, Any], agent: str) -> Node:
        kind, config = providers.CONTEXTS[node["provider"]], dict(node["config"])
        if "model_client" in config:
            config["model_client"] = self._model(config["model_client"], f"{agent}/context", agent)
        return {**_node(f"autogen_core.model_context.{kind}", "chat_completion_context"), "config": config}

    def _condition(self, node: Mapping[str, Any], goal: bool, outside: list[str]) -> Node:
        """``goal``: the team has an end of its own, so a count that stops it is a limit that was hit."""
        kind, config = providers.CONDITIONS[node["provider"]], dict(node["config"])
        if kind in ("AndTerminationCondition", "OrTerminationCondition"):
            config["conditions"] = [self._condition(inner, goal, outside) for inner in config["conditions"]]
            return {**_node(f"autogen_agentchat.base.{kind}", "termination"), "config": config}
        inner = {**_node(f"autogen_agentchat.conditions.{kind}", "termination"), "config": config}
        if kind == "TimeoutTermination":
            inner = {**_node("console.agents.conditions.RunClock", "termination"), "config": config}
        if kind == "HandoffTermination" and config.get("target") in outside:
            # The person is asked instead; the team goes on with the answer.
            inner = {**_node("autogen_agentchat.conditions.ExternalTermination", "termination"), "config": {}}
        meaning = providers.GUARDS.get(kind, "completed")
        if meaning == "max_turns" and not goal:
            meaning = "completed"
        return _node("console.agents.conditions.Watched", "termination", condition=inner, meaning=meaning)


def _node(provider: str, component_type: str, **config: Any) -> Node:
    return {"provider": provider, "component_type": component_type, "config": config}


def _has_goal(node: Mapping[str, Any]) -> bool:
    """Whether a termination tree has a condition that is about what was said, not about how much."""
    kind = providers.CONDITIONS[node["provider"]]
    if kind in ("AndTerminationCondition", "OrTerminationCondition"):
        return any(_has_goal(inner) for inner in node["config"]["conditions"])
    return kind not in providers.GUARDS


def has_end_of_its_own(team: Mapping[str, Any]) -> bool:
    """Whether a team ends by something else than by counting its turns."""
    ending = team["config"].get("termination_condition")
    return providers.TEAMS[team["provider"]] == "GraphFlow" or bool(ending and _has_goal(ending))
