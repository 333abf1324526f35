"""A history of tool calls, written as a worker and people would have written it, at times that the test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from approvals import actions
from approvals.models import ApprovalRequest, Sighting
from console.durable import steps
from console.durable.steps import Ask, Kind, Safety, Status
from console.runs import record
from console.runs.models import Run, Step, StepPayload
from tests.approvals.desk import Desk


class History:
    """Calls in runs of a desk. ``seq`` and ``n`` go up by themselves."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._seq = 0

    def call(self, run: Run, ask: Ask, at: datetime) -> ApprovalRequest | None:
        """A call as the run's revision judges it: it runs, is refused, or stops; then this is the request."""
        self._seq += 1
        ask = replace(ask, n=self._seq, scope="payer/tools")
        run = self.desk.now(run)
        with self.desk.house.scope():
            verdict = actions.judge(run, ask)
            facts = {"effect": verdict.effect, "reason": verdict.reason, "detail": verdict.detail}
            if verdict.effect == "allow":
                self._step(run, ask, at, Kind.TOOL, ask.scope, facts)
                return None
            scope = f"{ask.scope}/review"
            self._step(run, ask, at, Kind.REVIEW, scope, facts)
            if verdict.effect == "deny":
                return None
            request = actions.announce(run.pk, replace(ask, scope=scope, verdict=verdict))
            assert request is not None
            ApprovalRequest.objects.filter(pk=request.pk).update(created_at=at)
        return request

    def decide(
        self, request: ApprovalRequest, verdict: str, waited: float, looked: float | None = None, **words: Any
    ) -> None:
        """A reviewer's word, so many seconds after the request was made; opened ``looked`` seconds before that."""
        who = self.desk.house.reviewer
        if verdict == "reject":
            words["reason"] = "No."
        self.desk.decide(who, request, verdict, **words)
        with self.desk.house.scope():
            at = ApprovalRequest.objects.get(pk=request.pk).created_at + timedelta(seconds=waited)
            ApprovalRequest.objects.filter(pk=request.pk).update(decided_at=at)
            if looked is not None:
                Sighting.objects.create(
                    tenant=self.desk.house.tenant,
                    request=request,
                    viewer_id=who.user.id,
                    viewer_name=who.user.name,
                    opened_at=at - timedelta(seconds=looked),
                )

    def goes_ahead(self, run: Run, ask: Ask, request: ApprovalRequest, at: datetime) -> None:
        """The effect of an approved call: a step of its own that is no other call."""
        with self.desk.house.scope():
            facts = {"effect": "require", "reason": "", "detail": {}}
            self._seq += 1
            self._step(run, replace(ask, n=request.n), at, Kind.TOOL, request.scope.removesuffix("/review"), facts)

    def _step(self, run: Run, ask: Ask, at: datetime, kind: Kind, scope: str, verdict: Any) -> None:
        shown = ask.request
        called = {"tool": "pay", "version": 1, "arguments": shown["arguments"], "call_id": "c"}
        request = called if kind is Kind.TOOL else shown
        seq = self._next(run)
        step = steps.Step(
            scope, ask.n, kind, seq, ask.digest, request, at, Status.DONE, seq,
            safety=Safety(shown["safety"]) if kind is Kind.TOOL else Safety.READ_ONLY,
            name=ask.tool, agent=ask.agent, verdict=verdict,
        )  # fmt: skip
        facts = ("scope", "n", "seq", "settled", "digest", "started_at", "name", "agent", "verdict")
        Step.objects.create(
            run=run, tenant_id=run.tenant_id, kind=str(kind), status="done", safety=str(step.safety),
            **{name: getattr(step, name) for name in facts},
        )  # fmt: skip
        StepPayload.objects.create(
            run=run, tenant_id=run.tenant_id, seq=seq, request=record.seal_request(run.tenant_id, step)
        )

    def _next(self, run: Run) -> int:
        last = (
            Step.objects.filter(tenant_id=run.tenant_id, run=run).order_by("-seq").values_list("seq", flat=True).first()
        )
        return (last or 0) + 1
