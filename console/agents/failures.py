"""What can go wrong with a model call: which of it is worth another try, and what to tell people about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from openai import APIConnectionError, APIError, APIResponseValidationError, APIStatusError, APITimeoutError

from console.agents.tools import clip

_KEYS = re.compile(r"(sk-|Bearer\s+|api[_-]?key[\"'=:\s]+)[A-Za-z0-9_\-.*/+=]{4,}", re.IGNORECASE)


class Nonsense(Exception):
    """A model answered, and the answer is none."""


class CutShort(Exception):
    """A model's answer ended before it was complete."""


@dataclass(frozen=True)
class Failure:
    """One failed try. ``cause`` is a short word for the attempt, ``sentence`` is for people, ``wait`` in seconds."""

    cause: str
    sentence: str
    transient: bool = False
    wait: float | None = None


def read(error: Exception, model: str, secrets: tuple[str, ...], now: datetime) -> Failure:
    """What this exception of a model call means. No secret gets into the sentence."""
    if isinstance(error, TimeoutError | APITimeoutError):
        return Failure("timeout", f"{model} did not answer in time.", transient=True)
    if isinstance(error, Nonsense):
        return Failure("nonsense", f"{model} gave an answer that cannot be used: {error}")
    if isinstance(error, CutShort):
        return Failure("cut_short", f"The answer of {model} broke off: {error}", transient=True)
    if isinstance(error, APIConnectionError):
        return Failure("connection", f"The connection to the provider of {model} failed.", transient=True)
    if isinstance(error, APIResponseValidationError | ValueError | LookupError | TypeError | AttributeError):
        # The client stumbled over the answer: no JSON, no choices, a tool call without a name.
        said = "the provider's answer is not a chat completion."
        return Failure("nonsense", f"{model} gave an answer that cannot be used: {said}")
    if isinstance(error, APIStatusError):
        return _status(error, model, secrets, now)
    if isinstance(error, APIError):  # an error inside a stream
        said = clean(error.message, secrets)
        return Failure("stream_error", f"The provider of {model} broke off with: {said}", transient=True)
    return Failure(type(error).__name__, f"The call of {model} failed: {clean(str(error), secrets)}")


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


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a provider asks to wait, or None when it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        given = headers.get(name)
        if given is None:
            continue
        try:
            return max(0.0, float(given) / unit)
        except ValueError:
            pass
        try:
            then = parsedate_to_datetime(given)
        except ValueError:
            continue
        return max(0.0, ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds())
    return None


def clean(text: str, secrets: tuple[str, ...]) -> str:
    """A provider's words without anything that looks like a key."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[key]")
    return clip(_KEYS.sub("[key]", text), 300)
