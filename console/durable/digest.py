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
    """Each step with its full request, by scope and n: ``{"messages": [...], **rest}`` where a History made it.

    ``steps`` are all those of a run, or of some of its scopes. Where the step before is missing (its worker died, and
    the team never asked again), a difference cannot be resolved and is given as it is stored.
    """
    scope: str | None = None
    before = 0
    messages: list[Json] = []
    rest: Json = {}
    for step in sorted(steps, key=lambda step: (step.scope, step.n)):
        if step.scope != scope:
            scope, before, messages, rest = step.scope, 0, [], None
        request = step.request
        whole = step.n == before + 1
        if isinstance(request, dict) and request.keys() >= {"keep", "add"}:
            if "rest" in request:
                rest = request["rest"]
            if (whole or not request["keep"]) and rest is not None and len(messages) >= request["keep"]:
                messages = messages[: request["keep"]] + request["add"]
                before = step.n
                request = {**rest, "messages": messages}
        elif whole:
            before = step.n
        yield step, request
