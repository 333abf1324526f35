"""From a checked team document to the same team with every reach outside wrapped.

The only providers in what comes out are those written down here, whatever went in. ``path`` is where a part stands:
empty for the outermost team, ``name/`` for what is inside a team or agent of that name. It is the beginning of the
scopes of its effects. What an agent or team does as a tool stands below the call, which is known only when it is made:
its paths start anew here, and ``room.inside`` puts the call's in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.agents import anatomy, providers
from console.agents.limits import Limits
from console.agents.oversight import Oversight

Node = dict[str, Any]
Filters = Mapping[str, list[Mapping[str, Any]]]


def wrapped(
    team: Mapping[str, Any],
    limits: Limits,
    oversight: Oversight,
    filters: Filters | None = None,
    reviewer: str = "reviewer",
) -> Node:
    """The wrapped twin of a normalised team document. Raises KeyError for what ``documents.check`` would refuse.

    ``filters`` say, by agent, whose messages it hears, and the first or last how many; it always hears ``reviewer``.
    """
    return _Rewriter(limits, oversight, filters or {}, reviewer).team(team, "", outermost=True)


class _Rewriter:
    def __init__(self, limits: Limits, oversight: Oversight, filters: Filters, reviewer: str) -> None:
        self._limits = limits
        self._oversight = oversight
        self._filters = filters
        self._reviewer = reviewer

    def team(self, node: Mapping[str, Any], path: str, *, outermost: bool = False) -> Node:
        kind = providers.TEAMS[node["provider"]]
        config = dict(node["config"])
        members = config["participants"]
        names = [anatomy.name_of(member) for member in members]
        outside: list[str] = []
        if kind == "Swarm":
            # Somebody outside whom an agent may hand over to is a member of the team that asks a person.
            targets = [target for member in members for target in anatomy.handoff_targets(member)]
            outside = list(dict.fromkeys(target for target in targets if target not in names))
        insiders = [*names, *outside]
        config["participants"] = [self._member(member, insiders, path) for member in members]
        config["participants"] += [_person(path, name) for name in outside]
        ending = config.get("termination_condition")
        if ending:
            goal = has_end_of_its_own(node)
            config["termination_condition"] = self._condition(ending, goal, outside, outermost)
        turns = config.get("max_turns")
        config["max_turns"] = min(turns, self._limits.max_turns) if turns else self._limits.max_turns
        if kind in providers.SPEAKERS:
            speaker = providers.SPEAKERS[kind]
            config["model_client"] = self._model(config["model_client"], f"{path}{speaker}/model", speaker)
            if config.get("model_context"):
                config["model_context"] = self._context(config["model_context"], path, speaker)
        if kind == "GraphFlow":
            return {**_node("console.agents.graphs.JournaledGraphFlow", "team"), "config": config}
        return {**_node(f"autogen_agentchat.teams.{kind}", "team"), "config": config}

    def _member(self, node: Mapping[str, Any], insiders: list[str], path: str) -> Node:
        if node["provider"] in providers.TEAMS:
            return self.team(node, f"{path}{anatomy.name_of(node)}/")
        return self._agent(node, insiders, path)

    def _agent(self, node: Mapping[str, Any], insiders: list[str], path: str) -> Node:
        """An agent, with what the revision says that it hears."""
        kind, config = providers.AGENTS[node["provider"]], node["config"]
        if kind == "MessageFilterAgent":
            inner = self._agent(config["wrapped_agent"], insiders, path)
            return self._hears(inner, config["name"], config["filter"]["per_source"])
        agent = self._participant(kind, config, insiders, path)
        return self._hears(agent, config["name"], self._filters.get(config["name"]) or [])

    def _hears(self, agent: Node, name: str, entries: list[Mapping[str, Any]]) -> Node:
        if not entries:
            return agent
        heard = [*(dict(entry) for entry in entries), {"source": self._reviewer}]
        provider = "autogen_agentchat.agents.MessageFilterAgent"
        return _node(provider, "agent", name=name, wrapped_agent=agent, filter={"per_source": heard})

    def _participant(self, kind: str, given: Mapping[str, Any], insiders: list[str], path: str) -> Node:
        config, name = dict(given), given["name"]
        if kind == "UserProxyAgent":
            return _person(path, name, config.get("description") or "A human user")
        if config.get("model_client"):
            config["model_client"] = self._model(config["model_client"], f"{path}{name}/model", name)
        if config.get("model_context"):
            config["model_context"] = self._context(config["model_context"], path, name)
        if kind == "CodeExecutorAgent":
            config["code_executor"] = _executor(config["code_executor"], f"{path}{name}/code", name)
            agent = {**_node("console.agents.coding.GovernedCoder", "agent"), "config": config}
        elif kind == "SocietyOfMindAgent":
            config["team"] = self.team(config["team"], f"{path}{name}/")
            agent = {**_node("autogen_agentchat.agents.SocietyOfMindAgent", "agent"), "config": config}
        else:
            config["workbench"] = self._benches(config.get("workbench") or [], path, name) or None
            config["tools"] = None
            assistant = _node("autogen_agentchat.agents.AssistantAgent", "agent")
            agent = {**assistant, "component_version": 2, "config": config}
        review = self._oversight.reviews_messages(name)
        handoffs = config.get("handoffs") or []
        leaves = any((h if isinstance(h, str) else h["target"]) not in insiders for h in handoffs)
        if review or leaves:
            attended = "console.agents.participants.Attended"
            return _node(attended, "agent", agent=agent, review=review, insiders=insiders, path=path)
        return agent

    def _model(self, node: Mapping[str, Any], scope: str, agent: str) -> Node:
        return _node("console.agents.models.JournaledModel", "model", scope=scope, agent=agent, config=node["config"])

    def _benches(self, benches: list[Mapping[str, Any]], path: str, agent: str) -> list[Node]:
        found: list[Node] = []
        for bench in benches:
            overrides = bench["config"].get("tool_overrides") or {}
            tools, runners = [], []
            for tool in bench["config"].get("tools") or []:
                if tool["config"].keys() & {"agent", "team"}:
                    runners.append(self._runner(tool, overrides))
                    continue
                pinned = _pinned(tool)
                tools.append({**pinned, **_other(overrides, pinned["name"])})
            scope = f"{path}{agent}/tools" + ("" if not found else f"/{len(found) + 1}")
            if tools or not runners:
                provider = "console.agents.workbenches.JournaledWorkbench"
                found.append(_node(provider, "workbench", scope=scope, agent=agent, tools=tools))
            if runners:
                provider = "console.agents.runners.RunnerWorkbench"
                found.append(_node(provider, "workbench", scope=f"{path}{agent}/runs", agent=agent, runners=runners))
        return found

    def _runner(self, tool: Mapping[str, Any], overrides: Mapping[str, Any]) -> Node:
        kind, config = providers.TOOLS[tool["provider"]], dict(tool["config"])
        if kind == "AgentTool":
            own = config["agent"]["config"]["name"]
            config["agent"] = self._agent(config["agent"], [own], "")
        else:
            own = config["name"]
            config["team"] = self.team(config["team"], "")
        runner = {**_node(f"autogen_agentchat.tools.{kind}", "tool"), "config": config}
        return {"tool": runner, "name": own, **_other(overrides, own)}

    def _context(self, node: Mapping[str, Any], path: str, agent: str) -> Node:
        kind, config = providers.CONTEXTS[node["provider"]], dict(node["config"])
        if "model_client" in config:
            config["model_client"] = self._model(config["model_client"], f"{path}{agent}/context", agent)
        return {**_node(f"autogen_core.model_context.{kind}", "chat_completion_context"), "config": config}

    def _condition(self, node: Mapping[str, Any], goal: bool, outside: list[str], outermost: bool) -> Node:
        """``goal``: the team has an end of its own, so a count that stops it is a limit that was hit.

        What ends a team inside another only ends that team: it says nothing about the run.
        """
        kind, config = providers.CONDITIONS[node["provider"]], dict(node["config"])
        if kind in ("AndTerminationCondition", "OrTerminationCondition"):
            config["conditions"] = [self._condition(each, goal, outside, outermost) for each in config["conditions"]]
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
        meaning = meaning if outermost else ""
        return _node("console.agents.conditions.Watched", "termination", condition=inner, meaning=meaning)


def _node(provider: str, component_type: str, **config: Any) -> Node:
    return {"provider": provider, "component_type": component_type, "config": config}


def _person(path: str, name: str, description: str = "A human user") -> Node:
    return _node("console.agents.participants.Person", "agent", name=name, description=description, path=path)


def _pinned(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tool["config"][key] for key in ("name", "catalogue", "version", "description")}


def _executor(tool: Mapping[str, Any], scope: str, agent: str) -> Node:
    provider = "console.agents.coding.JournaledExecutor"
    return _node(provider, "code_executor", scope=scope, agent=agent, tool=_pinned(tool))


def _other(overrides: Mapping[str, Any], name: str) -> dict[str, str]:
    """What an override says instead of a tool's own name and description."""
    return {key: value for key, value in (overrides.get(name) or {}).items() if value}


def _has_goal(node: Mapping[str, Any]) -> bool:
    """Whether a termination tree has a condition that is about what was said, not about how much."""
    kind = providers.CONDITIONS[node["provider"]]
    if kind in ("AndTerminationCondition", "OrTerminationCondition"):
        return any(_has_goal(inner) for inner in node["config"]["conditions"])
    return kind not in providers.GUARDS


def has_end_of_its_own(team: Mapping[str, Any]) -> bool:
    """Whether a team ends by something else than by counting its turns."""
    ending = team["config"].get("termination_condition")
    own = providers.TEAMS[team["provider"]] in ("GraphFlow", "MagenticOneGroupChat")
    return own or bool(ending and _has_goal(ending))
