"""What a tool returned, made fit to be kept: plain JSON, within a limit, whatever it was.

A tool of the code may return anything: 50 MB, an object, bytes, NaN, a list that holds itself. Looking at it costs no
more than what is kept of it.
"""

from __future__ import annotations

import json

from console.durable.steps import Json

RESULT_LIMIT = 256 * 1024  # bytes of a tool's result that a model, a journal and a reader get
DEPTH = 200  # levels of lists and objects in one another
_PLAIN = {str, int, float, bool, type(None), list, dict}
_NUMBER = 4096  # bits of a whole number; longer ones Python itself refuses to write
_STREAM = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class NotJson(ValueError):
    """What a tool returned cannot be written as JSON; the message says why."""


def fit(value: Json) -> Json:
    """The value as plain JSON, or its beginning and a note when it is too long to keep. Raises NotJson."""
    try:
        if isinstance(value, str):
            return _short(value)
        size, plain = _measure(value)
        if size > 2 * RESULT_LIMIT:
            return _beginning(value)
        # What is not made of JSON's own types is read back, so that a replay hands the team the very same.
        return _whole(value if plain else json.loads(json.dumps(value, allow_nan=False)))
    except NotJson:
        raise
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise NotJson(f"{type(error).__name__}: {error}") from error


def _measure(value: Json) -> tuple[int, bool]:
    """About how many characters it takes, and whether it is of JSON's own types. Stops looking at what is too much."""
    size, plain = 0, True
    waiting: list[tuple[Json, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        plain = plain and type(one) in _PLAIN
        size += 8
        if isinstance(one, str):
            size += len(one)
        elif isinstance(one, int) and one.bit_length() > _NUMBER:
            raise NotJson("there is a number in it with more than a thousand digits.")
        elif isinstance(one, dict | list | tuple):
            if depth > DEPTH:
                raise NotJson("it is nested too deeply, or holds itself.")
            if isinstance(one, dict):
                for key, inner in one.items():
                    plain = plain and type(key) is str
                    size += len(key) if isinstance(key, str) else 8
                    waiting.append((inner, depth + 1))
                    if size > 4 * RESULT_LIMIT:
                        break
            else:
                size += 8 * len(one)
                waiting.extend((inner, depth + 1) for inner in one[: RESULT_LIMIT // 4])
        if size > 4 * RESULT_LIMIT:
            return size, False
    return size, plain


def _whole(value: Json) -> Json:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    raw = text.encode("utf-8", "replace")
    if len(raw) <= RESULT_LIMIT and len(json.dumps(value)) <= 3 * RESULT_LIMIT:
        return value
    return _cut(text, f"{len(raw)} bytes")


def _short(text: str) -> str:
    """A text, or its beginning. Its length is told in bytes where that can be said without a copy of it."""
    if len(text) <= RESULT_LIMIT:
        raw = len(text.encode("utf-8", "replace"))
        if raw <= RESULT_LIMIT and len(json.dumps(text)) <= 3 * RESULT_LIMIT:
            return text
        return _cut(text, f"{raw} bytes")
    return _cut(text[:RESULT_LIMIT], f"{len(text)} {'bytes' if text.isascii() else 'characters'}")


def _beginning(value: Json) -> str:
    """The beginning of a large value as JSON, written no further than it is kept."""
    pieces: list[str] = []
    size = 0
    for piece in _STREAM.iterencode(value):
        pieces.append(piece[:RESULT_LIMIT])
        size += len(piece)
        if size > RESULT_LIMIT:
            return _cut("".join(pieces), f"more than {RESULT_LIMIT} bytes")
    return _cut("".join(pieces), f"{size} bytes")


def _cut(text: str, length: str) -> str:
    kept = text[:RESULT_LIMIT].encode("utf-8", "replace")[: RESULT_LIMIT - 200].decode("utf-8", "ignore")
    while len(json.dumps(kept)) > 3 * RESULT_LIMIT:  # control characters take six bytes each in a journal
        kept = kept[: len(kept) // 2]
    return f"{kept}\n[Cut here: the tool returned {length}, and at most {RESULT_LIMIT} are kept.]"
