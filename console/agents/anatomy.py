"""What is in a normalised team document: its agents, at whatever depth, and what they can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from console.agents import providers

Node = Mapping[str, Any]


def name_of(member: Node) -> str:
    """The name under which a team knows a member, be it an agent or a team."""
    kind = providers.TEAMS.get(member["provider"])
    return str(member["config"].get("name") or kind)


def core(agent: Node) -> Node:
    """The agent itself, without the message filters in front of it."""
    while providers.AGENTS.get(agent["provider"]) == "MessageFilterAgent":
        agent = agent["config"]["wrapped_agent"]
    return agent


def agents(team: Node) -> Iterator[Node]:
    """Every agent of a team: those of teams inside it, of societies, and of agents and teams used as tools, too."""
    for member in team["config"].get("participants") or []:
        if member["provider"] in providers.TEAMS:
            yield from agents(member)
        else:
            yield from _with_inner(member)


def _with_inner(agent: Node) -> Iterator[Node]:
    agent = core(agent)
    yield agent
    config = agent["config"]
    if config.get("team"):
        yield from agents(config["team"])
    for tool in tools(agent):
        if "agent" in tool["config"]:
            yield from _with_inner(tool["config"]["agent"])
        elif "team" in tool["config"]:
            yield from agents(tool["config"]["team"])


def teams(team: Node) -> Iterator[Node]:
    """The team itself, and every team inside it."""
    yield team
    for member in team["config"].get("participants") or []:
        if member["provider"] in providers.TEAMS:
            yield from teams(member)
        else:
            yield from _teams_of(member)


def _teams_of(agent: Node) -> Iterator[Node]:
    agent = core(agent)
    if agent["config"].get("team"):
        yield from teams(agent["config"]["team"])
    for tool in tools(agent):
        if "team" in tool["config"]:
            yield from teams(tool["config"]["team"])
        elif "agent" in tool["config"]:
            yield from _teams_of(tool["config"]["agent"])


def names(team: Node) -> set[str]:
    """What agents are called, and those that speak for a team: whoever asks a model."""
    found = {str(agent["config"]["name"]) for agent in agents(team)}
    for each in teams(team):
        found |= {
            providers.SPEAKERS[kind] for kind in [providers.TEAMS[each["provider"]]] if kind in providers.SPEAKERS
        }
    return found


def voices(team: Node) -> set[str]:
    """The sources of messages that a team's conditions may see."""
    found = names(team)
    for agent in agents(team):
        found |= set(handoff_targets(agent))
    return found | {name_of(member) for member in team["config"].get("participants") or []}


def tools(agent: Node) -> Iterator[Node]:
    """The tools of an agent."""
    for bench in core(agent)["config"].get("workbench") or []:
        yield from bench["config"].get("tools") or []


def tool_names(agent: Node) -> Iterator[str]:
    """The names under which an agent calls its tools, handoffs included."""
    for bench in core(agent)["config"].get("workbench") or []:
        overrides = bench["config"].get("tool_overrides") or {}
        for tool in bench["config"].get("tools") or []:
            config = tool["config"]
            own = str(config.get("name") or config["agent"]["config"]["name"])
            yield str((overrides.get(own) or {}).get("name") or own)
    for handoff in core(agent)["config"].get("handoffs") or []:
        yield str(handoff["name"])


def handoff_targets(agent: Node) -> Iterator[str]:
    """Whom an agent may hand over to."""
    for handoff in core(agent)["config"].get("handoffs") or []:
        yield str(handoff if isinstance(handoff, str) else handoff["target"])
