"""The engine's Gates, answered by approvals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from approvals import actions as approvals
from approvals import rule_sets
from approvals.blocked import blocked
from approvals.models import RequestStatus
from approvals.policy import TenantRules
from console.durable.steps import Ask, Decision, Verdict
from console.hosting.database import Database
from console.hosting.revisions import today
from console.runs.models import Run
from console.tenants.scopes import system_scope


class HostGates:
    """Oversight of one claimed run. ``wake_seen`` is the wake counter up to which decisions have been looked at;
    ``today`` the body of the workflow's current revision where it is not the run's: what it denies is denied here.
    ``rules`` are the tenant's own. ``found`` is what was read with the claim about the gates that were open then, and
    learnt while others were announced: the first look needs no database."""

    def __init__(
        self,
        database: Database,
        run: Run,
        wake_seen: int,
        today: Mapping[str, Any] | None = None,
        found: Mapping[tuple[str, int], Decision | None] | None = None,
        rules: TenantRules | None = None,
    ) -> None:
        self._database = database
        self._run = run
        self._today = today
        self._found = found
        self._rules = rules
        self.wake_seen = wake_seen

    def forget(self) -> None:
        """What was read with the claim is not all there is any more: the next look asks the database."""
        self._found = None

    async def judge(self, ask: Ask) -> Verdict:
        """What the run's revision and the tenant's rules say, and what the current one denies; no database is asked."""
        return approvals.judge(self._run, ask, self._today, self._rules)

    async def announce(self, ask: Ask) -> None:
        """Write the approval request and tell people; again is the same request."""
        if await self._database.run(_announce, self._run, ask) == self.wake_seen:
            # Nobody has decided anything since we looked, and nobody this: asking once more, right before the run is
            # parked, would say so again. Whatever is decided from now on raises the counter, and parking sees that.
            self._found = {**(self._found or {}), (ask.scope, ask.n): None}

    async def decisions(self, asks: Sequence[Ask]) -> list[tuple[Ask, Decision]]:
        """Those of the asks that are decided. The wake counter is read first, so that none is missed in between."""
        known, self._found = self._found, None
        wanted = {(ask.scope, ask.n): ask for ask in asks}
        if known is not None and wanted.keys() <= known.keys():
            # Read under the claim's lock on the run's row, as ``wake_seen`` was: what came later has raised the counter.
            return [(wanted[place], said) for place, said in known.items() if said is not None and place in wanted]
        said = await self._database.run(_decisions, self._run, list(asks))
        self.wake_seen, self._today, self._rules, found = said
        return found


def _announce(run: Run, ask: Ask) -> int | None:
    """The run's wake counter while its row was locked and the request waited; None when it does not wait (any more)."""
    with system_scope("a worker announces a request"):
        request = approvals.announce(run.id, ask, blocked(run.revision.body.get("team") or {}, ask.agent))
        return request.run.wake if request is not None and request.status == RequestStatus.PENDING else None


_Said = tuple[int, Mapping[str, Any] | None, TenantRules | None, list[tuple[Ask, Decision]]]


def _decisions(run: Run, asks: list[Ask]) -> _Said:
    with system_scope("a worker looks for decisions"):
        wake: int
        current: UUID | None
        number: int | None
        wake, current, number = Run.objects.values_list("wake", "workflow__current_id", rule_sets.NUMBER_OF_RUN).get(
            pk=run.id
        )
        rules = rule_sets.numbered(run.tenant_id, number)
        return wake, today(run, current), rules, approvals.decisions_for(run.id, asks)
