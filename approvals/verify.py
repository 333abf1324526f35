"""Whether what people decided and what runs did are the same story: requests, votes and the audit record against steps.

``faults`` judges one run's requests against its steps, and needs no database; ``verify`` reads and judges many runs,
journals included (see console/runs/verify.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from approvals.actions.requests import contents, decision_contents
from approvals.models import ApprovalRequest, RequestStatus
from console.durable.digest import digest
from console.durable.run import GATES, REVIEW
from console.durable.steps import Kind, Safety, Status
from console.runs import verify as journals
from console.runs.models import TERMINAL, RunStatus
from console.runs.verify import RunFacts, StepFacts
from console.tenants import crypto
from console.tenants.scopes import system_scope

DOUBT = "/doubt"  # a person is asked about an effect in doubt at its scope with this behind it
_ANSWERED = (RequestStatus.DECIDED, RequestStatus.EXPIRED)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is to be known of a request. ``audited`` says that the record holds who decided it."""

    id: UUID | str
    scope: str
    n: int
    kind: str
    status: str
    digest: str
    verdict: str = ""
    decided: bool = False  # decided_at is set
    kept: bool = False  # the decision's words are there
    audited: bool = False
    voters: int = 0  # people whose approval counts
    approvers: int = 1
    standing: bool = False

    def __str__(self) -> str:
        return f"request {self.id} ({self.scope} {self.n})"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it has to be."""

    run: UUID
    tenant: UUID
    says: str


def faults(run: RunFacts, steps: Sequence[StepFacts], requests: Sequence[RequestFacts]) -> list[str]:
    """Where the requests of a run and its journal do not tell the same, a sentence each."""
    found = [*_of_requests(run, requests)]
    if run.smoke or run.probe:
        return found  # nobody is asked in the one, and nothing is done in the other
    return [*found, *_asked(run, steps, requests), *_answered(steps, requests), *_waited_for(run, steps, requests)]


def _of_requests(run: RunFacts, requests: Sequence[RequestFacts]) -> Iterator[str]:
    """That a request's status and what is beside it agree."""
    for request in requests:
        over = run.status in TERMINAL
        if request.status == RequestStatus.PENDING and over:
            yield f"{request} still asks people, and the run is over"
        if request.status == RequestStatus.MOOT and not over:
            yield f"{request} is no longer needed, and the run goes on"
        if request.status == RequestStatus.PENDING and (request.decided or request.verdict):
            yield f"{request} is pending, yet has the verdict {request.verdict or 'nobody gave'}"
        if request.status in _ANSWERED:
            if not (request.decided and request.verdict and request.kept):
                yield f"{request} is {request.status}, and what was decided is not there"
            if not request.audited:
                yield f"{request} is {request.status}, and the audit record says nothing of it"
        if request.status == RequestStatus.DECIDED and request.verdict in ("approve", "edit"):
            if request.voters < request.approvers:
                yield f"{request} takes {request.approvers} people, and {request.voters} said yes"


def _asked(run: RunFacts, steps: Sequence[StepFacts], requests: Sequence[RequestFacts]) -> Iterator[str]:
    """That each request belongs to a step of the run that asked it."""
    places = {(step.scope, step.n): step for step in steps}
    for request in requests:
        if request.kind == "in_doubt":
            step = places.get((request.scope.partition(DOUBT)[0], request.n))
            if step is None or step.safety != Safety.NEITHER:
                yield f"{request} asks about an effect that the journal does not have"
            continue
        step = places.get((request.scope, request.n))
        if step is None:
            yield f"{request} asks for a gate that the journal does not have"
        elif step.digest != request.digest:
            yield f"{request} shows other arguments than {step} stopped with"
        elif step.settled is not None and request.status == RequestStatus.PENDING:
            yield f"{request} is pending, yet {step} has been settled"


def _answered(steps: Sequence[StepFacts], requests: Sequence[RequestFacts]) -> Iterator[str]:
    """That no gate was settled and no effect begun without a person's word for it. What was copied from an older run
    was decided there."""
    places = {(request.scope, request.n): request for request in requests}
    for step in steps:
        if step.inherited:
            continue
        if step.kind in GATES:
            if step.effect != "require" or step.settled is None:
                continue
            request = places.get((step.scope, step.n))
            if request is None or request.status not in _ANSWERED:
                yield f"{step} was settled, and nobody decided it"
        elif step.safety != Safety.READ_ONLY and step.kind == Kind.TOOL:
            request = places.get((step.scope + REVIEW, step.n))
            if request is not None and request.verdict not in ("approve", "edit"):
                yield f"{step} was begun, and {request} was not approved ({request.verdict or request.status})"


def _waited_for(run: RunFacts, steps: Sequence[StepFacts], requests: Sequence[RequestFacts]) -> Iterator[str]:
    """That a run that waits has somebody or some time to wait for."""
    if run.status != RunStatus.WAITING:
        return
    pending = {(request.scope, request.n) for request in requests if request.status == RequestStatus.PENDING}
    doubts = {(scope.partition(DOUBT)[0], n) for scope, n in pending if DOUBT in scope}
    for step in steps:
        if step.settled is None and step.kind in GATES and (step.scope, step.n) not in pending:
            yield f"the run waits at {step}, and nobody is asked about it"
        if step.status == Status.IN_DOUBT and (step.scope, step.n) not in doubts:
            yield f"the run waits for {step}, which is in doubt, and nobody is asked about it"
    if not run.wakes and not pending:
        yield "the run waits, and neither a request nor a time will wake it"


def payload_faults(run: RunFacts) -> list[str]:
    """That what people were shown and said opens, and is what the digest binds. Call inside a system scope."""
    found = []
    for request in ApprovalRequest.objects.filter(tenant=run.tenant_id, run=run.id).order_by("created_at", "id"):
        name = f"request {request.pk} ({request.scope} {request.n})"
        try:
            shown, said = contents(request), decision_contents(request)
        except (crypto.SealError, ValueError) as error:
            found.append(f"{name} cannot be opened: {error}")
            continue
        if request.kind == "tool" and digest(shown.get("arguments")) != request.digest:
            found.append(f"{name} shows other arguments than the approval binds")
        if request.verdict == "approve" and said.get("digest") not in (None, "", request.digest):
            found.append(f"{name} was approved with other arguments than it shows")
    return found


def verify(
    run: UUID | None = None, tenant: UUID | None = None, since: datetime | None = None, payloads: bool = False
) -> Iterator[tuple[int, list[Fault]]]:
    """Judge the runs asked for: after each batch, how many there were in it and what is wrong with them.

    ``payloads`` opens everything sealed, too. Call outside any scope.
    """
    for batch in journals.batches(run, tenant, since, _REQUESTS):
        yield (
            len(batch),
            [Fault(read.run.id, read.run.tenant_id, says) for read in batch for says in _all(read, payloads)],
        )


def _all(read: journals.Read, payloads: bool) -> list[str]:
    found = journals.faults(read.run, read.steps)
    found += faults(read.run, read.steps, [RequestFacts(**each) for each in read.more])
    if payloads:
        with system_scope("verifying what journals say"):
            found += journals.payload_faults(read.run) + payload_faults(read.run)
    return found


_REQUESTS = """
SELECT json_agg(json_build_object(
    'id', q.id, 'scope', q.scope, 'n', q.n, 'kind', q.kind, 'status', q.status, 'digest', q.digest, 'verdict', q.verdict,
    'decided', q.decided_at IS NOT NULL, 'kept', q.sealed_decision IS NOT NULL, 'approvers', q.approvers,
    'standing', q.standing_id IS NOT NULL,
    'voters', (SELECT COUNT(DISTINCT v.voter_id) FROM approvals_vote v
               WHERE v.tenant_id = q.tenant_id AND v.request_id = q.id AND NOT v.voided
                 AND v.verdict IN ('approve', 'edit')),
    'audited', EXISTS (SELECT 1 FROM audit_auditrecord a WHERE a.tenant_id = q.tenant_id AND a.object_type = 'request'
                       AND a.object_id = q.id::text AND a.action IN ('request.decided', 'request.expired'))))
FROM approvals_approvalrequest q WHERE q.tenant_id = r.tenant_id AND q.run_id = r.id
"""
