"""Workflows and their revisions over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Body, Query, Router, Schema, Status
from pydantic import ConfigDict

from console import paging, queues
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import actions, limits, naming
from console.workflows.diff import diff
from console.workflows.models import Revision, Rollout, Workflow

Json = Any
router = Router(tags=["workflows"])


class WorkflowIn(Schema):
    model_config = ConfigDict(extra="forbid")

    slug: str
    name: str
    description: str = ""


class WorkflowOut(Schema):
    """``revision`` is the number of the revision that new runs take; null before the first. ``queue`` is where its
    runs wait for a worker; blank: in the organisation's."""

    slug: str
    name: str
    description: str
    revision: int | None
    queue: str
    created_at: datetime


class WorkflowPut(Schema):
    """What is left out stays. ``queue`` is a name of letters, digits, hyphens and dots, or blank for none of its own."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    description: str | None = None
    queue: str | None = None


class QueueIn(Schema):
    """A name of letters, digits, hyphens and dots, or blank for none of its own."""

    model_config = ConfigDict(extra="forbid")

    queue: str


class RoutingOut(Schema):
    """``queue`` is where runs wait whose workflow names no queue; blank: in ``default``."""

    queue: str
    default: str


class WorkflowsOut(Schema):
    items: list[WorkflowOut]
    next: str | None


class FindingOut(Schema):
    path: str
    message: str
    level: str


class RevisionOut(Schema):
    number: int
    body: dict[str, Json]
    author: str
    reason: str
    created_at: datetime


class RevisionsOut(Schema):
    items: list[RevisionOut]
    next: str | None


class LimitsOut(Schema):
    """``limits`` as they are set here; ``defaults`` hold where nobody sets one."""

    limits: dict[str, Json]
    defaults: dict[str, Json]


class PromoteIn(Schema):
    model_config = ConfigDict(extra="forbid")

    number: int
    reason: str = ""


class RollbackIn(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: str = ""


class CanaryIn(Schema):
    """``share`` of 100 new runs, and every run of the named topic ``sources``, take ``revision``."""

    model_config = ConfigDict(extra="forbid")

    revision: Json
    share: Json = 0
    sources: Json = None
    thresholds: Json = None


class CanaryEndIn(Schema):
    model_config = ConfigDict(extra="forbid")

    promote: bool
    reason: str = ""


class CanaryOut(Schema):
    """``status``: running, promoted, rolled_back or stopped. ``figures`` of the tried and the old revision."""

    revision: int
    baseline: int
    share: int
    sources: list[str]
    thresholds: dict[str, float]
    status: str
    reason: str
    figures: dict[str, Json]
    started_by: str
    started_at: datetime
    ended_at: datetime | None


class CanariesOut(Schema):
    items: list[CanaryOut]
    next: str | None


class ChangeOut(Schema):
    what: str
    before: str
    after: str


class SectionOut(Schema):
    title: str
    changes: list[ChangeOut]


class DiffOut(Schema):
    older: int
    newer: int
    sections: list[SectionOut]


class MadeOut(Schema):
    number: int
    findings: list[FindingOut]


@router.get("/workflows", response=WorkflowsOut, summary="List workflows, newest first")
def list_workflows(
    request: HttpRequest,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    rows = access.all(_workflows(), actor_of(request))
    found, after = paging.page(rows, cursor, limit)
    return {"items": [_workflow_out(each) for each in found], "next": after}


@router.post("/workflows", response={201: WorkflowOut}, summary="Make a workflow")
def create_workflow(request: HttpRequest, body: WorkflowIn) -> Any:
    made = actions.create_workflow(actor_of(request), body.slug, body.name, description=body.description)
    return Status(201, _workflow_out(made))


@router.get("/workflows/{slug}", response=WorkflowOut, summary="One workflow")
def get_workflow(request: HttpRequest, slug: str) -> Any:
    return _workflow_out(_workflow(actor_of(request), slug))


@router.put("/workflows/{slug}", response=WorkflowOut, summary="Rename it, describe it, or name its queue")
def put_workflow(request: HttpRequest, slug: str, body: WorkflowPut) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    access.require(actor, "admin")
    if body.name is not None:
        naming.put_name(actor, workflow, body.name)
    if body.description is not None:
        naming.put_description(actor, workflow, body.description)
    if body.queue is not None:
        actions.put_queue(actor, body.queue, workflow)
    return _workflow_out(workflow)


@router.get("/routing", response=RoutingOut, summary="In which queue the organisation's runs wait for a worker")
def get_routing(request: HttpRequest) -> Any:
    return {"queue": actor_of(request).tenant.queue, "default": queues.DEFAULT}


@router.put("/routing", response=RoutingOut, summary="Name that queue")
def put_routing(request: HttpRequest, body: QueueIn) -> Any:
    return {"queue": actions.put_queue(actor_of(request), body.queue), "default": queues.DEFAULT}


@router.get("/limits", response=LimitsOut, summary="What the organisation's runs may take")
def get_limits(request: HttpRequest) -> Any:
    return {"limits": limits.of_tenant(actor_of(request).tenant.id), "defaults": dict(limits.DEFAULTS)}


@router.put(
    "/limits", response=LimitsOut, summary="Set what the organisation's runs may take; what is left out is unset"
)
def put_limits(request: HttpRequest, body: Annotated[Json, Body()]) -> Any:
    return {"limits": actions.put_limits(actor_of(request), body), "defaults": dict(limits.DEFAULTS)}


@router.get("/workflows/{slug}/limits", response=LimitsOut, summary="What runs of a workflow may take")
def get_workflow_limits(request: HttpRequest, slug: str) -> Any:
    return {"limits": _workflow(actor_of(request), slug).limits, "defaults": dict(limits.DEFAULTS)}


@router.put("/workflows/{slug}/limits", response=LimitsOut, summary="Set what runs of a workflow may take")
def put_workflow_limits(request: HttpRequest, slug: str, body: Annotated[Json, Body()]) -> Any:
    actor = actor_of(request)
    kept = actions.put_limits(actor, body, _workflow(actor, slug))
    return {"limits": kept, "defaults": dict(limits.DEFAULTS)}


@router.get("/workflows/{slug}/revisions", response=RevisionsOut, summary="A workflow's revisions, newest first")
def list_revisions(
    request: HttpRequest,
    slug: str,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    actor = actor_of(request)
    rows = access.all(Revision, actor).filter(workflow=_workflow(actor, slug))
    found, after = paging.page(rows, cursor, limit)
    items = [_revision_out(each) for each in found]
    return {"items": items, "next": after}


@router.get("/workflows/{slug}/revisions/{number}", response=RevisionOut, summary="One revision")
def get_revision(request: HttpRequest, slug: str, number: int) -> Any:
    actor = actor_of(request)
    return _revision_out(access.get(Revision, actor, workflow=_workflow(actor, slug), number=number))


@router.get("/workflows/{slug}/diff", response=DiffOut, summary="What changed from one revision to another")
def compare(request: HttpRequest, slug: str, older: int, newer: int) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    first, second = (access.get(Revision, actor, workflow=workflow, number=each) for each in (older, newer))
    sections = [
        {
            "title": section.title,
            "changes": [{"what": each.what, "before": each.before, "after": each.after} for each in section.changes],
        }
        for section in diff(first.body, second.body)
    ]
    return {"older": older, "newer": newer, "sections": sections}


@router.post("/workflows/{slug}/promote", response=WorkflowOut, summary="Have new runs take another revision")
def promote(request: HttpRequest, slug: str, body: PromoteIn) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    actions.promote(actor, workflow, body.number, body.reason)
    return _workflow_out(workflow)


@router.post("/workflows/{slug}/rollback", response=WorkflowOut, summary="Have new runs take the revision before again")
def roll_back(request: HttpRequest, slug: str, body: RollbackIn) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    actions.roll_back(actor, workflow, body.reason)
    return _workflow_out(workflow)


@router.post("/workflows/{slug}/revisions", response={201: MadeOut}, summary="Make a revision; new runs take it")
def create_revision(
    request: HttpRequest,
    slug: str,
    body: Annotated[Json, Body()],
    reason: Annotated[str, Query(description="Why it was made")] = "",
    promote: Annotated[bool, Query(description="Whether new runs take it at once")] = True,
) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    revision, findings = actions.create_revision(actor, workflow, body, reason=reason, promote=promote)
    told = [{"path": each.path, "message": each.message, "level": each.level} for each in findings]
    return Status(201, {"number": revision.number, "findings": told})


@router.get("/workflows/{slug}/canaries", response=CanariesOut, summary="Revisions that were tried, the newest first")
def list_canaries(request: HttpRequest, slug: str) -> Any:
    actor = actor_of(request)
    rows = access.all(Rollout.objects.select_related("revision", "baseline"), actor)
    found = rows.filter(workflow=_workflow(actor, slug)).order_by("-started_at")[:50]
    return {"items": [_canary_out(each) for each in found], "next": None}


@router.post("/workflows/{slug}/canaries", response={201: CanaryOut}, summary="Try a revision on a share of new runs")
def start_canary(request: HttpRequest, slug: str, body: CanaryIn) -> Any:
    actor = actor_of(request)
    return Status(201, _canary_out(actions.start_rollout(actor, _workflow(actor, slug), body.dict())))


@router.post("/workflows/{slug}/canaries/end", response=CanaryOut, summary="Promote what is tried, or give it up")
def end_canary(request: HttpRequest, slug: str, body: CanaryEndIn) -> Any:
    actor = actor_of(request)
    ended = actions.end_rollout(actor, _workflow(actor, slug), promoted=body.promote, reason=body.reason)
    return _canary_out(ended)


def _workflows() -> QuerySet[Workflow]:
    return Workflow.objects.select_related("current")


def _workflow(actor: Actor, slug: str) -> Workflow:
    return access.get(_workflows(), actor, slug=slug)


def _canary_out(rollout: Rollout) -> dict[str, Json]:
    plain = ("share", "sources", "thresholds", "status", "reason", "figures", "started_by", "started_at", "ended_at")
    numbers = {"revision": rollout.revision.number, "baseline": rollout.baseline.number}
    return {**numbers, **{name: getattr(rollout, name) for name in plain}}


def _revision_out(revision: Revision) -> dict[str, Json]:
    return {
        "number": revision.number,
        "body": revision.body,
        "author": revision.author_name,
        "reason": revision.reason,
        "created_at": revision.created_at,
    }


def _workflow_out(workflow: Workflow) -> dict[str, Json]:
    return {
        "slug": workflow.slug,
        "name": workflow.name,
        "description": workflow.description,
        "revision": workflow.current.number if workflow.current else None,
        "queue": workflow.queue,
        "created_at": workflow.created_at,
    }
