"""A card with every shape on it: usable by everybody, light and dark, and never wider than the screen."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.approvals.desk import Desk, refund
from tests.approvals.values import MAIL, SWAP, VALUES, call
from tests.browser.test_accessibility import faults, looks
from tests.world import World

Visit = Callable[..., Page]
# Boxes that scroll by themselves are meant to; anything else wider than the screen pushes the page aside.
WIDE = """[...document.querySelectorAll("#card *")].filter(one => {
  if (one.closest("pre.hl, .lines, .treebox, .scroll, .sr")) return false;
  return one.getBoundingClientRect().right > innerWidth + 1;
}).map(one => one.outerHTML.slice(0, 120))"""


def test_every_shape_can_be_read_by_everybody(desk: Desk, world: World, visit: Visit) -> None:
    _, [every, mail, swap, edited] = desk.waiting(call(VALUES), call(MAIL, 1), call(SWAP, 2), refund(1250.0, n=3))
    desk.decide(
        world.northwind.reviewer2, edited, "edit", arguments={"order": "A-17", "amount": 1100.0, "customer": "x" * 200}
    )
    page = visit(world.northwind.reviewer, "/queue/")
    for request in (every, mail, swap, edited):
        page.goto(f"/queue/{request.pk}/")
        expect(page.locator("#card-title")).to_be_visible()
        page.locator("#card details").evaluate_all(
            "all => all.forEach(one => { if (!one.closest('.verdict')) one.open = true })"
        )
        for width in looks(page, *((width, 844, scheme) for width in (1440, 390) for scheme in ("light", "dark"))):
            assert not faults(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(WIDE) == []
            bar = page.locator(".verdict").bounding_box()
            assert (
                bar is not None and bar["y"] + bar["height"] <= 846
            )  # under the thumb; the top bar has a fraction of a pixel


def test_an_ordinary_refund_fits_on_one_screen(desk: Desk, world: World, visit: Visit) -> None:
    _, [first, request] = desk.waiting(refund(40.0), refund(50.0, n=1, title="Refund €50.00", money="amount EUR"))
    desk.decide(world.northwind.reviewer2, first, "approve")
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/", viewport={"width": 1440, "height": 900})
    bar = page.locator(".verdict").bounding_box()
    assert bar is not None
    for panel in ("#what", "#next", "#like", "#sofar", "#how"):
        box = page.locator(f".panel:has({panel})").bounding_box()
        assert box is not None and box["y"] + box["height"] <= bar["y"], panel
