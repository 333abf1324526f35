"""The platform admin's page in a browser: it keeps itself current, makes a tenant, and leads into one and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from console.tenants.models import User
from tests.approvals.desk import Desk
from tests.telemetry import rolled
from tests.world import Member, World

Visit = Callable[..., Page]


# Where the page's first box begins and ends, and the line above it, and how much room there is; in pixels.
PLACES = """() => {
  const box = (side, of) => document.querySelector(of).getBoundingClientRect()[side];
  const ends = [...document.querySelectorAll("header.top > *")].map(each => each.getBoundingClientRect().right);
  const inner = "#main .panel, #main .tiles";
  return [box("left", inner), box("right", inner), box("left", "header.top .brand"), Math.max(...ends),
          document.documentElement.clientWidth].map(Math.round);
}"""


def test_its_pages_stand_in_the_middle_under_their_header(world: World, visit: Visit) -> None:
    user = User.objects.create_user("petra", first_name="Petra", is_superuser=True)
    petra: Any = Member(world.northwind.tenant, user, "platform admin")
    page = visit(petra, "/platform/")
    for path in ("/platform/", "/platform/operations/", "/platform/insights/"):
        page.goto(path)
        for width in (900, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            left, right, brand, end, room = page.evaluate(PLACES)
            assert abs(left - (room - right)) <= 1, (path, width, left, room - right)
            assert abs(brand - left) <= 1 and abs(end - right) <= 1, (path, width, brand, left, end, right)
            assert right - left <= 1272
        page.set_viewport_size({"width": 390, "height": 844})
        left, right, brand, end, room = page.evaluate(PLACES)
        assert (left, room - right, brand) == (14, 14, 14), path


def test_a_platform_admin_makes_a_tenant_and_looks_into_one(desk: Desk, world: World, visit: Visit) -> None:
    user = User.objects.create_user("petra", first_name="Petra", is_superuser=True)
    petra: Any = Member(world.northwind.tenant, user, "platform admin")
    page = visit(petra, "/platform/")
    row = page.get_by_role("row").filter(has_text="Northwind")
    expect(row.get_by_role("cell").nth(1)).to_have_text("0")
    desk.start()
    expect(row.get_by_role("cell").nth(1)).to_have_text("1", timeout=20_000)  # by itself
    page.get_by_label("Name", exact=True).fill("Adatum")
    page.get_by_label("Short name").fill("adatum")
    page.get_by_label("User name of its first admin").fill("anna")
    page.get_by_role("button", name="Make the tenant").click()
    expect(page.get_by_text("Adatum is there")).to_be_visible()
    page.locator("details.visit summary", has_text="Northwind").click()
    page.locator("#why-northwind").fill("Ticket 4711: runs of theirs end as model_error")
    page.get_by_role("button", name="Look into Northwind").click()
    expect(page.get_by_text("You look into Northwind as a platform admin")).to_be_visible()
    expect(page.get_by_role("link", name="Refund order A-17")).to_be_visible()
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Platform")).to_be_visible()


@pytest.mark.parametrize("width", [1440, 390])
def test_what_is_to_be_looked_at_is_led_to(world: World, visit: Visit, width: int) -> None:
    """Not under the header, which stays where it is; and on to where a reason is given."""
    tenant, yesterday = world.northwind.tenant, timezone.now() - timedelta(days=1)
    with world.northwind.scope():
        tenant.name = "W" * 80
        tenant.save(update_fields=["name"])
    rolled.runs(tenant.id, yesterday, "timeout", 9)
    rolled.calls(tenant.id, yesterday, "mystery-1", 4, 20_000, unpriced=4)
    user = User.objects.create_user("petra", first_name="Petra", is_superuser=True)
    petra: Any = Member(tenant, user, "platform admin")
    page = visit(petra, "/platform/insights/", viewport={"width": width, "height": 900})
    assert page.evaluate("document.scrollingElement.scrollWidth") == width
    for says, place in (
        ("runs ended as timeout", "panel-stops"),
        ("cost most", "panel-cost"),
        ("no known price", "tile-cost"),
    ):
        page.locator("#notable a", has_text=says).click()
        expect(page).to_have_url(re.compile(f"#{place}$"))
        top, bar = (page.locator(of).bounding_box() for of in (f"#{place}", "header.top"))
        assert top and bar and top["y"] >= bar["y"] + bar["height"], place
    page.locator("#notable a.into").first.click()
    expect(page.locator("#why-northwind")).to_be_focused()
    expect(page.locator("#why-northwind")).to_be_in_viewport()
