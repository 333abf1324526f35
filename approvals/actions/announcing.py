"""How a gate becomes a request, with everything frozen that its card promises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals import agenda, policy, shown
from approvals.actions import standing
from approvals.actions.requests import hours_of, lock_run, plain, shown_for, tell, title_of
from approvals.models import NEVER_DUE, PRESSING, REQUESTS, ApprovalRequest
from approvals.notices import events, outbox
from console import prepared
from console.durable.steps import Ask
from console.runs.models import TERMINAL, Run
from console.tenants import crypto

Json = Any


@transaction.atomic(savepoint=False)  # in its caller's scope: what fails here fails there
def announce(run_id: UUID, ask: Ask, blocks: int = 1) -> ApprovalRequest | None:
    """Write the request of a gate that asks for a person, and tell the queue and the run's page.

    Again is the same request: (run, scope, n) is its identity. None when the run has ended meanwhile. ``blocks`` is how
    many agents cannot go on without it. Call inside a tenant or system scope.
    """
    run = lock_run(run_id)
    if run.status in TERMINAL:
        return None
    now = timezone.now()
    existing, covered = _found(run, ask, now)
    if existing:
        return ApprovalRequest.objects.get(tenant=run.tenant_id, run=run, scope=ask.scope, n=ask.n)
    request = write(run, ask, now, blocks)
    if not (covered and standing.use(request)):
        tell(request, run, ())
        outbox.note(request, run, events.CREATED)
    return request


def write(run: Run, ask: Ask, now: datetime, blocks: int = 1) -> ApprovalRequest:
    """The row of a request that is made at ``now``, with what its verdict demands frozen. Nobody is told of it yet."""
    verdict = ask.verdict or policy.judge(ask, {}, policy.Facts())
    detail = verdict.detail if isinstance(verdict.detail, Mapping) else {}
    planned = agenda.plan(now, detail, hours_of(run.tenant_id) if detail.get("hours") == "business" else None)
    risk = detail.get("risk") or ""
    asked, title, reason = shown_for(ask), plain(title_of(ask, run), 300), plain(verdict.reason, 2000)
    request = ApprovalRequest(
        tenant_id=run.tenant_id,
        run=run,
        workflow_id=run.workflow_id,
        scope=ask.scope,
        n=ask.n,
        kind=ask.kind,
        agent=plain(ask.agent, 200),
        tool=plain(ask.tool, 200),
        risk=risk,
        title=title,
        sealed_request=crypto.seal_json(run.tenant_id, "request", asked),
        digest=ask.digest,
        reason=reason,
        rule=detail.get("rule"),
        started_by_id=run.started_by_id,
        shown_words=shown.words_of(asked, title, reason),
        group=plain(detail.get("group") or "", 100),
        approvers=detail.get("approvers") or 1,
        verdicts=detail.get("verdicts") or [],
        second_for_edit=bool(detail.get("second_for_edit")),
        standing_allowed=detail.get("standing") is not False and not run.probe,
        probe=run.probe,
        due_at=planned.due_at,
        on_expiry=_outcome(ask, detail),
        agenda=planned.agenda,
        next_at=planned.next_at,
        pressing=PRESSING.get(risk, 3),
        falls=planned.due_at or NEVER_DUE,
        blocks=max(1, min(blocks, 999)),
    )
    REQUESTS.insert(request)
    return request


def _found(run: Run, ask: Ask, now: datetime) -> tuple[bool, bool]:
    """Whether the request is there already, and whether anybody may have approved it in advance; see standing.use."""
    with prepared.cursor() as cursor:  # by hand: of most requests neither is true, and the ORM asks for rows, twice
        cursor.execute(
            _FOUND,
            [run.tenant_id, run.pk, ask.scope, ask.n, run.tenant_id, run.workflow_id, plain(ask.tool, 200), now],
        )
        existing, covered = cursor.fetchone()
        return existing, covered


_FOUND = """
    SELECT EXISTS (SELECT 1 FROM approvals_approvalrequest
                   WHERE tenant_id = %s AND run_id = %s AND scope = %s AND n = %s),
           EXISTS (SELECT 1 FROM approvals_standingapproval
                   WHERE tenant_id = %s AND workflow_id = %s AND tool = %s AND revoked_at IS NULL AND expires_at > %s)
"""


def _outcome(ask: Ask, detail: Mapping[str, Json]) -> str:
    """What becomes of it when nobody answers. Only what does no more than read may then be done."""
    wanted = detail.get("on_expiry") or ""
    safety = ask.request.get("safety") if isinstance(ask.request, Mapping) else None
    return "reject" if wanted == "approve" and safety != "read_only" else wanted
