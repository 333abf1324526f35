"""Why runs ended, in a browser: from the list to a reason, and on with what may be retried."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from console.runs import actions as runs
from tests.approvals.desk import Desk
from tests.world import World

Visit = Callable[..., Page]


def test_runs_that_failed_alike_are_retried_together(desk: Desk, world: World, visit: Visit) -> None:
    with desk.house.scope():
        for _ in range(2):
            run = desk.start("Refund order A-17")
            assert runs.finish(run.pk, None, "failed", "model_error", "http_401: refused")
    page = visit(world.northwind.operator, "/runs/")
    page.get_by_role("link", name="why runs ended").click()
    expect(page.get_by_role("heading", name="Why runs ended")).to_be_visible()
    page.get_by_role("link", name="Model error").click()
    expect(page.locator("main")).to_contain_text("A model did not give a usable answer.")
    expect(page.get_by_role("button", name="Retry Refund order A-17")).to_have_count(2)
    page.get_by_text("Retry all 2…").click()
    page.get_by_role("button", name="Retry 2 runs now").click()
    expect(page.get_by_role("status").filter(has_text="were retried")).to_contain_text("2 of 2 were retried")
    page.get_by_role("link", name="model error", exact=True).click()
    expect(page.get_by_text("retried as")).to_have_count(2)
    expect(page.get_by_text("Retry all")).to_have_count(0)
