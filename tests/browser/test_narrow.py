"""On a phone: no page is wider than it, whatever its names are, and what is pressed next is under the thumb."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from approvals import actions
from console.tenants import group_actions
from tests.agents.stage import agent, team
from tests.approvals.desk import SCHEMA, Desk, asking, make_desk, refund
from tests.browser.conftest import caught, intercept
from tests.browser.test_accessibility import faults
from tests.world import World

Visit = Callable[..., Page]
WIDTH, HEIGHT = 390, 844
PHONE = {"viewport": {"width": WIDTH, "height": HEIGHT}}
NAME = "w" * 60  # a group's or a view's, of the widest letter
WORD = "W" * 80  # an argument's, an agent's or a title's

WIDER = """width => Array.from(document.querySelectorAll("body *")).filter(each => each.getBoundingClientRect().right > width)
    .slice(0, 8).map(each => each.tagName + "." + each.className)"""


def test_no_page_is_wider_than_a_phone(desk: Desk, world: World, visit: Visit) -> None:
    house = world.northwind
    with house.scope():
        group_actions.put_group(house.admin.actor, NAME, WORD, members=[house.reviewer.user.id])
    rule = {"name": WORD, "match": {"tool": "issue_*"}, "effect": "require", "group": NAME, "expires_in": "PT4H"}
    busy = make_desk(house, {"team": team("RoundRobinGroupChat", agent("a")), "rules": [rule]}, "w" * 50)
    asked = refund(40.0, title=f"Refund for {WORD}", schema=SCHEMA, arguments={"order": WORD, "amount": 40.0})
    _, [request, question] = busy.waiting(asked, asking("question", question=WORD))
    _, [final] = busy.waiting(asking("final", content=WORD))
    _, [over] = busy.waiting(refund(41.0, title=WORD))
    busy.decide(house.reviewer, over, "reject", reason=WORD)
    with house.scope():
        end = timezone.now() + timedelta(days=1)
        given = actions.grant(
            house.reviewer.actor, request.pk, scope="workflow", same="tool", expires_at=end, reason=WORD
        )
        actions.claim(house.reviewer.actor, request.pk)
        actions.comment(house.reviewer.actor, request.pk, WORD)
        actions.keep_view(house.reviewer.actor, NAME, {"group": NAME})
    cards = [f"/queue/{each.pk}/" for each in (request, question, final, over)]
    workflow = f"/workflows/{busy.workflow.slug}/"
    wide: dict[str, list[str]] = {}
    for who, paths in (
        (
            house.reviewer,
            ["/queue/", f"/queue/?group={NAME}", *cards, f"{cards[0]}?edit=1", f"{cards[0]}like/", "/standing/",
             f"/standing/{given.pk}/", "/you/", "/you/password/"],
        ),
        (
            house.admin,
            ["/hours/", "/rules/", "/workflows/", workflow, f"{workflow}rules/", f"{workflow}waivers/",
             f"{workflow}behaviour/", "/people/", f"/people/{house.reviewer.user.id}/", f"/groups/{NAME}/", "/channels/",
             "/runs/", "/audit/", cards[0]],
        ),
    ):  # fmt: skip
        page = visit(who, paths[0], **PHONE)
        for path in paths:
            page.goto(path)
            expect(page.locator("h1, .crumb").first).to_be_visible()
            page.evaluate("document.querySelectorAll('main details').forEach(each => { each.open = true; })")
            if page.evaluate("document.scrollingElement.scrollWidth") > WIDTH:
                wide[path] = page.evaluate(WIDER, WIDTH)
    assert not wide, "\n".join(f"{path}: {parts}" for path, parts in wide.items())


def test_no_heading_touches_what_is_above_it(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.admin, "/display/", **PHONE)
    for width in (WIDTH, 1440):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        above = page.locator("p.help", has_text="Contents are prompts").bounding_box()
        heading = page.get_by_text("Blotted out, for everybody").bounding_box()
        assert above and heading and heading["y"] - above["y"] - above["height"] >= 12


def test_a_sheet_puts_its_own_button_under_the_thumb(desk: Desk, world: World, visit: Visit) -> None:
    """With the reason half written, nothing that approves is near."""
    _, [request] = desk.waiting(refund(40.0))
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/", **PHONE, color_scheme="dark")
    page.locator("summary", has_text="Reject").click()
    expect(page.get_by_role("button", name="Approve and refund")).to_be_hidden()
    assert faults(page) == []
    page.get_by_label("Why not?").fill("too late")
    page.get_by_role("button", name="Reject with this reason").click()
    expect(page.locator("#decision")).to_contain_text("Reviewer rejected this")
    onward = page.get_by_role("link", name="Back to the queue")
    expect(onward).to_be_in_viewport()
    box = onward.bounding_box()
    assert box is not None and box["height"] >= 44
    onward.click()
    expect(page.locator("#queue-empty")).to_be_visible()


def test_back_leads_from_a_decided_card_to_the_list_as_it_is_now(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0, title="Refund €40.00 to Contoso"))
    _, [other] = desk.waiting(refund(41.0, title="Refund €41.00 to Contoso"))
    page = visit(world.northwind.reviewer, "/queue/?whose=all&risk=high", **PHONE)
    page.get_by_role("link", name="Refund €41.00").click()
    page.get_by_role("link", name="← Queue").click()
    expect(page).to_have_url(re.compile(r"/queue/\?whose=all&risk=high$"))  # as it was narrowed
    page.get_by_role("link", name="Refund €40.00").click()
    page.get_by_role("button", name="Approve and refund").click()
    expect(page.locator("#decision")).to_be_visible()
    page.go_back()
    expect(page.locator("#queue-list")).to_be_visible()
    expect(page.locator("#queue-list > .item")).to_have_count(1)
    expect(page.get_by_role("link", name="Refund €41.00")).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    desk.decide(world.northwind.reviewer2, other, "approve")
    expect(page.locator("#queue-empty")).to_be_visible()
    page.go_forward()
    expect(page.locator("#decision")).to_be_visible()
    assert desk.request(request).status == "decided"


def test_a_card_that_takes_long_is_seen_to_be_on_its_way(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0))
    page = visit(world.northwind.reviewer, "/queue/", **PHONE)
    held: list[Route] = []
    intercept(page, f"**/queue/{request.pk}/", lambda route: held.append(route))
    busy = "getComputedStyle(document.body, '::after').animationName"
    assert page.evaluate(busy) == "none"
    page.get_by_role("link", name="Refund 40.0").click()
    route = caught(page, held, str(request.pk))
    assert page.evaluate(busy) == "asking"
    route.continue_()
    expect(page.locator("#card-title")).to_be_visible()
    assert page.evaluate(busy) == "none"


def test_several_are_ticked_at_once(desk: Desk, world: World, visit: Visit) -> None:
    asked = [desk.waiting(refund(amount))[1][0] for amount in (40.0, 41.0)]
    page = visit(world.northwind.reviewer, f"/queue/{asked[0].pk}/like/", **PHONE)
    assert faults(page) == []
    approve = page.get_by_role("button", name="Approve those that are ticked")
    expect(approve).to_be_in_viewport()
    page.get_by_label("All 2").check()
    approve.click()
    expect(page.get_by_role("status").filter(has_text="2 of 2 counted")).to_be_visible()
    assert [desk.request(request).status for request in asked] == ["decided", "decided"]
