"""What changed from one revision to another, as people read it: the team, its tools, the oversight, the limits."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from console.workflows.outline import config, kind, nodes

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
    yield from _change("kind of team", kind(old), kind(new))
    yield from _change("members", ", ".join(_members(old)), ", ".join(_members(new)))
    skipped = ("participants",)
    first = {name: value for name, value in config(old).items() if name not in skipped}
    second = {name: value for name, value in config(new).items() if name not in skipped}
    yield from _leaves(_short(first), _short(second), "")


def _agents(body: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for node in nodes(body.get("team"), "agent"):
        own = {name: value for name, value in config(node).items() if name not in ("workbench", "name", "team")}
        found.setdefault(str(config(node).get("name")), {"class": kind(node), **_short(own)})
    return found


def _tools(body: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for agent in nodes(body.get("team"), "agent"):
        for bench in config(agent).get("workbench") or []:
            for tool in config(bench).get("tools") or []:
                own = config(tool)
                name = own.get("name") or config(own.get("agent")).get("name")
                about: dict[str, Json] = {
                    key: own[key] for key in ("catalogue", "version", "description") if key in own
                }
                found[f"{name} of {config(agent).get('name')}"] = about if about else {"class": kind(tool)}
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
        yield Change(what, old, new, words(old, new) if long else [])


def words(old: str, new: str) -> list[tuple[str, str]]:
    """(sign, text) of what stayed ("", text), went ("-") and came ("+"), word by word."""
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


def _short(value: Json) -> Json:
    """A configuration in which components stand as what they hold, without their providers' long names."""
    if isinstance(value, dict) and "provider" in value and "config" in value:
        inner = _short(value["config"])
        return {"class": kind(value), **inner} if isinstance(inner, dict) else inner
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value]
    return value


def _text(value: Json) -> str:
    if value is None or value is _MISSING:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _brief(value: Json) -> str:
    if not isinstance(value, dict):
        return _text(value)
    told = [f"{key} {_text(inner)}" for key, inner in value.items() if not isinstance(inner, dict | list) and inner]
    text = ", ".join(told) or "new"
    return text if len(text) < 300 else f"{text[:299]}…"


def _members(team: Json) -> list[str]:
    return [str(config(member).get("name") or kind(member)) for member in config(team).get("participants") or []]
