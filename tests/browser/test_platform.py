"""The platform admin's page in a browser: it keeps itself current, makes a tenant, and leads into one and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from console.tenants.models import User
from tests.approvals.desk import Desk
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
