"""The outbox: what happened, written in the transaction in which it did.

Every transition of a request pays for this, so it is one statement, and writes nothing where nobody listens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.utils import timezone

from approvals.notices import events
from console import prepared

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from console.runs.models import Run


def note(request: ApprovalRequest | None, run: Run, event: str, **extra: Any) -> None:
    """Say that ``event`` (one of events.EVENTS) happened to ``request``, or to ``run`` alone. ``extra`` is JSON without
    content of the run. Call inside the transaction and the scope of the change."""
    if run.smoke_test_id is not None:
        return  # nobody is asked in a smoke test, and nobody waits for it
    facts = {**facts_of(request, run), **extra}
    with prepared.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "id": uuid4(),
                "tenant": run.tenant_id,
                "event": event,
                "request": request.pk if request is not None else None,
                "run": run.pk,
                "facts": json.dumps(facts),
                "now": timezone.now(),
                "listed": json.dumps([event]),
                "wants": _wanted(event),
            },
        )


def tell(tenant_id: UUID, event: str, facts: Mapping[str, Any], now: datetime) -> UUID | None:
    """Say that ``event`` happened in a tenant, to no request and no run: an alert. ``facts`` is JSON, and holds no content
    of a run. Returns the notice's id, or None where nobody outside listens. Call inside the transaction of the change."""
    key = uuid4()
    with prepared.cursor() as cursor:
        cursor.execute(
            _TELL,
            {
                "id": key, "tenant": tenant_id, "event": event, "request": None, "run": None, "facts": json.dumps(facts),
                "now": now, "listed": json.dumps([event]), "wants": events.who_hear(str(facts.get("risk") or "")),
            },
        )  # fmt: skip
        return key if cursor.rowcount else None


def facts_of(request: ApprovalRequest | None, run: Run) -> dict[str, Any]:
    """What a notice says, as it stands at that moment: ids, names and states; no title, no argument, no words."""
    about = {"run": str(run.pk), "workflow": run.workflow.slug, "workflow_name": run.workflow.name}
    if request is None:
        return about
    return {
        "id": str(request.pk),
        **about,
        "kind": request.kind,
        "agent": request.agent,
        "tool": request.tool,
        "risk": request.risk,
        "status": request.status,
        "verdict": request.verdict,
        "group": group_of(request),
        "approvers": request.approvers,
        "due_at": _iso(request.due_at),
        "on_expiry": request.on_expiry,
    }


def group_of(request: ApprovalRequest) -> str:
    """The name of the group that is asked, or an empty text: all reviewers."""
    return getattr(request, "group", "") or ""


def _wanted(event: str) -> list[str]:
    if event in events.URGENT or event == events.MENTIONED:
        return ["all", "urgent"]
    return ["all"] if event in events.WAITING else []


def _iso(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


_WRITE = """
    INSERT INTO approvals_notice (id, tenant_id, event, request_id, run_id, facts, created_at)
    SELECT %(id)s, %(tenant)s, %(event)s, %(request)s::uuid, %(run)s::uuid, %(facts)s::jsonb, %(now)s
    WHERE EXISTS (SELECT 1 FROM approvals_channel c
                  WHERE c.tenant_id = %(tenant)s AND c.active AND c.events @> %(listed)s::jsonb)
       OR EXISTS (SELECT 1 FROM approvals_subscription s
                  WHERE s.tenant_id = %(tenant)s AND s.wants = ANY(%(wants)s::text[]){whose})
"""
_NOTE = _WRITE.format(whose="")
# Who is told of an alert is an admin.
_TELL = _WRITE.format(
    whose=" AND EXISTS (SELECT 1 FROM tenants_membership m WHERE m.tenant_id = s.tenant_id AND m.user_id = s.user_id"
    " AND m.role = 'admin' AND m.active)"
)
