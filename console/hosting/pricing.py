"""Which price list holds for a model call that begins now, without asking the database at each call.

A claim reads the number of the newest list with everything else it reads. While a turn goes on, a process looks again
when it has not for ``LIFE`` seconds, once for all runs of a tenant; lists themselves never change.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

from django.db import DatabaseError

from console.hosting.database import Database
from console.tenants.scopes import system_scope
from console.workflows import prices
from console.workflows.prices import PriceTable

log = logging.getLogger(__name__)

LIFE = 2.0  # seconds for which a number is believed


class PriceLists:
    """The newest lists, as this process knows them. ``seen`` may be called from any thread."""

    def __init__(self, database: Database, steady: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._steady = steady
        self._known: dict[UUID, tuple[float, PriceTable]] = {}

    def seen(self, tenant_id: UUID, table: PriceTable) -> None:
        """This list was the newest just now."""
        known = self._known.get(tenant_id)
        if known is None or table.number >= known[1].number:  # what was read before another, and comes after it, is old
            self._known[tenant_id] = (self._steady(), table)

    async def of(self, tenant_id: UUID) -> PriceTable:
        """The list that holds now."""
        known = self._known.get(tenant_id)
        if known is not None and self._steady() - known[0] < LIFE:
            return known[1]
        try:
            self.seen(tenant_id, await self._database.run(_newest, tenant_id))
        except DatabaseError:
            if known is None:
                raise
            # The call is priced by the list that held a moment ago, and says so; the next one looks again.
            log.warning("the prices of tenant %s could not be looked up; version %d stays", tenant_id, known[1].number)
            return known[1]
        return self._known[tenant_id][1]


def _newest(tenant_id: UUID) -> PriceTable:
    with system_scope("a worker looks up what models cost"):
        return prices.numbered(tenant_id, prices.newest(tenant_id))
