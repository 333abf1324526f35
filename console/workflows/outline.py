"""Looking into component documents, whatever is in them: what is not as it should be reads as nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = Any
Node = dict[str, Json]


def mapping(value: Json) -> Node:
    """The value if it is an object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Json) -> list[Json]:
    """The value if it is a list, or an empty one."""
    return value if isinstance(value, list) else []


def config(node: Json) -> Node:
    """The configuration of a component."""
    return mapping(mapping(node).get("config"))


def kind(node: Json) -> str:
    """The class of a component, without its module."""
    return str(mapping(node).get("provider") or "").rsplit(".", 1)[-1][:60]


def nodes(document: Json, component: str) -> Iterator[Node]:
    """Every node of a document that is of one type (agent, tool, team ...), outermost first."""
    if isinstance(document, dict):
        if document.get("component_type") == component:
            yield document
        for value in document.values():
            yield from nodes(value, component)
    elif isinstance(document, list):
        for value in document:
            yield from nodes(value, component)
