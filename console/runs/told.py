"""What the feed says of steps. The journal holds their facts, so an event of a step is kept as its number alone.

A hint to screens that are open carries the facts as they were; a page that reads a gap gets them as they are now, which
is what it would come to in the end. Events from before this was so hold their facts themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from console.durable.steps import Safety, Status, Step
from console.runs import record
from console.runs.models import FeedEvent
from console.tenants import crypto

STEP = "step"
REFERENCE = b""  # in the place of sealed facts: those of the step that the event's index names


def step_payload(step: Step) -> dict[str, Any]:
    """The facts of a step as the feed carries them."""
    return {
        "seq": step.seq,
        "scope": step.scope,
        "n": step.n,
        "kind": str(step.kind),
        "name": step.name,
        "agent": step.agent,
        "status": str(step.status),
        "settled": step.settled,
        "safety": str(step.safety) if step.safety is not Safety.READ_ONLY else "",
        "attempts": len(step.attempts) + (1 if step.status is Status.INTENT else 0) or 1,
        "usage": step.usage,
        "cost": step.cost,
        "inherited": step.inherited,
        "started_at": step.started_at.isoformat(),
        "ended_at": step.ended_at.isoformat() if step.ended_at else None,
    }


def payloads(rows: Sequence[FeedEvent]) -> list[Any]:
    """What events of runs say, in their order. One query more where steps are among them. Call inside a scope."""
    wanted = [(_run(row), row.index or 0) for row in rows if _refers(row)]
    steps = {key: step_payload(step) for key, step in record.facts_of(wanted).items()} if wanted else {}
    return [
        # A step is never deleted before its run's feed; should one be, its event still has its place.
        steps.get((_run(row), row.index or 0), {"seq": row.index})
        if _refers(row)
        else crypto.unseal_json(row.tenant_id, "feed", bytes(row.sealed))
        for row in rows
    ]


def _run(row: FeedEvent) -> str:
    return row.topic.partition(":")[2]


def _refers(row: FeedEvent) -> bool:
    return row.kind == STEP and len(row.sealed) == 0
