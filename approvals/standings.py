"""Standing approvals as they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet
from django.utils import timezone

from approvals.models import StandingApproval


def listed(rows: QuerySet[StandingApproval]) -> QuerySet[StandingApproval]:
    """With what ``shown`` reads: how often each was used, and its workflow."""
    return rows.select_related("workflow", "run").annotate(used=Count("uses"))


def state(row: StandingApproval, now: datetime) -> str:
    """active, expired, revoked or over: the run that it was for has ended."""
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at <= now:
        return "expired"
    return "over" if row.run is not None and row.run.ended_at is not None else "active"


def shown(row: Any) -> dict[str, Any]:
    """One, as page and API show it. ``row`` comes from ``listed``."""
    return {
        "id": str(row.pk),
        "state": state(row, timezone.now()),
        "workflow": row.workflow.slug,
        "run": str(row.run_id) if row.run_id else None,
        "request": str(row.request_id),
        "tool": row.tool,
        "agent": row.agent,
        "rule": row.rule_name,
        "digest": row.digest,
        "reason": row.reason,
        "owner": row.owner_name,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "revoked_by": row.revoked_by_name,
        "uses": row.used,
    }
