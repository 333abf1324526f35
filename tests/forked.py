"""A run with a past, for tests of forks: a model spoke, a payment was approved and made, and the model spoke again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from console.durable.steps import Kind, Safety, Status, Step
from console.runs import models as rows
from console.runs import record
from console.runs.models import Run
from tests.approvals.desk import Desk

AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
SAID = {"finish_reason": "stop", "usage": {"input_tokens": 3, "output_tokens": 4}, "cost": "0.5"}


def past(*, amount: float = 5) -> list[Step]:
    """Steps 1 (model), 2 (approval), 4 (payment) and 6 (model)."""
    call = {"tool": "pay", "version": 1, "arguments": {"amount": amount}}
    shown = {"title": f"Pay €{amount:.2f}", "safety": "neither"}
    approved = {"verdict": "approve", "reason": "", "arguments": None}
    asks = {"keep": 0, "add": [{"type": "UserMessage", "source": "user", "content": "Refund"}], "rest": {"model": "m"}}
    done: dict[str, Any] = {"status": Status.DONE, "ended_at": AT, "agent": "payer"}
    return [
        Step("payer/model", 1, Kind.MODEL, 1, "d", asks, AT, settled=1, name="m", result={**SAID, "content": "Pay it"}, **done),
        Step("payer/tools/review", 1, Kind.REVIEW, 2, "d", shown, AT, settled=3, name="pay", result=approved, **done),
        Step(
            "payer/tools", 1, Kind.TOOL, 4, "d", call, AT,
            settled=5, name="pay", safety=Safety.NEITHER, key="k1", result="paid", **done,
        ),
        Step(
            "payer/model", 2, Kind.MODEL, 6, "d", {"keep": 1, "add": []}, AT,
            settled=6, name="m", result={**SAID, "content": "It is paid."}, **done,
        ),
    ]  # fmt: skip


def put(desk: Desk, steps: list[Step], status: str = "completed", reason: str = "completed", detail: str = "") -> Run:
    """A run of the desk that ended with these steps in its journal."""
    run = desk.start()
    with desk.house.scope():
        for step in steps:
            rows.Step.objects.create(
                run=run, tenant_id=run.tenant_id, seq=step.seq, settled=step.settled, scope=step.scope, n=step.n,
                kind=str(step.kind), status=str(step.status), safety=str(step.safety), digest=step.digest, key=step.key,
                name=step.name, agent=step.agent, started_at=step.started_at, ended_at=step.ended_at,
            )  # fmt: skip
            rows.StepPayload.objects.create(
                run=run, tenant_id=run.tenant_id, seq=step.seq, request=record.seal_request(run.tenant_id, step),
                result=record.seal_outcome(run.tenant_id, step),
            )  # fmt: skip
        Run.objects.filter(pk=run.pk).update(status=status, stop_reason=reason, stop_detail=detail, ended_at=AT)
    return desk.now(run)
