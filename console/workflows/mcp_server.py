"""MCP servers: their tools are listed once, when an admin registers them, and a server is reached for a live call only.

A server that is a command is started for the call and ended after it, with no more of our environment than PATH and the
like. That is other people's code on this machine, so only the commands that SAYSO_COMMANDS_ALLOW names are started.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from django.conf import settings

Json = Any
STARTING = 20.0  # seconds that a server may take to start and to say what it can


@dataclass(frozen=True)
class Place:
    """Where a server is: an address, or a command. ``secrets`` are its headers, or its environment."""

    url: str = ""
    command: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)


def command_fault(command: str) -> str:
    """Why a command must not be started, or an empty text."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"cannot be read as a command: {error}"
    if not words:
        return "is empty"
    allowed = settings.SAYSO_COMMANDS_ALLOW
    if "*" in allowed or words[0] in allowed:
        return ""
    return f"{words[0]} may not be started on this machine; whoever runs Sayso can name it in SAYSO_COMMANDS_ALLOW"


async def tools(place: Place) -> list[dict[str, Json]]:
    """Name, description and schema of each tool of a server. Raises Unavailable."""
    return list(await _session().tools(place))


async def call(place: Place, name: str, arguments: Json, key: str, seconds: float) -> Json:
    """Call one tool. Raises http_tool.Failed, Unavailable, and NoAnswer when the call was sent and no answer came."""
    return await _session().call(place, name, arguments, key, seconds)


def _session() -> Any:
    """Imported here, for the time that it takes: most processes never reach a server."""
    return import_module("console.workflows.mcp_session")
