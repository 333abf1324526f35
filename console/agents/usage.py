"""What a model call has used, as its provider tells it; and what is reckoned where it does not, or tells nonsense.

    {"input_tokens": 812, "cached_tokens": 640, "output_tokens": 58, "reasoning_tokens": 12}
    {"missing": "absent", "reckoned": {"input_tokens": 790, "output_tokens": 61, "cost": "0.000155"}}

Cached tokens are some of those asked, reasoning tokens some of those answered; both only where the provider told them. A
call whose usage is missing has no price: nobody knows what it cost. It is not free for that: limits count what was
reckoned. This goes into the journal, so what is read here must take every form that was ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Any
Told = dict[str, Json]

MOST = 100_000_000  # tokens of one call; what is more is a mistake
ABSENT, NONSENSE = "absent", "nonsense"  # why it is missing


def read(given: Any) -> Told:
    """The usage in a provider's answer: an object of the openai package, or whatever the provider put in its place."""
    if given is None:
        return {"missing": ABSENT}
    asked, answered = _count(_part(given, "prompt_tokens")), _count(_part(given, "completion_tokens"))
    if asked is None or answered is None or not asked + answered:  # a call of nothing that says nothing is none
        said = {"input_tokens": asked, "output_tokens": answered}
        return {**{name: count for name, count in said.items() if count}, "missing": NONSENSE}
    told: Told = {"input_tokens": asked, "output_tokens": answered}
    cached = _count(_part(_part(given, "prompt_tokens_details"), "cached_tokens"))
    if cached is not None and cached <= asked:
        told["cached_tokens"] = cached
    thought = _count(_part(_part(given, "completion_tokens_details"), "reasoning_tokens"))
    if thought is not None:
        if thought and _count(_part(given, "total_tokens")) == asked + answered + thought:
            told["output_tokens"] += thought  # some providers count them beside the answer; they are paid for as it is
        if thought <= told["output_tokens"]:
            told["reasoning_tokens"] = thought
    return told


def is_missing(usage: Mapping[str, Any] | None) -> bool:
    """Whether nobody knows what the call has used."""
    return bool(usage and usage.get("missing"))


def tokens(usage: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens asked and answered, for limits: as told, or as reckoned."""
    counted = usage.get("reckoned") or usage
    return int(counted.get("input_tokens") or 0), int(counted.get("output_tokens") or 0)


def reckoned_cost(usage: Mapping[str, Any]) -> str | None:
    """US dollars that a call is reckoned to have cost whose usage is missing."""
    cost: str | None = (usage.get("reckoned") or {}).get("cost")
    return cost


def _part(of: Any, name: str) -> Any:
    return of.get(name) if isinstance(of, dict) else getattr(of, name, None)


def _count(value: Any) -> int | None:
    """A number of tokens; None for what can be none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        return None
    return value
