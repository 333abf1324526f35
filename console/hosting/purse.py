"""The tenant's budget of the day in the hands of one run's turn: see console/runs/spending.py."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError

from console.hosting.database import Database
from console.runs import spending
from console.runs.models import Run
from console.tenants.scopes import system_scope

log = logging.getLogger(__name__)

PAUSES = (0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0)  # seconds between two looks at the day


class Purse:
    """Puts money aside for the model calls of a run that is held under ``token``."""

    def __init__(
        self,
        database: Database,
        run: Run,
        token: int,
        cap: Decimal,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._sleep = sleep
        self._run = run
        self._token = token
        self._cap = cap

    async def reserve(self, cost: Decimal) -> Held:
        """Put ``cost`` aside, or say why that cannot be done."""
        for pause in (*PAUSES, 0.0):
            run = self._run
            found = await self._database.run(_reserve, run.tenant_id, run.id, self._token, self._cap, cost, uuid4())
            if isinstance(found, UUID):
                return Held(self._database, found)
            if not pause or found.spent + cost > self._cap:
                return Held(self._database, None, found.refusal(self._cap, cost))
            # Only what others have set aside stands in the way, and most of that is given back.
            await self._sleep(pause)
        raise AssertionError("the last look returns")


class Held:
    """Money put aside for one call, or the reason why there is none."""

    def __init__(self, database: Database, reservation: UUID | None, refused: str = "") -> None:
        self._database = database
        self._reservation = reservation
        self.refused = refused

    def settle(self, cost: Decimal) -> None:
        """Write what the call has cost, soon. If this worker dies before, what was put aside is charged."""
        if self._reservation is not None:
            self._database.submit(_settle, self._reservation, cost).add_done_callback(_told)


def _reserve(tenant_id: UUID, run_id: UUID, token: int, cap: Decimal, cost: Decimal, made: UUID) -> UUID | spending.Day:
    try:
        with system_scope("a worker puts money aside for a model call"):
            return spending.reserve(tenant_id, run_id, token, cap, cost, made)
    except IntegrityError:
        return made  # it was put aside, and the connection was lost before we heard of it


def _settle(reservation: UUID, cost: Decimal) -> None:
    with system_scope("a worker settles a model call"):
        spending.settle(reservation, cost)


def _told(done: Any) -> None:
    if done.cancelled():
        return
    error = done.exception()
    if error is not None:  # the reservation stays, and is charged when the run is claimed again
        log.error("a model call could not be settled", exc_info=error)
