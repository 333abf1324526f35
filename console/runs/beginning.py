"""How a run comes to be: started, retried or forked, it is made and announced in the same way."""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Any

from django.utils import timezone

from console import tracing
from console.durable import SCHEMA_VERSION
from console.runs import feed, wakeups
from console.runs.models import Run
from console.tenants.access import Actor
from console.workflows import limits, waived
from console.workflows.models import Revision, Workflow


def create(actor: Actor, workflow: Workflow, revision: Revision, sealed_input: bytes, title: str) -> Run:
    """A run that is not written yet, governed by what holds now."""
    body, own = revision.body, limits.of_tenant(actor.tenant.id)
    held = limits.effective(own, workflow.limits, body.get("limits") or {})
    return Run(
        tenant=actor.tenant,
        workflow_id=revision.workflow_id,
        revision=revision,
        sealed_input=sealed_input,
        title=title,
        started_by_id=actor.id,
        started_by_name=actor.name,
        ready_at=timezone.now(),
        limits=held,
        oversight=waived.effective(workflow, body, own),
        contract=workflow.contract if revision.id == workflow.current_id else 0,
        deadline_s=float(limits.size(held["run_timeout"])),
        autogen_version=autogen_version(),
        journal_version=SCHEMA_VERSION,
        trace_context=tracing.kept(),
        request_id=tracing.REQUEST.get(),
    )


def begin(run: Run, queue: str) -> None:
    """Tell screens of a run that was written, and a worker on commit."""
    feed.publish(run.tenant_id, feed.run_topic(run.id), "status", status_payload(run))
    wakeups.send_on_commit(run, resume=False, queue=queue)


@functools.cache
def autogen_version() -> str:
    """The version of AutoGen in this process."""
    return version("autogen-agentchat")


def status_payload(run: Run) -> dict[str, Any]:
    """What the feed says about a run's state."""
    return {
        "id": str(run.id),
        "status": str(run.status),
        "stop_reason": run.stop_reason,
        "stop_detail": run.stop_detail,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost": str(run.cost),
        "unpriced_steps": run.unpriced_steps,
        "broken_off_cost": str(run.broken_off_cost),
        "queue_s": round(run.queue_s, 3),
        "model_s": round(run.model_s, 3),
        "tool_s": round(run.tool_s, 3),
        "resume_s": round(run.resume_s, 3),
        "waiting_s": round(run.waiting_s, 3),
        "waiting_since": run.waiting_since.isoformat() if run.waiting_since else None,
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
    }
