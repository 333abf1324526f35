"""Requests over HTTP: list, look at, decide; and cancelling a run, which leaves its requests moot."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict

from approvals import actions, reading
from approvals.models import ApprovalRequest
from console import paging
from console.runs.api import RunOut, run_out
from console.runs.models import Run
from console.tenants import access
from console.tenants.access import actor_of

Json = Any
router = Router(tags=["approvals"])

_REQUEST = ApprovalRequest.objects.select_related("workflow", "run")
_RUN = Run.objects.select_related("workflow", "revision")
RequestState = Literal["", "pending", "decided", "expired", "moot"]


class DecisionIn(Schema):
    """A verdict, and what goes with it. ``digest``: of the arguments that were looked at; checked when given."""

    model_config = ConfigDict(extra="forbid")

    verdict: str
    reason: str = ""
    arguments: Json = None
    answer: str | None = None
    result: Json = None
    digest: str | None = None


class VoteOut(Schema):
    by: str
    verdict: str
    reason: str
    digest: str
    at: datetime


class DecisionOut(Schema):
    verdict: str
    by: str
    at: datetime | None
    reason: str
    arguments: Json = None
    answer: str | None = None
    result: Json = None
    digest: str


class ApprovalOut(Schema):
    """``arguments`` and ``digest`` are those on the table: an edit's where one stands, else the model's own
    (``proposed``). ``verdicts`` are those that can be given now; ``content`` is what the person is shown."""

    id: str
    run: str
    workflow: str
    kind: str
    title: str
    agent: str
    tool: str
    risk: str
    arguments: Json = None
    proposed: Json = None
    digest: str
    content: dict[str, Json]
    status: str
    verdicts: list[str]
    votes: list[VoteOut]
    approvers: int
    reason: str
    rule: Json = None
    scope: str
    index: int
    created_at: datetime
    due_at: datetime | None
    on_expiry: str
    escalated_at: datetime | None
    decision: DecisionOut | None


class ApprovalsOut(Schema):
    items: list[ApprovalOut]
    next: str | None


@router.get("/approvals", response=ApprovalsOut, summary="List requests, newest first")
def list_approvals(
    request: HttpRequest,
    status: RequestState = "",
    run: str = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    actor = actor_of(request)
    rows = access.all(_REQUEST, actor)
    if status:
        rows = rows.filter(status=status)
    if run:
        rows = rows.filter(run=access.get(Run, actor, pk=run))
    found, after = paging.page(rows, cursor, limit)
    return {"items": reading.many(found), "next": after}


@router.get("/approvals/{request_id}", response=ApprovalOut, summary="One request, with all that is shown to decide")
def get_approval(request: HttpRequest, request_id: str) -> Any:
    return reading.many([access.get(_REQUEST, actor_of(request), pk=request_id)])[0]


@router.post("/approvals/{request_id}/decisions", response={201: ApprovalOut}, summary="Decide")
def post_decision(request: HttpRequest, request_id: str, body: DecisionIn) -> Any:
    decided = actions.decide(
        actor_of(request),
        request_id,
        body.verdict,
        reason=body.reason,
        arguments=body.arguments,
        answer=body.answer,
        result=body.result,
        digest=body.digest,
    )
    return Status(201, reading.many([decided])[0])


@router.post("/runs/{run_id}/cancel", response=RunOut, summary="End a run", tags=["runs"])
def cancel_run(request: HttpRequest, run_id: str) -> Any:
    actor = actor_of(request)
    return run_out(actions.cancel_run(actor, access.get(_RUN, actor, pk=run_id)))
