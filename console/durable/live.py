"""Effects and gates that are not in the record: done, recorded, queued for the team.

Every effect has one task, in a context without the run. It writes the journal before anybody may see the outcome, and
the writes of one run are made one after the other, because their places are dense.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from . import doubt
from .bodies import Call, attempt
from .book import Book
from .digest import digest as digest_of
from .failpoints import hit
from .flight import Flight
from .run import DENIED, ENDS, IN_DOUBT, REVIEW, Pending, Run, encode
from .steps import (
    Ask,
    Decision,
    Gates,
    Json,
    Kind,
    Safety,
    Status,
    Step,
    Stopped,
    Suspended,
    Verdict,
)

log = logging.getLogger(__name__)


class Driver:
    """The live side of one advance."""

    __slots__ = (
        "_book", "_chunk", "_clock", "_consulted", "_cooling", "_gates", "_parked", "_poked", "_run", "_stall", "_stalled",
        "flight",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        book: Book,
        gates: Gates,
        clock: Callable[[], datetime],
        chunk: Callable[[str, int, int, str], None] | None,
        stall: float,
        grace: float,
    ) -> None:
        self._run = run
        self._book = book
        self._gates = gates
        self._clock = clock
        self._chunk = chunk
        self._parked: dict[tuple[str, int], Pending] = {}  # by the place of the ask
        self._cooling: list[Pending] = []  # intents of a dead worker that may still be under way
        self._poked = False  # decisions may have arrived
        self._consulted = False  # asked for decisions, and nothing has happened since
        self._stall = stall
        self._stalled: asyncio.TimerHandle | None = None
        self.flight = Flight(run, book, grace)

    # Beginning and ending tasks

    def begin(self, pending: Pending) -> None:
        """Do an effect or open a gate that the record does not answer."""
        step = pending.own
        review = pending.review
        if pending.body is None and step is not None:
            self._reopen(pending, step, step.verdict)
        elif step is None and review is not None and review.settled is None:
            self._reopen(pending, review, review.verdict)
        elif step is not None and step.status is Status.IN_DOUBT and doubt.asked_about(step):
            self._park(pending, doubt.question(step, pending.gate, pending.decision))
            self._poked = True
        elif step is not None:
            self._cooling.append(pending)  # looked at when the run has settled
        else:
            self.flight.start(self._perform(pending), pending)

    def let_go(self) -> None:
        """Begin nothing any more, and cut off what is read-only and has not come to anything yet."""
        self._book.ending = True
        if self._stalled is not None:
            self._stalled.cancel()
        self.flight.interrupt()

    # Settled

    def poke(self) -> None:
        """Decisions may have arrived."""
        self._poked = True
        if self._run.ready == 0:
            self._run.on_settled()

    def on_settled(self) -> None:
        """The run has settled live, and nothing is queued for it."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        wake: timedelta | None = None
        for pending in list(self._cooling):
            step = pending.own
            assert step is not None  # noqa: S101
            left = pending.timeout - (self._clock() - step.started_at)
            if left > timedelta(0):
                wake = left if wake is None else min(wake, left)
                continue
            self._cooling.remove(pending)
            again = step.safety is Safety.IDEMPOTENT
            self.flight.start(
                self._again(pending, "worker_lost") if again else self._doubtful(pending, doubt.UNHEARD), pending
            )
        quiet = not self.flight
        if self._parked and (self._poked or (quiet and not self._consulted)):
            if not self.flight.consults:  # one consultation at a time
                self.flight.start(self._consult(), None)
        elif quiet and (self._parked or self._cooling):
            parked = tuple(pending.ask for pending in self._parked.values() if pending.ask is not None)
            self._run.end(Suspended(parked, wake))
        elif quiet:
            # The team waits for something that is no effect. A lock it shares with another run may still open.
            self._stalled = self._run.loop.call_later(self._stall, self._stuck, context=contextvars.Context())

    def _stuck(self) -> None:
        self._run.end(Stopped("tool_error", "the team waits for something that is no effect, and would wait for ever"))

    # Effects

    async def _perform(self, pending: Pending) -> None:
        verdict: Verdict | None = None
        if pending.gate is not None:
            ask = self._ask_of(pending, decision=pending.decision)
            verdict = await self._gates.judge(ask)
            if pending.decision is None:
                if verdict.effect != "allow" or pending.body is None:
                    await self._gate(pending, ask, verdict)
                    return
            elif verdict.effect == "deny":
                # Approved, but the rules of the day refuse it: they win.
                now = self._clock()
                error = {"type": DENIED, "message": verdict.reason, "stop": None, "at": now.isoformat()}
                step = self._step(pending, now, verdict)
                await self._close(pending, step, Status.FAILED, error=error)
                return
        if self._book.ending:
            return
        step = self._step(pending, self._clock(), verdict)
        if pending.safety is not Safety.READ_ONLY:
            hit("before_intent")
            pending.interruptible = False
            if not await self._book.open(step):
                return
            hit("after_intent")
        pending.own = step
        self._book.opened(step)
        await self._execute(pending, step)

    async def _again(self, pending: Pending, cause: str, **told: Json) -> None:
        """Do an effect again whose intent is in the journal: the same step, begun anew."""
        step = pending.own
        assert step is not None  # noqa: S101
        now = self._clock()
        step.attempts = [
            *step.attempts,
            {"started_at": step.started_at.isoformat(), "ended_at": now.isoformat(), "cause": cause, **told},
        ]
        step.started_at = now
        step.status, step.error = Status.INTENT, None
        pending.interruptible = False
        if cause == IN_DOUBT:
            hit("before_decision_recorded")
        await self._book.rewrite(step)
        hit("after_decision_recorded" if cause == IN_DOUBT else "after_intent")
        await self._execute(pending, step, cause)

    async def _execute(self, pending: Pending, step: Step, again: str = "") -> None:
        assert pending.body is not None  # noqa: S101
        arguments = pending.decision.arguments if pending.decision and pending.decision.verdict == "edit" else None
        call = Call(pending.scope, pending.n, step.key, arguments, self._chunk, again)
        pending.interruptible = step.safety is Safety.READ_ONLY
        seconds = pending.timeout.total_seconds()
        tried = await attempt(pending.body, call, seconds, pending.kind is Kind.MODEL, self._letting_go)
        pending.interruptible = False
        hit("after_effect")
        told = tried.done or tried.failed
        if told is not None:
            step.usage, step.cost, step.priced_by = told.usage, told.cost, told.priced_by
        else:
            step.cost, step.priced_by = call.cost, call.priced_by
        step.first_token_at = tried.done.first_token_at if tried.done is not None else None
        tries = list(told.attempts if told is not None and told.attempts else call.attempts)
        if len(tries) < call.attempt and (told is None or step.attempts):
            # The last try is not among them: it was broken off, or the body has nothing to say about its only one.
            began = tries[-1]["ended_at"] if tries else step.started_at.isoformat()
            tries.append({"started_at": began, "ended_at": self._clock().isoformat(), "cause": tried.cause})
        step.attempts = [*step.attempts, *tries]
        if tried.done is not None:
            await self._close(pending, step, Status.FAILED if tried.done.failed else Status.DONE, tried.done.value)
        elif tried.unknown and step.safety is Safety.NEITHER:
            await self._doubtful(pending, tried.error)
        else:
            await self._close(pending, step, Status.FAILED, error=tried.error)

    def _letting_go(self) -> bool:
        return self._book.ending or self._run.closed

    async def _close(
        self, pending: Pending, step: Step, status: Status, result: Json = None, error: Json = None
    ) -> None:
        """Write the end of a step, and queue it for the team."""
        pending.interruptible = False  # half a write is worse than waiting for one
        await self._book.close(step, status, result, error)
        self._consulted = False
        self._run.deliver(pending, step)

    def _step(self, pending: Pending, now: datetime, verdict: Verdict | None) -> Step:
        return Step(
            pending.scope, pending.n, pending.kind, 0, pending.digest, pending.request, now,
            safety=pending.safety, name=pending.name, agent=pending.agent,
            key=pending.key or f"{self._run.run_id}/{pending.scope}#{pending.n}", verdict=verdict.facts() if verdict else None,
        )  # fmt: skip

    # Gates

    def _ask_of(self, pending: Pending, verdict: Verdict | None = None, decision: Decision | None = None) -> Ask:
        gate = pending.gate
        assert gate is not None  # noqa: S101
        scope = pending.scope if pending.body is None else pending.scope + REVIEW
        return Ask(
            scope, pending.n, gate.kind, pending.gate_digest, gate.request, gate.agent, gate.tool, verdict, decision
        )

    async def _gate(self, pending: Pending, ask: Ask, verdict: Verdict) -> None:
        kind = pending.kind if pending.body is None else Kind.REVIEW
        step = Step(
            ask.scope, ask.n, kind, 0, ask.digest, ask.request, self._clock(),
            name=ask.tool, agent=ask.agent, verdict=verdict.facts(),
        )  # fmt: skip
        if pending.body is None:
            pending.own = step
        else:
            pending.review = step
        if verdict.effect in ("allow", "deny"):
            decision = Decision(verdict.effect, verdict.reason, at=step.started_at.isoformat(), digest=ask.digest)
            await self._close(pending, step, Status.DONE, encode(decision))
            return
        pending.interruptible = False
        if not await self._book.open(step):
            return
        self._book.opened(step)
        ask = self._ask_of(pending, verdict)
        await self._announce(pending, ask)
        self._park(pending, ask)

    async def _announce(self, pending: Pending, ask: Ask) -> None:
        hit("before_announce")
        await self._gates.announce(ask)
        hit("after_announce")
        pending.announced = True

    def _park(self, pending: Pending, ask: Ask) -> None:
        pending.ask = ask
        self._parked[ask.scope, ask.n] = pending
        self._consulted = False

    def _reopen(self, pending: Pending, step: Step, verdict: Json) -> None:
        said = None if verdict is None else Verdict(verdict["effect"], verdict["reason"], verdict["detail"])
        self._park(pending, self._ask_of(pending, said))
        self._poked = True  # a decision is the likely reason for being here

    async def _consult(self) -> None:
        """Ask for decisions, record what there is, and make sure that people know of the rest."""
        self._poked = False
        self._consulted = True
        asks = [pending.ask for pending in self._parked.values() if pending.ask is not None]
        for ask, decision in await self._gates.decisions(asks):
            pending = self._parked.get((ask.scope, ask.n))
            if pending is None or self._book.ending:
                continue
            if pending.own is not None and pending.own.status is Status.IN_DOUBT:
                await self._resolve(pending, pending.own, decision)
            else:
                await self._decide(pending, decision)
        for pending in list(self._parked.values()):
            if not pending.announced and pending.ask is not None and not self._book.ending:
                # The worker that opened this gate may have died before it told anybody.
                await self._announce(pending, pending.ask)

    async def _decide(self, pending: Pending, decision: Decision) -> None:
        ask, step = pending.ask, pending.own if pending.body is None else pending.review
        assert ask is not None and step is not None  # noqa: S101
        bound = {ask.digest}
        if decision.verdict == "edit":  # of a tool's arguments, or of a message
            bound |= {digest_of(decision.arguments), digest_of(decision.answer)}
        if decision.verdict in ("approve", "edit") and decision.digest and decision.digest not in bound:
            self._run.diverge(step, "was approved with other arguments than would be executed")
            return
        del self._parked[ask.scope, ask.n]
        hit("before_decision_recorded")
        await self._close(pending, step, Status.DONE, encode(decision))
        hit("after_decision_recorded")

    # Doubt

    async def _doubtful(self, pending: Pending, error: Json) -> None:
        """Nobody here can know whether it happened: ask a person. ``error`` says how it came to that."""
        step = pending.own
        assert step is not None  # noqa: S101
        step.status, step.error = Status.IN_DOUBT, error
        await self._book.rewrite(step)
        ask = doubt.question(step, pending.gate, pending.decision)
        if not self._book.ending:
            await self._announce(pending, ask)
        self._park(pending, ask)

    async def _resolve(self, pending: Pending, step: Step, decision: Decision) -> None:
        ask = pending.ask
        assert ask is not None  # noqa: S101
        told = doubt.told(decision)
        if decision.verdict == "respond" and decision.answer == doubt.DID_NOT:
            del self._parked[ask.scope, ask.n]
            self.flight.start(self._again(pending, IN_DOUBT, **told), pending)
            return
        now = self._clock().isoformat()
        attempt = {"started_at": step.started_at.isoformat(), "ended_at": now, "cause": IN_DOUBT, **told}
        if decision.verdict == "respond" and decision.answer == doubt.HAPPENED:
            result, error, status = decision.result, None, Status.DONE
        elif decision.verdict in ENDS:
            result, status = None, Status.FAILED
            error = {"type": "InDoubt", "message": decision.reason, "stop": ENDS[decision.verdict]}
        else:
            log.error("an effect in doubt cannot be answered with %s %r", decision.verdict, decision.answer)
            return
        del self._parked[ask.scope, ask.n]
        step.attempts = [*step.attempts, attempt]
        hit("before_decision_recorded")
        await self._close(pending, step, status, result, error)
        hit("after_decision_recorded")
