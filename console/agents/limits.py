"""What a run may take: turns, time, tokens and money, as a revision's ``limits`` says or as is safe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

_DURATION = re.compile(
    r"^P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)
MOST_CALLS = 128  # tool calls in one answer of a model; more of them is a model that loops


def duration(text: str) -> timedelta:
    """A duration from ISO 8601 ("PT30S", "P1DT2H"); ValueError when it is none, or no time at all."""
    match = _DURATION.match(text) if isinstance(text, str) else None
    parts = {unit: float(number) for unit, number in match.groupdict().items() if number} if match else {}
    if not parts or not (length := timedelta(**parts)):
        raise ValueError(f"{text!r} is not a duration such as PT30S")
    return length


@dataclass(frozen=True)
class Limits:
    """Limits of one run. ``model_timeout`` is for one try of a model call, ``tool_timeout`` for one tool call with all its
    tries, ``turn_timeout`` for what an agent does until it has said something: people's time apart."""

    max_turns: int = 50
    model_timeout: timedelta = timedelta(seconds=60)
    tool_timeout: timedelta | None = None  # the tool's own
    turn_timeout: timedelta | None = None
    max_tokens: int | None = None
    max_cost: Decimal | None = None
    max_repeats: int = 5  # of the same call, the same message, or failing calls in a row

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Limits:
        """Read a revision's body. ValueError names the limit that makes no sense."""
        given = body.get("limits") or {}
        values: dict[str, Any] = {}
        for name in ("max_turns", "max_tokens", "max_repeats"):
            if given.get(name) is not None:
                if not isinstance(given[name], int) or isinstance(given[name], bool) or given[name] < 1:
                    raise ValueError(f"{name} must be a positive number, not {given[name]!r}")
                values[name] = given[name]
        for name in ("model_timeout", "tool_timeout", "turn_timeout"):
            if given.get(name) is not None:
                values[name] = duration(given[name])
        if given.get("max_cost") is not None:
            try:
                values["max_cost"] = Decimal(str(given["max_cost"]))
            except InvalidOperation:
                raise ValueError(f"max_cost must be an amount in US dollars, not {given['max_cost']!r}") from None
        return cls(**values)
