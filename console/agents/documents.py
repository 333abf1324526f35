"""AutoGen's component documents: what is wrong with one, and what of it is kept.

Nothing that a document names is ever imported or executed. A document that has no fault is put together once, wrapped
and without running it, so that what AutoGen's constructors object to is heard now and not when a run starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from autogen_agentchat.base import Team

from console.agents import rewrite
from console.agents.breakers import Breaker
from console.agents.leaks import MESSAGE, leaks
from console.agents.limits import Limits
from console.agents.oversight import Oversight
from console.agents.room import Prices, Reservation, Room, Route, enter
from console.agents.shapes import shape_fault
from console.agents.tools import ToolSpec, clip
from console.agents.walk import Finding, Node, Walk
from console.durable.run import Run


class Refused(ValueError):
    """The document cannot be used; ``findings`` say why."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(f"{f.path}: {f.message}" for f in findings if f.level == "error"))
        self.findings = findings


def examine(
    document: Any, mapping: Mapping[str, str], catalogue: Mapping[str, ToolSpec]
) -> tuple[Node | None, list[Finding]]:
    """The normalised team document (None when there is an error), and the findings.

    ``mapping`` is the revision's ``tools``: names in the document to names in ``catalogue``. Never raises, whatever
    the document is.
    """
    seen = look(document, mapping, catalogue)
    return seen.team, seen.findings


@dataclass(frozen=True)
class Look:
    """What a look at a document came to: ``unmapped`` are the tools that must be mapped, by name, and where they are."""

    team: Node | None
    findings: list[Finding]
    unmapped: dict[str, str]


def look(document: Any, mapping: Mapping[str, str], catalogue: Mapping[str, ToolSpec]) -> Look:
    """See ``examine``."""
    findings = [
        Finding(f"$.tools.{name}", f"There is no tool {target!r} in the catalogue.")
        for name, target in mapping.items()
        if target not in catalogue and not any(known.startswith(f"{target}.") for known in catalogue)
    ]
    fault = shape_fault(document)
    if fault:
        return Look(None, [*findings, Finding("$.team" + fault[0], fault[1])], {})
    findings += [Finding(path, MESSAGE) for path in leaks(document, "$.team")]
    walk = Walk(mapping, catalogue)
    team = walk.root(document, "$.team")
    findings += walk.findings
    findings += [
        Finding(f"$.tools.{name}", "No agent of the team has a tool of this name.", "info")
        for name in mapping
        if name not in walk.used and name not in {f.path for f in findings}
    ]
    if team is not None and not any(finding.level == "error" for finding in findings):
        said = _trial(team, catalogue)
        if said:
            findings.append(Finding("$.team", said))
    return Look(None if any(each.level == "error" for each in findings) else team, findings, walk.unmapped)


def check(
    document: Any, tools: Mapping[str, ToolSpec], catalogue: Mapping[str, ToolSpec] | None = None
) -> list[Finding]:
    """What is wrong with a document whose tool names mean these tools. Never raises."""
    known = {**(catalogue or {}), **{spec.name: spec for spec in tools.values()}}
    return examine(document, {name: spec.name for name, spec in tools.items()}, known)[1]


def normalise(document: Any, mapping: Mapping[str, str], catalogue: Mapping[str, ToolSpec]) -> Node:
    """What of a document is kept in a revision. Raises Refused."""
    team, findings = examine(document, mapping, catalogue)
    if team is None:
        raise Refused(findings)
    return team


class _Nowhere:
    """Stands for the run and its surroundings while a team is put together for a trial."""

    def __init__(self, catalogue: Mapping[str, ToolSpec]) -> None:
        self._catalogue = catalogue

    def now(self) -> datetime:
        return datetime.now(UTC)

    def tool(self, name: str, version: int) -> ToolSpec:
        return self._catalogue[name]

    def routes(self, agent: str, config: Mapping[str, Any]) -> list[Route]:
        raise AssertionError("a trial asks no model")

    def tool_breaker(self, name: str) -> Breaker:
        raise AssertionError("a trial calls no tool")

    async def reserve(self, cost: Decimal) -> Reservation:
        raise AssertionError("a trial spends no money")

    ledger = None

    def broken_off(self, cost: Decimal) -> None:
        raise AssertionError("a trial spends no money")

    async def prices(self) -> Prices:
        raise AssertionError("a trial spends no money")

    @property
    def ways(self) -> int:
        return 1


def _trial(team: Node, catalogue: Mapping[str, ToolSpec]) -> str | None:
    """Put the wrapped team together once, without running it: what AutoGen says against it, if it does."""

    def load() -> None:
        nowhere = _Nowhere(catalogue)
        enter(Room(cast(Run, nowhere), nowhere))
        Team.load_component(rewrite.wrapped(team, Limits(), Oversight()))

    try:
        copy_context().run(load)
    except Exception as error:  # whatever AutoGen's constructors raise is about the document
        return f"AutoGen refuses this team: {clip(str(error), 300)}"
    return None


__all__ = ["Finding", "Look", "Node", "Refused", "check", "examine", "look", "normalise"]
