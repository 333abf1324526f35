"""Whether what somebody said to a probe is a catch. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from approvals.probes.models import Outcome
from console.agents.tools import argument

Json = Any
CATCHES = ("reject", "terminate", "escalate")


def outcome(verdict: str, arguments: Json, planted: Json, catches: Collection[str], edit_field: str = "") -> str | None:
    """What a person's ``verdict`` makes of a planted call. None: nothing yet, as an escalation that is no catch.

    An edit is a catch where the argument ``edit_field`` (a name, or a path with dots) is another afterwards.
    """
    if verdict in CATCHES and verdict in catches:
        return Outcome.CAUGHT
    if verdict == "escalate":
        return None
    if verdict == "edit" and edit_field and _at(arguments, edit_field) != _at(planted, edit_field):
        return Outcome.CAUGHT
    return Outcome.MISSED


def _at(arguments: Json, path: str) -> Json:
    return argument(arguments, path) if isinstance(arguments, dict) else None
