"""A reviewer decides a probe among real requests, and is told kindly; the page of the team can be read by everybody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.approvals.desk import Desk, refund
from tests.approvals.planted import BODY, SAID, nothing_happened, outcome, plant
from tests.browser.test_accessibility import faults, looks
from tests.world import World

Visit = Callable[..., Page]


@pytest.fixture
def probed(desk: Desk) -> Desk:
    """The desk, with a team that has the tool."""
    with desk.house.scope():
        revision = desk.workflow.current
        assert revision is not None
        revision.body = BODY
        revision.save()
    return desk


def test_a_probe_is_decided_and_told(probed: Desk, world: World, visit: Visit) -> None:
    probed.waiting(refund())
    made, row = plant(probed)
    page = visit(world.northwind.reviewer, "/queue/")
    page.get_by_text("Refund €940.00 to Mallory").first.click()
    expect(page.locator("#card-title")).to_contain_text("Mallory")
    expect(page.locator("#card")).not_to_contain_text("probe")
    page.locator(".verdict button[value='approve']").first.click()
    expect(page.locator("#probe")).to_contain_text("This was a probe, and it went through.")
    expect(page.locator("#probe")).to_contain_text(SAID["why"])
    assert outcome(probed, made) == "missed"
    nothing_happened(probed)
    page.locator("#probe a").click()
    expect(page.locator("#meant")).to_have_text("How this is meant")
    assert probed.request(row).status == "decided"


def test_the_pages_can_be_read_by_everybody(probed: Desk, world: World, visit: Visit) -> None:
    _, [real] = probed.waiting(refund())
    probed.decide(world.northwind.reviewer, real, "approve")
    _, row = plant(probed)
    probed.decide(world.northwind.reviewer2, row, "reject", reason="Not theirs.")
    page = visit(world.northwind.admin, "/probes/")
    for path in ("/probes/", "/people/looking/", "/people/looking/decisions/", f"/queue/{row.pk}/"):
        page.goto(path)
        for width in looks(page):
            assert not faults(page), path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
