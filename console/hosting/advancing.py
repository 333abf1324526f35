"""One run's turn in this process: claim it, rebuild it, let the engine advance it, and let go of it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from structlog.contextvars import bind_contextvars

from approvals import actions as approvals
from approvals import rule_sets
from approvals.policy import TenantRules
from console import prepared, tracing
from console.agents.breakers import Breakers
from console.agents.clients import Clients
from console.agents.pacing import Pace
from console.agents.team import run_team
from console.durable import engine
from console.durable.errors import Fenced
from console.durable.failpoints import hit
from console.durable.run import Run as EngineRun
from console.durable.steps import Decision, Finished, Json, Lost, Outcome, Step, Stopped, Suspended
from console.hosting import lending
from console.hosting.clock import Clock
from console.hosting.database import Database
from console.hosting.deeds import RunLedger
from console.hosting.gates import HostGates
from console.hosting.pricing import PriceLists
from console.hosting.purse import Purse
from console.hosting.rehearsal import Rehearsal, StandIn
from console.hosting.revisions import revision as _revision
from console.hosting.revisions import today, tools
from console.hosting.watching import Watcher
from console.runs import actions, feed, ledger, record, spending, totals
from console.runs.journal import PostgresJournal
from console.runs.models import Run
from console.runs.told import step_payload
from console.runs.writer import JournalError, Writer
from console.tenants import crypto
from console.tenants.scopes import system_scope
from console.workflows import prices, registry, smoke
from console.workflows.prices import PriceTable
from console.workflows.reasons import StopReason
from console.workflows.registry import Registry

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Means:
    """What every turn in this process shares."""

    name: str  # of the worker: who holds the lease
    database: Database
    writer: Writer
    clients: Clients
    breakers: Breakers
    ephemeral: Callable[[str, str, dict[str, Any]], None]
    prices: PriceLists


@dataclass(slots=True)
class Claimed:
    """A run under our lease, with everything that rebuilding it takes. ``fault`` says why it cannot be rebuilt."""

    run: Run
    token: int
    wake: int
    clock: Clock
    steps: list[Step] = field(default_factory=list)
    told: int = -1
    today: Mapping[str, Any] | None = None
    rules: TenantRules | None = None  # the tenant's own
    decided: dict[tuple[str, int], Decision | None] = field(default_factory=dict)  # about the gates that are open
    task: Json = None
    keys: dict[str, lending.Key] = field(default_factory=dict)
    case: Mapping[str, Any] | None = None  # of the smoke test that the run is part of
    tools: Registry | None = None  # where the team needs more than the code's own
    cap: Decimal | None = None  # US dollars that the tenant may spend today
    prices: PriceTable = prices.NO_LIST
    first: UUID | None = None  # the run that this one's retries began with, where it is another
    fault: str = ""


class Turn:
    """A claimed run in the hands of this process. All of it happens on the loop."""

    def __init__(self, means: Means, claimed: Claimed) -> None:
        self._means = means
        self._claimed = claimed
        self.run_id = claimed.run.id
        self.token = claimed.token
        self.handle = engine.Handle(self._went_live)
        self._resumed: float | None = None  # seconds from the claim until all of the record was handed back
        given = (means.database, claimed.run, claimed.wake, claimed.today, claimed.decided, claimed.rules)
        self.gates = HostGates(*given) if claimed.case is None else StandIn(claimed.case, *given)
        # Neither of the two holds the turn: it would hold itself, and all that it has read would wait for the collector.
        read, heard = functools.partial(_read, claimed), functools.partial(_heard, means, claimed.run.id)
        self.journal = PostgresJournal(
            means.writer, claimed.run.id, claimed.run.tenant_id, claimed.token, read, means.name, heard
        )
        self._watcher = Watcher(self.journal, means.ephemeral, claimed.told)
        self._timed_out = False
        self._lent: lending.Lent | None = None
        self._origin = tracing.origin(claimed.run.id, claimed.run.trace_context, claimed.run.request_id)

    def seen(self, wake: int, cancel: bool) -> None:
        """What a look at the run's row said: decisions may have come, or it is to be cancelled."""
        if cancel:
            self.handle.cancel()
        elif wake > self.gates.wake_seen:
            self.gates.forget()
            self.handle.poke()

    async def take(self) -> None:
        """Advance the run as far as it goes, and write what it came to."""
        run = self._claimed.run
        self._say_who()
        self.journal.tell("status", actions.status_payload(run))
        try:
            outcome = await self._advance()
            await self.journal.flush()
        except Fenced:
            outcome = Lost()
        except JournalError as error:
            outcome = Stopped("tool_error", f"A step could not be recorded. {error}")
        finally:
            self._watcher.close()
        await self._let_go(outcome)

    async def _advance(self) -> Outcome:
        run = self._claimed.run
        if self._claimed.fault:
            return Stopped("invalid_input", self._claimed.fault)
        if run.cancel_requested:
            return Stopped("cancelled")
        timer = None
        if run.deadline_s is not None:
            left = run.deadline_s - run.active_s
            timer = asyncio.get_running_loop().call_later(max(left, 0), self._time_out, context=contextvars.Context())
        try:
            outcome = await engine.advance(
                self._main,
                run_id=str(run.id),
                journal=self.journal,
                gates=self.gates,
                clock=self._claimed.clock,
                observer=self._watcher,
                handle=self.handle,
                started_at=run.started_at,
            )
        finally:
            if timer is not None:
                timer.cancel()
        if isinstance(outcome, Stopped) and outcome.reason == "divergence":
            return replace(outcome, detail=outcome.detail + _since(run))
        if self._timed_out and isinstance(outcome, Stopped) and outcome.reason == "cancelled":
            return Stopped("timeout", f"The run worked for more than the {run.deadline_s:g} s that it may.")
        return outcome

    async def _main(self, run: EngineRun) -> Json:
        claimed = self._claimed
        self._say_who()  # again: the run has a context of its own, which its effects take over
        tracing.RUN.set(self._origin)
        body = claimed.run.body
        if claimed.run.limits:
            body = {**body, "limits": claimed.run.limits}
        purse = None
        if claimed.cap is not None:
            purse = Purse(self._means.database, claimed.run, claimed.token, claimed.cap).reserve
        deeds = RunLedger(self._means.database, claimed.run, claimed.token, claimed.first or claimed.run.id)
        tenant_id = claimed.run.tenant_id
        lists = functools.partial(self._means.prices.of, tenant_id)
        means = (self._means.clients, self._means.breakers, tenant_id, purse, claimed.tools, deeds, lists)
        lent = lending.Lent(body, claimed.keys, *means)
        if claimed.case is not None:
            lent = Rehearsal(claimed.case, body, claimed.keys, *means)
        self._lent = lent
        try:
            told = self._watcher.message
            # By the turn's clock: a try must lie within its step, whatever this machine takes the time to be.
            pace = Pace(clock=claimed.clock)
            return await run_team(run, body=body, task=claimed.task, environment=lent, emit=told, pace=pace)
        except (ValueError, KeyError, TypeError, ImportError) as error:
            if self.journal.steps:
                raise  # the team had begun: the engine says what went wrong
            await run.stop("invalid_input", f"The team cannot be built: {type(error).__name__}: {error}")

    def _went_live(self) -> None:
        self._resumed = self._claimed.clock.worked

    def _say_who(self) -> None:
        """Have every line that is logged from here on name the run."""
        run = self._claimed.run
        known = {"request_id": run.request_id} if run.request_id else {}
        bind_contextvars(tenant=run.tenant.slug, run=str(run.id), **known)

    def _time_out(self) -> None:
        self._timed_out = True
        self.handle.cancel()

    async def _let_go(self, outcome: Outcome) -> None:
        broken_off = Decimal(0) if self._lent is None else self._lent.broken_off_cost
        if isinstance(outcome, Lost):
            log.info("run %s is advanced by somebody else now, or was ended by a person", self.run_id)
            if broken_off:
                await self._means.database.run(_charge, self._claimed.run, self.token, broken_off)
            return
        hit("before_let_go")
        clock = self._claimed.clock
        ended = await self._means.database.run(
            _write_outcome,
            self._claimed.run,
            self.token,
            self.gates.wake_seen,
            outcome,
            self._totals(),
            clock(),
            broken_off,
        )
        hit("after_let_go")
        if not ended:
            log.info("run %s was taken over, or ended by a person", self.run_id)

    def _totals(self) -> totals.Totals:
        worked = self._claimed.clock.worked
        resumed = 0.0
        if self._claimed.steps:  # without a record there was nothing to come back to
            resumed = worked if self._resumed is None else self._resumed
        return replace(totals.of(self.journal.steps.values()), worked_s=worked, resumed_s=resumed)


async def _read(claimed: Claimed) -> list[Step]:
    return claimed.steps


async def _heard(means: Means, run_id: UUID, step: Step) -> None:
    log.warning("run %s: what came of %s#%s was heard too late to be recorded", run_id, step.scope, step.n)
    try:
        await means.database.run(_tell_late, run_id, step.scope, step.n)
    except Exception:  # it is kept; only screens that are open now do not hear of it
        log.exception("run %s: nobody could be told", run_id)


async def claim(means: Means, run_id: str) -> Turn | None:
    """Claim a run; None when it is not there to be claimed: somebody has it, it waits, or it is over."""
    claimed = await means.database.run(_claim, run_id, means.name)
    if claimed is None:
        return None
    means.prices.seen(claimed.run.tenant_id, claimed.prices)
    hit("after_claim")
    return Turn(means, claimed)


def _claim(run_id: str, owner: str) -> Claimed | None:
    with system_scope("a worker claims a run"):
        claim = actions.claim(run_id, owner)
        if claim is None:
            return None
        run, clock = claim.run, Clock(_leased(claim.run))
        run.revision = _revision(run.revision_id)
        run.workflow, run.tenant = run.revision.workflow, run.revision.tenant
        claimed = Claimed(run, claim.token, claim.wake, clock)
        try:
            crypto.warm(run.tenant_id)
            claimed.steps = record.steps(run.id)
            clock.follow(claimed.steps)
            claimed.task = crypto.unseal_json(run.tenant_id, "run.input", bytes(run.sealed_input))
            claimed.first = ledger.origin(run)
            claimed.keys = lending.keys_for(run.tenant_id, run.revision.body)
            if run.smoke_test_id is not None:
                claimed.case = smoke.case_for(run.smoke_test_id, run.smoke_case)
        except (crypto.SealError, ValueError, LookupError) as error:
            claimed.fault = f"What the run was given cannot be read: {type(error).__name__}: {error}"
        claimed.told, current, cap, left, off, number, listed = _about(run)
        claimed.tools = registry.pinned(run.tenant_id, tools(run.revision_id), off)
        claimed.cap = None if cap is None else Decimal(str(cap))
        if left:
            spending.charge(run.id, claim.token)
        claimed.today = today(run, current)
        claimed.rules = rule_sets.numbered(run.tenant_id, number)
        claimed.prices = prices.numbered(run.tenant_id, listed)
        # With the claim, because the decision that woke the run is what a resume looks for next.
        waiting = [(step.scope, step.n) for step in claimed.steps if step.settled is None]
        claimed.decided = {**approvals.decided(run.id, waiting)}
        claimed.decided.update((place, None) for place in waiting if place not in claimed.decided)
        return claimed


def _about(run: Run) -> tuple[int, UUID | None, Any, bool, bool, int | None, int | None]:
    """How many of its messages the feed has told, as the last index; the revision that new runs would take; what the
    tenant may spend a day; whether an earlier worker left money put aside; whether the tenant has revoked tools; the
    number of its own rules; and that of its own prices."""
    with prepared.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(MAX(index), -1), (SELECT current_id FROM workflows_workflow WHERE id = %s),"
            " (SELECT limits ->> 'max_cost_per_day' FROM tenants_tenantlimits WHERE tenant_id = %s),"
            " EXISTS (SELECT 1 FROM runs_reservation WHERE run_id = %s),"
            " EXISTS (SELECT 1 FROM workflows_tool WHERE tenant_id = %s AND revoked_at IS NOT NULL),"
            " (SELECT MAX(number) FROM approvals_ruleset WHERE tenant_id = %s),"
            " (SELECT MAX(number) FROM workflows_pricelist WHERE tenant_id = %s)"
            " FROM runs_feedevent WHERE topic = %s AND kind = 'message'",
            [run.workflow_id, run.tenant_id, run.id, *[run.tenant_id] * 3, feed.run_topic(run.id)],
        )
        told, current, cap, left, off, number, listed = cursor.fetchone()
        return told, current, cap, left, off, number, listed


def _write_outcome(
    run: Run, token: int, wake_seen: int, outcome: Outcome, used: totals.Totals, now: datetime, broken_off: Decimal
) -> bool:
    with system_scope("a worker lets go of a run"):
        spending.broke_off(run.id, token, broken_off)
        if isinstance(outcome, Suspended):
            if outcome.shutdown:
                return actions.release(run.id, token, used)
            wake_at = now + outcome.wake_after if outcome.wake_after is not None else None
            return actions.park(run.id, token, wake_seen, wake_at, used, for_person=bool(outcome.parked))
        reason, detail, result = _end(outcome)
        return approvals.finish_run(run.id, token, reason.about.status, reason, detail, result, used)


def _charge(run: Run, token: int, broken_off: Decimal) -> None:
    with system_scope("a worker charges what it broke off"):
        spending.broke_off(run.id, token, broken_off)


def _tell_late(run_id: UUID, scope: str, n: int) -> None:
    with system_scope("a worker has heard late what came of a call"):
        run = Run.objects.only("tenant_id").get(pk=run_id)
        for step in record.steps(run_id, payload=False):
            if (step.scope, step.n) == (scope, n):
                feed.publish(run.tenant_id, feed.run_topic(run_id), "late", step_payload(step))
        approvals.heard_late(run_id, scope, n)


def _end(outcome: Outcome) -> tuple[StopReason, str, Json]:
    """The stop reason, AutoGen's own words or what happened, and the result."""
    if isinstance(outcome, Finished):
        value = outcome.value if isinstance(outcome.value, dict) else {}
        return _reason(value.get("stop_reason", "completed")), str(value.get("stop_detail") or ""), value.get("result")
    if isinstance(outcome, Stopped):
        return _reason(outcome.reason), outcome.detail, None
    raise TypeError(f"{outcome!r} is no end of a run")


def _since(run: Run) -> str:
    """What has changed since the run began, where that may be why it diverges."""
    here = actions.autogen_version()
    if run.autogen_version in ("", here):
        return ""
    return f" The run began with AutoGen {run.autogen_version}, and this worker has {here}."


def _reason(word: str) -> StopReason:
    try:
        return StopReason(word)
    except ValueError:
        log.error("unknown stop reason %r", word)
        return StopReason.TOOL_ERROR


def _leased(run: Run) -> datetime:
    assert run.leased_at is not None  # noqa: S101  # by the claim
    return run.leased_at
