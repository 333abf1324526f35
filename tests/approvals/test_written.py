"""Rows that are written without the ORM's statement are the rows that it would write."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.actions.announcing import write
from approvals.models import REQUESTS, ApprovalRequest
from console.durable.steps import Ask, Verdict
from tests.approvals.desk import Desk, refund

ITS_OWN = {"id", "scope", "created_at", "changed"}


def facts(request: ApprovalRequest) -> dict[str, Any]:
    """All that a row says, as it is in the database, without what no other row can have."""
    row = ApprovalRequest.objects.filter(pk=request.pk).values().get()
    return {name: bytes(v) if isinstance(v, memoryview) else v for name, v in row.items() if name not in ITS_OWN}


@pytest.mark.parametrize("rule", [None, {"name": "large refunds", "when": "arguments.amount > 1000.0"}])
def test_a_request_is_the_row_that_the_orm_writes(desk: Desk, rule: Any) -> None:
    run = desk.start()
    ask = refund()
    detail = {"rule": rule, "expires_in": "PT4H", "verdicts": ["approve", "reject"], "group": "finance", "risk": "high"}
    asked = Ask(
        ask.scope, ask.n, ask.kind, ask.digest, ask.request, ask.agent, ask.tool, Verdict("require", "", detail)
    )
    with desk.house.scope():
        written = write(run, asked, timezone.now(), 3)
        assert not written._state.adding
        assert written.rule_name == (rule or {}).get("name", "")  # the database makes it
        kept = ApprovalRequest.objects.get(pk=written.pk)
        assert all(
            getattr(written, name) == getattr(kept, name) for name in ("created_at", "agenda", "verdicts", "due_at")
        )
        values = {f.attname: getattr(written, f.attname) for f in REQUESTS._written if f.attname != "changed"}
        saved = ApprovalRequest(**{**values, "id": uuid4(), "scope": "elsewhere"})
        saved.save(force_insert=True)
        assert facts(written) == facts(saved)
        written.refresh_from_db()  # it is as good as any other
        written.title = "Another"
        written.save(update_fields=["title"])


def test_the_same_gate_is_written_once(desk: Desk) -> None:
    run = desk.start()
    with desk.house.scope():
        write(run, refund(), timezone.now())
        with pytest.raises(IntegrityError), transaction.atomic():
            write(run, refund(), timezone.now())
        assert ApprovalRequest.objects.filter(run=run).count() == 1
