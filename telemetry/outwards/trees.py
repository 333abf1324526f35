"""What a run's journal comes to as a tree of spans. Plain data in and out; the names are the GenAI conventions' 1.41.

::

    POST /api/v1/runs                 the web's own span (see otlp.py), where the run was started over HTTP
    |-- send runs                     a wake-up into the queue, and "process runs" under it (see console/hops.py)
    `-- invoke_workflow refund-desk   from its first row to its end, weeks later perhaps
        |-- send runs                 a wake-up that no HTTP request sent, likewise
        |-- chat gpt-4o-mini          the team's own model, asked who speaks next
        `-- invoke_agent payer        from its first effect until somebody else has the word
            |-- chat gpt-4o-mini      its tries are events
            |-- sayso.approval        from its request to its decision, with a link to the HTTP request that decided
            `-- execute_tool issue_refund     done after the approval, under another worker or not; linked to it

A step is told when it has settled, agents and the run when the run has ended: a collector has the leaves of a waiting run
before what holds them. A span's id comes of what it is about, so telling again tells the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from console import tracing
from console.durable.run import REVIEW
from console.durable.steps import Kind, Status, Step

Attributes = dict[str, Any]
GATES = (Kind.REVIEW, Kind.QUESTION, Kind.FINAL)
DOUBT = "/doubt"
MOST_EVENTS = 20  # of one span: a model that is tried a hundred times is told of by its last tries
LONGEST = 200  # characters of a name


@dataclass(frozen=True, slots=True)
class Provider:
    """How an agent's model is reached: by the credential that its revision names, as it is now."""

    name: str = ""
    address: str = ""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is told of an approval request. ``decided_trace`` is the HTTP request in which it was decided."""

    id: UUID
    scope: str
    n: int
    kind: str
    status: str
    agent: str
    tool: str
    rule: str
    approvers: int
    created_at: datetime
    decided_at: datetime | None
    verdict: str
    decided_trace: str
    votes: tuple[tuple[datetime, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """A run as it is told. ``before``: the run that it retries or was forked from. ``contents`` by (scope, n): attributes
    with what was said, where the installation has them told."""

    origin: tracing.Origin
    tenant: str
    workflow: str
    revision: int
    status: str
    stop_reason: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    input_tokens: int = 0
    output_tokens: int = 0
    failed: bool = False
    smoke: bool = False
    before: tracing.Origin | None = None
    steps: Sequence[Step] = ()
    requests: Sequence[Request] = ()
    providers: Mapping[str, Provider] = field(default_factory=dict)  # by agent, "*" for any other
    contents: Mapping[tuple[str, int], Attributes] = field(default_factory=dict)


@dataclass(slots=True)
class Span:
    """One span. ``kind``: internal or client. Times are aware; ``error`` is the conventions' error.type."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start: datetime
    end: datetime
    attributes: Attributes
    kind: str = "internal"
    error: str = ""
    state: str = ""
    remote: bool = False  # its parent is another program's
    events: list[tuple[str, datetime, Attributes]] = field(default_factory=list)
    links: list[tuple[tracing.Trace, Attributes]] = field(default_factory=list)


@dataclass(slots=True)
class Turn:
    """An agent has the word: from its first effect until it has none under way and somebody else has one."""

    path: str
    agent: str
    span_id: str
    parent_id: str
    start: datetime
    end: datetime
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tree:
    """``through`` is how far the journal has been told with these spans."""

    spans: list[Span]
    through: int


def tree(facts: Facts, told: int = 0) -> Tree:
    """What is new of a run since ``told``; all of it where that is 0."""
    return Tree(list(_Teller(facts, told).spans()), max((step.settled or 0 for step in facts.steps), default=told))


class _Teller:
    def __init__(self, facts: Facts, told: int) -> None:
        self.facts = facts
        self.told = told
        self.root = facts.origin.span_id("run")
        self.common: Attributes = {"sayso.tenant": facts.tenant, "sayso.run.id": facts.origin.run_id}
        self.turns, self._of = turns(facts)
        self._requests = {(request.scope, request.n): request for request in facts.requests}

    def spans(self) -> Iterator[Span]:
        over = self.facts.ended_at is not None
        for step in self.facts.steps:
            if step.inherited or not (over or step.settled):
                continue
            if step.settled is not None and step.settled <= self.told:
                continue
            if step.kind in GATES:
                yield from self._approvals(step.scope, step.n)
            else:
                yield self._effect(step)
                yield from self._approvals(step.scope + DOUBT, step.n)
        if over:
            yield from (self._turn(turn) for turn in self.turns)
            yield self._run()

    def _span(self, name: str, span_id: str, parent: str, start: datetime, end: datetime | None, **more: Any) -> Span:
        origin = self.facts.origin
        state = origin.asked.state if origin.asked else ""
        end = max(start, end or self.facts.ended_at or start)
        name = name[:LONGEST].strip()
        return Span(name, origin.trace_id, span_id, parent, start, end, {**self.common}, state=state, **more)

    def _effect(self, step: Step) -> Span:
        """A model's answer or a tool's."""
        own = self.facts.origin.span_id("step", step.scope, step.n)
        began = min([step.started_at, *(at for each in step.attempts if (at := _time(each.get("started_at"))))])
        model = step.kind is Kind.MODEL
        name = f"chat {step.name}" if model else f"execute_tool {step.name}"
        span = self._span(name, own, self._parent(step), began, step.ended_at, kind="client" if model else "internal")
        span.attributes |= self._chat(step) if model else _tool(step)
        span.attributes |= {
            "sayso.step.scope": step.scope,
            "sayso.step.n": step.n,
            "sayso.step.status": str(step.status),
        }
        span.attributes |= self.facts.contents.get((step.scope, step.n), {})
        if step.cost is not None:
            span.attributes["sayso.cost.usd"] = float(step.cost)
        causes = [each for each in step.attempts if each.get("cause")]
        for number, each in list(enumerate(causes, 1))[-MOST_EVENTS:]:
            at = _time(each.get("ended_at")) or span.end
            span.events.append(
                ("sayso.attempt", at, {"sayso.attempt.number": number, "error.type": str(each["cause"])})
            )
        if step.status is not Status.DONE:
            last = step.attempts[-1].get("cause") if step.attempts else None
            span.error = "in_doubt" if step.status in (Status.IN_DOUBT, Status.INTENT) else str(last or "_OTHER")
        review = self._requests.get((step.scope + REVIEW, step.n))
        if review is not None:
            place = self.facts.origin.at("approval", review.scope, review.n)
            span.links.append((place, {"sayso.link": "approved by"}))
        return span

    def _chat(self, step: Step) -> Attributes:
        told: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": step.name,
            **self._provider(step.agent),
        }
        usage = step.usage if isinstance(step.usage, dict) else {}
        for ours, theirs in USAGE.items():
            many = usage.get(ours)
            if isinstance(many, int) and not isinstance(many, bool) and many >= 0:
                told[theirs] = many
        answered = step.attempts[-1].get("model") if step.attempts and step.status is Status.DONE else None
        if answered:  # told where there was more than one way to a model
            told["gen_ai.response.model"] = str(answered)
        if step.agent:
            told["gen_ai.agent.name"] = step.agent
        first = getattr(step, "first_token_at", None)
        if first is not None:
            told["gen_ai.request.stream"] = True
            told["gen_ai.response.time_to_first_chunk"] = max(0.0, (first - step.started_at).total_seconds())
        return told

    def _provider(self, agent: str) -> Attributes:
        provider = self.facts.providers.get(agent) or self.facts.providers.get("*") or Provider()
        told: Attributes = {"gen_ai.provider.name": provider.name or "openai"}
        if provider.address:
            told["server.address"] = provider.address
            if provider.port is not None:
                told["server.port"] = provider.port
        return told

    def _approvals(self, scope: str, n: int) -> Iterator[Span]:
        """A wait for a person that is over; where a call was in doubt more than once, each."""
        for request in self.facts.requests:
            again = scope.endswith(DOUBT) and request.scope.startswith(scope + "/")
            if request.n == n and (request.scope == scope or again) and request.status != "pending":
                yield self._approval(request)

    def _approval(self, request: Request) -> Span:
        facts = self.facts
        own = facts.origin.span_id("approval", request.scope, request.n)
        scope = request.scope.partition(DOUBT)[0].removesuffix(REVIEW)
        parent = self._of.get((request.scope, request.n)) or self._of.get((scope, request.n))
        span = self._span(
            "sayso.approval", own, parent.span_id if parent else self.root, request.created_at, request.decided_at
        )
        span.attributes |= {
            "sayso.approval.id": str(request.id),
            "sayso.approval.kind": request.kind,
            "sayso.approval.status": request.status,
            "sayso.approval.wait": (span.end - span.start).total_seconds(),
            "sayso.approval.approvers": request.approvers,
            "sayso.approval.votes": len(request.votes),
        }
        for name, value in (
            ("sayso.approval.verdict", request.verdict),
            ("sayso.approval.rule", request.rule),
            ("gen_ai.agent.name", request.agent),
            ("gen_ai.tool.name", request.tool),
        ):
            if value:
                span.attributes[name] = value[:LONGEST]
        for at, verdict in request.votes[-MOST_EVENTS:]:
            span.events.append(("sayso.vote", at, {"sayso.approval.verdict": verdict}))
        decided = tracing.read(request.decided_trace) if request.decided_trace else None
        if decided is not None:
            span.links.append((decided, {"sayso.link": "decided in"}))
        return span

    def _turn(self, turn: Turn) -> Span:
        span = self._span(f"invoke_agent {turn.agent}", turn.span_id, turn.parent_id, turn.start, turn.end)
        span.attributes |= {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": turn.agent}
        chats = [step for step in turn.steps if step.kind is Kind.MODEL]
        if chats:
            span.attributes |= self._provider(turn.agent)
        for ours in ("input_tokens", "output_tokens"):
            found = [step.usage.get(ours) for step in chats if isinstance(step.usage, dict)]
            if found:
                span.attributes[USAGE[ours]] = sum(many for many in found if isinstance(many, int))
        return span

    def _run(self) -> Span:
        facts = self.facts
        asked = facts.origin.asked
        parent = asked.span_id if asked else ""
        span = self._span(f"invoke_workflow {facts.workflow}", self.root, parent, facts.created_at, facts.ended_at)
        span.remote = asked is not None
        span.attributes |= {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": facts.workflow,
            "gen_ai.usage.input_tokens": facts.input_tokens,
            "gen_ai.usage.output_tokens": facts.output_tokens,
            "sayso.workflow.revision": facts.revision,
            "sayso.run.status": facts.status,
            "sayso.stop_reason": facts.stop_reason,
        }
        if facts.origin.request_id:
            span.attributes["sayso.request.id"] = facts.origin.request_id
        if facts.smoke:
            span.attributes["sayso.smoke_test"] = True
        if facts.started_at is not None:
            span.events.append(("sayso.run.started", facts.started_at, {}))
        if facts.failed:
            span.error = facts.stop_reason
        if facts.before is not None:
            span.links.append((facts.before.at("run"), {"sayso.link": "goes on from"}))
        return span

    def _parent(self, step: Step) -> str:
        turn = self._of.get((step.scope, step.n))
        return turn.span_id if turn is not None else self.root


USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
SPEAKERS = ("selector", "MagenticOneOrchestrator")  # a team's own model, which is no agent


def turns(facts: Facts) -> tuple[list[Turn], dict[tuple[str, int], Turn]]:
    """When which agent had the word, and in which of its turns a step was.

    An agent's turn is over when it has nothing under way and an agent that is not inside it begins something. Whoever is
    inside it (an agent that it calls as a tool) has a turn inside its own.
    """
    open_: dict[str, Turn] = {}
    every: list[Turn] = []
    of: dict[tuple[str, int], Turn] = {}
    for step in sorted(facts.steps, key=lambda step: (step.started_at, step.seq)):
        path = _path(step)
        if step.inherited:
            continue
        for other, turn in list(open_.items()):
            outer = path is not None and (path == other or path.startswith(other + "/"))
            if not outer and all(_over(each, step.started_at) for each in turn.steps):
                del open_[other]
        if path is None:
            continue
        turn = open_.get(path) or _begin(facts, path, step, open_)
        if path not in open_:
            open_[path] = turn
            every.append(turn)
        turn.steps.append(step)
        of[step.scope, step.n] = turn
        turn.start = min(turn.start, step.started_at)
        turn.end = max(turn.end, step.ended_at or facts.ended_at or step.started_at)
    for inner in reversed(every):  # what was inside has not outlived what it was inside of
        for around in every:
            if around.span_id == inner.parent_id:
                around.start, around.end = min(around.start, inner.start), max(around.end, inner.end)
    return every, of


def _begin(facts: Facts, path: str, step: Step, open_: Mapping[str, Turn]) -> Turn:
    around = max((each for each in open_ if path.startswith(each + "/")), key=len, default=None)
    parent = open_[around].span_id if around is not None else facts.origin.span_id("run")
    own = facts.origin.span_id("agent", path, step.scope.removesuffix(REVIEW), step.n)
    return Turn(path, step.agent, own, parent, step.started_at, step.started_at)


def _path(step: Step) -> str | None:
    """Where the agent stands in the team; None for what is the team's own, or a question to a person."""
    if not step.agent or step.agent in SPEAKERS or step.kind in (Kind.QUESTION, Kind.FINAL):
        return None
    parts = step.scope.split("/")
    places = [place for place, part in enumerate(parts) if part == step.agent]
    return "/".join(parts[: places[-1] + 1] if places else parts[:-1]) or None


def _over(step: Step, at: datetime) -> bool:
    return step.settled is not None and step.ended_at is not None and step.ended_at <= at


def _tool(step: Step) -> Attributes:
    told: Attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": step.name,
        "gen_ai.tool.type": "function",
    }
    if step.agent:
        told["gen_ai.agent.name"] = step.agent
    told["sayso.tool.effect"] = str(step.safety)
    return told


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else None
