"""The platform admin's page in a browser: it keeps itself current, makes a tenant, and leads into one and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from console.tenants.models import User
from tests.approvals.desk import Desk
from tests.world import Member, World

Visit = Callable[..., Page]


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
