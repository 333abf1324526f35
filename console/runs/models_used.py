"""Which models a tenant's newest runs have asked, and what each costs now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from console.workflows.prices import PriceTable, Rate, Rates

DAYS = 30
RUNS = 2_000  # the newest of that time: a tenant with millions asks no other models before them


@dataclass(frozen=True, slots=True)
class Used:
    """A model, as often as it was asked; ``rates`` is None where nobody knows its price."""

    model: str
    calls: int
    rates: Rates | None

    def out(self) -> dict[str, Any]:
        """In words, for page and API alike."""
        rates = self.rates
        return {
            "model": self.model,
            "calls": self.calls,
            "input": words(rates.input) if rates else None,
            "output": words(rates.output) if rates else None,
            "cached": words(rates.cached) if rates and rates.cached else None,
            "by": rates.by if rates else "",
        }


def of(tenant_id: UUID, table: PriceTable) -> list[Used]:
    """Those without a price first, then by how often they were asked. Call inside a scope."""
    with connection.cursor() as cursor:
        cursor.execute(_USED, [tenant_id, DAYS, RUNS])
        found = [Used(model, calls, table.rates(model)) for model, calls in cursor.fetchall()]
    return sorted(found, key=lambda used: (used.rates is not None, -used.calls, used.model))


def words(rate: Rate) -> str:
    """``3``, or ``3, from 200,000 tokens on 6``."""
    tiers = [f"from {start:,} tokens on {_plain(price)}" for start, price in rate.tiers]
    return ", ".join([_plain(rate.base), *tiers])


def _plain(amount: Any) -> str:
    return format(amount.normalize() + 0, "f")


# The model that answered: a fallback is named in the last try.
_USED = """
    SELECT COALESCE(s.attempts -> -1 ->> 'model', s.name) AS model, COUNT(*)
    FROM (SELECT id FROM runs_run WHERE tenant_id = %s AND created_at > now() - %s * interval '1 day'
          ORDER BY created_at DESC, id DESC LIMIT %s) AS r
    JOIN runs_step s ON s.run_id = r.id AND s.kind = 'model' AND NOT s.inherited
    GROUP BY 1 ORDER BY 2 DESC LIMIT 200
"""
