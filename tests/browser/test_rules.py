"""The page of rules in a browser: a rule is written, the past is asked about it, and it is saved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.api.test_workflows import TEAM
from tests.approvals.desk import Desk, refund
from tests.approvals.past import History
from tests.browser.test_accessibility import faults
from tests.world import World

Visit = Callable[..., Page]


def test_a_rule_is_written_asked_about_and_saved(desk: Desk, world: World, visit: Visit) -> None:
    admin = world.northwind.admin
    rules = [{"name": "small ones", "effect": "allow", "when": "arguments.amount < 100.0"}]
    made = admin.api.post("/api/v1/workflows/refund-desk/revisions", {"team": TEAM, "rules": rules})
    assert made.status_code == 201
    history, run = History(desk), desk.start()
    for day, amount in ((1, 10.0), (2, 60.0), (3, 90.0)):
        history.call(run, refund(amount), timezone.now() - timedelta(days=day))

    page = visit(admin, "/workflows/refund-desk/")
    page.get_by_role("link", name="change them, try them").click()
    page.get_by_label("Name").fill("from 50")
    page.get_by_label("Only when").fill("arguments.amount >= (50.0")
    page.get_by_label("Place in the list").fill("1")
    page.get_by_role("button", name="Ask the past weeks").click()
    expect(page.get_by_text("It cannot be read at character")).to_be_visible()
    page.get_by_label("Only when").fill("arguments.amount >= 50.0")
    page.get_by_role("button", name="Ask the past weeks").click()
    expect(page.get_by_role("status").get_by_text("2 would have gone another way")).to_be_visible()
    expect(page.get_by_text("a draft, not saved")).to_be_visible()
    expect(page.get_by_role("link", name=run.short)).to_have_count(2)

    assert faults(page) == []

    page.get_by_role("button", name="Change from 50").click()
    expect(page.get_by_label("Only when")).to_have_value("arguments.amount >= 50.0")
    page.get_by_label("Only when").fill("arguments.amount >= 80.0")
    page.get_by_role("button", name="Change it in the draft").click()
    page.get_by_role("button", name="Ask the past weeks").click()
    expect(page.get_by_role("status").get_by_text("1 would have gone another way")).to_be_visible()
    page.get_by_label("Run", exact=True).select_option(str(run.pk))
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="What these rules say of")).to_be_visible()
    assert faults(page) == []
    page.get_by_label("Why").fill("somebody asked")
    page.get_by_role("button", name="Save as a new revision").click()
    expect(page.get_by_text("Saved as revision 3.")).to_be_visible()
    expect(page.get_by_text("any tool asks a person when arguments.amount >= 80.0.", exact=False)).to_be_visible()
    page.goto("/rules/")
    expect(page.get_by_role("heading", name="Rules", exact=True)).to_be_visible()
    assert faults(page) == []
