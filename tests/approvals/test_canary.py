"""Canaries: who takes the tried revision, what the figures say, and that it ends by itself, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from approvals import canary
from approvals.canary import Figures, Verdict, judge
from console.audit.models import AuditRecord
from console.runs import actions as runs
from console.runs.models import Run
from console.workflows import actions, rollouts
from console.workflows.errors import Invalid
from console.workflows.models import Promotion, Revision, Rollout, Workflow
from tests.approvals.desk import BODY, Desk, refund
from tests.world import World


@pytest.fixture
def second(desk: Desk) -> Revision:
    """A revision that is not current."""
    with desk.house.scope():
        return Revision.objects.create(tenant=desk.house.tenant, workflow=desk.workflow, number=2, body=BODY)


def begin(desk: Desk, **wanted: Any) -> Rollout:
    with desk.house.scope():
        return actions.start_rollout(desk.house.admin.actor, desk.workflow, {"revision": 2, "share": 50, **wanted})


def ended(desk: Desk, revision: Revision, status: str = "completed", reason: str = "completed", **facts: Any) -> Run:
    with desk.house.scope():
        run = Run(
            tenant=desk.house.tenant, workflow=desk.workflow, revision=revision, sealed_input=b"", status=status,
            stop_reason=reason, ended_at=timezone.now(), **facts,
        )  # fmt: skip
        run.save(force_insert=True)
        return run


def current(desk: Desk) -> int:
    with desk.house.scope():
        found = Workflow.objects.select_related("current").get(pk=desk.workflow.pk).current
        assert found is not None
        return found.number


def test_one_that_always_fails_is_rolled_back_by_itself(desk: Desk, second: Revision) -> None:
    begin(desk, share=100)
    with desk.house.scope():
        workflow = Workflow.objects.select_related("current").get(pk=desk.workflow.pk)
        for _ in range(4):
            assert runs.start(desk.house.operator.actor, workflow, "Refund").revision_id == second.pk
    for _ in range(4):
        ended(desk, second, "failed", "model_error")
    assert canary.look() == 0
    with desk.house.scope():
        assert Rollout.objects.get().figures["tried"]["failure_rate"] == 1.0
    ended(desk, second, "failed", "model_error")
    assert canary.look() == 1
    assert canary.look() == 0
    with desk.house.scope():
        kept = Rollout.objects.get()
        assert (kept.status, kept.figures["tried"]["runs"]) == ("rolled_back", 5)
        assert kept.reason == "100 % of its runs failed, against 0 % of the old revision's."
        assert AuditRecord.objects.filter(action="canary.rolled_back", actor_name="The canary").count() == 1
        workflow = Workflow.objects.select_related("current").get(pk=desk.workflow.pk)
        assert runs.start(desk.house.operator.actor, workflow, "Refund").revision_id != second.pk
    assert current(desk) == 1
    page = desk.house.reviewer.client.get("/workflows/refund-desk/canary/").content.decode()
    assert "rolled back" in page and "100 % of its runs failed" in page


def test_one_that_does_well_is_promoted_by_itself(desk: Desk, second: Revision) -> None:
    begin(desk, thresholds={"promote_after": 6})
    for _ in range(6):
        ended(desk, second)
    assert canary.look() == 1 and current(desk) == 2
    with desk.house.scope():
        assert Promotion.objects.latest("id").kind == "promoted"
        assert Rollout.objects.get().status == "promoted"


def test_what_people_reject_counts(desk: Desk, second: Revision) -> None:
    begin(desk)
    for n in range(5):
        run, [request] = desk.waiting(refund(40.0))
        with desk.house.scope():
            Run.objects.filter(pk=run.pk).update(revision=second)
        desk.decide(desk.house.reviewer, request, "reject" if n < 2 else "approve", reason="no")
        with desk.house.scope():
            Run.objects.filter(pk=run.pk).update(status="completed", stop_reason="completed", ended_at=timezone.now())
    assert canary.look() == 1
    with desk.house.scope():
        assert "40 % of what it asked people was rejected" in Rollout.objects.get().reason


def test_cost_and_time_are_held_against_the_old_one(desk: Desk, second: Revision) -> None:
    with desk.house.scope():
        first = Revision.objects.get(number=1)
    for _ in range(5):
        ended(desk, first, cost="0.10", active_s=2.0)
    with desk.house.scope():
        Run.objects.update(created_at=timezone.now() - timedelta(days=1))  # before the canary: they count all the same
    begin(desk)
    for _ in range(5):
        ended(desk, second, cost="0.20", active_s=2.0)
    assert canary.look() == 1
    with desk.house.scope():
        assert "costs 2.0 times as much" in Rollout.objects.get().reason


def test_named_sources_always_take_it_and_one_source_takes_one_revision(desk: Desk, second: Revision) -> None:
    begin(desk, share=0, sources=["order-7"])
    with desk.house.scope():
        workflow = Workflow.objects.get(pk=desk.workflow.pk)
        assert rollouts.choose(workflow, uuid4(), "order-7") == second
        assert rollouts.choose(workflow, uuid4(), "order-8") is None
        Rollout.objects.update(share=50)
        drawn = {
            source: {rollouts.choose(workflow, uuid4(), source) for _ in range(5)} for source in map(str, range(40))
        }
    assert all(len(found) == 1 for found in drawn.values())
    taken = sum(found == {second} for found in drawn.values())
    assert 8 <= taken <= 32


def test_another_revision_that_becomes_current_ends_it(desk: Desk, second: Revision) -> None:
    begin(desk)
    with desk.house.scope():
        Revision.objects.create(tenant=desk.house.tenant, workflow=desk.workflow, number=3, body=BODY)
        actions.promote(desk.house.admin.actor, desk.workflow, 3)
        kept = Rollout.objects.get()
    assert (kept.status, kept.reason) == ("stopped", "Revision 3 became current.")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"share": 101}, "share"),
        ({"share": "ten"}, "share"),
        ({"share": 0}, "share"),
        ({"share": True}, "share"),
        ({"sources": "x"}, "sources"),
        ({"sources": [""]}, "sources"),
        ({"revision": 1}, "revision"),
        ({"revision": "two"}, "revision"),
        ({"thresholds": []}, ""),
        ({"thresholds": {"luck": 1}}, "thresholds.luck"),
        ({"thresholds": {"min_runs": 0}}, "thresholds.min_runs"),
        ({"thresholds": {"failure_rate": "x"}}, "thresholds.failure_rate"),
        ({"thresholds": {"failure_rate": float("nan")}}, "thresholds.failure_rate"),
    ],
)
def test_what_no_canary_is(desk: Desk, second: Revision, wanted: dict[str, Any], field: str) -> None:
    if not field:
        begin(desk, **wanted)
        return
    with pytest.raises(Invalid) as caught:
        begin(desk, **wanted)
    assert caught.value.field == field


def test_over_the_api_and_the_page(desk: Desk, second: Revision, world: World) -> None:
    admin, base = desk.house.admin, "/api/v1/workflows/refund-desk/canaries"
    made = admin.api.post(base, {"revision": 2, "share": 10})
    assert made.status_code == 201 and made.json()["thresholds"]["min_runs"] == 5
    assert admin.api.post(base, {"revision": 2, "share": 10}).status_code == 422  # one at a time
    assert admin.api.post(base, {"revision": 9, "share": 10}).status_code == 404
    assert desk.house.operator.api.post(base, {"revision": 2, "share": 10}).status_code == 403
    assert world.fabrikam.admin.api.get(base).status_code == 404
    assert desk.house.reviewer.api.get(base).json()["items"][0]["status"] == "running"
    assert admin.api.post(f"{base}/end", {"promote": False, "reason": "Not now"}).json()["status"] == "rolled_back"
    assert admin.api.post(f"{base}/end", {"promote": True}).status_code == 422
    page = "/workflows/refund-desk/canary/"
    assert admin.client.post(page, {"do": "start", "revision": "2", "share": "many"}).status_code == 422
    assert admin.client.post(page, {"do": "start", "revision": "2", "share": "30"}).status_code == 302
    assert desk.house.operator.client.post(page, {"do": "promote"}).status_code == 403
    assert "is being tried on 30 %" in desk.house.reviewer.client.get("/workflows/refund-desk/").content.decode()
    assert admin.client.post(page, {"do": "promote"}).status_code == 302 and current(desk) == 2
    assert world.fabrikam.admin.client.get(page).status_code == 404


rates = st.floats(0, 1)
some = st.builds(Figures, st.integers(0, 100), rates, rates, rates, st.floats(0, 10), st.floats(0, 10))


@given(some, some)
def test_a_verdict_is_never_early_and_never_promotes_what_is_worse(tried: Figures, old: Figures) -> None:
    limits = dict(rollouts.THRESHOLDS)
    found = judge(tried, old, limits)
    if tried.runs < limits["min_runs"]:
        assert found == Verdict(None)
    if found.promoted:
        assert tried.runs >= limits["promote_after"] and tried.failure_rate <= old.failure_rate + limits["failure_rate"]
    if found.promoted is False:
        assert found.reason
