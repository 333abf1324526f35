"""What can go wrong with a model call: which of it is worth another try, and what to tell people about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openai import APIConnectionError, APIError, APIResponseValidationError, APIStatusError, APITimeoutError

from console.agents.limits import MOST_CALLS
from console.agents.pacing import retry_after
from console.agents.tools import clip, words

_KEYS = re.compile(r"(sk-|Bearer\s+|api[_-]?key[\"'=:\s]+)[A-Za-z0-9_\-.*/+=]{4,}", re.IGNORECASE)


class Nonsense(Exception):
    """A model answered, and the answer is none. ``usage`` is what it took all the same."""

    def __init__(self, message: str, usage: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class TooManyCalls(Nonsense):
    """A model asked for more tool calls in one answer than any run may make at once."""

    def __init__(self, calls: int, usage: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"It asked for {calls} tool calls in one answer; {MOST_CALLS} are allowed.", usage)


class CutShort(Exception):
    """A model's answer ended before it was complete."""


TOO_MANY = "too_many_calls"


@dataclass(frozen=True)
class Failure:
    """One failed try. ``cause`` is a short word for the attempt, ``sentence`` is for people, ``wait`` in seconds.

    ``broken_off``: the provider was at work on it, and charges for what nobody got. ``usage``: it says how much, or that
    it does not say.
    """

    cause: str
    sentence: str
    transient: bool = False
    wait: float | None = None
    broken_off: bool = False
    usage: Mapping[str, Any] | None = None


def read(error: Exception, model: str, secrets: tuple[str, ...], now: datetime) -> Failure:
    """What this exception of a model call means. No secret gets into the sentence."""
    if _is(error.__cause__, "ConnectTimeout", "PoolTimeout"):
        return Failure("connect_timeout", f"The provider of {model} takes no connection.", transient=True)
    if isinstance(error, TimeoutError | APITimeoutError):
        return Failure("timeout", f"{model} did not answer in time.", transient=True, broken_off=True)
    if isinstance(error, TooManyCalls):
        return Failure(TOO_MANY, f"{model} loops. {error}", usage=error.usage)
    if isinstance(error, Nonsense):
        said = f"{model} gave an answer that cannot be used: {error}"
        return Failure("nonsense", said, usage=error.usage)
    if isinstance(error, CutShort):
        return Failure("cut_short", f"The answer of {model} broke off: {error}", transient=True, broken_off=True)
    if isinstance(error, APIConnectionError) or _is(error, "TransportError"):
        # Without a connection nothing was sent. What was sent is charged for, as far as anybody knows.
        sent = not _is(error.__cause__, "ConnectError")
        said = f"The connection to the provider of {model} failed."
        return Failure("connection", said, transient=True, broken_off=sent)
    if isinstance(error, APIResponseValidationError | ValueError | LookupError | TypeError | AttributeError):
        # The client stumbled over the answer: no JSON, no choices, a tool call without a name.
        said = "the provider's answer is not a chat completion."
        return Failure("nonsense", f"{model} gave an answer that cannot be used: {said}")
    if isinstance(error, APIStatusError):
        return _status(error, model, secrets, now)
    if isinstance(error, APIError):  # an error inside a stream
        said = clean(error.message, secrets)
        return Failure(
            "stream_error", f"The provider of {model} broke off with: {said}", transient=True, broken_off=True
        )
    return Failure(type(error).__name__, f"The call of {model} failed: {clean(words(error), secrets)}")


def _is(error: BaseException | None, *names: str) -> bool:
    """By name: openai brings an httpx of its own, and which one it is changes."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


RESTING = "resting"  # cause of an attempt that was not made


def resting(credential: str, wait: float) -> Failure:
    """The provider has failed again and again, so it is not asked for now."""
    sentence = f"The provider behind the credential {credential!r} keeps failing, and is left alone for {wait:.0f} s."
    return Failure(RESTING, sentence, transient=True, wait=wait)


def _status(error: APIStatusError, model: str, secrets: tuple[str, ...], now: datetime) -> Failure:
    code = error.status_code
    cause = f"http_{code}"
    if code in (401, 403):
        return Failure(cause, f"The provider of {model} refused the credential (HTTP {code}).")
    if code == 404:
        return Failure(cause, f"The provider knows no model {model}, or the address is wrong (HTTP 404).")
    if code == 429 and error.code == "insufficient_quota":
        return Failure(cause, f"The credit with the provider of {model} is used up (HTTP 429).")
    if code == 429:
        sentence = f"The provider of {model} says it is asked too often (HTTP 429)."
        return Failure(cause, sentence, transient=True, wait=retry_after(error.response.headers, now))
    if code == 408 or code >= 500:
        sentence = f"The provider of {model} failed (HTTP {code})."
        return Failure(cause, sentence, transient=True, wait=retry_after(error.response.headers, now))
    said = clean(error.message, secrets)
    return Failure(cause, f"The provider of {model} refused the request (HTTP {code}): {said}")


def clean(text: str, secrets: tuple[str, ...]) -> str:
    """A provider's words without anything that looks like a key."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[key]")
    return clip(_KEYS.sub("[key]", text), 300)
