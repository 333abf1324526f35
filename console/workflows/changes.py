"""What a folder of files would change, in lines that people read before it does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from console.workflows import diff
from console.workflows.files import same

Json = Any

_ARROW = "->"
_AROUND = 4  # words shown on each side of what changed in a long text


@dataclass(frozen=True)
class Change:
    """One line: what of a file's subject is ``before`` and what ``after``; either may be empty."""

    file: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before or '(none)'} {_ARROW} {self.after or '(none)'}"


def of_values(file: str, before: Mapping[str, Json], after: Mapping[str, Json], path: str = "") -> Iterator[Change]:
    """A change for each value that differs, below objects; lists are compared whole."""
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        what = f"{path}.{key}" if path else key
        if same(old, new):
            continue
        if isinstance(old or {}, dict) and isinstance(new or {}, dict) and (old or new):
            yield from of_values(file, old or {}, new or {}, what)
        else:
            yield Change(file, plain(what), plain(_text(old)), plain(_text(new)))


def of_bodies(file: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Change]:
    """The changes from one revision's body to another, as the page of revisions tells them."""
    found: list[Change] = []
    added = _added(before, after)
    for section in diff.diff(before, after):
        for change in section.changes:
            what = f"{section.title}, {change.what}"
            if section.title == "Rules" and change.what in added:
                found += of_values(file, {}, {what: added[change.what]})
            else:
                found.append(_told(file, what, change))
    return found or list(of_values(file, before, after))  # what the page does not tell, such as the tools' mapping


def _added(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    """The new rules by name: the page sums them up, and here nothing is left out that governs a team."""
    old = {rule.get("name") for rule in before.get("rules") or []}
    return {str(rule.get("name")): rule for rule in after.get("rules") or [] if rule.get("name") not in old}


def _told(file: str, what: str, change: diff.Change) -> Change:
    if not change.words:
        return Change(file, plain(what), plain(change.before), plain(change.after))
    before = " ".join(_clipped(change.words, "-"))
    return Change(file, plain(what), plain(before), plain(" ".join(_clipped(change.words, "+"))))


def _clipped(words: list[tuple[str, str]], sign: str) -> Iterator[str]:
    """One side of a long text: what changed in full, and a few words around it."""
    for place, (kind, said) in enumerate(words):
        if kind == sign:
            yield f"[{said}]"
        elif kind == "":
            around = said.split(" ")
            first = around[:_AROUND] if place else []
            last = around[-_AROUND:] if place + 1 < len(words) else []
            short = len(first) + len(last) < len(around)
            yield " ".join([*first, "...", *last]) if short else said


def report(changes: Iterable[Change]) -> Iterator[str]:
    """The lines of the changes, under the file that each belongs to."""
    file = None
    for change in changes:
        if change.file != file:
            file = change.file
            yield plain(file)
        yield f"  {change}"


def plain(text: str) -> str:
    """A text on one line, in which nothing is hidden from a terminal's reader."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _text(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
