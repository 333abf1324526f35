"""Rows of rollups, written by hand: what tests of pages show."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from console.tenants.scopes import system_scope
from telemetry import histogram
from telemetry.models import ALL, EVERY_PART, PLATFORM, ApprovalRollup, RunRollup, StepRollup


def put(
    table: Any,
    tenant: UUID,
    at: datetime,
    *,
    cut: str = "all",
    key: str = "",
    part: str = "",
    workflow: UUID | None = None,
    seconds: dict[str, list[float]] | None = None,
    **measures: int,
) -> None:
    """The hour and the day of one thing that happened ``at``, for the workflow and for the sum of all, by part and of all."""
    bins = {name: histogram.of(value * 1000 for value in values) for name, values in (seconds or {}).items()}
    hour = at.replace(minute=0, second=0, microsecond=0)
    owners = [(tenant, each) for each in dict.fromkeys((workflow or ALL, ALL))]
    if cut in ("all", "model"):
        owners.append((PLATFORM, ALL))
    with system_scope("a test's rollups"):
        for owner, flow in owners:
            if cut == "revision" and flow == ALL:
                continue
            times = (("h", hour), ("d", hour.replace(hour=0)))
            for grain, begins, each in [(*time, each) for time in times for each in (part, EVERY_PART)]:
                where = {
                    "tenant_id": owner,
                    "grain": grain,
                    "cut": cut,
                    "workflow_id": flow,
                    "at": begins,
                    "key": key,
                    "part": each,
                }
                row = table.objects.filter(**where).first() or table(**where)
                for name, value in measures.items():
                    setattr(row, name, getattr(row, name) + value)
                packed = {
                    name: histogram.pack(histogram.unpack(getattr(row, name)) + more) for name, more in bins.items()
                }
                for name, kept in packed.items():
                    setattr(row, name, kept)
                if row._state.adding:
                    row.save(force_insert=True)
                else:
                    table.objects.filter(**where).update(**packed, **{name: getattr(row, name) for name in measures})


def runs(
    tenant: UUID,
    at: datetime,
    reason: str,
    many: int,
    *,
    machine: float = 4.0,
    workflow: UUID | None = None,
    revision: int = 1,
) -> None:
    """Runs that were made and ended ``at``."""
    good, abnormal = reason == "completed", reason not in ("completed", "rejected", "cancelled", "terminated")
    status = {"completed": "completed", "cancelled": "cancelled", "terminated": "cancelled"}.get(reason, "failed")
    for cut, key in (("all", ""), ("revision", str(revision))):
        put(RunRollup, tenant, at, cut=cut, key=key, workflow=workflow, started=many)
        put(
            RunRollup, tenant, at, cut=cut, key=key, part=reason, workflow=workflow, ended=many, abnormal=many * abnormal,
            cost_micros=many * 10_000, seconds={"machine": [machine] * many, "human": [60.0 * machine] * many * (not good)},
            **{status: many},
        )  # fmt: skip


def calls(
    tenant: UUID, at: datetime, model: str, many: int, micros: int, *, workflow: UUID | None = None, unpriced: int = 0
) -> None:
    """Model calls that ended ``at``, at so many millionths of a dollar each."""
    for cut, key in (("all", ""), ("model", model), ("agent", "planner")):
        put(
            StepRollup, tenant, at, cut=cut, key=key, part="model", workflow=workflow, calls=many, cost_micros=many * micros,
            input_tokens=many * 100, output_tokens=many * 10, unpriced=unpriced, seconds={"duration": [1.5] * many},
        )  # fmt: skip


def decisions(tenant: UUID, at: datetime, reviewer: UUID, many: int, unopened: int, *, wait: float = 600.0) -> None:
    """Requests that one person approved ``at``."""
    for cut, key in (("all", ""), ("reviewer", str(reviewer))):
        put(ApprovalRollup, tenant, at, cut=cut, key=key, raised=many, opened=many - unopened)
        put(
            ApprovalRollup, tenant, at, cut=cut, key=key, part="approve", decided=many, unopened=unopened,
            seconds={"wait": [wait] * many},
        )  # fmt: skip
