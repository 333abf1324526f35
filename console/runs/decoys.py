"""The run that a planted request stands in front of, so that its card has what every card has.

It is inert by construction. The database refuses any row with ``probe`` that is queued, running, leased, woken or has a
fencing token (models.INERT): no worker can claim it, and without a token nothing can be appended to its journal. Nothing
here makes it ready, and no list, figure, limit or verification counts it as work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from console.runs import beginning, feed, inputs
from console.runs.beginning import status_payload
from console.runs.models import Run, RunStatus
from console.tenants import access, crypto
from console.tenants.models import Tenant
from console.workflows.models import Revision, Workflow
from console.workflows.reasons import StopReason

Json = Any
OVER = "This was an oversight probe. No team ran, and nothing was done."


def draft(tenant: Tenant, workflow: Workflow, revision: Revision, task: str) -> Run:
    """A run of a ``workflow``'s ``revision`` that is not written yet, as if it waited for a person over ``task``."""
    now = timezone.now()
    sealed = crypto.seal_json(tenant.id, "run.input", task)
    run = beginning.create(access.system_actor(tenant, ""), workflow, revision, sealed, inputs.title(task))
    run.workflow = workflow
    run.probe, run.status, run.ready_at = True, RunStatus.WAITING, None
    run.started_at = run.waiting_since = now
    return run


def put(run: Run, task: str, agent: str, tool: str, arguments: Mapping[str, Json]) -> None:
    """Write a draft, and in its feed what was said: the task, and the call that ``agent`` proposes. In a scope."""
    run.save(force_insert=True)
    at = run.started_at.isoformat() if run.started_at else ""
    call = {"id": f"call_{run.pk.hex[:12]}", "name": tool, "arguments": json.dumps(arguments, ensure_ascii=False)}
    said: list[dict[str, Json]] = [
        {"type": "TextMessage", "source": "user", "content": task},
        {"type": "ToolCallRequestEvent", "source": agent, "content": [call]},
    ]
    for index, message in enumerate(said):
        about = {**message, "index": index, "at": at}
        feed.publish(run.tenant_id, feed.run_topic(run.pk), "message", about, index=index)
    feed.publish(run.tenant_id, feed.run_topic(run.pk), "status", status_payload(run))


def close(run: Run) -> bool:
    """End it: its request was decided, ran out or was withdrawn. False when it has ended already."""
    rows = Run.objects.filter(pk=run.pk, tenant=run.tenant_id, probe=True, status=RunStatus.WAITING)
    over: dict[str, Json] = {"status": RunStatus.CANCELLED, "stop_reason": str(StopReason.CANCELLED)}
    over |= {"stop_detail": OVER, "ended_at": timezone.now(), "waiting_since": None}
    if not rows.update(**over):
        return False
    for name, value in over.items():
        setattr(run, name, value)
    feed.publish(run.tenant_id, feed.run_topic(run.pk), "status", status_payload(run))
    return True
