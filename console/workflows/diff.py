"""What changed from one revision to another, as people read it: the team, its tools, the oversight, the limits."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = Any

_MISSING = object()
_SECTIONS = (
    ("oversight", "Oversight"),
    ("rules", "Rules"),
    ("limits", "Limits"),
    ("credential", "Credentials"),
    ("fallbacks", "Fallback models"),
    ("filters", "What agents hear"),
    ("input_schema", "Input"),
    ("output_contract", "Output contract"),
    ("topics", "Topics"),
)


_UNSAID = {"credential": "default"}  # what holds where a revision says nothing


@dataclass(frozen=True)
class Change:
    """``what`` changed; ``before`` or ``after`` is empty where it was not there. ``words``: (sign, text) of a long text's
    difference, word by word, with sign "", "-" or "+"."""

    what: str
    before: str
    after: str
    words: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """Changes of one kind."""

    title: str
    changes: list[Change]


def diff(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Section]:
    """The sections in which two revisions' bodies differ; nothing when they do not."""
    found = [
        Section("Team", list(_team(before.get("team") or {}, after.get("team") or {}))),
        Section("Agents", list(_named(_agents(before), _agents(after)))),
        Section("Tools", list(_named(_tools(before), _tools(after)))),
    ]
    for key, title in _SECTIONS:
        old, new = before.get(key, _UNSAID.get(key)), after.get(key, _UNSAID.get(key))
        if key == "rules":
            found.append(Section(title, list(_rules(old or [], new or []))))
        else:
            changes = [change if change.what else replace(change, what=key) for change in _leaves(old, new, "")]
            found.append(Section(title, changes))
    return [section for section in found if section.changes]


def _team(old: Json, new: Json) -> Iterator[Change]:
    """The team itself, its members by name and order, without what is said of agents and tools elsewhere."""
    yield from _change("kind of team", _kind(old), _kind(new))
    yield from _change("members", ", ".join(_members(old)), ", ".join(_members(new)))
    skipped = ("participants",)
    first = {name: value for name, value in _config(old).items() if name not in skipped}
    second = {name: value for name, value in _config(new).items() if name not in skipped}
    yield from _leaves(_short(first), _short(second), "")


def _agents(body: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for node in _nodes(body.get("team"), "agent"):
        config = {name: value for name, value in _config(node).items() if name not in ("workbench", "name", "team")}
        found.setdefault(str(_config(node).get("name")), {"class": _kind(node), **_short(config)})
    return found


def _tools(body: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for node in _nodes(body.get("team"), "agent"):
        agent = _config(node).get("name")
        for bench in _config(node).get("workbench") or []:
            for tool in _config(bench).get("tools") or []:
                config = _config(tool)
                name = config.get("name") or _config(config.get("agent")).get("name")
                about: dict[str, Json] = {
                    key: config[key] for key in ("catalogue", "version", "description") if key in config
                }
                found[f"{name} of {agent}"] = about if about else {"class": _kind(tool)}
    return found


def _rules(old: list[Json], new: list[Json]) -> Iterator[Change]:
    first, second = ({str(rule.get("name")): rule for rule in rules} for rules in (old, new))
    yield from _named(first, second)
    if list(first) != list(second) and sorted(first) == sorted(second):
        yield Change("order", ", ".join(first), ", ".join(second))


def _named(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield Change(name, "was there", "")
        elif name not in old:
            yield Change(name, "", _brief(new[name]))
        else:
            yield from _leaves(old[name], new[name], name)


def _leaves(old: Json, new: Json, path: str) -> Iterator[Change]:
    """One change for each value that differs, below objects."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _leaves(old.get(key, _MISSING), new.get(key, _MISSING), f"{path} {key}".strip())
    elif old in (None, _MISSING) and isinstance(new, dict) and new:
        yield from _leaves({}, new, path)
    elif new in (None, _MISSING) and isinstance(old, dict) and old:
        yield from _leaves(old, {}, path)
    else:
        yield from _change(path, _text(old), _text(new))


def _change(what: str, old: str, new: str) -> Iterator[Change]:
    if old != new:
        long = len(old) > 40 and len(new) > 40
        yield Change(what, old, new, _words(old, new) if long else [])


def _words(old: str, new: str) -> list[tuple[str, str]]:
    a, b = old.split(" "), new.split(" ")
    found: list[tuple[str, str]] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(("", " ".join(a[i1:i2])))
            continue
        if i2 > i1:
            found.append(("-", " ".join(a[i1:i2])))
        if j2 > j1:
            found.append(("+", " ".join(b[j1:j2])))
    return found


def _short(config: Json) -> Json:
    """A configuration in which components stand as what they hold, without their providers' long names."""
    if isinstance(config, dict) and "provider" in config and "config" in config:
        inner = _short(config["config"])
        return {"class": _kind(config), **inner} if isinstance(inner, dict) else inner
    if isinstance(config, dict):
        return {key: _short(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_short(value) for value in config]
    return config


def _text(value: Json) -> str:
    if value is None or value is _MISSING:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _brief(value: Json) -> str:
    if not isinstance(value, dict):
        return _text(value)
    told = [f"{key} {_text(inner)}" for key, inner in value.items() if not isinstance(inner, dict | list) and inner]
    text = ", ".join(told) or "new"
    return text if len(text) < 300 else f"{text[:299]}…"


def _nodes(document: Json, component: str) -> Iterator[Json]:
    if isinstance(document, dict):
        if document.get("component_type") == component:
            yield document
        for value in document.values():
            yield from _nodes(value, component)
    elif isinstance(document, list):
        for value in document:
            yield from _nodes(value, component)


def _members(team: Json) -> list[str]:
    return [str(_config(member).get("name") or _kind(member)) for member in _config(team).get("participants") or []]


def _kind(node: Json) -> str:
    return str(node.get("provider", "")).rsplit(".", 1)[-1] if isinstance(node, dict) else ""


def _config(node: Json) -> dict[str, Json]:
    config = node.get("config") if isinstance(node, dict) else None
    return config if isinstance(config, dict) else {}
