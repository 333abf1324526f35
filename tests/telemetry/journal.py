"""Rows of the journal as workers and people leave them, committed one change at a time, at times that the test says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from approvals.models import ApprovalRequest, Sighting, Vote
from console.runs.models import Run, Step
from console.tenants.scopes import system_scope
from console.workflows.models import Revision, Workflow
from telemetry import projector, reading, recount

AT = datetime(2026, 11, 20, 9, 15, tzinfo=UTC)


def project(**limits: int) -> None:
    """Project all there is. Nothing is under way in a test's database, whatever others in the same server do."""
    while projector.project(upto=reading.EVERYTHING, **limits).more:
        pass


def wrong(tenant: str | None = None) -> list[str]:
    """What a recount finds, as it stands: nothing is projected first."""
    found = recount.verify(tenant)
    return [str(each) for each in found.differences] + (["stale"] if found.stale else [])


class Journal:
    """Runs of one tenant. ``seq`` goes up by itself."""

    def __init__(self, tenant: Any, slug: str = "refunds") -> None:
        self.tenant = tenant
        with system_scope("tests: a workflow"):
            self.workflow = Workflow.objects.create(tenant=tenant, slug=slug, name=slug.title())
            self.revision = Revision.objects.create(tenant=tenant, workflow=self.workflow, number=1, body={})
        self._last: dict[UUID, int] = {}

    def revise(self) -> None:
        """Later runs are of the next revision."""
        with system_scope("tests: a revision"):
            number = self.revision.number + 1
            self.revision = Revision.objects.create(tenant=self.tenant, workflow=self.workflow, number=number, body={})

    def run(self, at: datetime = AT, **fields: Any) -> Run:
        with system_scope("tests: a run"):
            run = Run.objects.create(
                tenant=self.tenant, workflow=self.workflow, revision=self.revision, sealed_input=b"", **fields
            )
            self.change(run, status="running", created_at=at, started_at=at)
        return run

    def change(self, run: Run, **fields: Any) -> None:
        with system_scope("tests: a run changes"):
            Run.objects.filter(pk=run.pk).update(**fields)

    def beat(self, run: Run) -> None:
        """A sign of life, as a lease that is renewed."""
        self.change(run, lease_until=datetime.now(UTC))

    def end(self, run: Run, at: datetime, reason: str = "completed", **fields: Any) -> None:
        status = reason if reason in ("completed", "cancelled") else "failed"
        self.change(run, status=status, stop_reason=reason, ended_at=at, **fields)

    def step(self, run: Run, at: datetime = AT, seconds: float = 1.0, kind: str = "model", **fields: Any) -> Step:
        """A step that has ended; with ``open`` one that was only begun."""
        begun = self._next(run)
        settled = None if fields.pop("open", False) else begun
        facts: dict[str, Any] = {
            "scope": "team", "n": begun, "kind": kind, "status": "done", "digest": "d",
            "name": "gpt-4o" if kind == "model" else "pay", "agent": "clerk", "started_at": at - timedelta(seconds=seconds),
            "ended_at": at if settled else None, "attempts": [{}] if kind == "model" else [],
            "usage": {"input_tokens": 100, "output_tokens": 10} if kind == "model" else None,
            "cost": "0.001" if kind == "model" else None,
        }  # fmt: skip
        with system_scope("tests: a step"):
            return Step.objects.create(tenant=self.tenant, run=run, seq=begun, settled=settled, **{**facts, **fields})

    def settle(self, step: Step, at: datetime, **fields: Any) -> None:
        number = self._next(step.run)
        with system_scope("tests: a step ends"):
            Step.objects.filter(run_id=step.run_id, seq=step.seq).update(
                settled=number, status="done", ended_at=at, **fields
            )

    def _next(self, run: Run) -> int:
        self._last[run.pk] = self._last.get(run.pk, 0) + 1
        return self._last[run.pk]

    def ask(self, run: Run, at: datetime = AT, **fields: Any) -> ApprovalRequest:
        facts: dict[str, Any] = {
            "scope": "team", "n": uuid4().int % 10**9, "kind": "tool", "tool": "pay", "agent": "clerk", "title": "Pay",
            "sealed_request": b"", "digest": "d",
        }  # fmt: skip
        with system_scope("tests: a request"):
            request = ApprovalRequest.objects.create(
                tenant=self.tenant, run=run, workflow=self.workflow, **{**facts, **fields}
            )
            ApprovalRequest.objects.filter(pk=request.pk).update(created_at=at)
        return request

    def open(self, request: ApprovalRequest, who: Any, at: datetime) -> None:
        with system_scope("tests: somebody opens a request"):
            Sighting.objects.update_or_create(
                tenant=self.tenant, request=request, viewer_id=who.id, defaults={"opened_at": at}
            )

    def vote(self, request: ApprovalRequest, who: Any, verdict: str, at: datetime, last: bool = True) -> None:
        with system_scope("tests: a vote"):
            vote = Vote.objects.create(
                tenant=self.tenant, request=request, voter_id=who.id, voter_name=who.name, verdict=verdict, sealed=b""
            )
            Vote.objects.filter(pk=vote.pk).update(at=at)
            if last:
                ApprovalRequest.objects.filter(pk=request.pk).update(
                    status="decided", verdict=verdict, decided_at=at, decided_by_id=who.id
                )

    def over(self, request: ApprovalRequest, status: str, at: datetime) -> None:
        """It expires, or is moot."""
        with system_scope("tests: a request is over"):
            ApprovalRequest.objects.filter(pk=request.pk).update(status=status, decided_at=at)
