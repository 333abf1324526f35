"""What changes a tenant's catalogue. Each deed writes its audit row in the same transaction. Call inside a tenant_scope."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from console.agents.documents import Finding
from console.agents.tools import Unavailable
from console.audit import log as audit
from console.tenants import access, crypto
from console.tenants.access import Actor, NotFound
from console.workflows import catalogue, contracts, mcp_server, registration, registry
from console.workflows.errors import Refused
from console.workflows.models import Tool

Json = Any
_KEPT = ("url", "command", "description", "schema", "effect", "risk", "approval", "owner", "title", "timeout", "image",
         "memory", "network", "action", "action_scope")  # fmt: skip
MAX_TOOLS = 100  # of one server


def put_tool(actor: Actor, name: str, body: Any) -> Tool:
    """Register a tool, or a new version of it when anything about it differs. Raises Forbidden, and Refused.

    An MCP server is asked what tools it has. Headers and environment that are left out are those of the version before,
    as long as the place stays the same: a secret is never sent to a place that it was not given for.
    """
    access.require(actor, "admin")
    found = registration.faults(name, body)
    if catalogue.has(name):
        found.append(Finding("$.name", f"{name} is a tool of Sayso's own; choose another name"))
    if found:
        raise Refused(found)
    before = access.all(Tool, actor).select_for_update().filter(name=name).order_by("-version").first()
    config = config_of(body)
    secrets = _secrets(actor, body, config, before)
    if body["kind"] == "mcp":
        config["tools"] = _tools(body, config, secrets)
    if before is not None and before.revoked_at is None and before.kind == body["kind"] and before.config == config:
        if secrets == opened(actor, before):
            return before
    tool = Tool.objects.create(
        tenant=actor.tenant,
        name=name,
        version=before.version + 1 if before else 1,
        kind=body["kind"],
        config=config,
        sealed_secrets=crypto.seal_json(actor.tenant.id, registry.SEALED, secrets) if secrets else None,
        author_name=actor.name[:200],
    )
    audit.record(
        actor, "tool.put", "tool", tool.id,
        name=name, version=tool.version, kind=tool.kind, place=config.get("url") or config.get("command") or "",
        effect=config["effect"], secrets=sorted(secrets),
    )  # fmt: skip
    return tool


def revoke(actor: Actor, name: str, reason: str = "") -> None:
    """Let no run of the tenant call any version of a tool from now on, pinned or not. Raises Forbidden, NotFound."""
    access.require(actor, "admin")
    rows = _versions(actor, name)
    if not rows.exists():
        if not catalogue.has(name):
            raise NotFound("No such tool.")
        spec = catalogue.get(name)
        Tool.objects.create(
            tenant=actor.tenant, name=name, version=spec.version, kind=registry.OURS, author_name=actor.name[:200]
        )
    rows.filter(revoked_at=None).update(revoked_at=timezone.now())
    audit.record(actor, "tool.revoked", "tool", name, name=name, reason=reason[:500])
    contracts.keep_all(actor.tenant.id, f"{actor.name} revoked the tool {name}.")


def reinstate(actor: Actor, name: str) -> None:
    """Undo ``revoke``, for every version. Raises Forbidden, NotFound."""
    access.require(actor, "admin")
    rows = _versions(actor, name)
    if not rows.exists():
        raise NotFound("No such tool was revoked.")
    rows.update(revoked_at=None)
    audit.record(actor, "tool.reinstated", "tool", name, name=name)
    contracts.keep_all(actor.tenant.id, f"{actor.name} reinstated the tool {name}.")


def _versions(actor: Actor, name: str) -> QuerySet[Tool]:
    """Every version of a tool, locked; none for a name that no database keeps."""
    return access.all(Tool, actor).select_for_update().filter(name=name.replace("\x00", "\ufffd"))


def config_of(body: Mapping[str, Json]) -> dict[str, Json]:
    """What of a registration without fault is kept as its version's config, but for a server's tools."""
    return {key: body[key] for key in _KEPT if body.get(key) is not None}


def judged(tool: Mapping[str, Json], own: Mapping[str, Json], config: Mapping[str, Json]) -> dict[str, Json]:
    """One of a server's tools with what it may do: what is said of it itself, or else of the server."""
    effect = own.get("effect") or config["effect"]
    # Its own word, the server's, or a person unless it only reads.
    approval = own.get("approval") or config.get("approval") or registry.default_approval(effect)
    return {**tool, "effect": effect, "risk": own.get("risk") or config.get("risk") or "medium", "approval": approval}


def _secrets(actor: Actor, body: Mapping[str, Json], config: Mapping[str, Json], before: Tool | None) -> dict[str, str]:
    given = body.get("headers") if body.get("headers") is not None else body.get("env")
    if given is not None:
        return dict(given)
    same = before is not None and all(before.config.get(key) == config.get(key) for key in ("url", "command"))
    return opened(actor, before) if before is not None and same else {}


def opened(actor: Actor, tool: Tool) -> dict[str, str]:
    """A version's headers or environment, in the clear: names and values. Raises crypto.SealError."""
    if not tool.sealed_secrets:
        return {}
    return dict(crypto.unseal_json(actor.tenant.id, registry.SEALED, bytes(tool.sealed_secrets)))


def _tools(body: Mapping[str, Json], config: Mapping[str, Json], secrets: Mapping[str, str]) -> list[dict[str, Json]]:
    """The server's tools, each with what it may do. Raises Refused."""
    place = mcp_server.Place(config.get("url", ""), config.get("command", ""), secrets)
    where = "$.url" if place.url else "$.command"
    try:
        listed = asyncio.run(mcp_server.tools(place))
    except Unavailable as error:
        raise Refused([Finding(where, f"the server does not say what tools it has: {error}")]) from error
    own = body.get("tools") or {}
    names = {tool["name"] for tool in listed}
    found = [Finding(f"$.tools.{name}", "the server has no such tool") for name in own if name not in names]
    if not listed or len(listed) > MAX_TOOLS:
        found.append(Finding(where, f"the server has {len(listed)} tools; 1 to {MAX_TOOLS} can be registered"))
    if found:
        raise Refused(found)
    return [
        judged({**tool, "description": tool["description"][:1000]}, own.get(tool["name"]) or {}, config)
        for tool in listed
    ]
