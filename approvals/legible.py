"""Text as it really is: what cannot be seen is shown by its name, and what passes for something else is said.

A reviewer approves what they read. A zero-width space, a bidirectional override or a Cyrillic letter in an address
makes them read something other than what is approved. Nothing is ever hidden or masked here. Pure.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

Json = Any
MARKS = 400  # marks drawn in one text; further ones become U+FFFD, and that is said too
NAMED = 4  # names told in one sentence
STRICT = 400  # characters of an address that are looked at letter by letter
DEEP = 12  # levels of JSON that are indented; deeper, the indentation would be longer than the value

_EMOJI = "\u2600-\u27bf\ufe0f\U0001f000-\U0001faff"
# Controls (not tab, line feed, or a carriage return before one), soft hyphens, fillers, zero-width characters,
# bidirectional controls, separators, variation selectors, tags, and halves of pairs, which no page can carry.
_ODD = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    f"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]|\r(?!\n)|(?<![{_EMOJI}])[\u200d\ufe0f]"
)
_ODD_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")  # the same in ASCII, ten times as fast
_CONTROLS = {0: "NULL", 7: "BELL", 8: "BACKSPACE", 13: "CARRIAGE RETURN", 27: "ESCAPE", 127: "DELETE"}


def visible(text: str) -> SafeString:
    """``text`` escaped for a page, with each character that cannot be seen as a mark that names it."""
    odd = _odd(text)
    if not odd.search(text):
        return escape(text)
    parts: list[SafeString] = []
    at = 0
    for count, found in enumerate(odd.finditer(text)):
        if count == MARKS:
            break
        parts.append(escape(text[at : found.start()]))
        parts.append(format_html('<span class="odd" title="{}">{}</span>', _name(found[0]), _code(found[0])))
        at = found.end()
    parts.append(escape(odd.sub("\N{REPLACEMENT CHARACTER}", text[at:])))
    return joined(parts)


def span(style: str, text: str) -> SafeString:
    """``text``, made visible, in a span of the class ``style``, a name of ours."""
    return SafeString(f'<span class="{style}">{visible(text)}</span>') if style else visible(text)


def _odd(text: str) -> re.Pattern[str]:
    return _ODD_ASCII if text.isascii() else _ODD


def joined(parts: list[SafeString]) -> SafeString:
    """Escaped pieces, one after the other."""
    return SafeString("".join(parts))  # noqa: S308 - by format_html_join it takes twenty times as long


def plain(text: str) -> str:
    """``text`` for places that carry no marks, such as a title attribute: what cannot be seen as ``<U+200B>``."""
    return _odd(text).sub(lambda found: f"<{_code(found[0])}>", text)


def oddities(text: str, strict: bool = False) -> list[str]:
    """What a reader of ``text`` would not notice, in sentences. ``strict`` is for addresses and ids, where a letter of
    another alphabet passes for the one that it looks like."""
    found = list(dict.fromkeys(_odd(text).findall(text)))
    said = []
    if found:
        named = ", ".join(f"{_name(one)} ({_code(one)})" for one in found[:NAMED])
        more = f" and {len(found) - NAMED} more kinds" if len(found) > NAMED else ""
        said.append(f"Contains invisible characters: {named}{more}.")
    if strict and not text.isascii():
        said += _foreign(text[:STRICT])
    return said


def exact(value: Json) -> str:
    """A value as JSON, losing nothing: characters that cannot be seen are written as escapes, as JSON allows."""
    indent = 2 if depth(value, DEEP + 1) <= DEEP else None
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    except RecursionError:
        text = _flat(value)
    return _odd(text).sub(lambda found: json.dumps(found[0])[1:-1], text)


def depth(value: Json, enough: int) -> int:
    """Levels of nesting, 0 for a scalar; stops counting at ``enough``. No recursion: depth is what it measures."""
    level, reached = [value], 0
    while reached < enough:
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            break
        reached += 1
    return reached


def _flat(value: Json) -> str:
    """JSON on one line, however deep."""
    parts: list[str] = []
    todo: list[tuple[bool, Json]] = [(True, value)]
    while todo:
        is_value, one = todo.pop()
        if not is_value:
            parts.append(one)
        elif isinstance(one, dict):
            todo.append((False, "}"))
            for number, (name, inner) in reversed(list(enumerate(one.items()))):
                todo += [(True, inner), (False, (", " if number else "") + json.dumps(str(name)) + ": ")]
            todo.append((False, "{"))
        elif isinstance(one, list):
            todo.append((False, "]"))
            for number, inner in reversed(list(enumerate(one))):
                todo += [(True, inner), (False, ", " if number else "")]
            todo.append((False, "["))
        else:
            parts.append(json.dumps(one, ensure_ascii=False, default=str))
    return "".join(parts)


def _foreign(text: str) -> list[str]:
    said = []
    for word in re.findall(r"[^\W\d_]+", text):
        scripts = {_script(letter): letter for letter in word}
        if len(scripts) > 1 and "LATIN" in scripts:
            other = next(letter for script, letter in scripts.items() if script != "LATIN")
            said.append(f"Mixes alphabets: {other} in “{word[:40]}” is {_name(other).lower()}, not a Latin letter.")
            break
    alike = unicodedata.normalize("NFKC", text)
    if alike != text and not said:
        said.append(f"Contains characters that look like others: it reads as “{plain(alike)[:80]}”.")
    return said


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN")
    return "CJK" if name.startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL")) else name.split(" ", 1)[0]


def _name(character: str) -> str:
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        return "HALF OF A PAIR"
    return unicodedata.name(character, "") or _CONTROLS.get(code, "CONTROL CHARACTER" if code < 0xA0 else "UNASSIGNED")


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
