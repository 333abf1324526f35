"""The nouns of the engine: steps, what an effect returns, and the three things the host hands in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

Json = Any  # what json.dumps takes


class Kind(StrEnum):
    """What a step is. review, question and final are gates: a person's words are their result."""

    MODEL = "model"
    TOOL = "tool"
    REVIEW = "review"
    QUESTION = "question"
    FINAL = "final"


class Status(StrEnum):
    """intent -> done, failed or in_doubt; in_doubt -> done or failed. A read-only effect is born done or failed."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"


class Safety(StrEnum):
    """What doing an effect again would mean."""

    READ_ONLY = "read_only"
    IDEMPOTENT = "idempotent"
    NEITHER = "neither"


@dataclass(slots=True)
class Step:
    """One recorded effect. (scope, n) is its identity; seq its place in the journal; settled the place of its end.

    ``seq`` and ``settled`` come from one dense counter per run, starting at 1. A step that is born done has
    ``settled == seq``. ``request``, ``result`` and ``error`` are payload; all else is facts.
    """

    scope: str
    n: int
    kind: Kind
    seq: int
    digest: str
    request: Json
    started_at: datetime
    status: Status = Status.INTENT
    settled: int | None = None
    safety: Safety = Safety.READ_ONLY
    name: str = ""  # of the tool or model
    agent: str = ""
    key: str = ""  # idempotency key
    verdict: Json = None  # what the gate's policy said, frozen
    result: Json = None  # for gates: the Decision as JSON
    error: Json = None  # {"type", "message", "stop"}
    attempts: list[Json] = field(default_factory=list)  # [{"started_at", "ended_at", "cause", ...}]
    usage: Json = None  # {"input_tokens", "output_tokens", ...}
    cost: str | None = None  # US dollars as a decimal string; None is unpriced or not applicable
    ended_at: datetime | None = None
    inherited: bool = False
    first_token_at: datetime | None = None  # of the try that answered, where it was streamed
    priced_by: str = ""  # whose prices the cost is by; "" is unpriced or not applicable


@dataclass(slots=True, frozen=True)
class Done:
    """What an effect's body returns: a JSON value and the facts to keep beside it."""

    value: Json
    usage: Json = None
    cost: str | None = None
    attempts: Sequence[Json] = ()
    failed: bool = False  # recorded as failed, yet handed to the team as a value (a tool's error result)
    first_token_at: datetime | None = None
    priced_by: str = ""


@dataclass(slots=True, frozen=True)
class Verdict:
    """What a gate's policy said: allow, deny or require. ``detail`` (the rule, quorum, deadline) is journaled."""

    effect: str
    reason: str = ""
    detail: Json = None

    def facts(self) -> dict[str, Json]:
        """As its step keeps it."""
        return {"effect": self.effect, "reason": self.reason, "detail": self.detail}


@dataclass(slots=True, frozen=True)
class Decision:
    """What came out of a gate. verdict: allow (policy), deny (policy), approve, edit, reject, respond.

    ``arguments`` is set on edit of a tool call, ``answer`` on edit of a message and on respond, ``result`` when an
    effect in doubt is said to have happened.
    """

    verdict: str
    reason: str = ""
    arguments: Json = None
    answer: str | None = None
    result: Json = None
    by: str = ""
    request: str = ""
    at: str = ""
    digest: str = ""  # of the arguments that were approved


@dataclass(slots=True, frozen=True)
class Ask:
    """A gate reached live, as the policy and the approvals see it. kind: tool, message, question, final, in_doubt."""

    scope: str
    n: int
    kind: str
    digest: str
    request: Json
    agent: str = ""
    tool: str = ""
    verdict: Verdict | None = None
    decision: Decision | None = None  # what a person decided before: the effect goes ahead, or went, under it


@dataclass(slots=True, frozen=True)
class Gate:
    """Asks for a gate before an effect, or for one by itself."""

    kind: str  # tool, message, question, final
    request: Json  # what the person is shown; its digest is what the approval binds
    agent: str = ""
    tool: str = ""
    digest_of: Json = None  # the exact arguments; request itself when None


class Journal(Protocol):
    """The record of one run, held under one fencing token. Appends are durable when they return."""

    async def load(self) -> list[Step]:
        """Every step of the run, by seq."""

    async def append(self, step: Step) -> None:
        """Add a step (an intent, or one born settled). Raises Fenced when the token is stale or seq is taken."""

    async def settle(self, step: Step) -> None:
        """Write the end of an open step: status, settled, result, error, usage, cost, attempts, ended_at,
        first_token_at, priced_by.

        Also used to mark it in_doubt (settled stays None), or to renew an intent. Raises Fenced.
        """

    async def keep_late(self, step: Step) -> None:
        """Keep an outcome that came under a stale token as evidence, beside the open step. Never raises Fenced."""


class Gates(Protocol):
    """Oversight, as the engine needs it."""

    async def judge(self, ask: Ask) -> Verdict:
        """What the policy says about a gate reached live for the first time.

        Asked again right before an effect that a person approved (``ask.decision``): only a deny counts then.
        """

    async def announce(self, ask: Ask) -> None:
        """Write the approval request (again is the same request) and tell people."""

    async def decisions(self, asks: Sequence[Ask]) -> list[tuple[Ask, Decision]]:
        """Those of the parked asks that have a decision, in the order in which they were decided."""


class Observer(Protocol):
    """What the live feed wants to know. Called on the loop; must not block or raise.

    A step is opened when it begins live: with ``seq`` 0 while nothing of it is recorded (read-only effects), again when
    it is begun anew. It is settled when its end is durable, or when it is in doubt.
    """

    def step_opened(self, step: Step) -> None: ...
    def step_settled(self, step: Step) -> None: ...
    def chunk(self, scope: str, n: int, attempt: int, text: str) -> None: ...


@dataclass(slots=True, frozen=True)
class Finished:
    """The main coroutine returned."""

    value: Json


@dataclass(slots=True, frozen=True)
class Stopped:
    """The run is over without a result; reason is a stop reason of DESIGN.md."""

    reason: str
    detail: str = ""
    step: tuple[str, int] | None = None


@dataclass(slots=True, frozen=True)
class Suspended:
    """Nothing in flight; the run waits for the parked asks, or until ``wake_after`` has passed, or was asked to let go."""

    parked: tuple[Ask, ...] = ()
    wake_after: timedelta | None = None
    shutdown: bool = False


@dataclass(slots=True, frozen=True)
class Lost:
    """The token is stale: somebody else advances this run now."""


Outcome = Finished | Stopped | Suspended | Lost
