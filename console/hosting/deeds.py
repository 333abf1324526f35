"""The ledger of deeds in the hands of one run's turn: see console/runs/ledger.py."""

from __future__ import annotations

import logging
from uuid import UUID

from console.agents.deeds import Deed, Found
from console.durable.steps import Json
from console.hosting.database import Database
from console.runs import ledger
from console.runs.models import Run
from console.tenants.scopes import system_scope

log = logging.getLogger(__name__)


class RunLedger:
    """The tenant's deeds, for a run that is held under ``token``. ``first`` is where its retries began."""

    def __init__(self, database: Database, run: Run, token: int, first: UUID) -> None:
        self._database = database
        self._run = run
        self._token = token
        self._first = first

    def key(self, scope: str, action: str) -> str:
        """The deed's idempotency key."""
        return ledger.key_of(self._run.tenant_id, self._scope(scope), action)

    async def begin(self, deed: Deed, sure: bool) -> Found:
        """Take the deed, if it may be done. Raises Fenced, and what the database raises when it stays away."""
        return await self._database.run(_begin, self._run, self._token, self._scope(deed.scope), deed, sure)

    async def end(self, deed: Deed, status: str, result: Json = None) -> None:
        """Say what came of it. If that cannot be written, the deed's step says it."""
        try:
            if not await self._database.run(_end, self._run, self._scope(deed.scope), deed, status, result):
                log.warning("run %s: the deed of %s#%s is another's by now", self._run.id, deed.step, deed.n)
        except Exception:
            log.exception("run %s: what came of %s#%s is not in the ledger", self._run.id, deed.step, deed.n)

    def _scope(self, kind: str) -> str:
        return ledger.scope_of(kind, self._first, self._run.topic_source)


def _begin(run: Run, token: int, scope: str, deed: Deed, sure: bool) -> Found:
    with system_scope("a worker begins a deed that is done once"):
        return ledger.begin(run, token, scope, deed, sure)


def _end(run: Run, scope: str, deed: Deed, status: str, result: Json) -> bool:
    with system_scope("a worker has done a deed"):
        return ledger.end(run, scope, deed, status, result)
