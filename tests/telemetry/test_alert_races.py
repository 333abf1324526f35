"""Two evaluators at the very same moment, and a tenant that goes between being picked and being looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvals.notices.models import Notice
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope
from telemetry.alerts import actions, checking, ready
from telemetry.alerts.models import Incident, Watch
from tests.approvals.test_races import together
from tests.telemetry import rolled
from tests.world import House, World

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 20, 12, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOOK = {"kind": "webhook", "address": "https://8.8.8.8/hook", "events": ["alert.raised", "alert.recovered"]}
ABOVE: dict[str, Any] = {"name": "bad", "figure": "abnormal", "hours": 2, "condition": "above", "threshold": 3}


@pytest.fixture
def houses(world: World, monkeypatch: pytest.MonkeyPatch) -> list[House]:
    """Two tenants in which something is wrong, and a channel listens."""
    monkeypatch.setattr(ready, "READY", {})
    for house in (world.northwind, world.fabrikam):
        assert house.admin.api.put("/api/v1/channels/pager", HOOK).status_code == 200
        with house.scope():
            actions.add_rule(house.admin.actor, ABOVE, NOW)
        rolled.runs(house.tenant.id, NOW, "tool_error", 5)
    return [world.northwind, world.fabrikam]


def told(house: House) -> list[str]:
    with house.scope():
        return list(Notice.objects.order_by("created_at").values_list("event", flat=True))


def test_two_evaluators_of_one_tenant_tell_once(houses: list[House]) -> None:
    house = houses[0]
    found = together(*[lambda: checking.check(house.tenant.id, NOW)] * 4)
    assert sorted(found) == [False, False, False, True]
    assert told(house) == ["alert.raised"]
    with house.scope():
        assert Incident.objects.count() == 1 and Watch.objects.get().told == 1
    later = NOW + timedelta(hours=3)
    for minute in range(12):
        at = later + minute * MINUTE
        assert sorted(together(*[lambda at=at: checking.check(house.tenant.id, at)] * 2)) == [False, True]
    assert told(house) == ["alert.raised", "alert.recovered"]


def test_two_rounds_at_once_look_at_every_tenant_once(houses: list[House]) -> None:
    for minute in range(5):
        at = NOW + minute * MINUTE
        found = together(*[lambda at=at: checking.round(lambda: at)] * 3)
        assert sum(found) == len(houses), found
    assert [told(house) for house in houses] == [["alert.raised"]] * 2


def test_a_check_and_a_silence_at_once(houses: list[House]) -> None:
    """Whoever is first: it is told or it is not, and never twice."""
    house = houses[0]

    def hush() -> object:
        with house.scope():
            return actions.silence(house.operator.actor, "", "We know.", "1h", NOW)

    found = together(lambda: checking.check(house.tenant.id, NOW), hush)
    assert not any(isinstance(each, Exception) for each in found), found
    checking.check(house.tenant.id, NOW + MINUTE)
    assert told(house) in ([], ["alert.raised"])


def test_a_tenant_that_goes_between_being_picked_and_being_looked_at(
    houses: list[House], caplog: pytest.LogCaptureFixture
) -> None:
    with system_scope("tests: a third one"):
        gone = Tenant.objects.create(slug="gone", name="Gone")  # with nothing that would stand against its going
    asked = []

    def clock() -> datetime:
        asked.append(1)
        if len(asked) == 3:  # twice to pick, and then once for each
            with system_scope("tests: it goes"):
                Tenant.objects.filter(pk=gone.pk)._raw_delete("default")
        return NOW

    assert checking.round(clock) == len(houses)
    assert len(asked) == 2 + 3 and not caplog.records
    assert [told(house) for house in houses] == [["alert.raised"]] * 2
