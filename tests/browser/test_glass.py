"""A run under the glass in a browser: a step that is in the address, keys, stepping through, and two runs side by side."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from tests.approvals.desk import Desk
from tests.browser.conftest import caught, intercept
from tests.forked import past, put
from tests.pages.test_glass import talk
from tests.world import World

Visit = Callable[..., Page]


def test_a_step_is_in_the_address_survives_reload_and_is_gone_back_from(desk: Desk, world: World, visit: Visit) -> None:
    run = put(desk, past())
    page = visit(world.northwind.operator, f"/runs/{run.pk}/")
    rows = page.locator(".falls a[data-step-link]")
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Step 2")
    expect(page).to_have_url(re.compile(r"\?step=2$"))
    page.get_by_role("dialog").get_by_role("link", name="step 4").click()
    expect(page.get_by_role("dialog")).to_contain_text("Step 4")
    expect(page).to_have_url(re.compile(r"\?step=4$"))
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text("Step 4")
    page.go_back()
    expect(page.get_by_role("dialog")).to_contain_text("Step 2")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(re.compile(rf"/runs/{run.pk}/$"))


def test_a_step_that_comes_after_the_dialog_was_closed_opens_it_no_more(desk: Desk, world: World, visit: Visit) -> None:
    run = put(desk, past())
    page = visit(world.northwind.operator, f"/runs/{run.pk}/")
    page.locator(".falls a[data-step-link]").nth(1).click()
    expect(page.get_by_role("dialog")).to_contain_text("Step 2")
    expect(page).to_have_url(re.compile(r"\?step=2$"))
    page.evaluate("document.addEventListener('htmx:afterSettle', () => document.body.dataset.settled = 'yes')")
    page.evaluate("htmx.config.defaultSettleDelay = 1000")  # time to close what has come, before htmx is done with it
    page.get_by_role("dialog").get_by_role("link", name="step 4").click()
    expect(page.get_by_role("dialog")).to_contain_text("Step 4")
    page.keyboard.press("Escape")
    expect(page.locator("body[data-settled]")).to_be_attached()
    expect(page.get_by_role("dialog")).to_be_hidden()

    held: list[Route] = []
    intercept(page, "**/steps/4/", lambda route: held.append(route))
    page.locator(".falls a[data-step-link]").nth(1).click()
    expect(page.get_by_role("dialog")).to_contain_text("Step 2")
    page.get_by_role("dialog").get_by_role("link", name="step 4").click()
    route = caught(page, held, "/steps/4/")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    route.continue_()
    expect(page.locator("#step-dialog-body")).to_contain_text("Step 4")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(re.compile(rf"/runs/{run.pk}/$"))


def test_a_run_is_stepped_through_by_keys_and_by_its_links(desk: Desk, world: World, visit: Visit) -> None:
    run = put(desk, past())
    page = visit(world.northwind.reviewer, f"/runs/{run.pk}/")
    page.get_by_role("link", name="Step through it").click()
    expect(page.get_by_text("Before the first of 6 entries")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Entry 1 of 6")).to_be_visible()
    page.get_by_role("link", name="On →").click()
    expect(page.get_by_text("Waiting for a person at this point")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?at=2$"))
    page.keyboard.press("End")
    expect(page.get_by_text("Entry 6 of 6")).to_be_visible()
    expect(page.get_by_text("1 done (pay)")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Entry 2 of 6")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Entry 2 of 6")).to_be_visible()


def test_it_is_stepped_through_without_a_script(desk: Desk, world: World, visit: Visit) -> None:
    run = put(desk, past())
    page = visit(world.northwind.reviewer, f"/runs/{run.pk}/?at=0", java_script_enabled=False)
    page.get_by_role("link", name="On →").click()
    expect(page.get_by_text("Entry 1 of 6")).to_be_visible()
    page.goto(f"/runs/{run.pk}/?step=6")
    expect(page.get_by_text("It is paid.").first).to_be_visible()


def test_two_runs_side_by_side_on_a_phone(desk: Desk, world: World, visit: Visit) -> None:
    one, other = put(desk, talk()), put(desk, talk(answer="It is not paid."))
    page = visit(
        world.northwind.operator, f"/runs/compare/?a={one.pk}&b={other.pk}", viewport={"width": 390, "height": 844}
    )
    expect(page.get_by_role("heading", level=1)).to_contain_text("The same until step 4, where payer's answer differs")
    page.locator(".pair-row").nth(2).get_by_role("link", name="payer: model").click()
    expect(page.get_by_role("heading", name=re.compile("in full"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
