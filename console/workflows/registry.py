"""A tenant's catalogue: the tools of the code, and those that its admins registered. Call inside a scope.

A revision pins versions, so a version never changes; revoking one is the only thing that reaches runs that have begun.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from console.agents import executors
from console.agents.limits import duration
from console.agents.tools import ToolSpec
from console.durable.steps import Safety
from console.tenants import crypto
from console.workflows import catalogue, http_tool, mcp_server, outline
from console.workflows.catalogue import UnknownTool
from console.workflows.models import Tool

Json = Any
OURS = "python"  # the kind of a row that only says that a tool of the code is switched off
SEALED = "tool.secrets"


class Registry:
    """The tools of one tenant: those in ``rows``, and the code's."""

    def __init__(self, rows: Iterable[Tool]) -> None:
        self._specs: dict[str, dict[int, ToolSpec]] = {}
        self._off: set[tuple[str, int]] = set()
        for row in rows:
            if row.revoked_at is not None:
                self._off.add((row.name, row.version))
            if row.kind != OURS:
                for spec in _specs(row):
                    self._specs.setdefault(spec.name, {})[row.version] = spec

    def get(self, name: str, version: int | None = None) -> ToolSpec:
        """A tool; its newest version when none is given. Raises UnknownTool."""
        versions = self._specs.get(name)
        spec = versions.get(max(versions) if version is None else version) if versions else catalogue.get(name, version)
        if spec is None:
            raise UnknownTool(f"The tool {name!r} has no version {version}.")
        if (name.partition(".")[0], spec.version) in self._off:
            raise UnknownTool(f"The tool {name!r} (version {spec.version}) was revoked.")
        return spec

    def all(self) -> dict[str, ToolSpec]:
        """The newest version of every tool, by name; without those that are revoked."""
        found = {}
        for name in sorted({*catalogue.all(), *self._specs}):
            try:
                found[name] = self.get(name)
            except UnknownTool:
                continue
        return found


def of(tenant_id: UUID) -> Registry:
    """Everything a tenant has."""
    return Registry(Tool.objects.filter(tenant_id=tenant_id))


def pinned(tenant_id: UUID, names: frozenset[str], off: bool) -> Registry | None:
    """What a team with these tools needs; None when the code's own will do. ``off``: the tenant has revoked some."""
    if not off and all(catalogue.has(name) for name in names):
        return None
    return Registry(Tool.objects.filter(tenant_id=tenant_id, name__in=names))


def names(body: Mapping[str, Json]) -> frozenset[str]:
    """The catalogue's names of a kept body's tools; of an MCP server's, the server's."""
    pinned = (outline.config(tool).get("catalogue") for tool in outline.nodes(body.get("team"), "tool"))
    return frozenset(name.partition(".")[0] for name in pinned if isinstance(name, str))


def as_pinned(tools: Registry, body: Mapping[str, Json]) -> dict[str, ToolSpec]:
    """A kept body's tools by their names in the catalogue, in the versions that it pins; without those that are gone."""
    found = {}
    for config in map(outline.config, outline.nodes(body.get("team"), "tool")):
        if isinstance(config.get("catalogue"), str):
            try:
                found[config["catalogue"]] = tools.get(config["catalogue"], config.get("version"))
            except UnknownTool:
                continue
    return found


def _specs(row: Tool) -> list[ToolSpec]:
    return list(_made(row.id, row.tenant_id, row.name, row.version, row.kind, json.dumps(row.config), _sealed(row)))


def _sealed(row: Tool) -> bytes:
    return bytes(row.sealed_secrets) if row.sealed_secrets else b""


@lru_cache(maxsize=1024)
def _made(
    row_id: UUID, tenant_id: UUID, name: str, version: int, kind: str, config_text: str, sealed: bytes
) -> tuple[ToolSpec, ...]:
    """A version never changes, so neither do its specs. What is sealed stays so until it is called."""
    config: dict[str, Json] = json.loads(config_text)
    if kind == "mcp":
        return tuple(_mcp(tenant_id, name, version, config, one, sealed) for one in config["tools"])
    if kind == "code":
        return (_code(name, version, config),)
    seconds = _timeout(config).total_seconds()

    async def call(arguments: dict[str, Any], key: str) -> Json:
        return await http_tool.call(config["url"], _open(tenant_id, sealed), arguments, key, seconds - 0.5)

    return (_spec(name, version, config, config["schema"], call),)


def _mcp(
    tenant_id: UUID, server: str, version: int, config: dict[str, Json], tool: dict[str, Json], sealed: bytes
) -> ToolSpec:
    seconds = _timeout(config).total_seconds()

    async def call(arguments: dict[str, Any], key: str) -> Json:
        place = mcp_server.Place(config.get("url", ""), config.get("command", ""), _open(tenant_id, sealed))
        return await mcp_server.call(place, tool["name"], arguments, key, seconds - 0.5)

    judged = {**config, **{key: tool[key] for key in ("effect", "risk", "approval", "description")}, "title": ""}
    return _spec(f"{server}.{tool['name']}", version, judged, tool["schema"], call)


def _code(name: str, version: int, config: dict[str, Json]) -> ToolSpec:
    bounds = executors.Bounds(
        config["image"], config.get("memory") or "512m", bool(config.get("network")), _timeout(config).total_seconds()
    )

    async def call(arguments: dict[str, Any], key: str) -> Json:
        return await executors.execute(bounds, arguments["code"], arguments.get("language", "python"))

    said = {"description": "Executes code in a container of its own.", "title": f"Execute code in {name}"}
    return _spec(name, version, {**said, **config}, executors.SCHEMA, call)


def _spec(name: str, version: int, config: Mapping[str, Json], schema: Json, call: Any) -> ToolSpec:
    safety = Safety(config["effect"])
    return ToolSpec(
        name=name,
        version=version,
        description=config.get("description") or name,
        schema=schema,
        safety=safety,
        risk=config.get("risk") or "medium",
        approval=config.get("approval") or default_approval(config["effect"]),
        title=config.get("title") or "",
        owner=config.get("owner") or "",
        timeout=_timeout(config),
        action=config.get("action"),
        action_scope=config.get("action_scope") or "run",
        call=call,
    )


def default_approval(effect: str) -> str:
    """Who must be asked where nobody said so: a person, unless it only reads."""
    return "allow" if effect == "read_only" else "require"


def _timeout(config: Mapping[str, Json]) -> timedelta:
    return duration(config["timeout"]) if config.get("timeout") else timedelta(seconds=30)


def _open(tenant_id: UUID, sealed: bytes) -> dict[str, str]:
    return dict(crypto.unseal_json(tenant_id, SEALED, sealed)) if sealed else {}
