"""Runs over HTTP: start, list, look into, retry. (Forks: forks_api.py. Cancelling touches requests too: see approvals/api.py.)"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from console import paging
from console.durable.steps import Step as Recorded
from console.runs import actions, effects, feed, reading, topics
from console.runs.models import Run, Step
from console.runs.shapes import (
    EventIn,
    Json,
    MessagesOut,
    PublishedOut,
    RunOut,
    RunsOut,
    StartIn,
    StepsOut,
    TopicType,
)
from console.tenants import access, crypto, display
from console.tenants.access import actor_of
from console.tenants.display import Display
from console.tenants.problems import problem
from console.workflows.models import Workflow
from console.workflows.reasons import StopReason

router = Router(tags=["runs"])

_RUN = Run.objects.select_related("workflow", "revision")
MAX_METADATA = 8 * 1024  # bytes as JSON
RunState = Literal["", "queued", "running", "waiting", "completed", "failed", "cancelled"]


@router.post("/runs", response={202: RunOut}, summary="Start a run")
def start_run(request: HttpRequest, body: StartIn) -> Any:
    actor = actor_of(request)
    access.require(actor, "operator", "admin")
    workflow = access.all(Workflow.objects.select_related("current"), actor).filter(slug=clean(body.workflow)).first()
    if workflow is None:
        fault = {"field": "workflow", "message": "no workflow of that name"}
        return problem(404, "There is no such workflow.", errors=[fault])
    check_metadata(body.metadata)
    run = actions.start(actor, workflow, body.input, body.topic_source, body.metadata)
    return Status(202, run_in_full(access.get(_RUN, actor, pk=run.pk), display.of(actor)))


@router.post("/topics/{type}/events", response={202: PublishedOut}, summary="Start a run of all that is subscribed")
def publish_event(request: HttpRequest, type: TopicType, body: EventIn) -> Any:
    done = topics.publish(actor_of(request), type, body.id, body.source, body.data)
    return Status(202, {"runs": done.runs, "refused": done.refused})


@router.get("/runs", response=RunsOut, summary="List runs, newest first")
def list_runs(
    request: HttpRequest,
    status: RunState = "",
    workflow: str = "",
    stop_reason: Annotated[StopReason | None, Query()] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    actor = actor_of(request)
    rows, shown = access.all(_RUN, actor).filter(smoke_test=None, probe=False), display.of(actor)
    if status:
        rows = rows.filter(status=status)
    if workflow:
        rows = rows.filter(workflow__slug=clean(workflow))
    if stop_reason:
        rows = rows.filter(stop_reason=str(stop_reason))
    found, after = paging.page(rows, cursor, limit)
    return {"items": [run_out(run, shown) for run in found], "next": after}


@router.get("/runs/{run_id}", response=RunOut, summary="One run")
def get_run(request: HttpRequest, run_id: str) -> Any:
    actor = actor_of(request)
    return run_in_full(access.get(_RUN, actor, pk=run_id), display.of(actor))


@router.get("/runs/{run_id}/messages", response=MessagesOut, summary="What the team said, in order")
def list_messages(
    request: HttpRequest,
    run_id: str,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Any:
    actor = actor_of(request)
    run, shown = access.get(Run, actor, pk=run_id), display.of(actor)
    events = feed.read(feed.run_topic(run.pk), paging.number(cursor), limit + 1, kind="message")
    after = str(events[limit - 1]["seq"]) if len(events) > limit else None
    items = [
        {
            "source": event["payload"].get("source") or "",
            "index": event["index"] if event["index"] is not None else event["payload"].get("index"),
            "type": event["payload"].get("type") or "",
            "content": shown.of(event["payload"].get("content")),
            "at": event["payload"].get("at") or event["at"],
        }
        for event in events[:limit]
    ]
    return {"items": items, "next": after}


@router.get("/runs/{run_id}/steps", response=StepsOut, summary="The journal of a run")
def list_steps(
    request: HttpRequest,
    run_id: str,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Any:
    actor = actor_of(request)
    run = access.get(Run, actor, pk=run_id)
    after = Step.objects.filter(tenant=run.tenant_id, run=run, seq__gt=paging.number(cursor)).order_by("seq")
    wanted = list(after.values_list("seq", flat=True)[: limit + 1])
    shown = display.of(actor)
    items = [step_out(found.step, found.request, shown) for found in reading.whole(run.pk, wanted[:limit])]
    return {"items": items, "next": str(wanted[limit - 1]) if len(wanted) > limit else None}


@router.post("/runs/{run_id}/retry", response={202: RunOut}, summary="A new run that goes on after the last good step")
def retry_run(request: HttpRequest, run_id: str) -> Any:
    actor = actor_of(request)
    run = access.get(_RUN, actor, pk=run_id)
    again = actions.retry(actor, run)
    return Status(202, run_in_full(access.get(_RUN, actor, pk=again.pk), display.of(actor)))


def check_metadata(metadata: dict[str, Json] | None) -> None:
    """Raises Invalid when it is too large."""
    if metadata and len(json.dumps(metadata)) > MAX_METADATA:
        raise actions.Invalid("metadata", f"is larger than {MAX_METADATA:,} bytes (8 kB)")


def run_in_full(run: Run, shown: Display) -> dict[str, Json]:
    """A run as the API shows it by itself: with what it has done to the world."""
    found = effects.account(run, effects.rows(run), over=run.ended_at is not None)
    return {**run_out(run, shown), "effects": effects.as_json(found, shown)}


def run_out(run: Run, shown: Display) -> dict[str, Json]:
    """A run as the API shows it; its workflow and revision should be joined already."""
    result = crypto.unseal_json(run.tenant_id, "run.result", run.sealed_result) if run.sealed_result else None
    since = run.waiting_since
    waiting = run.waiting_s + (max((timezone.now() - since).total_seconds(), 0.0) if since else 0.0)
    return {
        "id": str(run.pk),
        "workflow": run.workflow.slug,
        "revision": run.revision.number,
        "title": shown.title(run.title),
        "status": run.status,
        "stop_reason": run.stop_reason or None,
        "stop_detail": shown.words(run.stop_detail),
        "result": shown.of(result) if shown.shown else None,
        "hidden": shown.sentence if not shown.shown else "",
        "usage": {"input_tokens": run.input_tokens, "output_tokens": run.output_tokens},
        "cost": None if run.unpriced_steps else str(run.cost),
        "unpriced_steps": run.unpriced_steps,
        "timings": {
            "queue_s": round(run.queue_s, 3),
            "model_s": round(run.model_s, 3),
            "tool_s": round(run.tool_s, 3),
            "waiting_s": round(waiting, 3),
            "resume_s": round(run.resume_s, 3),
        },
        "topic_source": run.topic_source,
        "metadata": run.metadata,
        "started_by": run.started_by_name,
        "retry_of": str(run.retry_of_id) if run.retry_of_id else None,
        "fork_of": str(run.fork_of_id) if run.fork_of_id else None,
        "forked_at": run.forked_at,
        "fork_edited": run.fork_edited or None,
        "smoke_test": str(run.smoke_test_id) if run.smoke_test_id else None,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


def step_out(step: Recorded, full_request: Json, shown: Display) -> dict[str, Json]:
    """A step as the API shows it to a viewer, with its request in full."""
    request, result, error = (full_request, step.result, step.error) if shown.shown else (None, None, None)
    return {
        "scope": step.scope,
        "index": step.n,
        "seq": step.seq,
        "kind": str(step.kind),
        "status": str(step.status),
        "name": step.name,
        "agent": step.agent,
        "digest": step.digest,
        "request": shown.of(request),
        "result": shown.of(result),
        "error": shown.of(error),
        "hidden": shown.sentence if not shown.shown else "",
        "verdict": step.verdict,
        "attempts": list(step.attempts),
        "usage": step.usage,
        "cost": step.cost,
        "priced_by": step.priced_by,
        "inherited": step.inherited,
        "started_at": step.started_at,
        "first_token_at": step.first_token_at,
        "ended_at": step.ended_at,
    }


def clean(text: str) -> str:
    """``text`` as the database may be asked for it: Postgres knows no NUL."""
    return text.replace("\x00", "\ufffd")
