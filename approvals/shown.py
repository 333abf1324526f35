"""How much there is to read in a request. Pure.

Counted are the words of what is put before the reader to decide about: the title, why it stopped, and the arguments with
their names, or the text. Not counted are the conversation before it, the tool's schema and the labels of the page. What
has no spaces, as a key or a link, counts as a word for every LONG characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Any
LONG = 12  # characters
MOST = 2_000_000_000  # what the column holds
_TEXTS = ("question", "content", "result", "message", "value", "answer")


def words_of(shown: Json, *around: str) -> int:
    """The words of what a person is ``shown`` (see ApprovalRequest.sealed_request) and of the texts ``around`` it."""
    count = sum(map(_words, around))
    if isinstance(shown, Mapping):
        count += _words(shown.get("description"))
        count += _value(shown.get("arguments"))
        count += sum(_value(shown.get(name)) for name in _TEXTS)
    return min(count, MOST)


def _value(value: Json) -> int:
    """Walked with a list of its own: a value may be nested as deeply as JSON can be read."""
    todo, count = [value], 0
    while todo:
        one = todo.pop()
        if isinstance(one, Mapping):
            count += sum(_words(str(name)) for name in one)
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)
        elif one is not None:
            count += _words(one if isinstance(one, str) else str(one))
    return count


def _words(text: Json) -> int:
    if not isinstance(text, str):
        return 0
    return sum(1 if len(word) <= LONG * 2 else -(-len(word) // LONG) for word in text.split())
