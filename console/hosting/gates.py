"""The engine's Gates, answered by approvals."""

from __future__ import annotations

from collections.abc import Sequence

from approvals import actions as approvals
from console.durable.steps import Ask, Decision, Verdict
from console.hosting.database import Database
from console.runs.models import Run
from console.tenants.scopes import system_scope


class HostGates:
    """Oversight of one claimed run. ``wake_seen`` is the wake counter up to which decisions have been looked at."""

    def __init__(self, database: Database, run: Run, wake_seen: int) -> None:
        self._database = database
        self._run = run
        self.wake_seen = wake_seen

    async def judge(self, ask: Ask) -> Verdict:
        """What the run's revision says; no database is asked."""
        return approvals.judge(self._run, ask)

    async def announce(self, ask: Ask) -> None:
        """Write the approval request and tell people; again is the same request."""
        await self._database.run(_announce, self._run, ask)

    async def decisions(self, asks: Sequence[Ask]) -> list[tuple[Ask, Decision]]:
        """Those of the asks that are decided. The wake counter is read first, so that none is missed in between."""
        self.wake_seen, found = await self._database.run(_decisions, self._run, list(asks))
        return found


def _announce(run: Run, ask: Ask) -> None:
    with system_scope("a worker announces a request"):
        approvals.announce(run.id, ask)


def _decisions(run: Run, asks: list[Ask]) -> tuple[int, list[tuple[Ask, Decision]]]:
    with system_scope("a worker looks for decisions"):
        wake: int = Run.objects.values_list("wake", flat=True).get(pk=run.id)
        return wake, approvals.decisions_for(run.id, asks)
