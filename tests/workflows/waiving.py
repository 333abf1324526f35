"""NEVER in force, for tests of something else: a waiver as two admins would have written it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from console.workflows import waived
from console.workflows.models import Waiver, Workflow

ASSESSMENT = "Nothing leaves the house without a person's approval; a wrong word here costs a minute."


def waive(workflow: Workflow, stage: str = "", **changes: Any) -> Waiver:
    """A waiver in force for 30 days, written past its checks. Call inside a scope."""
    now = waived.now()
    row = {
        "tenant_id": workflow.tenant_id,
        "workflow": workflow,
        "revision_id": workflow.current_id,
        "stage": stage,
        "risk_assessment": ASSESSMENT,
        "expires_at": now + timedelta(days=30),
        "proposed_by_id": uuid4(),
        "proposed_by_name": "Ada Admin",
        "proposed_at": now,
        "consented_by_id": uuid4(),
        "consented_by_name": "Ari Admin",
        "consented_at": now,
    }
    return Waiver.objects.create(**{**row, **changes})
