"""The catalogue over HTTP: the code's own tools, and those that admins register."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Field, Router, Schema
from pydantic import ConfigDict

from console.agents import executors
from console.tenants import access, crypto
from console.tenants.access import Actor, NotFound, actor_of
from console.workflows import catalogue, registry, tool_actions
from console.workflows.models import Tool

Json = Any
router = Router(tags=["catalogue"])


class InnerToolOut(Schema):
    """One tool of an MCP server; teams name it ``server.tool``."""

    name: str
    description: str
    parameters: dict[str, Json] = Field(serialization_alias="schema")
    effect: str
    risk: str
    approval: str


class ToolOut(Schema):
    """``action`` names what a call does ("refund {order}"): within ``action_scope`` (run, with its retries, or
    topic_source: all runs of one source) it is done once, and answered from the ledger when it comes again.
    ``headers`` and ``env`` are names only: what they hold is never returned. ``state``: ready, revoked, or
    unavailable, of a code executor where there is no Docker; ``why`` says what is missing."""

    name: str
    version: int
    kind: str
    state: str
    why: str
    description: str
    effect: str
    risk: str
    approval: str
    owner: str
    title: str
    action: str
    action_scope: str
    timeout: str
    url: str
    command: str
    image: str
    memory: str
    network: bool
    parameters: dict[str, Json] = Field(serialization_alias="schema")
    headers: list[str]
    env: list[str]
    tools: list[InnerToolOut]
    author: str
    created_at: datetime | None


class RevokeIn(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: str = ""


class ToolsOut(Schema):
    items: list[ToolOut]
    next: str | None


@router.get("/tools", response=ToolsOut, by_alias=True, summary="The catalogue: the newest version of each tool")
def list_tools(request: HttpRequest) -> Any:
    actor, docker = actor_of(request), cache(executors.state)  # Docker is asked once, and only where it matters
    return {"items": [tool_out(actor, *found, docker) for found in newest(actor)], "next": None}


@router.get("/tools/{name}", response=ToolOut, by_alias=True, summary="One tool")
def get_tool(request: HttpRequest, name: str) -> Any:
    actor = actor_of(request)
    for found in newest(actor):
        if found[0] == name:
            return tool_out(actor, *found)
    raise NotFound("No such tool.")


@router.put("/tools/{name}", response=ToolOut, by_alias=True, summary="Register a tool, or a new version of it")
def put_tool(request: HttpRequest, name: str, body: Annotated[Json, Body()]) -> Any:
    actor = actor_of(request)
    tool = tool_actions.put_tool(actor, name, body)
    return tool_out(actor, name, [tool])


@router.post(
    "/tools/{name}/revoke", response=ToolOut, by_alias=True, summary="Let no run call the tool any more, pinned or not"
)
def revoke(request: HttpRequest, name: str, body: RevokeIn) -> Any:
    tool_actions.revoke(actor_of(request), name, body.reason)
    return get_tool(request, name)


@router.post("/tools/{name}/reinstate", response=ToolOut, by_alias=True, summary="Let runs call a revoked tool again")
def reinstate(request: HttpRequest, name: str) -> Any:
    tool_actions.reinstate(actor_of(request), name)
    return get_tool(request, name)


def newest(actor: Actor) -> list[tuple[str, Sequence[Tool]]]:
    """Each tool's name, and its rows, the newest first; none for a tool of the code that nobody touched."""
    rows: dict[str, list[Tool]] = {name: [] for name in catalogue.all()}
    for row in access.all(Tool, actor).order_by("name", "-version"):
        rows.setdefault(row.name, []).append(row)
    return sorted(rows.items())


def tool_out(
    actor: Actor, name: str, rows: Sequence[Tool], docker: Callable[[], str] = executors.state
) -> dict[str, Json]:
    """A tool as programs read it. ``docker`` says why there is none, if so; it is asked about code executors alone."""
    row = rows[0] if rows else None
    why = docker() if row and row.kind == "code" else ""
    if row is None or row.kind == registry.OURS:
        spec = catalogue.get(name)
        config: dict[str, Json] = {
            "description": spec.description, "effect": str(spec.safety), "risk": spec.risk, "approval": spec.approval,
            "title": spec.title, "owner": spec.owner, "action": spec.action or "", "action_scope": spec.action_scope,
            "timeout": f"PT{spec.timeout.total_seconds():g}S",
            "parameters": dict(spec.schema),
        }  # fmt: skip
    else:
        config = {**row.config, "parameters": row.config.get("schema") or {}}
        config["tools"] = [{**tool, "parameters": tool["schema"]} for tool in row.config.get("tools") or []]
    secrets = _names(actor, row)
    return {
        **dict.fromkeys(("url", "command", "image", "memory", "owner", "title", "description"), ""),
        "risk": "medium", "timeout": "PT30S", "action": "", "action_scope": "run",
        "network": False, "parameters": {}, "tools": [],
        "approval": registry.default_approval(config["effect"]),
        **config,
        "name": name,
        "version": row.version if row else catalogue.get(name).version,
        "kind": row.kind if row else registry.OURS,
        "state": "revoked" if row and row.revoked_at else "unavailable" if why else "ready",
        "why": why,
        "headers": secrets if config.get("url") else [],
        "env": secrets if config.get("command") else [],
        "author": row.author_name if row else "Sayso",
        "created_at": row.created_at if row else None,
    }  # fmt: skip


def _names(actor: Actor, row: Tool | None) -> list[str]:
    if row is None or not row.sealed_secrets:
        return []
    return sorted(crypto.unseal_json(actor.tenant.id, registry.SEALED, bytes(row.sealed_secrets)))
