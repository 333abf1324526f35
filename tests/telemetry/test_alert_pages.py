"""The page of alerts: for the operator at night, without JavaScript."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from telemetry.alerts import checking, ready
from telemetry.alerts.models import AlertRule, Incident, Silence
from tests.telemetry import rolled
from tests.world import House, Member, World

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 20, 12, 30, tzinfo=UTC)
FORM = {
    "name": "many bad ones",
    "figure": "abnormal",
    "hours": "12",
    "condition": "above",
    "threshold": "3",
    "active": "yes",
}


@pytest.fixture
def house(world: World, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    monkeypatch.setattr(ready, "READY", {})
    return world.northwind


def page(who: Member, path: str = "/alerts/") -> str:
    answer = who.client.get(path)
    assert answer.status_code == 200
    text: str = re.sub(r"\s+", " ", answer.content.decode())
    return text


def test_a_night(house: House, world: World) -> None:
    assert "Nothing is wrong" in page(house.reviewer) and "No channel listens" in page(house.reviewer)
    assert house.admin.client.post("/alerts/", {**FORM, "do": "save"}).status_code == 302
    rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    checking.check(house.tenant.id, NOW)
    shown = page(house.operator)
    assert "Ended badly is 5, above 3." in shown and "Mostly tool error with 5 of 5." in shown
    assert '<span class="sr">alerts firing: </span>1' in shown and "/insights/?from=2026-03-20T01" in shown
    with house.scope():
        key = Incident.objects.get().pk
    assert "many bad ones" in page(house.reviewer, f"/alerts/{key}/")
    assert world.fabrikam.admin.client.get(f"/alerts/{key}/").status_code == 404
    assert "many bad ones" not in page(world.fabrikam.admin)
    with house.scope():
        rule = AlertRule.objects.get()
    quiet = {"do": "silence", "rule": str(rule.pk), "reason": "We know.", "until": "8h"}
    assert house.reviewer.client.post("/alerts/", quiet).status_code == 403
    assert world.fabrikam.operator.client.post("/alerts/", quiet).status_code == 404
    assert house.operator.client.post("/alerts/", quiet).status_code == 302
    assert "alerts firing" not in page(house.operator)
    assert "We know." in page(house.operator) and "Nothing is wrong" in page(house.operator)
    with house.scope():
        silence = Silence.objects.get()
    wake = {"do": "wake", "silence": str(silence.pk)}
    assert house.operator.client.post("/alerts/", wake).status_code == 302
    assert house.operator.client.post("/alerts/", wake).status_code == 409
    assert house.admin.client.post("/alerts/", {"do": "off", "rule": str(rule.pk)}).status_code == 302
    assert "the rule was switched off by" in page(house.operator)
    assert house.admin.client.post("/alerts/", {"do": "delete", "rule": str(rule.pk)}).status_code == 302
    with house.scope():
        assert not AlertRule.objects.exists() and Incident.objects.count() == 1


def test_a_preview_saves_nothing(house: House) -> None:
    rolled.runs(house.tenant.id, NOW.replace(day=10), "tool_error", 5)
    answer = house.admin.client.post("/alerts/", {**FORM, "do": "preview"})
    assert answer.status_code == 200 and "it would have fired once" in re.sub(r"\s+", " ", answer.content.decode())
    with house.scope():
        assert not AlertRule.objects.exists()
    assert house.operator.client.post("/alerts/", {**FORM, "do": "preview"}).status_code == 403


def test_a_rule_is_changed(house: House) -> None:
    house.admin.client.post("/alerts/", {**FORM, "do": "save"})
    with house.scope():
        rule = AlertRule.objects.get()
    assert 'value="many bad ones"' in page(house.admin, f"/alerts/?edit={rule.pk}")
    changed = {**FORM, "do": "save", "edit": str(rule.pk), "threshold": "7", "stop_reason": "tool_error"}
    assert house.admin.client.post("/alerts/", changed).status_code == 302
    with house.scope():
        found = AlertRule.objects.get()
    assert (found.threshold, found.narrowed) == (7.0, {"stop_reason": "tool_error"})
    for who in (house.operator, house.reviewer):
        assert who.client.post("/alerts/", changed).status_code == 403
    twin = house.admin.client.post("/alerts/", {**FORM, "do": "save"})
    assert twin.status_code == 422 and "There is a rule of that name" in twin.content.decode()


@pytest.mark.parametrize(("field", "text"), [("threshold", "NaN"), ("threshold", "1e999"), ("hours", "9" * 400),
                                             ("figure", "\x00"), ("workflow", "x\x00"), ("name", "a\x00b")])  # fmt: skip
def test_nonsense_is_said(house: House, field: str, text: str) -> None:
    answer = house.admin.client.post("/alerts/", {**FORM, "do": "save", field: text})
    assert answer.status_code == 422 and 'role="alert"' in answer.content.decode()
