"""Requests over HTTP: list, look at, decide; and cancelling a run, which leaves its requests moot."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict

from approvals import actions, in_doubt, listing, reading, showing, standings
from approvals.actions import comments
from approvals.filters import narrow
from approvals.models import ApprovalRequest, Calendar, StandingApproval
from console import paging
from console.runs.api import clean, run_in_full
from console.runs.models import Run
from console.runs.shapes import HeardOut, RunOut
from console.tenants import access, display, groups
from console.tenants.access import Actor, actor_of

Json = Any
router = Router(tags=["approvals"])

_REQUEST = ApprovalRequest.objects.select_related("workflow", "run")
_RUN = Run.objects.select_related("workflow", "revision")
RequestState = Literal["", "pending", "decided", "expired", "moot"]


class DecisionIn(Schema):
    """A verdict, and what goes with it. ``digest``: of the arguments that were looked at; checked when given.

    ``despite_evidence``: a call in doubt "did not happen", although what came in late says that it was done.
    """

    model_config = ConfigDict(extra="forbid")

    verdict: str
    reason: str = ""
    arguments: Json = None
    answer: str | None = None
    result: Json = None
    digest: str | None = None
    despite_evidence: bool = False


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


class KnownOut(Schema):
    """What there is to go by about a call in doubt. ``heard`` is what came in too late to be its outcome."""

    step: int
    began_at: datetime
    worker: str
    key: str
    cause: str
    heard: HeardOut | None


class ApprovalOut(Schema):
    """``arguments`` and ``digest`` are those on the table: an edit's where one stands, else the model's own
    (``proposed``). ``verdicts`` are those that can be given now; ``content`` is what the person is shown. ``known`` is
    told of a request in doubt, and not in lists. ``hidden`` says so where the organisation hides contents from you; a request
    that waits is shown to reviewers in full. ``probe``: it was planted to see whether it is caught, and nothing came
    of it; said once it is over."""

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
    probe: bool = False
    verdicts: list[str]
    votes: list[VoteOut]
    approvers: int
    group: str
    blocks: int
    second_for_edit: bool
    agenda: list[dict[str, Json]]
    claimed_by: str
    claimed_until: datetime | None
    standing: str | None
    reason: str
    rule: Json = None
    scope: str
    index: int
    created_at: datetime
    due_at: datetime | None
    on_expiry: str
    escalated_at: datetime | None
    decision: DecisionOut | None
    known: KnownOut | None = None
    hidden: str = ""


class ApprovalsOut(Schema):
    items: list[ApprovalOut]
    next: str | None


class BulkIn(Schema):
    """``digests``: by id, of the arguments that were looked at; checked when given."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str]
    verdict: str
    reason: str = ""
    digests: dict[str, str] = {}


class BulkAnswer(Schema):
    """``problem`` says why this one was not decided; empty where it was, or where it counts as a vote."""

    id: str
    status: str
    problem: str


class BulkOut(Schema):
    items: list[BulkAnswer]


class ClaimIn(Schema):
    model_config = ConfigDict(extra="forbid")

    take_over: bool = False


class AssignIn(Schema):
    """``to``: the user name of a reviewer who may decide it."""

    model_config = ConfigDict(extra="forbid")

    to: str


class CommentIn(Schema):
    model_config = ConfigDict(extra="forbid")

    text: str


class CommentOut(Schema):
    """``mentions``: user names of the members whom it names; ``unknown``: names that are no member's, so that nobody
    was told."""

    by: str
    at: datetime
    text: str
    mentions: list[str]
    unknown: list[str]


class CommentsOut(Schema):
    items: list[CommentOut]
    next: str | None


class StandingIn(Schema):
    """``same``: "call" (exactly these arguments) or "tool" (any). ``scope``: this "run", or the "workflow"'s."""

    model_config = ConfigDict(extra="forbid")

    scope: str
    same: str
    expires_at: str
    reason: str


class StandingOut(Schema):
    id: str
    state: str
    workflow: str
    run: str | None
    request: str
    tool: str
    agent: str
    rule: str
    digest: str
    reason: str
    owner: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str
    uses: int


class StandingsOut(Schema):
    items: list[StandingOut]
    next: str | None


class CalendarIn(Schema):
    model_config = ConfigDict(extra="forbid")

    zone: str
    days: dict[str, list[str]]
    holidays: list[str] = []


class CalendarOut(Schema):
    """Empty where every hour counts."""

    zone: str
    days: dict[str, list[str]]
    holidays: list[str] = []


@router.get("/approvals", response=ApprovalsOut, summary="List requests, newest first")
def list_approvals(
    request: HttpRequest,
    status: RequestState = "",
    run: str = "",
    whose: Literal["", "mine", "all"] = "",
    kind: Literal["", "tool", "message", "question", "final", "in_doubt"] = "",
    workflow: str = "",
    group: str = "",
    risk: Literal["", "high", "medium", "low"] = "",
    tool: str = "",
    agent: str = "",
    starter: str = "",
    due: Literal["", "soon"] = "",
    held: Literal["", "me", "nobody"] = "",
    mentions: Literal["", "me"] = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    """The filters are those of the queue: ``whose`` "mine" is what you may decide; ``group`` "-" is of no group; ``tool`` is
    how its name begins; ``starter`` is a user name, an id or "me"; ``due``, ``held`` and "mine" are of what waits alone."""
    actor = actor_of(request)
    filters = {"kind": kind, "workflow": workflow, "group": group, "risk": risk, "tool": tool, "agent": agent}
    filters |= {"starter": starter, "due": due, "held": held, "mentions": mentions}
    rows = narrow(actor, access.all(_REQUEST, actor), {name: clean(value) for name, value in filters.items()})
    if whose == "mine":
        rows = listing.mine(actor, rows.filter(status="pending"), groups.of(actor))
    if status:
        rows = rows.filter(status=status)
    if run:
        rows = rows.filter(run=access.get(Run, actor, pk=run))
    found, after = paging.page(rows, cursor, limit)
    return {"items": showing.requests(actor, reading.many(found)), "next": after}


@router.post("/approvals/decisions", response=BulkOut, summary="Approve or reject like requests at once")
def post_decisions(request: HttpRequest, body: BulkIn) -> Any:
    """Each is decided by itself, and answered for by itself; requests that are not alike are a 422."""
    answers = actions.decide_many(actor_of(request), body.ids, body.verdict, body.reason, body.digests)
    return {"items": [asdict(answer) for answer in answers]}


@router.get("/approvals/{request_id}", response=ApprovalOut, summary="One request, with all that is shown to decide")
def get_approval(request: HttpRequest, request_id: str) -> Any:
    actor = actor_of(request)
    row = access.get(_REQUEST, actor, pk=request_id)
    known = in_doubt.known(row) if row.kind == "in_doubt" else None
    found = {**reading.many([row])[0], "known": in_doubt.as_json(known) if known else None}
    return showing.requests(actor, [found])[0]


@router.post("/approvals/{request_id}/decisions", response={201: ApprovalOut}, summary="Decide")
def post_decision(request: HttpRequest, request_id: str, body: DecisionIn) -> Any:
    actor = actor_of(request)
    decided = actions.decide(
        actor,
        request_id,
        body.verdict,
        reason=body.reason,
        arguments=body.arguments,
        answer=body.answer,
        result=body.result,
        digest=body.digest,
        despite_evidence=body.despite_evidence,
    )
    return Status(201, _one(actor, decided))


@router.post("/approvals/{request_id}/claim", response=ApprovalOut, summary="Take a request in hand")
def post_claim(request: HttpRequest, request_id: str, body: ClaimIn) -> Any:
    actor = actor_of(request)
    return _one(actor, actions.claim(actor, request_id, take_over=body.take_over))


@router.delete("/approvals/{request_id}/claim", response=ApprovalOut, summary="Let go of a request")
def delete_claim(request: HttpRequest, request_id: str) -> Any:
    actor = actor_of(request)
    return _one(actor, actions.release(actor, request_id))


@router.post("/approvals/{request_id}/assign", response=ApprovalOut, summary="Put a request into a colleague's hands")
def post_assign(request: HttpRequest, request_id: str, body: AssignIn) -> Any:
    actor = actor_of(request)
    return _one(actor, actions.assign(actor, request_id, body.to))


def _one(actor: Actor, row: ApprovalRequest) -> dict[str, Json]:
    return showing.requests(actor, reading.many([row]))[0]


@router.get("/approvals/{request_id}/comments", response=CommentsOut, summary="What was said about a request")
def list_comments(request: HttpRequest, request_id: str) -> Any:
    return {"items": comments.of(access.get(_REQUEST, actor_of(request), pk=request_id)), "next": None}


@router.post("/approvals/{request_id}/comments", response={201: CommentOut}, summary="Comment on a request")
def post_comment(request: HttpRequest, request_id: str, body: CommentIn) -> Any:
    actor = actor_of(request)
    said = actions.comment(actor, request_id, body.text)
    return Status(201, comments.of(said.request)[-1])


@router.get("/standing-approvals", response=StandingsOut, summary="Approvals given in advance, newest first")
def list_standing(
    request: HttpRequest,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    rows = standings.listed(access.all(StandingApproval, actor_of(request)))
    found, after = paging.page(rows, cursor, limit)
    return {"items": [standings.shown(row) for row in found], "next": after}


@router.post("/approvals/{request_id}/standing", response={201: StandingOut}, summary="Approve the like in advance")
def post_standing(request: HttpRequest, request_id: str, body: StandingIn) -> Any:
    actor = actor_of(request)
    row = actions.grant(
        actor, request_id, scope=body.scope, same=body.same, expires_at=body.expires_at, reason=body.reason
    )
    return Status(201, standings.shown(standings.listed(access.all(StandingApproval, actor)).get(pk=row.pk)))


@router.delete("/standing-approvals/{standing_id}", response=StandingOut, summary="Revoke an approval given in advance")
def delete_standing(request: HttpRequest, standing_id: str) -> Any:
    actor = actor_of(request)
    row = actions.revoke(actor, standing_id)
    return standings.shown(standings.listed(access.all(StandingApproval, actor)).get(pk=row.pk))


@router.get("/calendar", response=CalendarOut, summary="The business hours")
def get_calendar(request: HttpRequest) -> Any:
    kept = access.all(Calendar, actor_of(request)).first()
    return {"zone": kept.zone, "days": kept.days, "holidays": kept.holidays} if kept else {"zone": "", "days": {}}


@router.put("/calendar", response=CalendarOut, summary="Set the business hours")
def put_calendar(request: HttpRequest, body: CalendarIn) -> Any:
    return actions.put_calendar(actor_of(request), body.zone, body.days, body.holidays)


@router.post("/runs/{run_id}/cancel", response=RunOut, summary="End a run", tags=["runs"])
def cancel_run(request: HttpRequest, run_id: str) -> Any:
    actor = actor_of(request)
    return run_in_full(actions.cancel_run(actor, access.get(_RUN, actor, pk=run_id)), display.of(actor))
