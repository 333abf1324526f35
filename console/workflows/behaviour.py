"""What a team may do without a person, in plain words: read from a revision's body and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from console.durable.steps import Safety
from console.workflows.catalogue import UnknownTool
from console.workflows.registry import Registry

Json = Any


def behaviour(body: Mapping[str, Json], tools: Registry) -> list[str]:
    """Sentences for the workflow page; the first says the most."""
    alone, asks, always = _sorted_tools(body, tools)
    says = [_first(asks, always, alone)]
    if alone:
        says.append(f"Without a person it may use {_list(alone)}.")
    says += [_rule(rule) for rule in body.get("rules") or []]
    says.append(_oversight(body.get("oversight") or {}))
    stages = (body.get("oversight") or {}).get("stages") or {}
    says += [f"{agent}: {_STAGE[mode]}" for agent, mode in stages.items() if mode in _STAGE]
    limits = body.get("limits") or {}
    if limits.get("max_cost") is not None:
        says.append(f"It stops when a run has cost {limits['max_cost']} US dollars.")
    return says


_STAGE = {
    "ALWAYS": "a person reads each of its messages before the others do, and decides its actions.",
    "TERMINATE": "a person reviews the last message of its turn.",
    "NEVER": "its messages are not reviewed.",
}


def _first(asks: Sequence[str], always: Sequence[str], alone: Sequence[str]) -> str:
    stops = [*asks, *always]
    if stops:
        return f"The team stops and asks a person before each call of {_list(stops)}."
    if alone:
        return "No tool of this team stops for a person."
    return "This team has no tools: it can only talk."


def _sorted_tools(body: Mapping[str, Json], tools: Registry) -> tuple[list[str], list[str], list[str]]:
    """Names of tools that may run alone, that ask, and that ask because oversight is ALWAYS where they are used."""
    alone: dict[str, None] = {}
    asks: dict[str, None] = {}
    always: dict[str, None] = {}
    oversight = body.get("oversight") or {}
    for agent, tool in _tools(body.get("team"), ""):
        name, known = str(tool.get("name", "?")), tool.get("catalogue") or tool.get("name") or ""
        try:
            spec = tools.get(str(known), tool.get("version"))
        except UnknownTool:
            continue  # calls of it fail: it does nothing with or without a person
        mode = (oversight.get("stages") or {}).get(agent) or oversight.get("mode") or "TERMINATE"
        if spec.approval != "allow":
            asks[name] = None
        elif mode == "ALWAYS" and spec.safety is not Safety.READ_ONLY:
            always[name] = None
        else:
            alone[name] = None
    return list(alone), list(asks), list(always)


def _tools(node: Json, agent: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """(agent, configuration) of each tool in a component document."""
    if isinstance(node, Mapping):
        config = node.get("config")
        if node.get("component_type") == "agent" and isinstance(config, Mapping):
            agent = str(config.get("name") or agent)
        if node.get("component_type") == "tool" and isinstance(config, Mapping) and "name" in config:
            yield agent, config
        for value in node.values():
            yield from _tools(value, agent)
    elif isinstance(node, list):
        for value in node:
            yield from _tools(value, agent)


def _rule(rule: Mapping[str, Json]) -> str:
    match = rule.get("match") or {}
    tool, agent = match.get("tool", "*"), match.get("agent", "*")
    what = "any tool" if tool == "*" else f"{tool}"
    who = "" if agent == "*" else f" by {agent}"
    when = f" when {rule['when']}" if rule.get("when") else ""
    if rule.get("effect") == "allow":
        return f"{what}{who} may run without a person{when}."
    if rule.get("effect") == "deny":
        return f"{what}{who} is refused{when}."
    approvers = rule.get("approvers") or 1
    people = "a person" if approvers == 1 else f"{approvers} people"
    group = f" of {rule['group']}" if rule.get("group") else ""
    return f"{what}{who} asks {people}{group}{when}."


def _oversight(oversight: Mapping[str, Json]) -> str:
    mode = oversight.get("mode") or "TERMINATE"
    if mode == "ALWAYS":
        return (
            "A person reads every message before the team goes on, and decides every action that is more than reading."
        )
    if mode == "NEVER":
        return "Nobody reviews the result before it counts."
    return "A person reviews the result before it counts."


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
