"""Nested JSON as nested details, bounded. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from approvals.legible import exact, joined, oddities, visible

if TYPE_CHECKING:
    from approvals.shapes import Shape

Json = Any
NODES = 200  # drawn; the raw call has the rest
LEVELS = 24
TEXT = 300  # characters of a text in it
OPEN = 30  # a tree of no more nodes than this is open from the start


class _Room:
    """How many nodes may still be drawn, and what was odd about those that were."""

    def __init__(self) -> None:
        self.left = NODES
        self.odd: dict[str, None] = {}


def tree(value: Json, shape: Shape) -> Shape:
    """``shape`` with the tree of ``value`` drawn into it."""
    total = _count(value, 50_000)
    room = _Room()
    shape.text = _node(value, room, 0, total <= OPEN)
    if total > NODES:
        left = "" if total < 50_000 else "at least "
        shape.hidden = f"{left}{total - NODES + room.left:,} more values; the raw call below has them all"
    shape.faults += [said for said in room.odd if said not in shape.faults][:4]
    return shape


def _count(value: Json, most: int) -> int:
    todo, count = [value], 0
    while todo and count < most:
        one = todo.pop()
        if isinstance(one, dict | list):
            inner = list(one.values() if isinstance(one, dict) else one)
            count += len(inner)
            todo += inner[: most - count] if count < most else []
    return min(count, most)


def _node(value: dict[str, Json] | list[Json], room: _Room, level: int, is_open: bool) -> SafeString:
    entries = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    drawn: list[SafeString] = []
    for place, (name, inner) in enumerate(entries):
        if room.left <= 0:
            drawn.append(format_html('<li class="faint">… {} more</li>', f"{len(entries) - place:,}"))
            break
        room.left -= 1
        drawn.append(_entry(str(name), inner, room, level, is_open))
    return format_html('<ul class="tree">{}</ul>', joined(drawn))


def _entry(name: str, value: Json, room: _Room, level: int, is_open: bool) -> SafeString:
    room.odd.update(dict.fromkeys(oddities(name)))
    label = visible(name if len(name) <= TEXT else f"{name[:TEXT]}…")
    if isinstance(value, dict | list) and value:
        one, many = ("field", "fields") if isinstance(value, dict) else ("entry", "entries")
        size = f"{len(value):,} {one if len(value) == 1 else many}"
        if level >= LEVELS:
            return format_html(
                '<li><span class="key">{}</span> <span class="faint">{}, nested deeper</span></li>', label, size
            )
        body = _node(value, room, level + 1, is_open)
        opened = SafeString(" open") if is_open or level == 0 and len(value) <= 10 else ""
        return format_html(
            '<li><details{}><summary><span class="key">{}</span> <span class="faint">{}</span></summary>{}</details></li>',
            opened,
            label,
            size,
            body,
        )
    return format_html('<li><span class="key">{}</span> {}</li>', label, _scalar(value, room))


def _scalar(value: Json, room: _Room) -> SafeString:
    if not isinstance(value, str):
        return format_html('<span class="val {}">{}</span>', _TYPES.get(type(value), ""), exact(value))
    room.odd.update(dict.fromkeys(oddities(value)))
    cut, more = value[:TEXT], len(value) - TEXT
    left = format_html(' <span class="faint">… {} more characters</span>', f"{more:,}") if more > 0 else ""
    return format_html('<span class="val s">“{}”</span>{}', visible(cut), left)


_TYPES = {bool: "k", int: "n", float: "n", type(None): "k"}
