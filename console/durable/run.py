"""A run as its team sees it, and the replay of its record.

``Run.effect`` is the only way out. What is recorded is handed back in the order in which it was settled, one at a
time, each when the run has settled after the one before; what is not recorded waits until all of the record has been
handed back, and is then done by ``live``. Live results go through the same single queue, so a replay meets the very
same interleaving as the run that was recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NoReturn

from .bodies import Body, Call
from .digest import digest as digest_of
from .errors import EffectFailed, NotInRun
from .loop import TRACKED, Tracked
from .steps import Ask, Decision, Gate, Json, Kind, Outcome, Safety, Status, Step, Stopped

REVIEW = "/review"  # the scope of a gate before an effect is the effect's own with this behind it
GATES = {Kind.REVIEW, Kind.QUESTION, Kind.FINAL}
KIND_OF_GATE = {"question": Kind.QUESTION, "final": Kind.FINAL}
ENDS = {"terminate": "terminated", "expire": "expired"}  # decisions that end the run, and its stop reason
_DECISION = {field.name for field in fields(Decision)}

__all__ = ["Call", "Run", "Settled", "current"]


@dataclass(slots=True, frozen=True)
class Settled:
    """What became of an effect. Refused at its gate: ``value`` is None and ``decision`` says why."""

    value: Json
    decision: Decision | None = None
    failed: bool = False  # recorded as failed; value is the error result for the team
    by: str = ""  # who said that it happened, and what came of it, where nobody else could know


@dataclass(slots=True, eq=False)
class Pending:
    """An effect or gate that was asked for and has not been answered."""

    scope: str
    n: int
    kind: Kind
    request: Json
    digest: str
    body: Body | None  # None: a gate by itself
    safety: Safety
    name: str
    agent: str
    timeout: timedelta
    key: str
    gate: Gate | None
    gate_digest: str
    future: asyncio.Future[Any]
    own: Step | None = None  # its step, once there is one
    review: Step | None = None  # the step of the gate before it
    decision: Decision | None = None
    ask: Ask | None = None  # what it is parked on
    announced: bool = False
    context: contextvars.Context | None = None  # where its body runs: the asker's, without the run
    over: bool = False
    interruptible: bool = True  # may be cancelled when the run lets go

    @property
    def place(self) -> tuple[str, int]:
        return self.scope, self.n


class Run(Tracked):
    """One advance of one run."""

    __slots__ = (
        "_asked", "_by_place", "_counts", "_deliveries", "_live", "_next", "_now", "_order",
        "_afterwards", "_outcome", "_waiting", "at", "driver", "loop", "main", "models", "run_id", "tools", "torn", "went_live",
    )  # fmt: skip

    def __init__(self, run_id: str, started_at: datetime, models: timedelta, tools: timedelta) -> None:
        super().__init__()
        self.run_id = run_id
        self.models = models  # timeouts, where an effect has none of its own
        self.tools = tools
        self.at = started_at  # wall-clock time of the last record handed to the team
        self._now = started_at
        self.loop = asyncio.get_running_loop()
        self.driver: Any = None  # live.Driver; set by advance
        self.main: asyncio.Task[Json] | None = None
        self.went_live: Callable[[], None] | None = None  # called once, when all of the record is handed back
        self.torn: asyncio.Future[None] | None = None  # set by whoever tears down and waits for the run to settle
        self._outcome: asyncio.Future[Outcome] = self.loop.create_future()
        self._by_place: dict[tuple[str, int], Step] = {}
        self._order: list[Step] = []  # the record, in the order in which it was settled
        self._next = 0  # the next of it to hand back
        self._live = False
        self._asked: dict[tuple[str, int], Pending] = {}
        self._waiting: list[Pending] = []  # asked for, not recorded, in the order asked
        self._deliveries: deque[tuple[Pending, Step]] = deque()  # live results, durable, not yet handed over
        self._counts: dict[str, int] = {}
        self._afterwards: list[Callable[[], None]] = []

    # What a team may use

    @property
    def replaying(self) -> bool:
        """Whether the record has not all been handed back yet."""
        return not self._live

    def now(self) -> datetime:
        """The run's own clock, the same at every replay: its start plus the time its effects took.

        It stands still while a person thinks and while no worker has the run: for time limits. For timestamps there
        is ``at``, the wall-clock time of the last record handed to the team.
        """
        return self._now

    async def effect(
        self,
        scope: str,
        *,
        kind: Kind,
        request: Json,
        body: Body,
        safety: Safety = Safety.READ_ONLY,
        name: str = "",
        agent: str = "",
        timeout: timedelta | None = None,
        key: str | None = None,
        gate: Gate | None = None,
        digest: str | None = None,
    ) -> Settled:
        """Do something to the world, or be told what came of it before.

        ``body`` runs at most once per success, in a task of its own that does not belong to the run; what it returns
        must be plain JSON. ``digest`` stands for ``request`` when the caller has computed it. ``timeout`` bounds the
        body, and is how long an interrupted effect may still be under way. ``key`` is the idempotency key, by default
        made of the run and the step. With ``gate`` the policy, and where it says so a person, is asked first.
        Raises EffectFailed when the effect failed without ending the run. Never returns in a run that is over.
        """
        if timeout is None:
            timeout = self.models if kind is Kind.MODEL else self.tools
        return await self._ask(  # type: ignore[no-any-return]
            Pending(
                scope, self._count(scope), kind, request, digest_of(request) if digest is None else digest, body,
                safety, name, agent, timeout, key or "", gate,
                "" if gate is None else digest_of(gate.request if gate.digest_of is None else gate.digest_of),
                self.loop.create_future(),
            )
        )  # fmt: skip

    async def gate(self, scope: str, gate: Gate) -> Decision:
        """Ask the policy, and where it says so a person, about a message, a question or a final result."""
        digest = digest_of(gate.request if gate.digest_of is None else gate.digest_of)
        return await self._ask(  # type: ignore[no-any-return]
            Pending(
                scope, self._count(scope), KIND_OF_GATE.get(gate.kind, Kind.REVIEW), gate.request, digest, None,
                Safety.READ_ONLY, "", gate.agent, timedelta(0), "", gate, digest, self.loop.create_future(),
            )
        )  # fmt: skip

    async def stop(self, reason: str, detail: str = "") -> NoReturn:
        """End the run with a stop reason, from inside it. Never returns."""
        self.end(Stopped(reason, detail))
        await self._park()

    def afterwards(self, callback: Callable[[], None]) -> None:
        """Have something called when nothing of this advance is left, whatever it came to. It must not raise."""
        self._afterwards.append(callback)

    # Asking

    def _count(self, scope: str) -> int:
        n = self._counts[scope] = self._counts.get(scope, 0) + 1
        return n

    async def _park(self) -> NoReturn:
        # Not raised at once, while there is somebody to cancel it: what swallows cancellations would spin for ever.
        if self.driver is not None:
            await self.loop.create_future()
        raise asyncio.CancelledError

    async def _ask(self, pending: Pending) -> Any:
        if self.closed:
            await self._park()
        place = pending.place
        self._asked[place] = pending
        own = pending.own = self._by_place.get(place)
        if own is not None and (own.digest != pending.digest or own.kind != pending.kind):
            self.diverge(own, "asks for something else than what is recorded")
            await self._park()
        if pending.body is not None and pending.gate is not None:
            review = pending.review = self._by_place.get((pending.scope + REVIEW, pending.n))
            if review is not None:
                self._asked[review.scope, review.n] = pending
                if review.digest != pending.gate_digest:
                    self.diverge(review, "was reviewed with other arguments")
                    await self._park()
        if own is None or own.settled is None:
            context = pending.context = contextvars.copy_context()
            context.run(TRACKED.set, None)
            if self._live:
                self.driver.begin(pending)
            else:
                self._waiting.append(pending)
        answer = await pending.future
        if isinstance(answer, EffectFailed):
            raise answer
        return answer

    # Handing back

    def on_settled(self) -> None:
        """Take the one next thing there is to do. Called whenever the run has settled, or something live has ended."""
        try:
            self._go_on()
        except Exception as error:  # out of here it would reach the loop, and leave the run hanging
            self.fail(error)

    def _go_on(self) -> None:
        if self.closed:
            if self.torn is not None and not self.torn.done():
                self.torn.set_result(None)
            return
        while self.ready == 0 and not self.closed and not (self.main is not None and self.main.done()):
            if self._deliveries:
                self._hand(*self._deliveries.popleft())
            elif self._live:
                self.driver.on_settled()
                return
            elif self._next < len(self._order):
                step = self._order[self._next]
                pending = self._asked.get((step.scope, step.n))
                if pending is None:
                    self.diverge(step, "is recorded and was not asked for")
                    return
                self._next += 1
                self._hand(pending, step)
            else:
                self._go_live()

    def deliver(self, pending: Pending, step: Step) -> None:
        """Queue a step that was settled live, and is durable, for the team."""
        self._deliveries.append((pending, step))

    def _hand(self, pending: Pending, step: Step) -> None:
        self._tick(step)
        if step.kind in GATES:
            decision = decode(step.result)
            if decision.verdict in ENDS:
                self.end(Stopped(ENDS[decision.verdict], decision.reason, (step.scope, step.n)))
            elif pending.body is None:
                self._answer(pending, decision)
            elif decision.verdict in ("approve", "edit"):
                pending.decision = decision
                if self._live and not pending.future.done():  # nobody waits for a call that was cancelled meanwhile
                    self.driver.begin(pending)
            else:
                self._answer(pending, Settled(None, decision))
        elif step.status is Status.DONE:
            self._answer(pending, Settled(step.result, pending.decision, by=_teller(step)))
        elif step.error is None:
            self._answer(pending, Settled(step.result, pending.decision, failed=True))
        elif step.error.get("type") == DENIED:
            self._answer(pending, Settled(None, Decision("deny", step.error["message"], at=step.error["at"])))
        elif step.error.get("stop"):
            self.end(Stopped(step.error["stop"], describe(step.error), (step.scope, step.n)))
        else:
            error = {key: value for key, value in step.error.items() if key != "stop"}
            failed = EffectFailed(error, step.attempts, step.usage, None, step.cost)
            failed.kind, failed.step = step.kind, (step.scope, step.n)
            self._answer(pending, failed)

    def _answer(self, pending: Pending, answer: object) -> None:
        pending.over = True
        if not pending.future.done():  # the team may have stopped waiting
            pending.future.set_result(answer)

    def _tick(self, step: Step) -> None:
        ended = step.ended_at or self.at
        waited = step.kind in GATES or bool(step.attempts and step.attempts[-1].get("cause") == IN_DOUBT)
        if not waited:
            self._now += max(ended - max(step.started_at, self.at), timedelta(0))
        self.at = max(self.at, ended)

    def _go_live(self) -> None:
        for step in self._by_place.values():
            if step.settled is None and (step.scope, step.n) not in self._asked:
                self.diverge(step, "is recorded as begun and was not asked for")
                return
        self._live = True
        if self.went_live is not None:
            self.went_live()
        waiting, self._waiting = self._waiting, []
        for pending in waiting:
            # Nobody waits for a call that was cancelled meanwhile; what was begun must still come to an end.
            if not pending.over and (pending.own is not None or not pending.future.done()):
                self.driver.begin(pending)

    # Ending

    def prime(self, steps: list[Step]) -> None:
        """Take the record. Before anything else."""
        self._by_place = {(step.scope, step.n): step for step in steps}
        self._order = sorted((step for step in steps if step.settled is not None), key=lambda step: step.settled or 0)

    def unasked(self) -> Step | None:
        """The first recorded step that nobody asked for."""
        steps = self._order[self._next :] + [step for step in self._by_place.values() if step.settled is None]
        return next((step for step in steps if (step.scope, step.n) not in self._asked), None)

    def diverge(self, step: Step, why: str) -> None:
        self.end(Stopped("divergence", f"Step {step.seq}, {in_words(step)}, {why}.", (step.scope, step.n)))

    def end(self, outcome: Outcome) -> None:
        """The run is over, for good or for now; the first word counts. Nothing of the team gets further."""
        self.closed = True
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        """The engine's surroundings failed (not the team's): ``advance`` raises ``error``."""
        self.closed = True
        if not self._outcome.done():
            self._outcome.set_exception(error)

    def release(self) -> None:
        """Let go of the record, so that it does not wait for the garbage collector."""
        self.driver = self.main = self.went_live = None
        self._by_place, self._asked, self._order = {}, {}, []
        tasks, self.tasks = self.tasks, []  # the context of each holds the run
        for task in tasks:
            if task.cancelled():
                with contextlib.suppress(asyncio.CancelledError):
                    task.exception()  # takes it out of the task: all that was called down to it hangs on to it
        self._waiting.clear()
        self._deliveries.clear()
        while self._afterwards:
            self._afterwards.pop()()

    @property
    def outcome(self) -> asyncio.Future[Outcome]:
        return self._outcome


DENIED = "Denied"  # error type of an effect that was approved, and refused by the rules of the day at dispatch
IN_DOUBT = "in_doubt"  # cause of an attempt about which a person was asked


def in_words(step: Step) -> str:
    """Which step it is: who did what, and where it stands among its like."""
    what = {Kind.MODEL: "a model call", Kind.TOOL: "a tool call", Kind.REVIEW: "a review"}.get(
        step.kind, f"a {step.kind}"
    )
    name = f" of {step.name}" if step.name else ""
    agent = f" by {step.agent}" if step.agent else ""
    return f"{what}{name}{agent} ({step.scope}#{step.n})"


def _teller(step: Step) -> str:
    """Who said what came of an effect in doubt. Journals of old do not say that the team was told, as it was not."""
    last = step.attempts[-1] if step.attempts else {}
    return str(last.get("by") or "A person") if last.get("told") and last.get("cause") == IN_DOUBT else ""


def describe(error: Json) -> str:
    """An error record in one line."""
    return f"{error.get('type', 'Error')}: {error.get('message', '')}"


def encode(decision: Decision) -> Json:
    """A decision as JSON."""
    return asdict(decision)


def decode(record: Json) -> Decision:
    """The decision in a gate's result. What later versions add is ignored."""
    return Decision(**{key: value for key, value in record.items() if key in _DECISION})


def current() -> Run:
    """The run of this context. Raises NotInRun outside one, and inside the body of an effect."""
    run = TRACKED.get()
    if not isinstance(run, Run):
        raise NotInRun("no run in this context")
    return run
