"""What an admin registers as a tool, checked: an HTTP tool, an MCP server, or a code executor.

``config`` of a version holds: url or command, description, schema, effect, risk, approval, owner, title, timeout; of an
HTTP tool action and action_scope, where it names its deeds (see console/agents/deeds.py); of an MCP server ``tools``,
with name, description, schema, effect, risk and approval of each; of a code executor image, memory and network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError

from console.agents.documents import Finding
from console.agents.limits import duration
from console.agents.shapes import shape_fault
from console.agents.tools import DEED, fields_of
from console.workflows import mcp_server

Json = Any

KINDS = ("http", "mcp", "code")
EFFECTS = ("read_only", "idempotent", "neither")
SCOPES = ("run", "topic_source")  # where a deed is done once
RISKS = ("low", "medium", "high")
APPROVALS = ("require", "allow")
_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,63}$")
_TEXTS = {"description": 1000, "owner": 200, "title": 200, "image": 300}
_KEYS = {
    "http": ("url", "schema", "headers", "action", "action_scope"),
    "mcp": ("url", "command", "headers", "env", "tools"),
    "code": ("image", "memory", "network"),
}
_COMMON = ("kind", "description", "effect", "risk", "approval", "owner", "title", "timeout")
SECRETS = ("headers", "env")
_MEMORY = re.compile(r"^[1-9][0-9]{0,5}[mg]$")


def allowed(kind: str) -> tuple[str, ...]:
    """What may be said about a tool of a kind."""
    return (*_COMMON, *_KEYS.get(kind, ()))


def faults(name: str, body: Json) -> list[Finding]:
    """Everything that is wrong with a registration, each with its path."""
    if not _NAME.match(name):
        return [Finding("$.name", "must be 1 to 64 small letters, digits, hyphens and underscores, a letter first")]
    if not isinstance(body, dict):
        return [Finding("$", "must be an object with kind, effect and risk")]
    fault = shape_fault(body)
    if fault:
        return [Finding("$" + fault[0], fault[1])]
    kind = body.get("kind")
    if kind not in KINDS:
        return [Finding("$.kind", f"must be one of {', '.join(KINDS)}")]
    return [Finding(f"$.{path}", message) for path, message in _faults(kind, body)]


def _faults(kind: str, body: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    known = allowed(kind)
    yield from ((key, f"is not known here; there are {', '.join(known)}") for key in body if key not in known)
    yield from _judgements(body, "", required=True)
    for name, most in _TEXTS.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > most or not value.strip()):
            yield name, f"must be text of at most {most} characters"
    if body.get("timeout") is not None:
        try:
            duration(body["timeout"])
        except (ValueError, OverflowError):
            yield "timeout", "must be an ISO 8601 duration such as PT10S"
    yield from _secrets(body)
    yield from {"http": _http, "mcp": _mcp, "code": _code}[kind](body)


def _judgements(body: Mapping[str, Json], path: str, *, required: bool) -> Iterator[tuple[str, str]]:
    for name, known in (("effect", EFFECTS), ("risk", RISKS), ("approval", APPROVALS)):
        missing = body.get(name) is None
        if missing and required and name == "effect":
            yield path + name, "is missing: what would it mean to do it twice? One of " + ", ".join(known)
        elif not missing and body[name] not in known:
            yield path + name, f"must be one of {', '.join(known)}"


def _secrets(body: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for field in SECRETS:
        given = body.get(field)
        if given is None:
            continue
        if not isinstance(given, dict):
            yield field, "must be an object from names to values"
            continue
        for name, value in given.items():
            bad = not isinstance(value, str) or not value.isprintable() or len(value) > 4000
            if bad or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,99}", name):
                yield field, f"{name!r} must be a plain name with a printable value of at most 4000 characters"


def _http(body: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    yield from _url(body.get("url"))
    yield from _schema(body.get("schema"), "schema")
    yield from _action(body)


def _action(body: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    action, scope = body.get("action"), body.get("action_scope")
    if scope is not None and scope not in SCOPES:
        yield "action_scope", f"must be one of {', '.join(SCOPES)}"
    elif scope is not None and action is None:
        yield "action_scope", "says where an action is done once; give the action, too"
    if action is None:
        return
    if not isinstance(action, str) or not action.strip() or not action.isprintable() or len(action) > DEED:
        yield "action", f"must be one line of at most {DEED} characters, such as refund {{order}}"
        return
    if body.get("effect") == "read_only":
        yield "action", "is for tools that do something; what only reads may be read again"
    paths = fields_of(action)
    if action.count("{") != len(paths) or action.count("}") != len(paths):
        yield "action", "has a brace that is no {argument} in it"
    for path in paths:
        fault = _unnamed(body.get("schema"), path)
        if fault:
            yield "action", f"names {{{path}}}, which {fault}"


def _unnamed(schema: Json, path: str) -> str:
    """Why an argument cannot be part of an action's name, or an empty text."""
    for part in path.split("."):
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(properties, dict) or part not in properties:
            return "is no argument in the schema"
        required = schema.get("required")
        if not isinstance(required, list) or part not in required:
            return "may be left out: make it required in the schema, or name another"
        schema = properties[part]
    return ""


def _mcp(body: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    if bool(body.get("url")) == bool(body.get("command")):
        yield "url", "give either the url of the server, or the command that starts it"
    elif body.get("url"):
        yield from _url(body["url"])
        if body.get("env"):
            yield "env", "is for a server that is started by a command; one with a url takes headers"
    else:
        if body.get("headers"):
            yield "headers", "are for a server with a url; one that is started by a command takes env"
        command = body["command"]
        fault = mcp_server.command_fault(command) if isinstance(command, str) else "must be text"
        if fault:
            yield "command", fault
    given = body.get("tools")
    if given is not None and not isinstance(given, dict):
        yield "tools", "must be an object from the server's tools to effect, risk and approval"
    for name, own in (given or {}).items() if isinstance(given, dict) else ():
        if not isinstance(own, dict):
            yield f"tools.{name}", "must be an object with effect, risk and approval"
        else:
            yield from _judgements(own, f"tools.{name}.", required=False)


def _code(body: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    if not body.get("image"):
        yield "image", "is missing: the image of the container, such as python:3.11-slim"
    memory = body.get("memory")
    if memory is not None and (not isinstance(memory, str) or not _MEMORY.match(memory)):
        yield "memory", "must be a size such as 512m or 2g"
    if body.get("network") is not None and not isinstance(body["network"], bool):
        yield "network", "must be true or false; left out, it is false"


def _url(url: Json) -> Iterator[tuple[str, str]]:
    good = isinstance(url, str) and re.fullmatch(r"https?://[^\s/@?#]+(?:/[^\s#]*)?", url) and len(url) <= 500
    if not good:
        yield "url", "must be an http or https address of at most 500 characters, without user and password"


def _schema(schema: Json, path: str) -> Iterable[tuple[str, str]]:
    if not isinstance(schema, dict):
        yield path, "is missing: a JSON schema of the arguments (an object)"
        return
    if schema.get("type", "object") != "object":
        yield path, "must describe an object: tools take named arguments"
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield path + error.json_path.removeprefix("$"), f"is no JSON schema: {error.message[:300]}"
