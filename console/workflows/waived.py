"""Which waivers hold at a time, and what a team's oversight is then. Reading only; what changes them is in waivers.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from console.workflows import assessed, limits, registry
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
    return held(body, {one.stage for one in holding(workflow, body, tenant_limits)[0]})


def of_now(workflow: Workflow, body: Mapping[str, Json]) -> dict[str, Json]:
    """The same, where the tenant's limits are not at hand."""
    return effective(workflow, body, limits.of_tenant(workflow.tenant_id) if says_never(body) else {})


def holding(
    workflow: Workflow, body: Mapping[str, Json], tenant_limits: Mapping[str, Json]
) -> tuple[list[Waiver], list[tuple[Waiver, list[str]]]]:
    """The waivers in force that hold for a revision's ``body``, and those that do not, with why: the body lets the team do
    more than was assessed. What was assessed is kept with each; of an older one it is read from its own revision."""
    held_now: list[Waiver] = []
    outgrown: list[tuple[Waiver, list[str]]] = []
    rows = in_force(workflow)
    tools = registry.of(workflow.tenant_id) if rows else None
    for one in rows:
        assert tools is not None  # noqa: S101 - there are rows
        levels = (tenant_limits, workflow.limits, body.get("limits") or {})
        now_is = assessed.taken(body, one.stage, tools, limits.effective(*levels))
        was = one.assessed or _before(one, tools)
        more = assessed.beyond(was, now_is)
        if more:
            outgrown.append((one, more))
        else:
            held_now.append(one)
    return held_now, outgrown


def outgrown(workflow: Workflow) -> dict[Any, list[str]]:
    """By id, why a waiver that is in force does not hold for the current revision. Empty where all of them hold."""
    body = workflow.current.body if workflow.current else {}
    if not says_never(body):
        return {}
    past = holding(workflow, body, limits.of_tenant(workflow.tenant_id))[1]
    return {one.pk: why for one, why in past}


def _before(waiver: Waiver, tools: registry.Registry) -> dict[str, Json]:
    """What a waiver from before this was kept stood for; of its limits only the revision's own are known."""
    body = waiver.revision.body
    return assessed.taken(body, waiver.stage, tools, limits.effective(body.get("limits") or {}))


def in_force(workflow: Workflow) -> list[Waiver]:
    """A workflow's waivers that two admins stand for now, the longest first; ``holding`` says for which revision."""
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
