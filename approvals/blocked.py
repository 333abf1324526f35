"""How many agents of a team cannot go on while one of them waits for a person. Pure; read from the team's document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.workflows.outline import config, items, kind, mapping, nodes

Json = Any


def blocked(team: Mapping[str, Json], agent: str) -> int:
    """The agents that wait with ``agent``, itself included: in a graph those that come after it, elsewhere all of the
    team it is in, since the next turn begins when this one has ended."""
    for graph in nodes(team, "team"):
        if kind(graph) == "GraphFlow":
            edges = _edges(graph)
            if agent in edges:
                return len(_after(edges, agent))
    return max(1, sum(1 for _ in nodes(team, "agent")))


def _edges(graph: Json) -> dict[str, list[str]]:
    found = mapping(mapping(config(graph).get("graph")).get("nodes"))
    return {
        name: [str(mapping(edge).get("target")) for edge in items(mapping(node).get("edges"))]
        for name, node in found.items()
    }


def _after(edges: Mapping[str, list[str]], start: str) -> set[str]:
    reached, open_ = {start}, [start]
    while open_:
        for target in edges.get(open_.pop(), []):
            if target not in reached and target in edges:
                reached.add(target)
                open_.append(target)
    return reached
