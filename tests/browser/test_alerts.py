"""What the page of alerts is for: an admin makes a rule, having seen how often it would have fired; it fires, and the
operator of the night sees it and silences it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from approvals.notices.models import Notice
from telemetry.alerts import checking, ready
from telemetry.alerts.models import Incident, Silence
from tests.browser.test_accessibility import faults
from tests.telemetry import rolled
from tests.world import World

Visit = Callable[..., Page]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_rule_its_backtest_its_alert_and_a_silence(
    server: str, world: World, visit: Visit, monkeypatch: pytest.MonkeyPatch, width: int, scheme: str
) -> None:
    monkeypatch.setattr(ready, "READY", {})
    house, now = world.northwind, timezone.now()
    look = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    assert (
        house.admin.api.put(
            "/api/v1/channels/pager", {"kind": "webhook", "address": "https://8.8.8.8/hook", "events": ["alert.raised"]}
        ).status_code
        == 200
    )
    for days in (3, 9):
        rolled.runs(house.tenant.id, now - timedelta(days=days), "tool_error", 15)

    page = visit(house.admin, "/alerts/", **look)
    page.locator("#name").fill("Many runs end badly")
    page.locator("#figure").select_option("abnormal")
    page.locator("#condition").select_option("above")
    page.locator("#threshold").fill("3")
    page.locator("#hours").fill("2")
    page.locator("#for_minutes").fill("0")
    page.get_by_role("button", name="How often would it have fired?").click()
    expect(page.locator(".note.machine")).to_contain_text("it would have fired 2 times")
    expect(page.locator("#name")).to_have_value("Many runs end badly")  # what was typed is still there
    assert not faults(page)
    page.get_by_role("button", name="Make this rule").click()
    expect(page.get_by_text("Made Many runs end badly.")).to_be_visible()

    rolled.runs(house.tenant.id, now, "tool_error", 15)
    assert checking.check(house.tenant.id, now)
    page = visit(house.operator, "/insights/", **look)
    page.goto("/alerts/")
    firing = page.locator("section[aria-labelledby=now]")
    expect(firing).to_contain_text("Many runs end badly")
    expect(firing).to_contain_text("Ended badly is 15, above 3.")
    assert not faults(page) and page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#silent-rule").select_option(label="Many runs end badly")
    page.locator("#silent-until").select_option("8h")
    page.get_by_role("button", name="Be silent").click()
    expect(page.locator("#silent-reason")).to_have_attribute("aria-invalid", "true")  # why is missing
    page.locator("#silent-reason").fill("The provider is down, and knows it")
    page.get_by_role("button", name="Be silent").click()
    expect(page.locator("section[aria-labelledby=silent]")).to_contain_text("The provider is down, and knows it")
    expect(firing).to_contain_text("Nothing is wrong")
    assert not faults(page) and page.evaluate("document.documentElement.scrollWidth") <= width
    checking.check(house.tenant.id, now + timedelta(minutes=2))
    with house.scope():
        assert Silence.objects.get().created_by == house.operator.user.name
        assert Incident.objects.get().silenced and Notice.objects.count() == 1  # told once, before it was silent
