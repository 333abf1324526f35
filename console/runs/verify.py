"""Whether journals are what they have to be, by the facts alone: nothing here believes what the engine meant to write.

``faults`` judges one run and its steps, and needs no database. ``batches`` reads many: a few runs at a time, each batch
by one statement, so that what is judged was true at one moment however busy the system is, and memory stays bounded.

Times are not compared with each other: a machine's clock may be set back, and that breaks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from console.durable.digest import digest
from console.durable.errors import DurableError
from console.durable.run import GATES, REVIEW
from console.durable.steps import Kind, Safety, Status, Step
from console.runs import record
from console.runs.models import TERMINAL, RunStatus
from console.tenants import crypto
from console.tenants.scopes import system_scope
from console.workflows.reasons import StopReason

AT_ONCE = 100  # runs in one batch
_NOWHERE = UUID(int=0)
_SETTLED = (Status.DONE, Status.FAILED)
_YES = ("approve", "edit")
_REASONS = frozenset(map(str, StopReason))
_KINDS, _STATUSES = frozenset(map(str, Kind)), frozenset(map(str, Status))

Json = Any


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is to be known of a run. Times are only asked whether they are there."""

    id: UUID
    tenant_id: UUID
    status: str
    stop_reason: str = ""
    leased: bool = False  # lease_until is set
    owner: str = ""
    ready: bool = False
    wakes: bool = False
    ended: bool = False
    smoke: bool = False
    probe: bool = False


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What is to be known of a step. ``effect`` is what the policy said at its gate: allow, deny, require or nothing."""

    seq: int
    scope: str
    n: int
    kind: str
    status: str
    settled: int | None = None
    ended: bool = False
    safety: str = ""
    effect: str = ""
    digest: str = ""
    inherited: bool = False
    payload: bool = True

    def __str__(self) -> str:
        return f"step {self.seq} ({self.scope} {self.n})"


@dataclass(frozen=True, slots=True)
class Read:
    """A run with its steps, and what ``batches`` was asked for besides."""

    run: RunFacts
    steps: list[StepFacts]
    more: list[dict[str, Json]]


def faults(run: RunFacts, steps: Sequence[StepFacts]) -> list[str]:
    """What is wrong with a run and its journal, a sentence each; empty where all is well."""
    return [*_of_run(run, steps), *_of_places(steps), *_of_steps(run, steps), *_of_gates(steps)]


def _of_run(run: RunFacts, steps: Sequence[StepFacts]) -> Iterator[str]:
    """That the run's status and the columns beside it say the same."""
    over = run.status in TERMINAL
    if over:
        if run.stop_reason not in _REASONS:
            yield f"the run is over and its stop reason is {run.stop_reason or 'missing'}"
        elif StopReason(run.stop_reason).about.status != run.status:
            yield f"the run is {run.status}, which does not go with the stop reason {run.stop_reason}"
        if not run.ended:
            yield "the run is over and nothing says since when"
    elif run.status not in RunStatus.values:
        yield f"the run has the unknown status {run.status}"
    else:
        if run.ended:
            yield f"the run is {run.status}, yet has an end"
        if run.stop_reason:
            yield f"the run is {run.status}, yet has the stop reason {run.stop_reason}"
    if run.status == RunStatus.RUNNING and not (run.leased and run.owner):
        yield "the run is running and no worker holds a lease: nothing will ever take it up again"
    if run.status != RunStatus.RUNNING and (run.leased or run.owner):
        yield f"the run is {run.status}, yet {run.owner or 'somebody'} holds a lease on it"
    if run.status == RunStatus.QUEUED and not run.ready:
        yield "the run is queued and not ready since any time: the sweeper never finds it"
    if run.status != RunStatus.QUEUED and run.ready:
        yield f"the run is {run.status}, yet counts as ready for a worker"
    if run.status != RunStatus.WAITING and run.wakes:
        yield f"the run is {run.status}, yet is to be woken at some time"
    if run.probe and steps:
        yield f"the run is a probe, in which nothing is ever done, and its journal has {len(steps)} steps"
    if (
        not run.probe
        and run.status == RunStatus.WAITING
        and not run.wakes
        and all(step.settled is not None for step in steps)
    ):
        yield "the run waits, and no step of it is open: there is nothing that could wake it"


def _of_places(steps: Sequence[StepFacts]) -> Iterator[str]:
    """That seq and settled come from one dense counter, and no place is taken twice."""
    taken: dict[int, StepFacts] = {}
    for step in steps:
        if step.settled is not None and step.settled < step.seq:
            yield f"{step} ended at place {step.settled}, before it began"
        for place in {step.seq, step.settled} - {None}:
            assert place is not None  # noqa: S101  # taken out just now
            if place in taken:
                yield f"place {place} of the journal is taken twice: by {taken[place]} and by {step}"
            taken[place] = step
    missing = sorted(set(range(1, max(taken, default=0) + 1)) - taken.keys())
    if missing:
        first = ", ".join(map(str, missing[:5]))
        yield f"the journal has a hole: place {first}{' and more' if len(missing) > 5 else ''} is missing"
    seen: set[tuple[str, int]] = set()
    for step in steps:
        if (step.scope, step.n) in seen:
            yield f"{step} is in the journal twice"
        seen.add((step.scope, step.n))


def _of_steps(run: RunFacts, steps: Sequence[StepFacts]) -> Iterator[str]:
    """That a step's kind, status and end agree, and that its payload is there."""
    for step in steps:
        if step.kind not in _KINDS or step.status not in _STATUSES:
            yield f"{step} is of the unknown kind {step.kind} or status {step.status}"
            continue
        done = step.status in _SETTLED
        if done and (step.settled is None or not step.ended):
            yield f"{step} is {step.status}, and its end is not in the journal"
        if not done and (step.settled is not None or step.ended):
            yield f"{step} is {step.status}, yet has an end"
        # What a run that is over left open nobody calls again, be it as harmless as it may: it may have happened.
        if step.status == Status.IN_DOUBT and (
            step.kind in GATES or step.safety not in (Safety.NEITHER, *([Safety.IDEMPOTENT] if run.ended else []))
        ):
            yield f"{step} is in doubt, which only an effect can be that must not be done again"
        if not step.payload:
            yield f"{step} has lost what it said: a replay stops there"


def _of_gates(steps: Sequence[StepFacts]) -> Iterator[str]:
    """That no effect was begun for which a gate was open, closed with a no, or never there."""
    reviews = {(step.scope, step.n): step for step in steps if step.kind == Kind.REVIEW}
    for step in steps:
        if step.kind in GATES:
            continue
        review = reviews.get((step.scope + REVIEW, step.n))
        if review is None:
            if step.effect == "require" and step.safety != Safety.READ_ONLY:
                yield f"{step} needed a person's yes, and no review of it is in the journal"
            elif step.effect == "deny" and step.status == Status.DONE:
                yield f"{step} was done although the rules refused it"
        elif review.settled is None:
            yield f"{step} was begun while {review} was still open"
        elif review.settled > step.seq:
            yield f"{step} was begun before {review} was decided"
        elif review.effect == "deny":
            yield f"{step} was begun although {review} refused it"


def payload_faults(run: RunFacts) -> list[str]:
    """The same of what the steps say, which takes unsealing it: that it opens, that a gate's words fit what was done
    after them, and that requests have the digest they are known by. Call inside a system scope."""
    try:
        steps = record.steps(run.id)
    except crypto.SealError as error:
        return [f"a step of the run cannot be opened: {error}"]
    except (ValueError, DurableError) as error:
        return [f"a step of the run cannot be read: {error}"]
    said = {(step.scope, step.n): step.result for step in steps if step.kind in GATES and isinstance(step.result, dict)}
    found: list[str] = []
    for step in steps:
        name = f"step {step.seq} ({step.scope} {step.n})"
        if step.kind in GATES and step.status is Status.DONE:
            found += [f"{name} {fault}" for fault in _decision(step)]
        decision = said.get((step.scope + REVIEW, step.n))
        if step.kind is Kind.TOOL:
            if decision is not None and decision.get("verdict") not in _YES:
                found.append(f"{name} was begun although the answer at its gate was {decision.get('verdict')}")
            if digest(step.request) != step.digest:
                found.append(f"{name} holds another request than the one whose digest it carries")
    return found


def _decision(step: Step) -> Iterator[str]:
    words: Mapping[str, Json] = step.result if isinstance(step.result, dict) else {}
    verdict = words.get("verdict")
    if not verdict:
        yield "was settled without a verdict"
        return
    bound = {step.digest}
    if verdict == "edit":
        bound |= {digest(words.get("arguments")), digest(words.get("answer"))}
    if verdict in _YES and words.get("digest") and words["digest"] not in bound:
        yield "was approved with other arguments than it shows"


def batches(
    run: UUID | None = None, tenant: UUID | None = None, since: datetime | None = None, more: str = "'[]'::json"
) -> Iterator[list[Read]]:
    """Runs with their steps, by id, ``AT_ONCE`` together: one run, those of a tenant, those made since a time.

    ``more`` is an SQL expression on ``r``, the run, that gives a JSON array. Each batch has a system scope of its own,
    so none holds up the database's housekeeping. Call outside any scope.
    """
    where, values = ["r.id > %s"], []
    for column, value in (("r.id = %s", run), ("r.tenant_id = %s", tenant), ("r.created_at >= %s", since)):
        if value is not None:
            where.append(column)
            values.append(value)
    sql = _READ.format(more=more, where=" AND ".join(where))
    last = _NOWHERE
    while True:
        with system_scope("verifying journals"), connection.cursor() as cursor:
            cursor.execute(sql, [last, *values, AT_ONCE])
            rows = cursor.fetchall()
        if not rows:
            return
        yield [_read(row) for row in rows]
        last = rows[-1][0]


def _read(row: tuple[Any, ...]) -> Read:
    steps = [StepFacts(**each) for each in _json(row[11])]
    return Read(RunFacts(*row[:11]), sorted(steps, key=lambda step: step.seq), _json(row[12]))


def _json(value: Json) -> list[dict[str, Json]]:
    found = json.loads(value) if isinstance(value, (str, bytes)) else value
    return found or []


_READ = """
SELECT r.id, r.tenant_id, r.status, r.stop_reason, r.lease_until IS NOT NULL, r.lease_owner, r.ready_at IS NOT NULL,
       r.wake_at IS NOT NULL, r.ended_at IS NOT NULL, r.smoke_test_id IS NOT NULL, r.probe,
       (SELECT json_agg(json_build_object(
            'seq', s.seq, 'scope', s.scope, 'n', s.n, 'kind', s.kind, 'status', s.status, 'settled', s.settled,
            'ended', s.ended_at IS NOT NULL, 'safety', s.safety, 'effect', COALESCE(s.verdict ->> 'effect', ''),
            'digest', s.digest, 'inherited', s.inherited,
            'payload', EXISTS (SELECT 1 FROM runs_steppayload p WHERE p.run_id = s.run_id AND p.seq = s.seq)))
        FROM runs_step s WHERE s.run_id = r.id),
       ({more})
FROM runs_run r WHERE {where} ORDER BY r.id LIMIT %s
"""
