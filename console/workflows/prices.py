"""What models cost: by the tenant's own list, or else by genai-prices, whose data comes with the package.

A list is made in versions that never change; the newest holds for calls that begin after it was made (hosting/pricing.py),
and each step says by whose prices it was priced. A model that neither knows is unpriced: that is not free.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any
from uuid import UUID

from genai_prices import Usage, calc_price
from genai_prices.types import TieredPrices

from console.agents import usage
from console.agents.room import Price
from console.workflows.models import PriceList

Json = Any
MILLION = Decimal(1_000_000)
CENT = Decimal("0.000001")  # of a dollar: what a journal keeps
QUARTER = 900  # seconds for which a price of genai-prices is kept: some change by the time of day


@dataclass(frozen=True, slots=True)
class Rate:
    """US dollars for a million tokens of one kind; ``tiers`` are (tokens asked, price from more than those on)."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, asked: int) -> Decimal:
        """For a call of so many tokens asked."""
        return next((price for start, price in reversed(self.tiers) if asked > start), self.base)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model costs, and by whose list. Without ``cached``, cached tokens cost what any asked cost."""

    by: str
    input: Rate
    output: Rate
    cached: Rate | None = None

    def cost(self, used: Mapping[str, Any]) -> str:
        """US dollars as a decimal string."""
        asked, answered = int(used["input_tokens"]), int(used["output_tokens"])
        cached = min(int(used.get("cached_tokens") or 0), asked) if self.cached is not None else 0
        total = self.input.at(asked) * (asked - cached) + self.output.at(asked) * answered
        if self.cached is not None:
            total += self.cached.at(asked) * cached
        return format((total / MILLION).quantize(CENT, ROUND_HALF_EVEN), "f")


@dataclass(frozen=True)
class PriceTable:
    """The prices of a tenant: what its list says of a model, by its name or the longest beginning of it; or genai-prices'."""

    number: int = 0  # of the list; 0: it has none
    own: Mapping[str, Rates] = field(default_factory=dict)

    def rates(self, model: str) -> Rates | None:
        """None where nobody knows the model."""
        exact = self.own.get(model)
        if exact is not None:
            return exact
        fitting = [name for name in self.own if name.endswith("*") and model.startswith(name[:-1])]
        return self.own[max(fitting, key=len)] if fitting else _published(model, int(time.time() // QUARTER))

    def of(self, model: str, used: Mapping[str, Any]) -> Price | None:
        """What a call has cost; None where nobody knows the model, or what it used."""
        if usage.is_missing(used):
            return None
        rates = self.rates(model)
        return None if rates is None else Price(rates.cost(used), rates.by)


def current(tenant_id: UUID) -> PriceList | None:
    """The list that holds for the tenant's calls now; None while it has made none. Call inside a scope."""
    return PriceList.objects.filter(tenant=tenant_id).order_by("-number").first()


def newest(tenant_id: UUID) -> int:
    """The number of that list, 0 for none. Call inside a scope."""
    found = PriceList.objects.filter(tenant=tenant_id).order_by("-number").values_list("number", flat=True).first()
    return found or 0


def numbered(tenant_id: UUID, number: int | None) -> PriceTable:
    """A tenant's prices by the number of its list; they never change, so a process keeps them. Call inside a scope."""
    return _kept(tenant_id, number) if number else NO_LIST


@lru_cache(maxsize=512)
def _kept(tenant_id: UUID, number: int) -> PriceTable:
    return table(PriceList.objects.select_related("tenant").get(tenant=tenant_id, number=number))


def table(made: PriceList) -> PriceTable:
    """The prices of a list."""
    return PriceTable(made.number, dict(_rates(made.prices, f"{made.tenant.slug} {made.number}")))


NO_LIST = PriceTable()


def _rates(entries: Iterable[Mapping[str, Json]], by: str) -> Iterable[tuple[str, Rates]]:
    for each in entries:
        cached = None if each["cached"] is None else Rate(Decimal(each["cached"]))
        yield each["model"], Rates(by, Rate(Decimal(each["input"])), Rate(Decimal(each["output"])), cached)


@lru_cache(maxsize=2048)
def _published(model: str, quarter: int) -> Rates | None:
    """By genai-prices at that quarter of an hour. Its own reckoning takes ten times as long, and comes to the same."""
    at = datetime.fromtimestamp(quarter * QUARTER, UTC)
    try:
        found = calc_price(Usage(input_tokens=1), model_ref=model, genai_request_timestamp=at).model_price
    except LookupError:
        return None
    asked, answered, cached = (_rate(each) for each in (found.input_mtok, found.output_mtok, found.cache_read_mtok))
    if asked is None or answered is None:  # a price of something else than tokens
        return None
    return Rates(publisher(), asked, answered, cached)


def _rate(given: Any) -> Rate | None:
    if isinstance(given, TieredPrices):
        return Rate(given.base, tuple((tier.start, tier.price) for tier in given.tiers))
    return None if given is None else Rate(given)


@cache
def publisher() -> str:
    """What steps say that were priced by genai-prices."""
    return f"genai-prices {version('genai-prices')}"
