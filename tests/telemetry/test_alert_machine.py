"""Whatever a figure does, and whatever people do meanwhile: each alert begins and ends in one notice at most, silence is
silence, and the cap holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from approvals.notices.models import Notice
from telemetry.alerts import actions, checking, figuring, ready, telling
from telemetry.alerts.models import AlertRule, Incident, Silence, Watch
from telemetry.alerts.states import Measured

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 20, 12, tzinfo=UTC)
HOOK = {"kind": "webhook", "address": "https://8.8.8.8/hook"}
EVENTS = ["alert.raised", "alert.reminded", "alert.recovered"]
FIGURES = ("abnormal", "failed", "failed_share")  # the last may have nothing to say
WHICH = st.integers(0, len(FIGURES) - 1)


class Alerts(RuleBasedStateMachine):
    house = None
    values: dict[str, float | None] = {}

    def __init__(self):
        super().__init__()
        self.now, self.before = START, 0
        Alerts.values = dict.fromkeys(FIGURES, 0.0)
        with self.house.scope():
            for model in (Incident, Silence, AlertRule, Watch, Notice):
                model.objects.all().delete()
            self.rules = [
                actions.add_rule(self.house.admin.actor, self.about(figure, 0.5), self.now) for figure in FIGURES
            ]

    def about(self, figure, threshold):
        return {"name": figure, "figure": figure, "hours": 2, "condition": "above", "threshold": threshold,
                "for_minutes": 2 if figure == "failed" else 0, "remind_hours": 3}  # fmt: skip

    @rule(which=WHICH, value=st.sampled_from([0.0, 0.48, 0.9, 1.0, None]))
    def becomes(self, which, value):
        Alerts.values[FIGURES[which]] = value

    @rule(many=st.integers(1, 4), minutes=st.sampled_from([1, 1, 5, 11, 50, 90, 400]), twice=st.booleans())
    def looks(self, many, minutes, twice):
        for _ in range(many):
            self.now += timedelta(minutes=minutes)
            with self.house.scope():
                quiet = telling.silences(self.house.tenant, self.now)
                known = set(Notice.objects.values_list("pk", flat=True))
            for _ in range(1 + twice):
                checking.check(self.house.tenant.id, self.now)
            with self.house.scope():
                for notice in Notice.objects.exclude(pk__in=known):
                    if not notice.facts.get("more"):
                        told = Incident.objects.get(pk=notice.facts["alert"])
                        assert not any(telling.hushes(each, told.rule_id) for each in quiet)
                    else:
                        assert not any(each.rule_id is None for each in quiet)

    @rule(which=WHICH, all_of_them=st.booleans(), until=st.sampled_from(["1h", "8h"]))
    def silence(self, which, all_of_them, until):
        key = "" if all_of_them else str(self.rules[which].pk)
        with self.house.scope():
            actions.silence(self.house.operator.actor, key, "r", until, self.now)

    @rule()
    def wake(self):
        with self.house.scope():
            for one in telling.silences(self.house.tenant, self.now):
                actions.wake(self.house.operator.actor, one.pk, self.now)

    @rule(which=WHICH, threshold=st.sampled_from([0.5, 0.6]))
    def change(self, which, threshold):
        with self.house.scope():
            about = self.about(FIGURES[which], threshold)
            actions.change_rule(self.house.admin.actor, self.rules[which].pk, about, self.now)

    @invariant()
    def told_once(self):
        with self.house.scope():
            notices = list(Notice.objects.all())
            for event in ("alert.raised", "alert.recovered"):
                named = [one.facts["alert"] for one in notices if one.event == event and "alert" in one.facts]
                assert len(named) == len(set(named))
            begun = {one.facts["alert"] for one in notices if one.event == "alert.raised" and "alert" in one.facts}
            over = {one.facts["alert"] for one in notices if one.event == "alert.recovered" and "alert" in one.facts}
            assert over <= begun
            for one in Incident.objects.all():
                assert one.recovery_told_at is None or (one.ended_at is not None and one.told_at is not None)
                assert (AlertRule.objects.get(pk=one.rule_id).state == "firing") or one.ended_at is not None
            watch = Watch.objects.first()
            if watch is not None and watch.hour_from is not None:
                hour = [one for one in notices if watch.hour_from <= one.created_at < watch.hour_from + telling.HOUR]
                assert len(hour) <= telling.CAP + 1


def test_alerts(world, monkeypatch):
    Alerts.house = world.northwind
    monkeypatch.setattr(telling, "CAP", 2)
    monkeypatch.setattr(ready, "READY", {})
    monkeypatch.setattr(
        figuring, "measure", lambda scope, window, figure, now=None: Measured(Alerts.values[figure.name], 9)
    )
    assert world.northwind.admin.api.put("/api/v1/channels/pager", {**HOOK, "events": EVENTS}).status_code == 200
    run_state_machine_as_test(
        Alerts,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
