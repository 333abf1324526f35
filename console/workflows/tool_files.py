"""A tool as a file: what PUT /api/v1/tools/<name> takes, with the names of its secrets instead of their values.

    {"kind": "http", "url": ..., "effect": ..., "schema": ..., "secrets": ["Authorization"], "revoked": true}

``secrets`` are the names of headers (of a tool with a url) or of the environment (of a command). A tool keeps the values
it has as long as its place stays the same; others come from the environment, see ``variable``. Of an MCP server ``tools``
holds what an admin says of each, where that is not what holds for the whole server. A file of kind "python" says only
whether a tool of the code is revoked. Nothing here touches the database.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from console.agents.leaks import MESSAGE, leaks
from console.workflows import registration, registry, tool_actions
from console.workflows.files import Fault, same, tool_file
from console.workflows.models import Tool

Json = Any

PREFIX = "SAYSO_TOOL_"
_OWN = ("secrets", "revoked")  # what a file says besides the registration
_SECRET = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


def written(row: Tool, secrets: Sequence[str]) -> dict[str, Json]:
    """The file of a tool's newest version, with the names of its secrets."""
    if row.kind == registry.OURS:
        return {"kind": row.kind, "revoked": row.revoked_at is not None}
    document = {"kind": row.kind, **{key: value for key, value in row.config.items() if key != "tools"}}
    own = {tool["name"]: _own(tool, row.config) for tool in row.config.get("tools") or []}
    own = {name: said for name, said in own.items() if said}
    return {
        **document,
        **({"tools": own} if own else {}),
        **({"secrets": sorted(secrets)} if secrets else {}),
        **({"revoked": True} if row.revoked_at is not None else {}),
    }


def _own(tool: Mapping[str, Json], config: Mapping[str, Json]) -> dict[str, Json]:
    """What must be said of one of a server's tools so that it is judged as it is."""
    plain = tool_actions.judged(tool, {"effect": tool["effect"]}, config)
    said = {key: tool[key] for key in ("risk", "approval") if tool[key] != plain[key]}
    return ({"effect": tool["effect"]} if tool["effect"] != config["effect"] else {}) | said


def shown(row: Tool | None, secrets: Sequence[str]) -> dict[str, Json]:
    """All that can differ between two versions, a server's tools in full; of no tool, nothing."""
    if row is None:
        return {}
    listed = {
        tool["name"]: {key: value for key, value in tool.items() if key != "name"}
        for tool in row.config.get("tools") or []
    }
    document = {key: value for key, value in written(row, secrets).items() if key not in ("tools", "revoked")}
    return {**document, **({"tools": listed} if listed else {})}


def registered(document: Mapping[str, Json]) -> dict[str, Json]:
    """The registration in a file, without headers and environment."""
    return {key: value for key, value in document.items() if key not in _OWN}


def secrets_field(document: Mapping[str, Json]) -> str:
    """Where a registration takes its secrets: headers, or env."""
    return "headers" if document.get("url") else "env"


def unchanged(document: Mapping[str, Json], row: Tool) -> bool:
    """Whether registering a file without fault would keep what the version holds, secrets aside."""
    config = tool_actions.config_of(document)
    if document["kind"] == "mcp":
        listed, own = row.config.get("tools") or [], document.get("tools") or {}
        if not own.keys() <= {tool["name"] for tool in listed}:
            return False
        config["tools"] = [tool_actions.judged(tool, own.get(tool["name"], {}), config) for tool in listed]
    return row.kind == document["kind"] and same(row.config, config)


def same_place(document: Mapping[str, Json], row: Tool) -> bool:
    """Whether a version's secrets may go on to where the file says."""
    return all((row.config.get(key) or "") == (document.get(key) or "") for key in ("url", "command"))


def variable(tool: str, secret: str) -> str:
    """The environment variable in which a secret is given; ``<variable>_FILE`` may name a file that holds it."""
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", f"{tool}_{secret}".upper())


def faults(name: str, document: Mapping[str, Json]) -> list[Fault]:
    """Everything that is wrong with a tool's file, by itself."""
    file = tool_file(name)
    return [Fault(file, path, message) for path, message in _faults(name, document)]


def _faults(name: str, document: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    if not isinstance(document.get("revoked", False), bool):
        yield "$.revoked", "must be true or false"
    if document.get("kind") == registry.OURS:
        for key in sorted(document.keys() - {"kind", "revoked"}):
            yield f"$.{key}", "is not known here: of a tool of the code, a file says only whether it is revoked"
        return
    for key in registration.SECRETS:
        if key in document:
            yield (
                f"$.{key}",
                f"does not belong in a file: list the names of its {key} under secrets, and give the values apart",
            )
    body = {key: value for key, value in registered(document).items() if key not in registration.SECRETS}
    for finding in registration.faults(name, body):
        yield ("" if finding.path == "$.name" else finding.path), finding.message
    secrets = document.get("secrets", [])
    if not isinstance(secrets, list) or len(secrets) != len(set(map(repr, secrets))):
        yield "$.secrets", "must be a list of names, each once"
    else:
        for place, secret in enumerate(secrets):
            if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
                yield f"$.secrets[{place}]", "must be the name of a header or of an environment variable"
        if secrets and document.get("kind") == "code":
            yield "$.secrets", "is not for a code executor: it is given no secrets"
    yield from ((path, MESSAGE) for path in exposed(document))


def exposed(document: Mapping[str, Json]) -> Iterator[str]:
    """The path of each text that looks like a secret, those in an address or a command included."""
    yield from leaks(document, "$")
    url, command = document.get("url"), document.get("command")
    if isinstance(url, str) and _named(parse_qsl(_query(url))):
        yield "$.url"
    if isinstance(command, str) and _named(_options(command)):
        yield "$.command"


def _named(pairs: Iterable[tuple[str, str]]) -> bool:
    return any(next(leaks(value, "$", name), None) for name, value in pairs)


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:  # no address at all, which the registration says
        return ""


def _options(command: str) -> Iterator[tuple[str, str]]:
    """Names and values of a command's options: --name=value, and --name value."""
    try:
        words = shlex.split(command)
    except ValueError:  # no command at all, which the registration says
        return
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, sign, value = word.lstrip("-").partition("=")
        if sign:
            yield name, value
        elif word.startswith("-") and not following.startswith("-"):
            yield name, following
