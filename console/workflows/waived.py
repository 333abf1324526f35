"""Which waivers hold at a time, and what a team's oversight is then. Reading only; what changes them is in waivers.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from console.workflows import limits
from console.workflows.models import Waiver, Workflow
from console.workflows.oversight import held, lacking, says_never

Json = Any


def effective(workflow: Workflow, body: Mapping[str, Json], tenant_limits: Mapping[str, Json]) -> dict[str, Json]:
    """The oversight of a run that starts now with a revision's ``body``: NEVER only where it is in force.

    What the body says is handed back as it is where nothing of it falls back. No query where it never says NEVER.
    """
    if not says_never(body):
        return held(body, ())
    if lacking(body, tenant_limits, workflow.limits):
        return held(body, ())
    return held(body, {one.stage for one in in_force(workflow)})


def of_now(workflow: Workflow, body: Mapping[str, Json]) -> dict[str, Json]:
    """The same, where the tenant's limits are not at hand."""
    return effective(workflow, body, limits.of_tenant(workflow.tenant_id) if says_never(body) else {})


def in_force(workflow: Workflow) -> list[Waiver]:
    """A workflow's waivers that hold now, the longest first."""
    rows = Waiver.objects.filter(
        tenant_id=workflow.tenant_id,
        workflow=workflow,
        consented_at__isnull=False,
        revoked_at=None,
        expires_at__gt=now(),
    )
    return list(rows.order_by("-expires_at"))


def of(workflow: Workflow) -> list[Waiver]:
    """All of a workflow's waivers, the newest first."""
    return list(Waiver.objects.filter(tenant_id=workflow.tenant_id, workflow=workflow).order_by("-proposed_at"))


def state(waiver: Waiver) -> str:
    """proposed, in_force, expired (after consent), lapsed (without), revoked (after consent) or declined (without)."""
    agreed = waiver.consented_at is not None
    if waiver.revoked_at is not None:
        return "revoked" if agreed else "declined"
    if waiver.expires_at <= now():
        return "expired" if agreed else "lapsed"
    return "in_force" if agreed else "proposed"


def now() -> datetime:
    """The clock that decides; tests set it."""
    return timezone.now()
