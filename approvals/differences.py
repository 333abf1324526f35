"""What changed between two values, drawn: words of a text, lines of a file, numbers with their percentage. Pure.

Every comparison is bounded: what is alike at both ends is set aside first, and a middle too long to compare is shown as
the old one struck out and the new one after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from functools import partial
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from approvals.legible import exact, joined, visible

Json = Any
WORDS = 500  # words of a middle that are compared
LINES = 400  # lines of a middle that are compared
SHOWN = 800  # lines drawn
CONTEXT = 3  # unchanged lines left around a change
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@", re.M)
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(slots=True)
class Line:
    """A line of a drawn difference. ``kind``: add, del, same, hunk, head or skip; numbers are None where there are none."""

    kind: str
    text: SafeString
    old: int | None = None
    new: int | None = None

    @property
    def sign(self) -> str:
        """What stands before the line; never colour alone."""
        return {"add": "+", "del": "−"}.get(self.kind, "")


@dataclass(slots=True)
class Drawn:
    """Lines to draw, how many are added and taken away in all, and how many are not drawn."""

    lines: list[Line]
    added: int
    removed: int
    more: int = 0


@dataclass(slots=True)
class Change:
    """One argument that a person changed. ``kind``: number, words, lines, added or removed."""

    name: str
    kind: str
    html: SafeString | str = ""
    drawn: Drawn | None = None


def is_patch(text: str) -> bool:
    """Whether a text is a unified diff."""
    return bool(_HUNK.search(text[:20_000]))


def patch(text: str) -> Drawn:
    """A unified diff, line by line, with the numbers that its hunks state."""
    drawn: list[Line] = []
    added = removed = old = new = 0
    inside = False
    rows = _lines(text)
    for raw in rows[:SHOWN]:
        kind, was, now = "head", None, None
        hunk = _HUNK.match(raw) if raw.startswith("@@") else None
        if hunk:
            kind, old, new, inside = "hunk", int(hunk[1]), int(hunk[2]), True
        elif inside and raw.startswith(("diff ", "Index: ")):
            inside = False
        elif inside and raw.startswith("+"):
            kind, now, added, new = "add", new, added + 1, new + 1
        elif inside and raw.startswith("-"):
            kind, was, removed, old = "del", old, removed + 1, old + 1
        elif inside:
            kind, was, now, old, new = "same", old, new, old + 1, new + 1
        drawn.append(Line(kind, visible(raw if kind in ("head", "hunk") else raw[1:]), was, now))
    for raw in rows[SHOWN:]:
        added += raw.startswith("+") and not raw.startswith("+++ ")
        removed += raw.startswith("-") and not raw.startswith("--- ")
    return Drawn(drawn, added, removed, len(rows) - len(drawn))


def _lines(text: str) -> list[str]:
    """Lines as files have them: str.splitlines would hide a form feed or a line separator by splitting at it."""
    found = text.replace("\r\n", "\n").split("\n")
    return found[:-1] if found and found[-1] == "" else found


def lines(before: str, after: str) -> Drawn:
    """The lines that two texts differ in, with a little of what is around them."""
    old, new = _lines(before), _lines(after)
    drawn: list[Line] = []
    added = removed = more = 0
    for tag, a1, a2, b1, b2 in _operations(old, new, LINES):
        found: list[Line] = []
        if tag == "equal":
            found = _around(old, a1, a2, b1, last=a2 == len(old), first=a1 == 0)
        else:
            removed, added = removed + a2 - a1, added + b2 - b1
            found = [Line("del", visible(old[n]), n + 1) for n in range(a1, min(a2, a1 + SHOWN))]
            found += [Line("add", visible(new[n]), None, n + 1) for n in range(b1, min(b2, b1 + SHOWN))]
            more += max(0, a2 - a1 - SHOWN) + max(0, b2 - b1 - SHOWN)
        room = SHOWN - len(drawn)
        drawn += found[:room]
        more += max(0, len(found) - room)
    return Drawn(drawn, added, removed, more)


def _around(old: Sequence[str], a1: int, a2: int, b1: int, first: bool, last: bool) -> list[Line]:
    """Unchanged lines, all but the nearest to a change left out."""
    head = 0 if first else CONTEXT
    tail = 0 if last else CONTEXT

    def same(n: int) -> Line:
        return Line("same", visible(old[n]), n + 1, n - a1 + b1 + 1)

    if a2 - a1 <= head + tail + 1:
        return [same(n) for n in range(a1, a2)]
    left = a2 - a1 - head - tail
    skipped = Line("skip", visible(f"{left:,} unchanged lines"))
    return [*(same(n) for n in range(a1, a1 + head)), skipped, *(same(n) for n in range(a2 - tail, a2))]


def words(before: str, after: str) -> SafeString:
    """A text with what was taken out struck through and what was put in marked."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    parts: list[SafeString] = []
    for tag, a1, a2, b1, b2 in _operations(old, new, WORDS):
        if tag == "equal":
            parts.append(visible("".join(old[a1:a2])))
            continue
        if a2 > a1:
            parts.append(format_html("<del>{}</del>", visible("".join(old[a1:a2]))))
        if b2 > b1:
            parts.append(format_html("<ins>{}</ins>", visible("".join(new[b1:b2]))))
    return joined(parts)


def _operations(old: Sequence[str], new: Sequence[str], most: int) -> Iterator[tuple[str, int, int, int, int]]:
    """difflib's opcodes, with what is alike at both ends set aside, and a long middle taken as one replacement."""
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    tail = next((n for n in range(shorter - head) if old[-1 - n] != new[-1 - n]), shorter - head)
    if head:
        yield "equal", 0, head, 0, head
    a2, b2 = len(old) - tail, len(new) - tail
    if a2 - head <= most and b2 - head <= most:
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, old[head:a2], new[head:b2]).get_opcodes():
            yield tag, i1 + head, i2 + head, j1 + head, j2 + head
    elif a2 > head or b2 > head:
        yield "replace", head, a2, head, b2
    if tail:
        yield "equal", a2, len(old), b2, len(new)


def number(before: float, after: float, shown: Callable[[float], str] = exact, share_of: bool = True) -> SafeString:
    """``€1,250.00 → €900.00 (−28 %)``; no percentage of nothing, and none unless ``share_of``."""
    was, now = Decimal(str(before)), Decimal(str(after))
    share = ""
    if share_of and was.is_finite() and now.is_finite() and was:
        percent = (now - was) / abs(was) * 100
        size = abs(percent)
        sign = "−" if percent < 0 else "+"
        share = f" ({sign}{size:,.0f} %)" if size >= 1 else f" ({sign}{size:.2g} %)" if size >= Decimal("0.01") else ""
    return format_html("<del>{}</del> → <ins>{}</ins>{}", shown(before), shown(after), share)


def changes(asked: Json, now: Json, names: Sequence[str], money: Callable[[str, Json, Json], str]) -> list[Change]:
    """What differs between the arguments that were asked for and those on the table, in the order of ``names``.

    ``money(name, value, arguments)`` is the amount as people write it, or "".
    """
    asked, now = (asked if isinstance(asked, dict) else {}), (now if isinstance(now, dict) else {})
    found = []
    for name in names:
        if name not in now and name in asked:
            found.append(Change(name, "removed", format_html("<del>{}</del>", _short(asked[name]))))
        elif name in now and name not in asked:
            found.append(Change(name, "added", format_html("<ins>{}</ins>", _short(now[name]))))
        elif name in now and not alike(asked[name], now[name]):
            found.append(_change(name, asked[name], now[name], partial(_amount, money, name, now)))
    return found


def _amount(money: Callable[[str, Json, Json], str], name: str, arguments: Json, value: Json) -> str:
    return money(name, value, arguments)


def alike(one: Json, other: Json) -> bool:
    """Equal as JSON: true is not 1, and 1 is not 1.0's business to hide."""
    return type(one) is type(other) and one == other and exact(one) == exact(other)


def _change(name: str, before: Json, after: Json, money: Callable[[Json], str]) -> Change:
    if _number(before) and _number(after):
        # A whole number that is no amount may be a port, a year or a customer's: a percentage of it says nothing.
        measured = isinstance(before, float) or isinstance(after, float) or bool(money(after))
        return Change(name, "number", number(before, after, lambda one: money(one) or exact(one), measured))
    text = isinstance(before, str) and isinstance(after, str)
    old, new = (before, after) if text else (exact(before), exact(after))
    if min(old.count("\n"), new.count("\n")) >= 3:
        return Change(name, "lines", drawn=lines(old, new))
    if text and before and after:
        return Change(name, "words", words(old, new))
    return Change(name, "words", format_html("<del>{}</del> → <ins>{}</ins>", _short(before), _short(after)))


def _number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: Json) -> SafeString:
    text = value if isinstance(value, str) and value else exact(value)
    return visible(
        text if len(text) <= 2000 else f"{text[:2000]}… {len(text) - 2000:,} more characters, see the raw call"
    )
