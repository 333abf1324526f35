"""Canaries: which new runs take the revision that is tried, what it is held to, and how it comes to an end.

``actions`` locks the workflow's row and writes the audit rows; approvals/canary.py looks at the figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone

from console.tenants import access
from console.tenants.access import Actor
from console.workflows import smoke
from console.workflows.errors import Invalid
from console.workflows.models import Revision, Rollout, Workflow

Json = Any

# Rates are what the tried revision may be above the old one; ratios what it may be times the old one's median.
THRESHOLDS: Mapping[str, float] = {
    "min_runs": 5,  # that have ended on the tried revision, before anything is said about it
    "failure_rate": 0.10,
    "abnormal_rate": 0.10,
    "rejection_rate": 0.15,
    "cost_ratio": 1.5,
    "latency_ratio": 2.0,
    "promote_after": 50,  # runs that have ended well enough
}
MAX_SOURCES = 100


def start(actor: Actor, workflow: Workflow, wanted: Mapping[str, Json]) -> Rollout:
    """The rollout of a locked workflow. Raises Invalid, NotFound."""
    share, sources = wanted.get("share", 0), wanted.get("sources") or []
    if isinstance(share, bool) or not isinstance(share, int) or not 0 <= share <= 100:
        raise Invalid("share", "must be a whole number of percent, from 0 to 100")
    good = isinstance(sources, list) and len(sources) <= MAX_SOURCES
    if not good or not all(isinstance(one, str) and 0 < len(one) <= 200 and "\x00" not in one for one in sources):
        raise Invalid("sources", f"must be a list of at most {MAX_SOURCES} topic sources, as text")
    if not share and not sources:
        raise Invalid("share", "must be above 0, or name the sources whose runs take the revision")
    thresholds = _thresholds(wanted.get("thresholds") or {})
    number = wanted.get("revision")
    if isinstance(number, bool) or not isinstance(number, int):
        raise Invalid("revision", "must be the number of a revision")
    revision = access.get(Revision, actor, workflow=workflow, number=number)
    if workflow.current is None or workflow.current_id == revision.id:
        raise Invalid("revision", "is what new runs take already; try another one")
    if Rollout.objects.filter(tenant=actor.tenant, workflow=workflow, status="running").exists():
        raise Invalid("revision", "another canary is running; end it first")
    barrier = smoke.barrier(workflow, revision)
    if barrier:
        raise Invalid("revision", barrier)
    return Rollout.objects.create(
        tenant=actor.tenant,
        workflow=workflow,
        revision=revision,
        baseline=workflow.current,
        share=share,
        sources=sources,
        thresholds=thresholds,
        started_by=actor.name[:200],
    )


def end(actor: Actor, workflow: Workflow, status: str, reason: str, figures: Json = None) -> Rollout:
    """End the running rollout of a locked workflow. Raises Invalid when there is none."""
    running = access.all(Rollout, actor).filter(workflow=workflow, status="running")
    found = running.select_related("revision", "baseline").select_for_update(of=("self",)).first()
    if found is None:
        raise Invalid("workflow", "has no canary that is running")
    found.status, found.reason, found.ended_at = status, reason[:500], timezone.now()
    if figures is not None:
        found.figures = figures
    found.save(update_fields=["status", "reason", "figures", "ended_at"])
    return found


def overtaken(workflow: Workflow, revision: Revision) -> None:
    """Another revision becomes current: what was tried against the one before is over."""
    running = Rollout.objects.filter(tenant_id=workflow.tenant_id, workflow=workflow, status="running")
    reason = f"Revision {revision.number} became current."
    running.exclude(revision=revision).update(status="stopped", reason=reason, ended_at=timezone.now())
    running.filter(revision=revision).update(status="promoted", reason="Promoted by hand.", ended_at=timezone.now())


def choose(workflow: Workflow, run_id: UUID, source: str) -> Revision | None:
    """The revision that is tried, where this new run takes it. Runs of one topic source all take the same."""
    rollout = (
        Rollout.objects.filter(tenant_id=workflow.tenant_id, workflow=workflow, status="running")
        .select_related("revision")
        .first()
    )
    if rollout is None:
        return None
    if source and source in rollout.sources:
        return rollout.revision
    drawn = hashlib.sha256(f"{rollout.id}:{source or run_id}".encode()).digest()
    return rollout.revision if int.from_bytes(drawn[:8], "big") % 100 < rollout.share else None


def _thresholds(given: Json) -> dict[str, float]:
    if not isinstance(given, dict):
        raise Invalid("thresholds", f"must be an object with any of {', '.join(THRESHOLDS)}")
    for name, value in given.items():
        if name not in THRESHOLDS:
            raise Invalid(f"thresholds.{name}", f"is not known; there are {', '.join(THRESHOLDS)}")
        counts = name in ("min_runs", "promote_after")
        number = isinstance(value, int | float) and not isinstance(value, bool) and value == value and value < 1e6
        if not number or value < (1 if counts else 0) or (counts and not isinstance(value, int)):
            raise Invalid(f"thresholds.{name}", "must be a whole number from 1 up" if counts else "must be 0 or more")
    return {**THRESHOLDS, **given}
