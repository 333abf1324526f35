"""Probes look like any request, and are inert: nothing in the product takes one for work."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from approvals import actions, backtest, canary, precedents, rule_sets, verify, verify_audit
from approvals.calendars import Hours
from approvals.card import card
from approvals.errors import Conflict, Invalid, TooLate
from approvals.models import ApprovalRequest, RequestStatus, StandingApproval
from approvals.notices.models import Notice
from approvals.pages import CARD
from approvals.probes import defining, judging, planting, schedule
from approvals.probes.models import Outcome, Planting, Probe
from console import sweeper
from console.audit.models import AuditRecord
from console.platform import figures
from console.runs import actions as runs
from console.runs import admission, decoys, forks, reasons, retries
from console.runs.models import Run, SpendDay, Step
from console.tenants import access
from console.tenants.models import GroupMember, Membership
from tests.approvals.desk import Desk, refund
from tests.approvals.planted import ARGUMENTS, BODY, SAID, define, nothing_happened, outcome, plant, probe_desk
from tests.world import World


@pytest.fixture
def desk(world: World) -> Desk:
    return probe_desk(world.northwind)


def behind(desk: Desk, request: ApprovalRequest) -> Run:
    return desk.now(request.run_id)


# -- It looks like any other while it waits


def test_it_waits_as_any_other_request(desk: Desk) -> None:
    made, row = plant(desk)
    assert (row.status, row.kind, row.tool, row.agent, row.risk) == ("pending", "tool", "issue_refund", "payer", "high")
    assert row.title == "Refund €940.00 to Mallory for order A-99" and row.shown_words and row.rule is None
    listed = desk.house.reviewer.api.get("/api/v1/approvals?status=pending").json()["items"]
    assert [one["id"] for one in listed] == [str(row.pk)]
    assert listed[0]["probe"] is False
    page = desk.house.reviewer.client.get(f"/queue/{row.pk}/").content.decode()
    assert "Refund €940.00 to Mallory" in page and "Customer asks for a refund" in page
    assert "probe" not in page.lower().replace('href="/probes/', "")
    assert desk.house.reviewer.client.get(f"/runs/{row.run_id}/").status_code == 200
    run = desk.house.reviewer.api.get(f"/api/v1/runs/{row.run_id}").json()
    assert run["status"] == "waiting" and "probe" not in str(run).lower()
    assert outcome(desk, made) == "planted"


def test_the_rules_freeze_what_they_freeze_of_any_call(desk: Desk) -> None:
    _, row = plant(desk, arguments={**ARGUMENTS, "amount": 2000.0}, rule="large refunds")
    assert (row.approvers, row.group, row.on_expiry) == (2, "finance", "reject")
    assert row.due_at is not None and row.rule_name == "large refunds"


def test_the_card_has_the_figures_of_a_real_run(desk: Desk) -> None:
    real, _ = desk.waiting(refund())
    with desk.house.scope():
        Run.objects.filter(pk=real.pk).update(input_tokens=900, output_tokens=100, cost="0.0123", model_s=4.0)
    made, row = plant(desk)
    with desk.house.scope():
        shown = card(desk.house.reviewer.actor, CARD.get(pk=row.pk))
        assert (shown["tokens"], str(shown["cost"]), shown["machine_s"]) == (1000, "0.012300", 4.0)
        assert shown["probe"] is None
        behind_it = Run.objects.get(pk=row.run_id)
        assert (behind_it.cost, behind_it.input_tokens, behind_it.model_s) == (0, 0, 0)
    desk.decide(desk.house.reviewer, row, "reject", reason="No.")
    with desk.house.scope():
        assert card(desk.house.reviewer.actor, CARD.get(pk=row.pk))["tokens"] == 0
    assert outcome(desk, made) == "caught"


# -- What is decided about it


@pytest.mark.parametrize(
    ("verdict", "words", "said"),
    [
        ("approve", {}, "missed"),
        ("reject", {"reason": "Not theirs."}, "caught"),
        ("terminate", {"reason": "Not theirs."}, "caught"),
        ("edit", {"arguments": {**ARGUMENTS, "amount": 1.0}}, "missed"),
        ("edit", {"arguments": {**ARGUMENTS, "customer": "Ann"}}, "caught"),
    ],
)
def test_every_verdict_does_nothing_and_is_told(
    desk: Desk, woken: list[str], verdict: str, words: dict[str, Any], said: str
) -> None:
    made, row = plant(desk, edit_field="customer")
    before = set(woken)
    desk.decide(desk.house.reviewer, row, verdict, **words)
    assert outcome(desk, made) == said and set(woken) == before
    nothing_happened(desk)
    run = behind(desk, row)
    assert (run.status, run.stop_reason, run.stop_detail) == ("cancelled", "cancelled", decoys.OVER)
    page = desk.house.reviewer.client.get(f"/queue/{row.pk}/").content.decode()
    assert "This was a probe" in page and SAID["why"] in page
    assert desk.house.reviewer.api.get(f"/api/v1/approvals/{row.pk}").json()["probe"] is True
    with desk.house.scope():
        told = list(AuditRecord.objects.filter(object_type="probe").order_by("id").values_list("action", flat=True))
        assert told == ["probe.defined", "probe.planted", "probe.concluded", "probe.revealed"]
        assert AuditRecord.objects.filter(action="request.decided", object_id=str(row.pk)).exists()


def test_an_escalation_is_a_catch_where_it_counts(desk: Desk) -> None:
    made, row = plant(desk, catches=["escalate"])
    said = desk.decide(desk.house.reviewer, row, "escalate", reason="Look at this.")
    assert said.status == "moot" and outcome(desk, made) == "caught"
    page = desk.house.reviewer.client.get(f"/queue/{row.pk}/").content.decode()
    assert "This was a probe, and it was caught" in page
    with pytest.raises(TooLate):
        desk.decide(desk.house.reviewer2, row, "approve")


def test_an_escalation_that_is_no_catch_goes_on(desk: Desk) -> None:
    made, row = plant(desk)
    assert desk.decide(desk.house.reviewer, row, "escalate").status == "pending"
    assert outcome(desk, made) == "planted"
    assert "This was a probe" not in desk.house.reviewer.client.get(f"/queue/{row.pk}/").content.decode()
    desk.decide(desk.house.reviewer2, row, "approve")
    assert outcome(desk, made) == "missed"


def test_time_runs_out(desk: Desk, woken: list[str]) -> None:
    rules = [{"name": "soon", "match": {"tool": "issue_*"}, "effect": "require", "expires_in": "PT1H",
              "on_expiry": "terminate"}]  # fmt: skip
    with desk.house.scope():
        desk.workflow.refresh_from_db()
        desk.workflow.current.body = {**BODY, "rules": rules}
        desk.workflow.current.save()
    made, row = plant(desk)
    before = set(woken)
    desk.late(row)
    assert actions.expire_due() == 1
    assert desk.request(row).status == "expired" and outcome(desk, made) == "expired"
    assert set(woken) == before
    nothing_happened(desk)
    page = desk.house.reviewer.client.get(f"/queue/{row.pk}/").content.decode()
    assert "nobody answered it in time" in page


def test_the_first_of_two_votes_tells_nothing(desk: Desk) -> None:
    made, row = plant(desk, arguments={**ARGUMENTS, "amount": 2000.0})
    desk.decide(desk.house.reviewer, row, "approve")
    assert outcome(desk, made) == "planted"
    assert desk.house.reviewer.api.get(f"/api/v1/approvals/{row.pk}").json()["probe"] is False
    desk.decide(desk.house.reviewer2, row, "reject", reason="No.")
    assert outcome(desk, made) == "caught"


def test_judging() -> None:
    planted = {"to": {"iban": "DE1"}, "amount": 5}
    assert judging.outcome("edit", {"to": {"iban": "DE2"}, "amount": 5}, planted, [], "to.iban") == Outcome.CAUGHT
    assert judging.outcome("edit", {"to": {"iban": "DE1"}, "amount": 4}, planted, [], "to.iban") == Outcome.MISSED
    assert judging.outcome("edit", "nonsense", planted, [], "to.iban") == Outcome.CAUGHT
    assert judging.outcome("edit", planted, planted, ["reject"]) == Outcome.MISSED
    assert judging.outcome("reject", None, planted, ["terminate"]) == Outcome.MISSED
    assert judging.outcome("escalate", None, planted, ["reject"]) is None


# -- Inert by construction


@pytest.mark.parametrize(
    "change",
    [
        {"status": "queued"},
        {"status": "running"},
        {"status": "completed"},
        {"token": 1},
        {"wake": 1},
        {"ready_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"wake_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"lease_until": datetime(2026, 1, 1, tzinfo=UTC)},
        {"leased_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"lease_owner": "worker"},
        {"cancel_requested": True},
    ],
)
def test_the_database_refuses_to_move_it(desk: Desk, change: dict[str, Any]) -> None:
    _, row = plant(desk)
    with pytest.raises(IntegrityError, match="probe_is_inert"), desk.house.scope(), transaction.atomic():
        Run.objects.filter(pk=row.run_id).update(**change)


def test_no_worker_can_have_it(desk: Desk) -> None:
    _, row = plant(desk)
    with desk.house.scope():
        assert runs.claim(row.run_id, "a worker") is None
        assert runs.renew([(row.run_id, 0)]) == {}
        assert not runs.park(row.run_id, 0, 0) and not runs.release(row.run_id, 0) and not runs.lose(row.run_id, 0, 1)
        assert not runs.request_cancel(row.run_id)
        assert not actions.finish_run(row.run_id, 0, "completed", "completed")
    for move in (lambda: runs.wake(row.run_id), lambda: runs.finish(row.run_id, None, "failed", "expired")):
        with pytest.raises(IntegrityError, match="probe_is_inert"), desk.house.scope(), transaction.atomic():
            move()
    nothing_happened(desk)


def test_the_sweeper_leaves_it_alone(desk: Desk, woken: list[str]) -> None:
    _, row = plant(desk)
    before = list(woken)
    for _ in range(2):
        sweeper.sweep()
    assert woken == before and desk.request(row).status == "pending"
    nothing_happened(desk)


def test_it_is_neither_retried_nor_forked_nor_kept(desk: Desk) -> None:
    _, row = plant(desk)
    house = desk.house
    assert house.operator.api.post(f"/api/v1/runs/{row.run_id}/retry").status_code == 409
    assert house.operator.api.post(f"/api/v1/runs/{row.run_id}/fork", {"from_step": 1}).status_code in (409, 422)
    desk.decide(house.reviewer, row, "approve")
    assert house.operator.api.post(f"/api/v1/runs/{row.run_id}/retry").status_code == 409
    assert house.operator.api.post(f"/api/v1/runs/{row.run_id}/fork", {"from_step": 1}).status_code in (409, 422)
    run = behind(desk, row)
    assert forks.refusal(run)
    with pytest.raises(retries.Refused, match="oversight probe"):
        retries.revision_for(run)
    with house.scope():
        assert Run.objects.count() == 1


def test_to_cancel_it_withdraws_it(desk: Desk) -> None:
    made, row = plant(desk)
    assert desk.house.operator.api.post(f"/api/v1/runs/{row.run_id}/cancel").status_code == 200
    assert outcome(desk, made) == "withdrawn" and desk.request(row).status == "moot"
    assert desk.house.operator.api.post(f"/api/v1/runs/{row.run_id}/cancel").status_code == 409
    nothing_happened(desk)


def test_the_books_are_in_order(desk: Desk) -> None:
    _, first = plant(desk)
    assert [faults for _, faults in verify.verify()] == [[]]
    desk.decide(desk.house.reviewer, first, "approve")
    plant(desk, name="another")
    assert [faults for _, faults in verify.verify(payloads=True)] == [[]]
    assert not [says for says in verify_audit.faults() if " run " in says]


def test_a_step_of_it_would_be_found(desk: Desk) -> None:
    _, row = plant(desk)
    with desk.house.scope():
        Step.objects.create(
            run_id=row.run_id, tenant=desk.house.tenant, seq=1, scope="x", n=0, kind="tool", status="done", digest="0" * 64,
            started_at=timezone.now(), settled=2, ended_at=timezone.now(),
        )  # fmt: skip
    [(_, faults)] = list(verify.verify())
    assert any("is a probe" in fault.says for fault in faults)


def test_no_list_or_figure_counts_it(desk: Desk) -> None:
    house = desk.house
    _, row = plant(desk)
    assert house.operator.api.get("/api/v1/runs").json()["items"] == []
    assert str(row.run_id) not in house.operator.client.get("/runs/").content.decode()
    with house.scope():
        admission.check(house.tenant)
        assert backtest.history.find(house.tenant.id).rows == []
    desk.decide(house.reviewer, row, "reject", reason="No.")
    with house.scope():
        assert all(line.count == 0 for line in reasons.counted(house.admin.actor))
        assert not SpendDay.objects.exists() and not Step.objects.exists()
    assert house.operator.api.get("/api/v1/runs").json()["items"] == []
    assert str(row.run_id) not in house.operator.client.get("/runs/?status=cancelled").content.decode()


def test_a_canary_does_not_see_it(desk: Desk) -> None:
    _, row = plant(desk)
    desk.decide(desk.house.reviewer, row, "reject", reason="No.")
    with desk.house.scope():
        revision = behind(desk, row).revision
        with connection.cursor() as cursor:
            cursor.execute(
                canary._FIGURES,
                {
                    "tenant": desk.house.tenant.id,
                    "revision": revision.pk,
                    "since": timezone.now() - timedelta(days=1),
                    "before": 100,
                    "abnormal": ["rejected"],
                },
            )
            assert cursor.fetchone()[0] == 0


def test_the_platform_does_not_count_it(desk: Desk) -> None:
    plant(desk)
    with connection.cursor() as cursor, desk.house.scope():
        cursor.execute(figures._PENDING, [[desk.house.tenant.id]])
        assert cursor.fetchall() == []
        cursor.execute(figures._OPEN, [[desk.house.tenant.id], ["waiting"]])
        assert cursor.fetchall() == []


def test_no_yes_in_advance_decides_it_or_comes_of_it(desk: Desk) -> None:
    real, [first] = desk.waiting(refund())
    soon = (timezone.now() + timedelta(days=1)).isoformat()
    with desk.house.scope():
        actions.grant(desk.house.reviewer.actor, first.pk, scope="workflow", same="tool", expires_at=soon, reason="ok")
    made, row = plant(desk)
    assert row.status == "pending" and outcome(desk, made) == "planted"
    with pytest.raises(Invalid, match="does not allow it"), desk.house.scope():
        actions.grant(desk.house.reviewer2.actor, row.pk, scope="workflow", same="tool", expires_at=soon, reason="ok")
    with desk.house.scope():
        assert StandingApproval.objects.count() == 1
    assert real.pk != row.run_id


def test_it_is_no_precedent(desk: Desk) -> None:
    _, row = plant(desk)
    desk.decide(desk.house.reviewer, row, "approve")
    _, [real] = desk.waiting(refund())
    with desk.house.scope():
        assert precedents.of(desk.house.reviewer.actor, CARD.get(pk=real.pk)).total == 0
    desk.decide(desk.house.reviewer, real, "approve")
    _, again = plant(desk, name="another")
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=again.pk).update(rule=real.rule)
        assert precedents.of(desk.house.reviewer.actor, CARD.get(pk=again.pk)).total == 1  # real ones are shown on it


def test_decided_together_with_real_ones(desk: Desk, woken: list[str]) -> None:
    run, [real] = desk.waiting(refund())
    made, row = plant(desk)
    woken.clear()
    with desk.house.scope():
        answers = actions.decide_many(desk.house.reviewer.actor, [real.pk, row.pk], "approve")
    assert [answer.problem for answer in answers] == ["", ""]
    assert outcome(desk, made) == "missed"
    assert desk.now(run).status == "queued" and behind(desk, row).status == "cancelled"
    nothing_happened(desk)


def test_notices_go_out_as_for_any_request(desk: Desk) -> None:
    house = desk.house
    hook = {"kind": "webhook", "address": "https://8.8.8.8/hook", "events": ["request.created", "run.ended"]}
    assert house.admin.api.put("/api/v1/channels/hook", hook).status_code == 200
    _, row = plant(desk)
    desk.decide(house.reviewer, row, "terminate", reason="No.")
    with house.scope():
        assert list(Notice.objects.values_list("event", flat=True)) == ["request.created"]
        assert "probe" not in str(Notice.objects.get().facts).lower()


def test_who_may_have_to_decide_does_not_read_it_in_the_record(desk: Desk) -> None:
    plant(desk)
    assert "probe.planted" not in desk.house.reviewer.client.get("/audit/").content.decode()
    assert "probe.planted" in desk.house.admin.client.get("/audit/").content.decode()


# -- Defining and planting


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"workflow": "nothing"}, "workflow"),
        ({"workflow": None}, "workflow"),
        ({"name": ""}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": 7}, "name"),
        ({"why": " "}, "why"),
        ({"tool": "restart_service"}, "tool"),
        ({"agent": "nobody"}, "agent"),
        ({"arguments": {**ARGUMENTS, "amount": -1}}, "arguments"),
        ({"arguments": {"order": "A-99"}}, "arguments"),
        ({"arguments": "text"}, "arguments"),
        ({"arguments": {**ARGUMENTS, "reason": "a\x00"}}, "arguments"),
        ({"arguments": {**ARGUMENTS, "reason": "a" * 70_000}}, "arguments"),
        ({"arguments": {**ARGUMENTS, "amount": 6000.0}}, "arguments"),  # a rule forbids it: nobody would see it
        ({"rule": "large refunds"}, "rule"),
        ({"catches": []}, "catches"),
        ({"catches": ["approve"]}, "catches"),
        ({"catches": "reject"}, "catches"),
        ({"edit_field": "nothing"}, "edit_field"),
        ({"per_week": 4}, "per_week"),
        ({"per_week": "2"}, "per_week"),
        ({"per_week": True}, "per_week"),
    ],
)
def test_what_is_no_probe(desk: Desk, said: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        define(desk, **said)
    assert refusal.value.field == field
    with desk.house.scope():
        assert not Probe.objects.exists() and not AuditRecord.objects.filter(object_type="probe").exists()


def test_two_of_a_name(desk: Desk) -> None:
    first = define(desk)
    with pytest.raises(Invalid, match="another probe"):
        define(desk)
    with desk.house.scope():
        planting.withdraw(desk.house.admin.actor, first.pk)
    define(desk)


@pytest.mark.parametrize("role", ["operator", "reviewer"])
def test_only_admins(desk: Desk, role: str) -> None:
    probe = define(desk)
    actor = getattr(desk.house, role).actor
    for deed in (
        lambda: defining.define(actor, SAID),
        lambda: planting.plant(actor, probe.pk),
        lambda: planting.withdraw(actor, probe.pk),
    ):
        with pytest.raises(access.Forbidden), desk.house.scope():
            deed()


def test_another_tenants_probe_does_not_exist(desk: Desk, world: World) -> None:
    probe = define(desk)
    for deed in (planting.plant, planting.withdraw):
        with pytest.raises(access.NotFound), world.fabrikam.scope():
            deed(world.fabrikam.admin.actor, probe.pk)


def test_one_at_a_time_and_withdrawn_once(desk: Desk) -> None:
    probe = define(desk)
    made, row = plant(desk, probe)
    with pytest.raises(Conflict, match="in the queue already"):
        plant(desk, probe)
    with desk.house.scope():
        planting.withdraw(desk.house.admin.actor, probe.pk)
    assert outcome(desk, made) == "withdrawn" and desk.request(row).status == "moot"
    with pytest.raises(TooLate):
        desk.decide(desk.house.reviewer, row, "approve")
    for deed in (planting.plant, planting.withdraw):
        with pytest.raises(Conflict, match="withdrew"), desk.house.scope():
            deed(desk.house.admin.actor, probe.pk)
    nothing_happened(desk)


def test_bounded_by_the_week_and_by_who_can_decide(desk: Desk) -> None:
    most = planting.PER_REVIEWER * 2  # northwind has two reviewers
    for n in range(most):
        _, row = plant(desk, name=f"probe {n}")
        desk.decide(desk.house.reviewer, row, "approve")
    with pytest.raises(Conflict, match="for each is the most"):
        plant(desk, name="one more")
    with desk.house.scope():
        Planting.objects.update(planted_at=timezone.now() - timedelta(days=8))
    plant(desk, name="a week later")


def test_nobody_who_could_decide_it(desk: Desk) -> None:
    with desk.house.scope():
        Membership.objects.filter(role="reviewer").update(active=False)
    with pytest.raises(Conflict, match="No reviewer is here"):
        plant(desk)
    with desk.house.scope():
        assert not Run.objects.exists() and not ApprovalRequest.objects.exists()


def test_a_group_without_reviewers(desk: Desk) -> None:
    with desk.house.scope():
        GroupMember.objects.all().delete()
    with pytest.raises(Conflict, match="No reviewer is in finance"):
        plant(desk, arguments={**ARGUMENTS, "amount": 2000.0})
    with desk.house.scope():
        assert not Planting.objects.exists()


def test_the_rules_have_changed_since(desk: Desk) -> None:
    probe = define(desk)
    with desk.house.scope():
        desk.workflow.refresh_from_db()
        desk.workflow.current.body = {**BODY, "team": {}}
        desk.workflow.current.save()
    with pytest.raises(Invalid, match="tool"):
        plant(desk, probe)


# -- The schedule


def test_planted_by_the_schedule_once(desk: Desk) -> None:
    probe = define(desk, per_week=2)
    assert probe.next_at is not None and probe.next_at > timezone.now()
    assert planting.plant_due(random.Random(1)) == 0
    with desk.house.scope():
        Probe.objects.update(next_at=timezone.now() - timedelta(days=30))
    assert planting.plant_due(random.Random(1)) == 1
    assert planting.plant_due(random.Random(1)) == 0
    with desk.house.scope():
        assert Planting.objects.count() == 1
        assert Probe.objects.get().next_at > timezone.now()


def test_what_cannot_be_planted_is_left_out_and_said(desk: Desk) -> None:
    define(desk, per_week=2)
    with desk.house.scope():
        Probe.objects.update(next_at=timezone.now())
        Membership.objects.filter(role="reviewer").update(active=False)
    assert planting.plant_due(random.Random(1)) == 1
    with desk.house.scope():
        assert not Planting.objects.exists()
        [record] = AuditRecord.objects.filter(action="probe.skipped")
        assert "No reviewer" in record.detail["why"]
        assert Probe.objects.get().next_at > timezone.now()


@pytest.mark.parametrize("seed", range(20))
def test_times_are_in_business_hours_and_as_many_as_said(seed: int) -> None:
    chance, oslo = random.Random(seed), ZoneInfo("Europe/Oslo")
    hours = Hours(oslo, {0: (time(8), time(12)), 3: (time(13), time(17))})
    now = start = datetime(2026, 11, 2, 10, tzinfo=UTC)
    for _ in range(100):
        later = schedule.next_time(now, 2, hours, chance)
        here = later.astimezone(oslo)
        assert later > now
        first, last = hours.days[here.weekday()]
        assert first <= here.time() <= last
        now = later
    weeks = (now - start) / schedule.WEEK
    assert 30 <= weeks <= 130  # 100 plantings at two a week, in two days a week


def test_rule_sets_still_count_who_waits(desk: Desk) -> None:
    plant(desk)
    with desk.house.scope():
        assert rule_sets.current(desk.house.tenant.id) is None
        assert ApprovalRequest.objects.filter(status=RequestStatus.PENDING).count() == 1
