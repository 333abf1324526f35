"""Looks at the figures of running canaries, and promotes or rolls back what they say. The sweeper calls ``look``."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from console.tenants import access
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions
from console.workflows.errors import Invalid
from console.workflows.models import Rollout
from console.workflows.reasons import ABOUT

log = logging.getLogger(__name__)

Json = Any
BEFORE = 200  # runs of the old revision, from before the canary, that may stand beside those during it


@dataclass(frozen=True)
class Figures:
    """Of one revision's runs that have ended: how many, shares of them, and medians (US dollars, seconds of machine time)."""

    runs: int = 0
    failure_rate: float = 0.0
    abnormal_rate: float = 0.0
    rejection_rate: float = 0.0  # of the requests to people that were decided
    cost: float = 0.0
    latency: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """``promoted`` is None as long as nothing can be said."""

    promoted: bool | None
    reason: str = ""


def look() -> int:
    """Judge every running canary once; how many came to an end. Call outside any scope."""
    with system_scope("looking at canaries"):
        found = list(Rollout.objects.filter(status="running").values_list("id", "tenant_id", "workflow_id"))
    return sum(_look(*one) for one in found)


def _look(rollout_id: UUID, tenant_id: UUID, workflow_id: UUID) -> bool:
    with system_scope("looking at a canary"):
        tenant = Tenant.objects.get(pk=tenant_id)
    with tenant_scope(tenant):
        rollout = Rollout.objects.select_related("workflow", "revision", "baseline").get(pk=rollout_id)
        tried, old = figures(rollout)
        told = {"tried": asdict(tried), "old": asdict(old)}
        verdict = judge(tried, old, rollout.thresholds)
        if verdict.promoted is None:
            if told != rollout.figures:
                Rollout.objects.filter(pk=rollout_id, status="running").update(figures=told)
            return False
        try:
            actor = access.system_actor(tenant, "The canary")
            actions.end_rollout(actor, rollout.workflow, promoted=verdict.promoted, reason=verdict.reason, figures=told)
        except Invalid:
            return False  # somebody was first
        log.info("canary of %s: %s", rollout.workflow.slug, verdict.reason)
        return True


def judge(tried: Figures, old: Figures, thresholds: dict[str, float]) -> Verdict:
    """What the figures say. Pure."""
    if tried.runs < thresholds["min_runs"]:
        return Verdict(None)
    for name, words in _RATES.items():
        mine, others = getattr(tried, name), getattr(old, name)
        if mine > others + thresholds[name]:
            return Verdict(
                False, f"{words.format(share=_percent(mine))}, against {_percent(others)} of the old revision's."
            )
    if old.runs >= thresholds["min_runs"]:
        for name, words in _RATIOS.items():
            mine, others = getattr(tried, name), getattr(old, name)
            if others > 0 and mine > others * thresholds[f"{name}_ratio"]:
                return Verdict(False, words.format(times=f"{mine / others:.1f}", most=thresholds[f"{name}_ratio"]))
    if tried.runs >= thresholds["promote_after"]:
        return Verdict(True, f"{tried.runs} runs ended within every threshold.")
    return Verdict(None)


_RATES = {
    "failure_rate": "{share} of its runs failed",
    "abnormal_rate": "{share} of its runs ended abnormally",
    "rejection_rate": "{share} of what it asked people was rejected",
}
_RATIOS = {
    "cost": "A run of it costs {times} times as much as before; {most} times are allowed.",
    "latency": "A run of it works {times} times as long as before; {most} times are allowed.",
}


def figures(rollout: Rollout) -> tuple[Figures, Figures]:
    """Of the revision that is tried, and of the old one. Call inside the tenant's scope."""
    return (
        _figures(rollout, rollout.revision_id, 0),
        _figures(rollout, rollout.baseline_id, BEFORE),
    )


def _figures(rollout: Rollout, revision_id: UUID, before: int) -> Figures:
    abnormal = [str(reason) for reason, about in ABOUT.items() if about.abnormal]
    with connection.cursor() as cursor:
        cursor.execute(
            _FIGURES,
            {
                "tenant": rollout.tenant_id,
                "revision": revision_id,
                "since": rollout.started_at,
                "before": before,
                "abnormal": abnormal,
            },
        )
        runs, failed, odd, cost, latency, decided, rejected = cursor.fetchone()
    if not runs:
        return Figures()
    return Figures(
        runs,
        round(failed / runs, 4),
        round(odd / runs, 4),
        round(rejected / decided, 4) if decided else 0.0,
        round(float(cost or 0), 6),
        round(float(latency or 0), 3),
    )


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


_FIGURES = """
    WITH ended AS (
        (SELECT * FROM runs_run WHERE tenant_id = %(tenant)s AND revision_id = %(revision)s AND ended_at IS NOT NULL
            AND smoke_test_id IS NULL AND NOT probe AND created_at >= %(since)s)
        UNION
        (SELECT * FROM runs_run WHERE tenant_id = %(tenant)s AND revision_id = %(revision)s AND ended_at IS NOT NULL
            AND smoke_test_id IS NULL AND NOT probe AND created_at < %(since)s ORDER BY created_at DESC LIMIT %(before)s)),
    counted AS (SELECT * FROM ended WHERE status <> 'cancelled' OR stop_reason = 'terminated'),
    asked AS (SELECT q.verdict FROM approvals_approvalrequest q JOIN counted c ON c.id = q.run_id
        WHERE q.status = 'decided' AND q.verdict IN ('approve', 'edit', 'reject'))
    SELECT COUNT(*), COUNT(*) FILTER (WHERE status = 'failed'), COUNT(*) FILTER (WHERE stop_reason = ANY(%(abnormal)s)),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY cost), percentile_cont(0.5) WITHIN GROUP (ORDER BY active_s),
        (SELECT COUNT(*) FROM asked), (SELECT COUNT(*) FROM asked WHERE verdict = 'reject')
    FROM counted
"""
