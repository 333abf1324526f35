"""How a value is shown to the person who decides about it: money as money, code as code, a mail as a mail. Pure.

``shape_of`` reads a value, its JSON schema and its neighbours, and answers a Shape: a kind, and what the template
(approvals/_shape.html) draws of it. Nothing is masked and everything is escaped; what cannot be seen is made visible
(legible.py), what is long is folded or bounded, and the raw call beside it always has the value exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils.html import format_html
from django.utils.safestring import SafeString

from approvals import amounts, differences, highlight, mails, sql
from approvals.differences import Drawn
from approvals.legible import exact, oddities, visible
from approvals.trees import tree

Json = Any
FOLD = 600  # characters of a text before it is folded
LINES = 12  # or lines
ROWS = 20  # of a table or a list
COLUMNS = 8  # of a table
ARGUMENTS = 120  # rows of a card
CELL = 200  # characters of one cell or entry
PAIRS = (("old", "new"), ("before", "after"), ("search", "replace"), ("find", "replace"))
_SUFFIXES = ("text", "string", "str", "value", "content", "code", "line", "lines")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}:(?://\S+|[^\s\d]\S*)")
_INDENTED = re.compile(r"\t|\n {2,}\S|\S {3,}\S")
_DANGEROUS = ("javascript", "data", "vbscript", "blob", "file")


@dataclass(slots=True)
class Shape:
    """One value as it is drawn.

    ``kind``: money, number, time, url, boolean, id, text, lines, code, sql, tree, mail, diff, table, list or empty.
    ``text`` is the escaped body, ``rest`` what is folded away after it and ``hidden`` how much that is. ``note`` is said
    in grey after it, ``says`` in plain words under it, ``faults`` in red. ``wide`` takes the panel's full width.
    """

    kind: str
    text: SafeString | str = ""
    rest: SafeString | str = ""
    hidden: str = ""
    note: str = ""
    says: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    wide: bool = False
    href: str = ""
    at: datetime | None = None
    drawn: Drawn | None = None
    head: list[SafeString] = field(default_factory=list)
    cells: list[list[SafeString]] = field(default_factory=list)
    mail: mails.Mail | None = None


@dataclass(slots=True)
class Row:
    """One line of a card: ``names`` are the arguments that it shows, several of them for a mail or a replacement."""

    name: str
    names: tuple[str, ...]
    shape: Shape
    changed: bool = False
    added: bool = False


def rows(
    arguments: Json, content: Mapping[str, Json], title: str, names: Sequence[str], usual: Sequence[str] = ()
) -> list[Row]:
    """The arguments of a call in the order of ``names``, of which some may have been left out of it.

    ``usual`` are the mail domains of the organisation. Arguments that mean something together are one row.
    """
    if not isinstance(arguments, dict):
        return []
    asked = content.get("arguments")
    made: list[Row] = []
    for group in _groups(arguments, [*names][:ARGUMENTS], usual):
        if isinstance(asked, dict):
            group.changed = any(
                (name in asked) != (name in arguments)
                or name in arguments
                and not differences.alike(asked[name], arguments[name])
                for name in group.names
            )
            group.added = all(name in arguments and name not in asked for name in group.names)
        if group.shape.kind == "":
            group.shape = shape_of(group.name, arguments[group.name], content, arguments, title)
        made.append(group)
    if len(names) > ARGUMENTS:
        more = Shape("empty", f"{len(names) - ARGUMENTS:,} more arguments; the raw call below has them all")
        made.append(Row("…", (), more))
    return made


def _groups(arguments: dict[str, Json], names: list[str], usual: Sequence[str]) -> list[Row]:
    """The rows before their values are drawn, each at the place of its first argument."""
    together: list[Row] = []
    if mail := mails.mail_of(arguments, usual):
        together.append(Row("mail", mail.names, _mail(mail)))
    elif pair := _pair(arguments):
        together.append(Row(" → ".join(pair), pair, _pair_shape(arguments[pair[0]], arguments[pair[1]])))
    found: list[Row] = []
    for name in names:
        group = next((row for row in together if name in row.names), None)
        if group is None:
            found.append(Row(name, (name,), Shape("") if name in arguments else Shape("empty", "left out")))
        elif group not in found:
            found.append(group)
    return found


def shape_of(
    name: str, value: Json, content: Mapping[str, Json], arguments: Mapping[str, Json] | None = None, title: str = ""
) -> Shape:
    """One value. ``content`` is what the request shows (its ``schema`` and ``money`` are the tool's hints)."""
    arguments = arguments or {}
    if value is None or isinstance(value, str | list | dict) and not value:
        return Shape("empty", {"": "empty", "[]": "empty list", "{}": "empty object"}.get(str(value), "nothing"))
    if isinstance(value, bool):
        return Shape("boolean", "yes" if value else "no", note=exact(value))
    if amount := amounts.money(name, value, arguments, content, title):
        return Shape("money", amount, note=exact(value), faults=_negative(value))
    if isinstance(value, int | float):
        grouped = f"{value:,}" if isinstance(value, int) and abs(value) >= 100_000 else ""
        return Shape("number", exact(value), note=grouped[:80])
    about = amounts.about(content, name)
    if isinstance(value, str):
        return text_shape(name, value, about, arguments)
    if isinstance(value, dict):
        mail = mails.mail_of(value)
        return _mail(mail) if mail else tree(value, Shape("tree", wide=True))
    if isinstance(value, list):
        return _list(value)
    return Shape("text", visible(str(value)))


def text_shape(name: str, value: str, about: Mapping[str, Json], arguments: Mapping[str, Json]) -> Shape:
    """A text: a time, an address, code, a difference, or words."""
    odd = oddities(value)
    if shape := _when(value, about):
        shape.faults += odd
        return shape
    if _URL.fullmatch(value) and len(value) <= 2000 and (about.get("format") in (None, "uri", "url") or "://" in value):
        return _url(value)
    if differences.is_patch(value):
        drawn = differences.patch(value)
        return Shape("diff", drawn=drawn, note=_counts(drawn), faults=odd, wide=True)
    language = highlight.language_of(name, value, about, arguments)
    if language == "json" and (shape := _json(value, odd)):
        return shape
    if language:
        return _code(value, language, odd)
    if re.fullmatch(r"\S{1,60}", value):
        return Shape("id", visible(value), faults=oddities(value, strict=True))
    if _INDENTED.search(value):  # spaces that may mean something, as in code: each of them is shown in its column
        return Shape("code", visible(value), faults=odd, wide=True)
    if len(value) <= FOLD and "\n" not in value:
        return Shape("text", visible(value), faults=odd)
    return folded(value, odd)


def folded(value: str, faults: Sequence[str] = ()) -> Shape:
    """A long text: its beginning, and the rest one click away with how much that is."""
    if len(value) <= FOLD and value.count("\n") < LINES:
        return Shape("lines", visible(value), faults=list(faults))
    lines = value[:FOLD].split("\n")
    begin = "\n".join(lines[:LINES])
    cut = len(begin)
    if cut == FOLD and (space := value.rfind(" ", FOLD // 2, FOLD)) > 0:
        cut = space
    rest = value[cut:]
    more = f"{len(rest):,} more characters"
    if breaks := rest.count("\n"):
        more += f", {breaks:,} more line{'s' if breaks > 1 else ''}"
    return Shape("lines", visible(value[:cut]), rest=visible(rest), hidden=more, faults=list(faults))


def amount_of(content: Mapping[str, Json], title: str) -> Any:
    """``money(name, value, arguments)`` for differences.changes."""
    return lambda name, value, arguments: amounts.money(name, value, arguments, content, title)


def _negative(value: Json) -> list[str]:
    return ["A negative amount."] if str(value).startswith("-") else []


def _when(value: str, about: Mapping[str, Json]) -> Shape | None:
    if not (_DATE.fullmatch(value) or _TIME.fullmatch(value)):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return Shape("id", visible(value), faults=["No such date."])
    if _DATE.fullmatch(value):
        return Shape("time", f"{at:%A, %-d %B %Y}" if at.year > 0 else value, note=value)
    if at.tzinfo is None:
        return Shape("time", f"{at:%-d %b %Y, %H:%M:%S}", note=f"{value}, of which the time zone is not said")
    return Shape("time", note=value, at=at)


def _url(value: str) -> Shape:
    faults = oddities(value, strict=True)
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        return Shape("url", visible(value), faults=["Not an address that can be read.", *faults])
    scheme = parts.scheme.lower()
    if scheme in _DANGEROUS:
        faults.insert(0, f"A {scheme}: address carries code or data of its own; it is not made a link.")
    if "@" in parts.netloc:
        faults.append(f"It goes to {host or 'nowhere'}; what stands before the @ is a user name.")
    if not host.isascii() or any(label.startswith("xn--") for label in host.split(".")):
        faults.append(f"The host has letters other than a to z: {mails.ascii_host(host)}.")
    live = scheme in ("http", "https") and bool(host) and not faults
    return Shape(
        "url",
        visible(value),
        note=f"to {host}" if host and len(value) > 60 else "",
        href=value if live else "",
        faults=faults,
    )


def _code(value: str, language: str, odd: list[str]) -> Shape:
    count = value.count("\n") + 1
    note = highlight.LANGUAGES[language] + (f", {count:,} lines" if count > 12 else "")
    if len(value) > highlight.MAX:
        note += f"; colours up to character {highlight.MAX:,}"
    shape = Shape(
        "code", highlight.coloured(value, language), note=note, faults=odd, wide="\n" in value or len(value) > 60
    )
    if language == "sql":
        reading = sql.read(value)
        shape.kind, shape.says, shape.faults, shape.wide = "sql", reading.says, [*odd, *reading.faults], True
    return shape


def _json(value: str, odd: list[str]) -> Shape | None:
    read = mails.json_of(value)
    if not isinstance(read, dict | list):
        return None
    return tree(read, Shape("tree", note="text that holds JSON", faults=odd, wide=True))


def _list(value: list[Json]) -> Shape:
    more = f"{len(value) - ROWS:,} more; the raw call below has them all" if len(value) > ROWS else ""
    shown = value[:ROWS]
    if all(not isinstance(one, dict | list) for one in shown):
        faults = list(
            dict.fromkeys(said for one in shown if isinstance(one, str) for said in oddities(one, len(one) < 60))
        )
        return Shape("list", cells=[[cell(one) for one in shown]], hidden=more, faults=faults)
    heads = [tuple(one) if isinstance(one, dict) else () for one in shown]
    flat = all(
        isinstance(one, dict) and not any(isinstance(inner, dict | list) for inner in one.values()) for one in shown
    )
    columns = list(dict.fromkeys(name for head in heads for name in head))
    if flat and len(shown) > 1 and 0 < len(columns) <= COLUMNS:
        cells = [[cell(one[name]) if name in one else SafeString("") for name in columns] for one in shown]
        faults = list(
            dict.fromkeys(
                said for one in shown for text in one.values() if isinstance(text, str) for said in oddities(text)
            )
        )
        return Shape(
            "table", head=[visible(name) for name in columns], cells=cells, hidden=more, wide=True, faults=faults
        )
    return tree(value, Shape("tree", wide=True))


def cell(value: Json) -> SafeString:
    """A scalar in little room."""
    text = value if isinstance(value, str) else exact(value)
    short = text if len(text) <= CELL else f"{text[:CELL]}… {len(text) - CELL:,} more characters"
    return visible(short) if isinstance(value, str) else format_html('<span class="mono">{}</span>', visible(short))


def _counts(drawn: Drawn) -> str:
    return f"+{drawn.added:,} −{drawn.removed:,} lines"


def _pair(arguments: Mapping[str, Json]) -> tuple[str, str] | None:
    """The names of two texts of which one replaces the other."""
    for old, new in PAIRS:
        for suffix in ("", *(f"_{word}" for word in _SUFFIXES)):
            names = (old + suffix, new + suffix)
            if all(isinstance(arguments.get(name), str) for name in names):
                return names
    return None


def _pair_shape(before: str, after: str) -> Shape:
    drawn = differences.lines(before, after)
    faults = list(dict.fromkeys([*oddities(before), *oddities(after)]))
    note = _counts(drawn) if before != after else "no difference"
    return Shape("diff", drawn=drawn, note=note, faults=faults, wide=True)


def _mail(mail: mails.Mail) -> Shape:
    body = folded(mail.body, oddities(mail.body)) if mail.body else Shape("empty", "empty")
    if mail.html:
        body = Shape("code", highlight.coloured(mail.body, "html"), note="HTML, shown as its source and never rendered")
    faults = [*mail.faults, *oddities(mail.subject), *oddities(mail.body)]
    return Shape(
        "mail", body.text, body.rest, body.hidden, body.note, mail=mail, faults=list(dict.fromkeys(faults)), wide=True
    )
