"""The smoke tests' page in a browser: a case is written, a revision is tested, and how it did appears by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from console.runs import smoke
from console.runs.models import Run
from tests.approvals.desk import Desk
from tests.world import World

Visit = Callable[..., Page]


def test_a_revision_is_tested_and_the_page_says_how_it_did(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.admin, "/workflows/refund-desk/")
    page.get_by_role("link", name="smoke tests").click()
    page.get_by_text("Write them").click()
    cases: list[dict[str, Any]] = [{"name": "a refund", "input": "Refund order A-17", "expect": {"tools": ["pay"]}}]
    page.get_by_role("textbox", name="Cases").fill(json.dumps([{"name": "a refund"}]))
    page.get_by_role("button", name="Keep them").click()
    expect(page.get_by_role("alert")).to_contain_text("$.cases[0].input")
    page.get_by_role("textbox", name="Cases").fill(json.dumps(cases))
    page.get_by_role("button", name="Keep them").click()
    expect(page.get_by_text("ends as completed; calls pay")).to_be_visible()
    page.get_by_role("button", name="Test it").click()
    expect(page.locator("#tests").get_by_text("running")).to_be_visible()
    with desk.house.scope():
        Run.objects.exclude(smoke_test=None).update(status="completed", stop_reason="completed")
    smoke.look()
    expect(page.get_by_text("pay was not called.")).to_be_visible()
    expect(page.locator("#tests")).not_to_have_attribute("hx-trigger", "every 2s")
