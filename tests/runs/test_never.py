"""NEVER in real runs: a parked run keeps what held when it started, whatever becomes of the waiver meanwhile."""

from __future__ import annotations

import copy

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from console.runs import actions
from console.runs.models import Run
from console.tenants.scopes import tenant_scope
from console.workflows import actions as workflows
from console.workflows import waived
from console.workflows.models import Waiver, Workflow
from tests.runs.conftest import join
from tests.runs.test_smoke import BODIES, SMALL, Bench, bench, model_url, until
from tests.workflows.waiving import waive

__all__ = ["bench", "model_url"]


def start(bench: Bench) -> Run:
    with tenant_scope(bench.house.tenant):
        workflow = Workflow.objects.select_related("current").get(pk=bench.house.workflow.pk)
        return actions.start(bench.house.operator, workflow, SMALL)


def asked(bench: Bench, run: Run) -> ApprovalRequest | None:
    with tenant_scope(bench.house.tenant):
        waits = Run.objects.filter(pk=run.pk, status="waiting").exists()
        return ApprovalRequest.objects.filter(run=run, status="pending").first() if waits else None


def approve(bench: Bench, request: ApprovalRequest) -> None:
    reviewer = join(bench.house.tenant)
    with tenant_scope(bench.house.tenant):
        approvals.decide(reviewer, request.pk, "approve")


def ended(bench: Bench, run: Run) -> Run | None:
    now = bench.house.run(run)
    return now if now.ended_at else None


def test_a_parked_run_keeps_never_and_the_next_one_is_reviewed(bench: Bench) -> None:
    bench.revise()  # says NEVER, and has its waiver
    first = start(bench)
    payment = until(lambda: asked(bench, first))
    assert payment.kind == "tool"
    with tenant_scope(bench.house.tenant):
        Waiver.objects.update(expires_at=waived.now())  # it runs out while a person thinks
    second = start(bench)
    approve(bench, payment)
    over = until(lambda: ended(bench, first))
    assert (over.status, over.oversight) == ("completed", {"mode": "NEVER"})
    with tenant_scope(bench.house.tenant):
        assert [one.kind for one in ApprovalRequest.objects.filter(run=first)] == ["tool"]
    approve(bench, until(lambda: asked(bench, second)))
    result = until(lambda: (found := asked(bench, second)) and found.kind == "final" and found)
    assert bench.house.run(second).oversight == {"mode": "TERMINATE"}
    approve(bench, result)
    assert until(lambda: ended(bench, second)).status == "completed"


def test_a_run_that_began_reviewed_stays_so_when_a_waiver_comes(bench: Bench) -> None:
    with tenant_scope(bench.house.tenant):
        workflow = Workflow.objects.select_related("current").get(pk=bench.house.workflow.pk)
        workflows.create_revision(bench.house.admin, workflow, copy.deepcopy(BODIES["refund-desk"]))
    run = start(bench)
    payment = until(lambda: asked(bench, run))
    with tenant_scope(bench.house.tenant):
        waive(Workflow.objects.get(pk=bench.house.workflow.pk))
    approve(bench, payment)
    assert until(lambda: (found := asked(bench, run)) and found.kind == "final")


def test_a_smoke_test_is_of_what_would_hold(bench: Bench) -> None:
    bench.keep({"name": "no", "input": SMALL, "decide": "reject", "expect": {"stop_reason": "rejected"}})
    with tenant_scope(bench.house.tenant):
        workflow = Workflow.objects.select_related("current").get(pk=bench.house.workflow.pk)
        made, _ = workflows.create_revision(bench.house.admin, workflow, copy.deepcopy(BODIES["refund-desk"]))
    assert bench.test(made.number).status == "passed"  # the result is rejected, too: somebody reviews it
    with tenant_scope(bench.house.tenant):
        waive(Workflow.objects.get(pk=bench.house.workflow.pk))
    assert bench.test(made.number).status == "failed"  # nobody is asked about the result any more
