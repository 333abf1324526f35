"""What runs may take: limits of the tenant, of a workflow in it, and of a revision; the lowest that is set holds.

Nothing is without a limit: where nobody set one, ``DEFAULTS`` hold. A limit above one that is set further up is refused
when it is written; when the upper one is lowered later, it wins without anybody having to write anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_duration

from console.agents.limits import duration
from console.tenants.models import TenantLimits

Json = Any

COUNTS = ("max_turns", "max_tokens", "max_repeats")
TIMES = ("run_timeout", "turn_timeout", "model_timeout", "tool_timeout")
OF_RUN = (*COUNTS, *TIMES, "max_cost")  # of the tenant, a workflow and a revision alike
OF_TENANT = (*OF_RUN, "max_cost_per_day", "max_runs", "starts_per_minute")

DEFAULTS: Mapping[str, Json] = {
    "max_turns": 50,
    "max_tokens": 2_000_000,
    "max_cost": "20.00",
    "max_repeats": 5,
    "run_timeout": "PT1H",
    "turn_timeout": "PT20M",
    "model_timeout": "PT1M",
    "tool_timeout": "PT5M",
    "max_runs": 1000,
    "starts_per_minute": 1200,
}
NAMES = {
    "max_turns": "turns",
    "run_timeout": "machine time of a run",
    "turn_timeout": "one turn of an agent",
    "model_timeout": "one model call",
    "tool_timeout": "one tool call",
    "max_tokens": "tokens of a run",
    "max_cost": "cost of a run",
    "max_repeats": "the same again, in a row",
    "max_cost_per_day": "cost of a day, all runs together",
    "max_runs": "runs at work at once",
    "starts_per_minute": "starts a minute",
}


def faults(value: Json, known: tuple[str, ...] = OF_RUN) -> Iterable[tuple[str, str]]:
    """(path below, message) of everything that is wrong with an object of limits."""
    if not isinstance(value, dict):
        yield "", "must be an object"
        return
    for name, limit in value.items():
        if name not in known:
            yield f".{name}", f"is not known here; there are {', '.join(known)}"
        elif limit is None:
            continue
        elif name in TIMES:
            try:
                duration(limit)
            except (ValueError, OverflowError):
                yield f".{name}", "must be an ISO 8601 duration such as PT30S or PT10M"
        elif name.startswith("max_cost"):
            if not _money(limit):
                yield f".{name}", 'must be an amount of US dollars above 0, such as "2.00"'
        elif isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 10**12:
            yield f".{name}", "must be a whole number from 1 up"


def above(value: Mapping[str, Json], *upper: tuple[str, Mapping[str, Json]]) -> Iterator[tuple[str, str]]:
    """(path below, message) of each limit that is higher than one further up: ``upper`` are (whose, limits)."""
    for name, limit in value.items():
        for whose, limits in upper:
            ceiling = limits.get(name)
            if limit is not None and ceiling is not None and size(limit) > size(ceiling):
                yield f".{name}", f"is above the {whose}'s limit of {ceiling}; lower it, or have that one raised"
                break


def effective(*levels: Mapping[str, Json]) -> dict[str, Json]:
    """What holds for a run: the lowest that any level sets, or the default."""
    found: dict[str, Json] = {}
    for name in OF_RUN:
        given = [level[name] for level in levels if level.get(name) is not None]
        found[name] = min(given, key=size) if given else DEFAULTS[name]
    return found


def of_tenant(tenant_id: UUID) -> dict[str, Json]:
    """The limits that the tenant has set; {} when it has set none. Call inside a scope."""
    found = TenantLimits.objects.filter(tenant_id=tenant_id).values_list("limits", flat=True).first()
    return found or {}


def size(limit: Json) -> Decimal:
    """A limit as a number: seconds, tokens, turns or dollars."""
    try:
        return Decimal(str(limit))
    except InvalidOperation:
        span = parse_duration(str(limit))
        return Decimal(str(span.total_seconds())) if span else Decimal(0)


def _money(value: Json) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return False
    return amount.is_finite() and amount > 0
