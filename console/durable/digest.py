"""Digests of requests, and requests stored as their difference from the one before.

A model is sent the whole conversation at every turn. Hashing and storing all of it each time is quadratic, so a
``History`` remembers what the scope asked last: the messages that are the same are neither encoded, hashed nor stored
again. ``expand`` turns the stored differences back into full requests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .steps import Json, Step

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical(value: Json) -> bytes:
    """The one way to write a JSON value as bytes. Raises TypeError when it is not JSON."""
    # surrogatepass: half a surrogate pair is valid JSON, and models do produce it.
    return _encode(value).encode("utf-8", "surrogatepass")


def digest(value: Json) -> str:
    """SHA-256 of a JSON value, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


class History:
    """The requests of one scope, each given as a list of messages and the rest (tools, options).

    ``encode`` makes JSON of a message; a message object that was in the previous request is not encoded again, so
    messages must not be changed in place.
    """

    __slots__ = ("_chain", "_encode", "_messages", "_rest", "_rest_digest")

    def __init__(self, encode: Callable[[Any], Json] = lambda message: message) -> None:
        self._encode = encode
        self._messages: list[Any] = []
        self._chain: list[bytes] = [b""]  # _chain[i] stands for the first i messages
        self._rest: Json = None
        self._rest_digest = b""

    def request(self, messages: Sequence[Any], rest: Mapping[str, Json] | None = None) -> tuple[Json, str]:
        """The next request: what to store (``{"keep", "add"}``, and ``rest`` where it changed), and its digest."""
        ours, chain = self._messages, self._chain
        keep = 0
        for old, new in zip(ours, messages, strict=False):
            if old is not new and old != new:
                break
            keep += 1
        del ours[keep:], chain[keep + 1 :]
        add = []
        for message in messages[keep:]:
            encoded = self._encode(message)
            add.append(encoded)
            ours.append(message)
            chain.append(hashlib.sha256(chain[-1] + hashlib.sha256(canonical(encoded)).digest()).digest())
        stored: dict[str, Json] = {"keep": keep, "add": add}
        rest = dict(rest or {})
        if self._rest is None or rest != self._rest:
            self._rest = stored["rest"] = rest
            self._rest_digest = hashlib.sha256(canonical(rest)).digest()
        return stored, hashlib.sha256(chain[-1] + self._rest_digest).hexdigest()


def expand(steps: Iterable[Step]) -> Iterator[tuple[Step, Json]]:
    """Each step with its full request, ``{"messages": [...], **rest}`` where it was made by a History.

    ``steps`` are those of a run, or of one scope from its first on, by n within a scope (by seq will not do: effects
    that overlap may be recorded in another order than they were asked in; so they are sorted here).
    """
    messages: dict[str, list[Json]] = {}
    rests: dict[str, Json] = {}
    for step in sorted(steps, key=lambda step: (step.scope, step.n)):
        request = step.request
        if not (isinstance(request, dict) and "keep" in request and "add" in request):
            yield step, request
            continue
        full = messages.get(step.scope, [])[: request["keep"]] + request["add"]
        messages[step.scope] = full
        rest = request["rest"] if "rest" in request else rests.get(step.scope, {})
        rests[step.scope] = rest
        yield step, {**rest, "messages": full}
