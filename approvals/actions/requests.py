"""How a gate becomes a request, what a request holds, and how screens hear of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from approvals import calendars, policy
from approvals.errors import TooLate
from approvals.models import REQUESTS, ApprovalRequest, Calendar, RequestStatus, Vote
from console import prepared
from console.durable.steps import Ask, Verdict
from console.runs import feed
from console.runs.models import ROWS, Run
from console.tenants import access, crypto
from console.tenants.access import Actor
from console.workflows.models import Workflow

Json = Any


def judge(
    run: Run, ask: Ask, today: Mapping[str, Json] | None = None, tenant: policy.TenantRules | None = None
) -> Verdict:
    """What the revision of ``run`` and the ``tenant``'s rules say about a gate reached live, and what ``today``'s
    denies; see policy.judge."""
    return policy.judge(ask, run.body, facts_of(run), today, tenant)


def facts_of(run: Run) -> policy.Facts:
    """What the conditions of rules may ask about ``run`` and its tenant."""
    return policy.Facts(
        run={
            "id": str(run.pk),
            "title": run.title,
            "workflow": run.workflow.slug,
            "revision": run.revision.number,
            "topic_source": run.topic_source,
            "metadata": run.metadata,
            "classification": run.metadata.get("classification", "") if isinstance(run.metadata, dict) else "",
            "started_by": run.started_by_name,
        },
        tenant={"slug": run.tenant.slug, "name": run.tenant.name},
    )


def hours_of(tenant_id: UUID) -> calendars.Hours | None:
    """The tenant's calendar, if it has one."""
    kept = Calendar.objects.filter(tenant=tenant_id).first()
    return calendars.read(kept.zone, kept.days, kept.holidays) if kept else None


# Without its revision, whose body is long and which an edit alone asks for.
_LOCKED = Run.objects.select_for_update(no_key=True, of=("self",)).select_related("workflow")


def lock_run(run_id: UUID, tenant_id: UUID | None = None) -> Run:
    """The run's row, locked against every other transition until this transaction ends. Raises Run.DoesNotExist.

    Of its workflow only the slug and the name are there; anything else is read when it is asked for.
    """
    # By hand: a worker does this at each pause and each end, and the ORM makes the statement anew each time.
    with prepared.cursor() as cursor:
        cursor.execute(_LOCK, [run_id, tenant_id, tenant_id])
        row = cursor.fetchone()
    if row is None:
        raise Run.DoesNotExist(f"There is no run {run_id}.")
    return _locked(row)


def _locked(row: Sequence[Any]) -> Run:
    run = ROWS.of(row)
    run.workflow = Workflow.from_db("default", _NAMED, [run.workflow_id, *row[ROWS.width :]])
    return run


_NAMED = ["id", "slug", "name"]
_RUN = f"""
    SELECT {ROWS.columns}, w.slug, w.name FROM runs_run JOIN workflows_workflow w ON w.id = runs_run.workflow_id
"""  # noqa: S608
_LOCK = f"""
    {_RUN} WHERE runs_run.id = %s AND (%s::uuid IS NULL OR runs_run.tenant_id = %s::uuid)
    FOR NO KEY UPDATE OF runs_run
"""
# One value and not IN, of which a planner without statistics makes a look at each run for each request.
_LOCK_OF = f"""
    {_RUN} WHERE runs_run.tenant_id = %s
        AND runs_run.id = (SELECT run_id FROM approvals_approvalrequest WHERE tenant_id = %s AND id = %s)
    FOR NO KEY UPDATE OF runs_run
"""  # noqa: S608
_REQUEST = f"SELECT {REQUESTS.columns} FROM approvals_approvalrequest WHERE tenant_id = %s AND id = %s"  # noqa: S608


def lock_runs(tenant_id: UUID, run_ids: Iterable[UUID]) -> None:
    """Lock several runs of a tenant, in the order of their ids. Call before anything is published."""
    list(_LOCKED.filter(tenant=tenant_id, pk__in=list(run_ids)).order_by("pk").values_list("pk"))


def lock_run_of(actor: Actor, request_id: UUID | str) -> Run:
    """The same for the run that a request of the actor's tenant belongs to. Raises access.NotFound."""
    with prepared.cursor() as cursor:
        cursor.execute(_LOCK_OF, [actor.tenant.pk, actor.tenant.pk, _uuid(request_id)])
        row = cursor.fetchone()
    if row is None:
        raise access.NotFound("No such approval request.")
    return _locked(row)


def request_of(actor: Actor, request_id: UUID | str) -> ApprovalRequest:
    """A request of the actor's tenant, as it is now; ask when its run is locked. Raises access.NotFound."""
    with prepared.cursor() as cursor:
        cursor.execute(_REQUEST, [actor.tenant.pk, _uuid(request_id)])
        row = cursor.fetchone()
    if row is None:
        raise access.NotFound("No such approval request.")
    return REQUESTS.of(row)


def _uuid(given: UUID | str) -> UUID:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, TypeError, AttributeError):
        raise access.NotFound("No such approval request.") from None


def require_open(request: ApprovalRequest, now: datetime) -> None:
    """Raise TooLate unless something is left to decide at ``now``: where the sweeper has not been yet, what was frozen
    holds all the same."""
    over = request.due_at is not None and request.due_at <= now and request.on_expiry != "escalate"
    if over or request.status != RequestStatus.PENDING:
        raise TooLate(request)


def contents(request: ApprovalRequest) -> dict[str, Json]:
    """What the person is shown, unsealed."""
    value = crypto.unseal_json(request.tenant_id, "request", request.sealed_request)
    return value if isinstance(value, dict) else {"value": value}


def decision_contents(request: ApprovalRequest) -> dict[str, Json]:
    """reason, arguments, answer, result and digest of the winning decision; empty while there is none."""
    if request.sealed_decision is None:
        return {}
    found: dict[str, Json] = crypto.unseal_json(request.tenant_id, "decision", request.sealed_decision)
    return found


def standing_votes(request: ApprovalRequest) -> list[Vote]:
    """Votes that count, oldest first."""
    return list(Vote.objects.filter(tenant=request.tenant_id, request=request, voided=False).order_by("at", "id"))


def vote_contents(vote: Vote) -> dict[str, Json]:
    """reason, arguments, answer and result of a vote."""
    found: dict[str, Json] = crypto.unseal_json(vote.tenant_id, "vote", vote.sealed)
    return found


def tell(
    request: ApprovalRequest,
    run: Run,
    votes: Sequence[Vote] | None = None,
    mention: Mapping[str, Json] | None = None,
) -> None:
    """Publish where the request now stands, to the run's page and to the tenant's queue.

    ``votes``, those that count, spare a query where the caller has them. ``mention``: the comment that is the news, by
    whom, and the ids of whom it mentions.
    """
    payload = summary(request, run, standing_votes(request) if votes is None else votes)
    if mention is not None:
        payload["mention"] = {**mention, "whom": [str(each) for each in mention["whom"]]}
    topics = [feed.run_topic(request.run_id), feed.queue_topic(request.tenant_id)]
    feed.publish_to(request.tenant_id, topics, "request", payload)


def summary(request: ApprovalRequest, run: Run, votes: Sequence[Vote]) -> dict[str, Json]:
    """A request as the feeds carry it: what a row of the queue needs."""
    return {
        "id": str(request.pk),
        "title": request.title,
        "kind": request.kind,
        "status": request.status,
        "agent": request.agent,
        "tool": request.tool,
        "workflow": run.workflow.slug,
        "workflow_name": run.workflow.name,
        "run": str(request.run_id),
        "run_title": run.title,
        "risk": request.risk,
        "reason": request.reason,
        "group": request.group,
        "blocks": request.blocks,
        "claimed_by": request.claimed_by_name if request.status == RequestStatus.PENDING else "",
        "claimed_until": iso(request.claimed_until),
        "holder": str(request.claimed_by_id or "") if request.status == RequestStatus.PENDING else "",
        "starter": str(request.started_by_id or ""),
        "approvers": request.approvers,
        "votes": len({vote.voter_id for vote in votes}),
        "created_at": iso(request.created_at),
        "due_at": iso(request.due_at),
        "escalated_at": iso(request.escalated_at),
        "decided_at": iso(request.decided_at),
        "decided_by": request.decided_by_name,
        "verdict": request.verdict,
    }


def shown_for(ask: Ask) -> Json:
    """What the person is shown. In doubt is the call that was made: with the arguments of whoever edited it before."""
    if ask.kind == "in_doubt" and ask.decision and ask.decision.verdict == "edit" and isinstance(ask.request, Mapping):
        return {**ask.request, "arguments": ask.decision.arguments, "edited_by": ask.decision.by}
    return ask.request


def title_of(ask: Ask, run: Run) -> str:
    """What the request is about, in words: the tool's own title where it declares one."""
    request = ask.request if isinstance(ask.request, Mapping) else {}
    if ask.kind == "question":
        return first_line(request.get("question")) or f"{ask.agent or 'The team'} asks a question"
    if ask.kind == "message":
        said = first_line(request.get("content"))
        return f"{ask.agent}: {said}" if said else f"Message of {ask.agent or 'the team'}"
    if ask.kind == "final":
        said = first_line(request.get("result"))
        return f"Result: {said}" if said else f"Result of {run.workflow.name}"
    if ask.kind == "in_doubt":
        edited = ask.decision is not None and ask.decision.verdict == "edit"
        what = None if edited else request.get("title")  # the title speaks of the arguments before the edit
        return f"Did this happen? {what or ask.tool or 'A call of a tool'}"
    return str(request.get("title") or ask.tool or "A call of a tool")


def first_line(text: Json) -> str:
    """The first line of ``text`` that says something; empty when it is no text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] if isinstance(text, str) else []
    return lines[0] if lines else ""


def plain(text: str, limit: int) -> str:
    """``text`` as Postgres takes it (no NUL), at most ``limit`` characters."""
    clean = text.replace("\x00", "")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def iso(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, or None."""
    return at.isoformat().replace("+00:00", "Z") if at else None
