"""The tools that teams may use, by name and version.

A revision pins the version that it was made with, so a tool whose meaning changes is registered under a new version and
the old one stays for as long as runs of old revisions may come back. ``revoke`` takes a tool away at once, whatever was
pinned: the next call of it fails.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from console.agents.tools import ToolSpec
from console.durable.steps import Safety

_tools: dict[str, dict[int, ToolSpec]] = {}
_revoked: set[tuple[str, int]] = set()


class UnknownTool(KeyError):
    """The catalogue has no such tool, or not in this version, or it was revoked."""

    def __str__(self) -> str:
        return str(self.args[0])


def register(spec: ToolSpec) -> ToolSpec:
    """Add a tool. Raises ValueError when this version of it is there already and is another."""
    versions = _tools.setdefault(spec.name, {})
    known = versions.get(spec.version)
    if known is not None and known != spec:
        raise ValueError(f"{spec.name} version {spec.version} is registered already; give the change a new version")
    versions[spec.version] = spec
    return spec


def get(name: str, version: int | None = None) -> ToolSpec:
    """A tool by name; its newest version when none is given. Raises UnknownTool."""
    versions = _tools.get(name)
    if not versions:
        raise UnknownTool(f"There is no tool {name!r} in the catalogue.")
    number = max(versions) if version is None else version
    if number not in versions:
        raise UnknownTool(f"The tool {name!r} has no version {number}.")
    if (name, number) in _revoked:
        raise UnknownTool(f"The tool {name!r} (version {number}) was revoked.")
    return versions[number]


def all() -> dict[str, ToolSpec]:  # noqa: A001  # reads as catalogue.all()
    """The newest version of every tool that was not revoked, by name."""
    newest = {name: versions[max(versions)] for name, versions in sorted(_tools.items())}
    return {name: spec for name, spec in newest.items() if (name, spec.version) not in _revoked}


def has(name: str) -> bool:
    """Whether there is, or was, a tool of that name in the code."""
    return name in _tools


def revoke(name: str, version: int) -> None:
    """Let nobody call this version any more, pinned or not. Raises UnknownTool."""
    _revoked.add((get(name, version).name, version))


def reinstate(name: str, version: int) -> None:
    """Undo ``revoke``."""
    _revoked.discard((name, version))


_OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


async def _calculate(arguments: dict[str, Any], key: str) -> str:
    a, b, sign = arguments["a"], arguments["b"], arguments["operator"]
    if sign == "/" and b == 0:
        return "Error: division by zero."
    value = _OPERATORS[sign](a, b)
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


CALCULATOR = register(
    ToolSpec(
        name="calculator",
        version=1,
        description="Do one step of arithmetic with two numbers: + - * /",
        schema={
            "type": "object",
            "properties": {
                "a": {"type": "number", "description": "The first number"},
                "b": {"type": "number", "description": "The second number"},
                "operator": {"type": "string", "enum": ["+", "-", "*", "/"], "description": "What to do with them"},
            },
            "required": ["a", "b", "operator"],
            "additionalProperties": False,
        },
        # Doing it again changes nothing; it asks all the same, as the smallest tool on which a gate can be seen.
        safety=Safety.READ_ONLY,
        risk="low",
        approval="require",
        title="Calculate {a} {operator} {b}",
        timeout=timedelta(seconds=5),
        call=_calculate,
    )
)
