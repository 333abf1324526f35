"""Alerts: from a figure of the rollups to a notice in the outbox, and what keeps people from being told too much."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from approvals.notices import actions as notice_actions
from approvals.notices import spreading
from approvals.notices.models import Delivery, Notice
from console.audit.models import AuditRecord
from console.tenants import actions as tenants
from console.tenants import crypto
from console.tenants.scopes import system_scope
from telemetry.alerts import actions, checking, figuring, ready, states, telling, terms
from telemetry.alerts.models import AlertRule, Incident, Silence, Watch
from telemetry.alerts.states import Measured, Standing, Terms
from telemetry.models import ALL, RunRollup
from telemetry.query import find
from tests.telemetry import rolled
from tests.world import House, World

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 20, 12, 30, tzinfo=UTC)
MINUTE, HOUR, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=7)
HOOK = {"kind": "webhook", "address": "https://8.8.8.8/hook"}
ABOVE: dict[str, Any] = {
    "name": "many bad ones",
    "figure": "abnormal",
    "hours": 2,
    "condition": "above",
    "threshold": 3,
}


@pytest.fixture
def house(world: World, monkeypatch: pytest.MonkeyPatch) -> House:
    """Northwind, with a webhook that hears of alerts, and no ready-made rules."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    monkeypatch.setattr(ready, "READY", {})
    house = world.northwind
    events = ["alert.raised", "alert.reminded", "alert.recovered"]
    assert house.admin.api.put("/api/v1/channels/pager", {**HOOK, "events": events}).status_code == 200
    return house


def add(house: House, **more: Any) -> AlertRule:
    with house.scope():
        return actions.add_rule(house.admin.actor, {**ABOVE, **more}, NOW)


def check(house: House, at: datetime, times: int = 1) -> None:
    """Look once a minute."""
    for n in range(times):
        checking.check(house.tenant.id, at + n * MINUTE)


def notices(house: House) -> list[tuple[str, dict[str, Any]]]:
    with house.scope():
        return [(one.event, one.facts) for one in Notice.objects.order_by("created_at", "pk")]


def kinds(house: House) -> list[str]:
    return [event for event, _ in notices(house)]


def test_a_life(house: House) -> None:
    rule = add(house)
    check(house, NOW)
    with house.scope():
        assert AlertRule.objects.get().state == "ok" and not Notice.objects.exists()
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    rolled.runs(house.tenant.id, NOW, "completed", 5)
    check(house, NOW + MINUTE, 5)
    assert kinds(house) == ["alert.raised"]
    with house.scope():
        one = Incident.objects.get()
        assert (one.rule_id, one.first, one.high, one.told_at) == (rule.pk, 5.0, 3.0, NOW + MINUTE)
        assert one.because == "Mostly tool error with 5 of 5." and one.notices
        assert AuditRecord.objects.filter(action="alert.raised", object_id=str(one.pk)).count() == 1
    spreading.spread(NOW)
    with house.scope():
        row = Delivery.objects.get()
        sent = json.loads(crypto.unseal_json(row.tenant_id, "notice", row.sealed_body)["json"])
    assert sent["type"] == "alert.raised" and sent["data"]["says"] == "Ended badly is 5, above 3"
    assert sent["data"]["url"].endswith(f"/alerts/{one.pk}/")
    later = NOW + 3 * HOUR  # the hours of it have passed
    check(house, later, 15)
    assert kinds(house) == ["alert.raised", "alert.recovered"]
    with house.scope():
        one = Incident.objects.get()
        assert one.ended_at == later + 10 * MINUTE and AlertRule.objects.get().state == "ok"
        assert AuditRecord.objects.filter(action="alert.recovered").count() == 1
    check(house, later + HOUR, 5)
    assert len(notices(house)) == 2


def test_the_letter_is_in_plain_words(house: House) -> None:
    mail = {
        "kind": "chat",
        "address": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "events": ["alert.raised"],
    }
    assert house.admin.api.put("/api/v1/channels/chat", mail).status_code == 200
    add(house, severity="high")
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    spreading.spread(NOW)
    with house.scope():
        row = Delivery.objects.get(channel__kind="chat")
        body = crypto.unseal_json(row.tenant_id, "notice", row.sealed_body)
    assert body["subject"] == "Alert: many bad ones"
    assert "Ended badly is 5, above 3." in body["text"] and "Since 12:30 UTC on 20 Mar 2026" in body["text"]


def test_it_has_to_last(house: House) -> None:
    add(house, for_minutes=5)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW, 5)
    assert kinds(house) == []
    check(house, NOW + 5 * MINUTE)
    assert kinds(house) == ["alert.raised"]


def test_a_reminder_once_a_day(house: House) -> None:
    add(house, hours=168)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    for hour in range(0, 60, 2):
        check(house, NOW + hour * HOUR)
    assert kinds(house) == ["alert.raised", "alert.reminded", "alert.reminded"]


def test_silence_and_its_end(house: House) -> None:
    rule = add(house, hours=12)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    with house.scope():
        actions.silence(house.operator.actor, str(rule.pk), "We know.", "1h", NOW)
    for minute in range(0, 60, 6):
        check(house, NOW + minute * MINUTE)
    assert kinds(house) == []
    with house.scope():
        assert Incident.objects.get().silenced
    check(house, NOW + HOUR, 5)
    assert kinds(house) == ["alert.raised"]
    with house.scope():
        assert AuditRecord.objects.filter(action="alert.silenced").count() == 1


def test_what_began_and_ended_in_silence_is_never_told(house: House) -> None:
    add(house)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    with house.scope():
        actions.silence(house.operator.actor, "", "Works.", "8h", NOW)
    check(house, NOW, 3)
    check(house, NOW + 3 * HOUR, 15)
    check(house, NOW + 9 * HOUR, 3)
    assert kinds(house) == []
    with house.scope():
        assert Incident.objects.get().ended_at is not None


def test_no_storm(house: House) -> None:
    for n in range(30):
        add(house, name=f"rule {n}", hours=24, severity="high" if n == 29 else "low")
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW, 4)
    told = notices(house)
    assert len(told) == telling.CAP + 1
    assert "rule 29" in {facts.get("rule") for _, facts in told}  # the newest, and told alone for its severity
    [digest] = [facts for _, facts in told if "more" in facts]
    assert digest["more"] == 20 and digest["says"] == "20 more alerts."
    spreading.spread(NOW)
    with house.scope():
        assert Delivery.objects.count() == telling.CAP + 1
    check(house, NOW + 61 * MINUTE, 5)
    assert len(notices(house)) == telling.CAP + 1


def test_coming_and_going_is_told_once(house: House) -> None:
    add(house, hours=1)
    at = NOW.replace(minute=0)
    for _ in range(6):  # an hour bad, an hour good
        rolled.runs(house.tenant.id, at, "tool_error", 5)
        check(house, at, 2)
        check(house, at + HOUR)
        check(house, at + HOUR + states.CALM, 2)
        at += 2 * HOUR
    told = notices(house)
    assert [event for event, _ in told] == ["alert.raised", "alert.recovered"] * 2 + ["alert.raised"]
    assert [facts["comes_and_goes"] for _, facts in told][-1] is True
    with house.scope():
        assert Incident.objects.count() == 6 and AlertRule.objects.get().flapping
    check(house, at + 7 * HOUR, 2)
    assert kinds(house)[-1] == "alert.recovered" and len(notices(house)) == 6
    with house.scope():
        assert not AlertRule.objects.get().flapping


def test_what_stays_after_coming_and_going_is_told(house: House) -> None:
    add(house, hours=1)
    at = NOW.replace(minute=0)
    for _ in range(3):
        rolled.runs(house.tenant.id, at, "tool_error", 5)
        check(house, at, 2)
        check(house, at + HOUR)
        check(house, at + HOUR + states.CALM, 2)
        at += 2 * HOUR
    before = len(notices(house))
    for hour in range(3):
        rolled.runs(house.tenant.id, at + hour * HOUR, "tool_error", 5)
    for minute in range(0, 170, 20):
        check(house, at + minute * MINUTE)
    assert kinds(house)[before:] == ["alert.raised"]


def test_nobody_listens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "READY", {})
    house = world.fabrikam
    add(house)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    assert notices(house) == []
    with house.scope():
        assert Incident.objects.get().told_at == NOW and Incident.objects.get().notices == []


def test_a_channel_hears_of_its_severity_and_workflow(house: House) -> None:
    events = ["alert.raised"]
    assert (
        house.admin.api.put("/api/v1/channels/pager", {**HOOK, "events": events, "risks": ["high"]}).status_code == 200
    )
    add(house)
    add(house, name="worse", severity="high")
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    spreading.spread(NOW)
    with house.scope():
        assert Delivery.objects.get().notice.facts["rule"] == "worse"


def test_no_data(house: House) -> None:
    add(house, figure="abnormal_share", threshold=0.5, least=4)
    rolled.runs(house.tenant.id, NOW, "tool_error", 3)
    check(house, NOW)
    with house.scope():
        rule = AlertRule.objects.get()
        assert (rule.state, rule.note) == ("no_data", "Too few to say: 3, and it takes 4.")
    rolled.runs(house.tenant.id, NOW, "tool_error", 3)
    check(house, NOW + MINUTE)
    assert kinds(house) == ["alert.raised"]
    check(house, NOW + 5 * HOUR)
    assert len(notices(house)) == 1
    check(house, NOW + 5 * HOUR + states.QUIET)
    event, facts = notices(house)[-1]
    assert event == "alert.recovered" and "nothing to judge" in facts["says"]


def test_its_usual_range(house: House) -> None:
    add(house, name="unusual", figure="abnormal_share", condition="unusual", threshold=None, hours=3, least=5, weeks=6)
    tenant = house.tenant.id
    rolled.runs(tenant, NOW, "tool_error", 5)
    rolled.runs(tenant, NOW, "completed", 5)
    check(house, NOW)
    with house.scope():
        rule = AlertRule.objects.get()
        assert rule.state == "no_data" and "0 of the 4 weeks" in rule.note
    for week in range(1, 7):
        rolled.runs(tenant, NOW - week * WEEK, "tool_error", 1)
        rolled.runs(tenant, NOW - week * WEEK, "completed", 9)
    rolled.runs(tenant, NOW - 6 * WEEK - 5 * HOUR, "completed", 1)
    check(house, NOW + HOUR)
    with house.scope():
        rule = AlertRule.objects.get()
        # The weeks agree, so the spread is what chance does to a share of 10 in 10 runs, times 3.5.
        assert rule.high == pytest.approx(0.1 + 3.5 * (0.1 * 0.9 / 10) ** 0.5) and rule.low is None
        assert rule.state == "firing" and rule.value == 0.5


def test_the_formula() -> None:
    terms_ = Terms("unusual", None, 0, 0, sums=True)
    usual = [Measured(value, 9) for value in (100.0, 120.0, 80.0, 110.0, 90.0, 1000.0)]
    bounds = states.bounds(terms_, find("runs"), usual, Measured(0.0, 0))
    assert bounds is not None and bounds.low is not None and bounds.high is not None
    spread = 1.4826 * 15  # the median is 105, and the deviations' median 15: the one odd week moves neither
    assert (bounds.low, bounds.high) == (pytest.approx(105 - 3.5 * spread), pytest.approx(105 + 3.5 * spread))
    few = [Measured(value, 1) for value in (0.0, 0.0, 0.0, 0.0)]
    tiny = states.bounds(terms_, find("runs"), few, Measured(0.0, 0))
    assert tiny is not None and tiny.high == 3.5  # three runs where there were none alarm nobody
    assert states.bounds(terms_, find("runs"), [*usual[:3], None, None, Measured(None, 0)], Measured(1.0, 1)) is None


def test_a_preview_by_the_same_steps(house: House) -> None:
    for days in (3, 9, 20):
        rolled.runs(house.tenant.id, NOW - timedelta(days=days), "tool_error", 5)
    rolled.runs(house.tenant.id, NOW - timedelta(days=31), "tool_error", 5)
    with house.scope():
        found = figuring.backtest(house.system, terms.rule(house.admin.actor, ABOVE, NOW), NOW)
    assert [one.began.date().day for one in found] == [28, 11, 17] and all(one.ended for one in found)


def test_a_preview_of_what_is_usual(house: House) -> None:
    hour = {"tenant": house.tenant, "grain": "h", "cut": "all", "workflow_id": ALL, "key": "", "part": "*"}
    with house.scope():
        RunRollup.objects.bulk_create(
            RunRollup(at=NOW.replace(minute=0) - n * HOUR, started=1 if n != 100 else 30, **hour)
            for n in range(24 * 70)
        )
    unusual = {**ABOVE, "figure": "runs", "condition": "unusual", "threshold": None, "hours": 1}
    with house.scope():
        found = figuring.backtest(house.system, terms.rule(house.admin.actor, unusual, NOW), NOW)
    assert len(found) == 1


def test_ready_made_once(world: World) -> None:
    house = world.northwind
    check(house, NOW)
    with house.scope():
        assert set(AlertRule.objects.values_list("ready", flat=True)) == set(ready.READY)
        rule = AlertRule.objects.get(ready="cost")
        actions.delete_rule(house.admin.actor, rule.pk, NOW)
    check(house, NOW + 5 * MINUTE)
    with house.scope():
        assert not AlertRule.objects.filter(ready="cost").exists() and Watch.objects.count() == 1
        for one in AlertRule.objects.all():
            terms.rule(house.admin.actor, {name: getattr(one, name) for name in terms.FIELDS}, NOW)


def test_a_lost_worker_is_told(world: World) -> None:
    house = world.northwind
    check(house, NOW)
    rolled.runs(house.tenant.id, NOW, "worker_lost", 1)
    check(house, NOW + MINUTE)
    with house.scope():
        assert [one.name for one in Incident.objects.all()] == ["A worker was lost"]


def test_a_round_looks_at_all_and_not_twice(world: World) -> None:
    assert checking.round(lambda: NOW) == 2
    assert checking.round(lambda: NOW + 10 * timedelta(seconds=1)) == 0
    assert checking.round(lambda: NOW + MINUTE) == 2


def test_a_tenant_that_is_gone(house: House) -> None:
    add(house)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    assert checking.check(uuid4(), NOW) is False


def test_one_tenant_that_fails_holds_up_no_other(house: House, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = telling.tell

    def breaks(tenant: Any, watch: Any, now: datetime) -> int:
        if tenant.id == house.tenant.id:
            raise RuntimeError("no")
        return real(tenant, watch, now)

    monkeypatch.setattr(telling, "tell", breaks)
    add(house)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    assert checking.round(lambda: NOW) == 1
    with house.scope():
        assert not Incident.objects.exists()  # all of it or nothing


def test_a_change_ends_what_fires(house: House) -> None:
    rule = add(house, hours=12)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    with house.scope():
        actions.change_rule(house.admin.actor, rule.pk, {**ABOVE, "hours": 12, "threshold": 50}, NOW + MINUTE)
        assert Incident.objects.get().ended_at is not None
    check(house, NOW + 2 * MINUTE, 3)
    event, facts = notices(house)[-1]
    assert event == "alert.recovered" and "was changed by" in facts["says"] and len(notices(house)) == 2


def test_a_change_of_its_name_does_not(house: House) -> None:
    rule = add(house, hours=12)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    with house.scope():
        actions.change_rule(house.admin.actor, rule.pk, {**ABOVE, "hours": 12, "name": "other"}, NOW + MINUTE)
        assert Incident.objects.get().ended_at is None and AlertRule.objects.get().state == "firing"


def test_what_a_person_changed_meanwhile_stays(house: House) -> None:
    rule = add(house)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    with house.scope():
        stale = AlertRule.objects.get(pk=rule.pk)
        actions.switch(house.admin.actor, rule.pk, False, NOW)
        checking._go_on(house.system, stale, NOW)
        assert not Incident.objects.exists() and AlertRule.objects.get().state == "ok"


def test_a_workflow_that_is_gone(house: House) -> None:
    rule = add(house)
    with house.scope():
        AlertRule.objects.filter(pk=rule.pk).update(narrowed={"workflow": "gone"})
    check(house, NOW)
    with house.scope():
        found = AlertRule.objects.get()
        assert found.state == "no_data" and "no workflow gone" in found.note


def test_another_tenants_figures_are_theirs(house: House, world: World) -> None:
    add(house)
    rolled.runs(world.fabrikam.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    check(world.fabrikam, NOW)
    assert kinds(house) == []
    assert world.fabrikam.reviewer.api.get("/api/v1/alerts").json()["items"] == []


BAD: list[tuple[str, Any]] = [
    ("name", ""), ("name", "a\nb"), ("name", "x" * 81), ("figure", "nothing"), ("hours", 0), ("hours", 169),
    ("hours", 10**400), ("condition", "beside"), ("threshold", None), ("threshold", -1), ("threshold", 1e300), ("weeks", 3),
    ("weeks", 13), ("least", 10**8), ("for_minutes", 1441), ("severity", "fatal"), ("remind_hours", 0),
    ("narrowed", {"reviewer": "x"}), ("workflow", {"workflow": "gone"}), ("stop_reason", {"stop_reason": "bored"}),
    ("agent", {"agent": "planner"}), ("revision", {"revision": "1"}), ("revision", {"revision": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD)
def test_nonsense(house: House, field: str, value: Any) -> None:
    named = "narrowed" if isinstance(value, dict) else field
    answer = house.admin.api.post("/api/v1/alerts/rules", {**ABOVE, named: value})
    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"][0]["field"] == field
    with house.scope():
        assert not AlertRule.objects.exists()


@pytest.mark.parametrize("text", ["NaN", "1e999", "-0.1", "inf", "x", "", "٣"])
def test_a_threshold_is_a_number(house: House, text: str) -> None:
    with house.scope(), pytest.raises(terms.Invalid) as found:
        terms.rule(house.admin.actor, {**ABOVE, "figure": "abnormal_share", "threshold": text}, NOW)
    assert found.value.field == "threshold"


@pytest.mark.parametrize(
    "until",
    ["", "0h", "now", "2026-03-20T12:30Z", "2026-04-21", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"],
)
def test_a_silence_ends_soon(house: House, until: str) -> None:
    answer = house.operator.api.post("/api/v1/alerts/silences", {"reason": "r", "until": until})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "until"


def test_until_monday_where_the_tenant_works(house: House) -> None:
    hours = {"zone": "Asia/Tokyo", "days": {"mon": ["09:00", "17:00"]}}
    assert house.admin.api.put("/api/v1/calendar", hours).status_code == 200
    made = house.operator.api.post("/api/v1/alerts/silences", {"reason": "r", "until": "monday"})
    assert made.status_code == 201 and made.json()["until"] == "2026-03-22T15:00:00Z"
    key = made.json()["id"]
    assert house.operator.api.delete(f"/api/v1/alerts/silences/{key}").status_code == 200
    assert house.operator.api.delete(f"/api/v1/alerts/silences/{key}").status_code == 409
    with house.scope():
        assert Silence.objects.get().ended_by == house.operator.user.name


def test_who_may(house: House, world: World) -> None:
    rule = add(house)
    path = f"/api/v1/alerts/rules/{rule.pk}"
    for who in (house.reviewer, house.operator):
        assert who.api.post("/api/v1/alerts/rules", ABOVE).status_code == 403
        assert who.api.put(path, ABOVE).status_code == 403 and who.api.delete(path).status_code == 403
        assert who.api.get(path).json()["name"] == "many bad ones"
    silence = {"rule": str(rule.pk), "reason": "r", "until": "1h"}
    assert house.reviewer.api.post("/api/v1/alerts/silences", silence).status_code == 403
    for person in (world.fabrikam.admin, world.fabrikam.operator):
        assert person.api.post("/api/v1/alerts/silences", silence).status_code == 404
        assert person.api.get(path).status_code == 404
    assert world.fabrikam.admin.api.put(path, ABOVE).status_code == 404


def test_a_step_twice_is_once() -> None:
    about = Terms("above", 1.0, 0, 5, sums=True)
    once = states.step(Standing(), "bad", about, NOW)
    assert states.step(once, "bad", about, NOW) == once and once.state == "pending"
    back = states.step(once, "bad", about, NOW - HOUR)  # a clock that was set back
    assert back.state == "pending"


def test_the_projector_role_reads_no_tenant(house: House) -> None:
    with system_scope("tests"):
        assert Watch.objects.count() == 0


def test_admins_who_asked_for_letters_get_them(world: World, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    monkeypatch.setattr(ready, "READY", {})
    settings.EMAIL_SET_UP = True
    house = world.northwind
    asked = {house.admin: "all", house.operator: "all", house.reviewer: "all"}
    with house.scope():
        tenants.add_member(house.system, house.reviewer2.user, "admin")
        for who, wants in {**asked, house.reviewer2: "urgent"}.items():
            who.user.email = f"{who.user.username}@example.com"
            who.user.save(update_fields=["email"])
            notice_actions.subscribe(replace(who.actor, role="admin"), wants)
    add(house)
    add(house, name="worse", severity="high")
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    assert "told: 2 admins by mail" in " ".join(house.admin.client.get("/alerts/").content.decode().split())
    check(house, NOW)
    spreading.spread(NOW)
    with house.scope():
        sent = {(row.notice.facts["rule"], row.user_id) for row in Delivery.objects.select_related("notice")}
        row = Delivery.objects.filter(user_id=house.reviewer2.user.pk).get()
        body = crypto.unseal_json(row.tenant_id, "notice", row.sealed_body)
    first, second = house.admin.user.pk, house.reviewer2.user.pk
    assert sent == {("many bad ones", first), ("worse", first), ("worse", second)}
    assert body["subject"] == "Alert: worse" and "/alerts/" in body["text"]
    shown = " ".join(house.admin.client.get("/alerts/").content.decode().split())
    assert "Told: 2 admins by mail (pending)" in shown and "Told: 1 admin by mail (pending)" in shown


def test_letters_asked_for_by_others_make_no_notice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "READY", {})
    house = world.northwind
    with house.scope():
        notice_actions.subscribe(house.reviewer.actor, "all")
        notice_actions.subscribe(house.admin.actor, "urgent")
    add(house)
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    check(house, NOW)
    assert notices(house) == []
