"""Being told in the browser: asked for with a click, said while nobody looks, and leading to the card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.approvals.desk import Desk, refund
from tests.browser.test_accessibility import faults, looks
from tests.world import World

Visit = Callable[..., Page]

# A browser without a screen shows nothing: what would have been shown is kept, and the person's answer is ours.
STUB = """
window.told = []; window.asked = 0;
window.Notification = class extends EventTarget {
  static permission = sessionStorage.getItem("may") || "default";
  static requestPermission() {
    window.asked += 1;
    Notification.permission = "ANSWER"; sessionStorage.setItem("may", "ANSWER");
    return Promise.resolve("ANSWER");
  }
  constructor(title, more) { super(); this.title = title; this.body = more.body; window.told.push(this); }
  close() {}
};
"""
HIDE = "(value) => Object.defineProperty(document, 'hidden', {configurable: true, get: () => value})"


def opened(visit: Visit, who: Any, answer: str, path: str = "/queue/") -> Page:
    page = visit(who, "/healthz")
    page.add_init_script(STUB.replace("ANSWER", answer))
    page.goto(path)
    return page


def test_told_while_nobody_looks(desk: Desk, world: World, visit: Visit) -> None:
    desk.waiting(refund(40.0, title="Refund €40.00"))
    page = opened(visit, world.northwind.reviewer, "granted")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    assert page.evaluate("window.asked") == 0  # a page never asks by itself
    desk.waiting(refund(41.0, title="Refund €41.00"))
    expect(page.locator("#queue-list")).to_contain_text("Refund €41.00")
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(page.get_by_role("button", name="Stop telling me in this browser")).to_be_visible()
    desk.waiting(refund(42.0, title="Refund €42.00"))
    expect(page.locator("#queue-list")).to_contain_text("Refund €42.00")
    assert page.evaluate("window.told.length") == 0  # it is being looked at
    page.evaluate(HIDE, True)
    _, [request] = desk.waiting(refund(43.0, title="Refund €43.00"))
    expect(page.locator("#queue-list")).to_contain_text("Refund €43.00")
    assert page.evaluate("window.told.map((each) => each.title)") == ["Refund €43.00"]
    page.evaluate(HIDE, False)
    page.evaluate("window.told[0].dispatchEvent(new Event('click'))")
    expect(page.locator("#card-title")).to_have_text("Refund €43.00")
    assert page.url.endswith(f"/queue/{request.pk}/") and desk.request(request).status == "pending"
    page.goto("/queue/")
    expect(page.locator("#tell-here")).to_be_hidden()  # settled; it is remembered, and changed under "What I am told"
    page.goto("/you/")
    page.get_by_role("button", name="Stop telling me in this browser").click()
    expect(page.get_by_role("button", name="Tell me in this browser", exact=True)).to_be_visible()


def test_a_browser_that_may_not_is_explained(desk: Desk, world: World, visit: Visit) -> None:
    page = opened(visit, world.northwind.reviewer, "denied", "/you/")
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(page.locator("#tell-here")).to_contain_text("Allow them in its settings")
    expect(page.locator("#tell-here button")).to_be_hidden()


def test_the_pages_can_be_used_by_everybody(desk: Desk, world: World, visit: Visit) -> None:
    hook = {"kind": "webhook", "address": "https://8.8.8.8/hook", "events": ["request.created"], "risks": ["high"]}
    admin = world.northwind.admin
    name = "a" * 60
    assert admin.api.put(f"/api/v1/channels/{name}", hook).status_code == 200
    sent = admin.api.post(f"/api/v1/channels/{name}/test").json()["id"]
    page = visit(admin, "/channels/")
    for path in ("/channels/", f"/channels/{name}/", f"/deliveries/{sent}/", "/you/"):
        page.goto(path)
        expect(page.locator("h1").first).to_be_visible()
        for width in looks(page):
            assert faults(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
