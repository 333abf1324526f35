"""Workflows and their revisions over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Body, Query, Router, Schema, Status
from pydantic import ConfigDict

from console import paging
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.tenants.problems import problem
from console.workflows import actions
from console.workflows.models import Revision, Workflow

Json = Any
router = Router(tags=["workflows"])


class WorkflowIn(Schema):
    model_config = ConfigDict(extra="forbid")

    slug: str
    name: str
    description: str = ""


class WorkflowOut(Schema):
    """``revision`` is the number of the revision that new runs take; null before the first."""

    slug: str
    name: str
    description: str
    revision: int | None
    created_at: datetime


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
    created_at: datetime


class RevisionsOut(Schema):
    items: list[RevisionOut]
    next: str | None


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
    items = [
        {"number": each.number, "body": each.body, "author": each.author_name, "created_at": each.created_at}
        for each in found
    ]
    return {"items": items, "next": after}


@router.post("/workflows/{slug}/revisions", response={201: MadeOut}, summary="Make a revision; new runs take it")
def create_revision(request: HttpRequest, slug: str, body: Annotated[Json, Body()]) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    try:
        revision, findings = actions.create_revision(actor, workflow, body)
    except actions.Refused as refused:
        errors = [{"path": each.path, "message": each.message} for each in refused.findings if each.level == "error"]
        return problem(422, "; ".join(f"{each['path']}: {each['message']}" for each in errors[:5]), errors=errors)
    told = [{"path": each.path, "message": each.message, "level": each.level} for each in findings]
    return Status(201, {"number": revision.number, "findings": told})


def _workflows() -> QuerySet[Workflow]:
    return Workflow.objects.select_related("current")


def _workflow(actor: Actor, slug: str) -> Workflow:
    return access.get(_workflows(), actor, slug=slug)


def _workflow_out(workflow: Workflow) -> dict[str, Json]:
    return {
        "slug": workflow.slug,
        "name": workflow.name,
        "description": workflow.description,
        "revision": workflow.current.number if workflow.current else None,
        "created_at": workflow.created_at,
    }
