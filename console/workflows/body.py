"""What a revision's body may say: every key of it checked, each fault with a JSON path that starts at ``$.``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError

from console.agents import anatomy, documents
from console.agents.documents import Finding, Look
from console.agents.oversight import MODES
from console.agents.shapes import shape_fault
from console.agents.tools import ToolSpec
from console.workflows import catalogue, limits, rules_check, subscriptions

Json = Any

KEYS = (
    "team", "credential", "tools", "oversight", "rules", "limits", "filters", "input_schema", "output_contract", "topics",
    "fallbacks",
)  # fmt: skip
MAX_REVIEWS = 20
MAX_FALLBACKS = 5


def examine(body: Json, tools: Mapping[str, ToolSpec] | None = None) -> tuple[dict[str, Json] | None, list[Finding]]:
    """The normalised body (None when there is an error) and the findings. Never raises, whatever ``body`` is.

    Normalised: the team as ``documents.normalise`` keeps it; of the rest, what was given, and nothing else.
    """
    seen = look(body, tools)
    if seen.team is None or not isinstance(body, dict):
        return None, seen.findings
    kept = {key: body[key] for key in KEYS if key != "team" and body.get(key) is not None}
    return {"team": seen.team, **kept}, seen.findings


def look(body: Json, tools: Mapping[str, ToolSpec] | None = None) -> Look:
    """What is in a body: its team, normalised (None when there is any error), all findings, and tools to be mapped.

    ``tools`` are those of the tenant's catalogue; by default, the code's own.
    """
    if not isinstance(body, dict):
        return Look(None, [Finding("$.team", "is missing: a revision is an object with a team")], {})
    rest = {key: value for key, value in body.items() if key != "team"}
    fault = shape_fault(rest)
    if fault:
        return Look(None, [Finding("$" + fault[0], fault[1])], {})
    found = [
        Finding(f"$.{key}", f"is not known here; a revision has {', '.join(KEYS)}") for key in body if key not in KEYS
    ]
    for key, check in _CHECKS.items():
        if body.get(key) is not None:
            found += [Finding(f"$.{key}{path}", message) for path, message in check(body[key])]
    if "team" not in body:
        return Look(None, [*found, Finding("$.team", "is missing: an AutoGen component document")], {})
    mapped = body.get("tools")
    mapping = {name: to for name, to in mapped.items() if isinstance(to, str)} if isinstance(mapped, dict) else {}
    seen = documents.look(body["team"], mapping, catalogue.all() if tools is None else tools)
    found += seen.findings
    if seen.team is None or any(finding.level == "error" for finding in found):
        return Look(None, found, seen.unmapped)
    return Look(seen.team, [*found, *_strangers(seen.team, body)], seen.unmapped)


def credentials(body: Json) -> dict[str, str]:
    """The credentials that a kept body names, by the JSON path of where it names them."""
    given = body.get("credential", "default")
    fallbacks = {
        f"$.fallbacks[{i}].credential": each["credential"] for i, each in enumerate(body.get("fallbacks") or [])
    }
    if isinstance(given, str):
        return {"$.credential": given, **fallbacks}
    rest = {} if "*" in given else {"$.credential": "default"}  # what agents take that it does not name
    return rest | {f"$.credential.{agent}": name for agent, name in given.items()} | fallbacks


def _credential(value: Json) -> Iterable[tuple[str, str]]:
    if isinstance(value, str):
        if not value.strip():
            yield "", "is empty; name a credential, such as default"
    elif isinstance(value, dict):
        for agent, name in value.items():
            if not isinstance(name, str) or not name.strip():
                yield f".{agent}", "must be the name of a credential"
    else:
        yield "", "must be the name of a credential, or an object from agents to names"


def _tools(value: Json) -> Iterable[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "", "must be an object from the document's tool names to catalogue names"
        return
    for name, target in value.items():
        if not isinstance(target, str):
            yield f".{name}", "must be the name of a tool in the catalogue"


def _oversight(value: Json) -> Iterable[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "", "must be an object with mode, stages and max_reviews"
        return
    yield from _unknown(value, ("mode", "stages", "max_reviews"))
    if "mode" in value and value["mode"] not in MODES:
        yield ".mode", f"must be one of {', '.join(MODES)}"
    stages = value.get("stages")
    if stages is not None and not isinstance(stages, dict):
        yield ".stages", "must be an object from agents to modes"
    elif stages:
        for agent, mode in stages.items():
            if mode not in MODES:
                yield f".stages.{agent}", f"must be one of {', '.join(MODES)}"
    reviews = value.get("max_reviews")
    if reviews is not None and not _whole(reviews, 0, MAX_REVIEWS):
        yield ".max_reviews", f"must be a whole number from 0 to {MAX_REVIEWS}"


def _fallbacks(value: Json) -> Iterable[tuple[str, str]]:
    if not isinstance(value, list) or len(value) > MAX_FALLBACKS:
        yield "", f"must be a list of at most {MAX_FALLBACKS} objects with credential and model"
        return
    for place, entry in enumerate(value):
        here = f"[{place}]"
        if not isinstance(entry, dict):
            yield here, "must be an object with credential and model"
            continue
        yield from ((here + path, message) for path, message in _unknown(entry, ("credential", "model")))
        if not isinstance(entry.get("credential"), str) or not entry["credential"].strip():
            yield f"{here}.credential", "must be the name of a credential"
        model = entry.get("model")
        if model is not None and (not isinstance(model, str) or not model.strip()):
            yield f"{here}.model", "must be the name of a model; left out, it is the one the document names"


def _filters(value: Json) -> Iterable[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "", "must be an object from agents to lists of filters"
        return
    for agent, entries in value.items():
        if not isinstance(entries, list):
            yield f".{agent}", "must be a list of filters"
            continue
        for place, entry in enumerate(entries):
            here = f".{agent}[{place}]"
            if not isinstance(entry, dict):
                yield here, "must be an object with source, position and count"
                continue
            yield from ((here + path, message) for path, message in _unknown(entry, ("source", "position", "count")))
            if not isinstance(entry.get("source"), str) or not entry["source"]:
                yield f"{here}.source", "must name whose messages are kept"
            if entry.get("position") not in (None, "first", "last"):
                yield f"{here}.position", "must be first or last"
            if entry.get("count") is not None and not _whole(entry["count"], 1, 10_000):
                yield f"{here}.count", "must be a whole number from 1 up"


def _schema(value: Json) -> Iterable[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "", "must be a JSON schema (an object)"
        return
    try:
        jsonschema.Draft202012Validator.check_schema(value)
    except SchemaError as error:
        yield error.json_path.removeprefix("$"), f"is no JSON schema: {error.message[:300]}"
    except RecursionError:
        yield "", "is nested too deeply"


_CHECKS: Mapping[str, Callable[[Json], Iterable[tuple[str, str]]]] = {
    "credential": _credential,
    "tools": _tools,
    "oversight": _oversight,
    "rules": rules_check.faults,
    "limits": limits.faults,
    "fallbacks": _fallbacks,
    "filters": _filters,
    "input_schema": _schema,
    "output_contract": _schema,
    "topics": subscriptions.faults,
}


def _strangers(team: Mapping[str, Json], body: Mapping[str, Json]) -> list[Finding]:
    """Agents that are named in the body and are not in the team: most likely a slip, and said as one."""
    names = anatomy.names(team)
    found = []
    stages = (body.get("oversight") or {}).get("stages") or {}
    credential = body.get("credential")
    places = {
        "oversight.stages": stages,
        "filters": body.get("filters") or {},
        "credential": credential if isinstance(credential, dict) else {},
    }
    for place, given in places.items():
        if isinstance(given, dict):
            found += [
                Finding(f"$.{place}.{agent}", f"the team has no agent {agent!r}", "info")
                for agent in given
                if agent not in names and agent != "*"
            ]
    return found


def _unknown(value: Mapping[str, Json], known: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    return ((f".{key}", f"is not known here; there are {', '.join(known)}") for key in value if key not in known)


def _whole(value: Json, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
