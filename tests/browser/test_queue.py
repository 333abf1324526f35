"""The queue, in a browser: what a reviewer does there, with and without a mouse, alone and against somebody else."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, WebSocketRoute, expect

from approvals.models import ApprovalRequest, Sighting
from console.tenants import group_actions
from tests.approvals.desk import Desk, asking, refund
from tests.browser.conftest import caught, intercept
from tests.world import World

Visit = Callable[..., Page]


def test_approving_says_what_it_does_and_decides(desk: Desk, world: World, visit: Visit, woken: list[str]) -> None:
    run, [request] = desk.waiting(refund(40.0, title="Refund €40.00 to Contoso for order A-17"))
    woken.clear()
    page = visit(world.northwind.reviewer, "/queue/")
    expect(page.locator("#queue-say")).to_contain_text("1 waiting")
    page.get_by_role("link", name="Refund €40.00").click()
    expect(page.locator("#card-title")).to_have_text("Refund €40.00 to Contoso for order A-17")
    expect(page.locator("#card .rows")).to_contain_text("€40.00")
    page.get_by_role("button", name="Approve and refund €40.00").click()
    expect(page.locator("#decision")).to_contain_text("Reviewer approved this")
    expect(page.locator("#queue-empty")).to_be_visible()
    assert desk.request(request).verdict == "approve"
    assert woken == [str(run.pk)]


def test_rejecting_needs_a_reason(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund())
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    page.get_by_text("Reject R").click()
    page.get_by_role("button", name="Reject with this reason").click()
    assert desk.request(request).status == "pending"
    page.get_by_label("Why not?").fill("Not within policy 4.2")
    page.get_by_role("button", name="Reject with this reason").click()
    expect(page.locator("#decision")).to_contain_text("Not within policy 4.2")
    assert desk.request(request).verdict == "reject"


def test_an_edit_is_checked_before_it_counts(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0))
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    page.get_by_role("link", name="Edit E").click()
    amount = page.get_by_label("amount")
    amount.fill("lots")
    page.get_by_role("button", name="Approve with these changes").click()
    expect(page.locator("#arg-amount-error")).to_contain_text("is not a number")
    expect(page.get_by_label("amount")).to_have_value("lots")
    page.get_by_label("amount").fill("-1")
    page.get_by_role("button", name="Approve with these changes").click()
    expect(page.locator("#arg-amount-error")).to_be_visible()
    assert desk.request(request).status == "pending"
    page.get_by_label("amount").fill("35.5")
    page.get_by_role("button", name="Approve with these changes").click()
    expect(page.locator("#decision")).to_contain_text("Reviewer edited and approved this")
    changed = page.get_by_role("region", name="What Reviewer changed")
    expect(changed).to_contain_text("40.0")
    expect(changed).to_contain_text("35.5")
    assert desk.request(request).verdict == "edit"


def test_a_question_is_answered(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(asking("question", question="Which of the two invoices?"))
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    page.get_by_label("Your answer to payer").fill("INV-2042")
    page.get_by_role("button", name="Send the answer").click()
    expect(page.locator("#decision")).to_contain_text("Answer: INV-2042")


def test_an_effect_in_doubt_is_settled_by_evidence(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(asking("in_doubt", arguments={"order": "A-17", "amount": 40.0}))
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    page.get_by_text("It happened…").click()
    page.get_by_label("What came of it").fill("booked as RF-1")
    page.get_by_role("button", name="It happened: go on with this outcome").click()
    expect(page.locator("#decision")).to_contain_text("Reviewer answered this")
    assert desk.request(request).verdict == "respond"


def test_keys_walk_the_queue_and_decide(desk: Desk, world: World, visit: Visit) -> None:
    _, [first] = desk.waiting(refund(40.0, risk="high"))
    _, [second] = desk.waiting(refund(50.0, risk="low"))
    page = visit(world.northwind.reviewer, "/queue/")
    page.keyboard.press("j")
    expect(page.locator("#card")).to_have_attribute("data-request", str(first.pk))
    page.keyboard.press("j")
    expect(page.locator("#card")).to_have_attribute("data-request", str(second.pk))
    expect(page.locator("#queue-list [aria-current]")).to_have_attribute("href", f"/queue/{second.pk}/")
    page.keyboard.press("k")
    expect(page.locator("#card")).to_have_attribute("data-request", str(first.pk))
    page.keyboard.press("r")
    expect(page.get_by_label("Why not?")).to_be_focused()
    page.keyboard.type("are you sure")  # letters that are keys elsewhere
    expect(page.get_by_label("Why not?")).to_have_value("are you sure")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Why not?")).to_be_hidden()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Press A again: approve")).to_be_visible()
    page.keyboard.press("x")  # anything else forgets it
    expect(page.get_by_role("button", name="Press A again")).to_have_count(0)
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(page.locator("#decision")).to_contain_text("approved")
    assert desk.request(first).verdict == "approve"
    assert desk.request(second).status == "pending"


def test_keys_pressed_faster_than_the_server_answers_walk_on_and_decide_nothing(
    desk: Desk, world: World, visit: Visit
) -> None:
    asked = [desk.waiting(refund(amount, risk=risk))[1][0] for amount, risk in ((40.0, "high"), (50.0, "low"))]
    page = visit(world.northwind.reviewer, "/queue/")
    held: list[Route] = []
    intercept(page, f"**/queue/{asked[1].pk}/", held.append)
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    page.keyboard.press("j")
    expect(page.locator("#card")).to_have_attribute("data-request", str(asked[0].pk))
    picked = page.locator("#queue-list [aria-current]")
    page.keyboard.press("j")
    expect(picked).to_have_attribute("href", f"/queue/{asked[1].pk}/")
    late = caught(page, held, str(asked[1].pk))
    page.keyboard.press("a")  # the first card is still on the screen: neither of the two was meant for certain
    page.keyboard.press("k")
    expect(picked).to_have_attribute("href", f"/queue/{asked[0].pk}/")
    late.continue_()  # the card that was passed over arrives late, and is not shown
    page.keyboard.press("r")
    expect(page.locator("#card")).to_have_attribute("data-request", str(asked[0].pk))
    assert [desk.request(request).status for request in asked] == ["pending", "pending"]


def test_what_fails_on_the_way_is_said(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0))
    page = visit(world.northwind.reviewer, "/queue/")
    answers: list[Callable[[Route], None]] = [
        lambda route: route.abort(),
        lambda route: route.fulfill(status=500, body="broken"),
        lambda route: route.continue_(),
    ]
    intercept(page, f"**/queue/{request.pk}/", lambda route: answers.pop(0)(route))
    page.keyboard.press("j")
    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    page.keyboard.press("j")
    expect(page.get_by_role("alert")).to_contain_text("The server failed at that (500)")
    page.keyboard.press("j")
    expect(page.locator("#card")).to_have_attribute("data-request", str(request.pk))
    expect(page.locator("#failure")).to_be_hidden()


def test_of_two_tabs_one_wins_and_the_other_is_told(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0))
    one = visit(world.northwind.reviewer, f"/queue/{request.pk}/", java_script_enabled=False)
    two = visit(world.northwind.reviewer2, f"/queue/{request.pk}/", java_script_enabled=False)
    one.get_by_role("button", name="Approve").click()
    expect(one.locator("#decision")).to_contain_text("Reviewer approved this")
    two.get_by_role("button", name="Approve").click()
    expect(two.locator("#card-news")).to_contain_text("Too late. Reviewer approved this")
    assert desk.request(request).decided_by_name == "Reviewer"


def test_the_queue_fills_and_empties_without_a_reload(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.reviewer, "/queue/")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    expect(page.locator("#queue-empty")).to_be_visible()
    page.evaluate("window.untouched = true")
    _, [request] = desk.waiting(refund(40.0, title="Refund €40.00 to Contoso"))
    expect(page.get_by_role("link", name="Refund €40.00 to Contoso")).to_be_visible()
    expect(page.locator("#waiting-count")).to_have_text("1")
    expect(page.locator("#queue-empty")).to_be_hidden()
    desk.decide(world.northwind.reviewer2, request, "approve")
    expect(page.locator("#queue-empty")).to_be_visible()
    expect(page.locator("#waiting-count")).to_have_text("")
    assert page.evaluate("window.untouched")


def test_an_open_card_hears_that_somebody_was_faster(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0))
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    page.keyboard.press("r")
    page.get_by_label("Why not?").fill("half a reason")
    desk.decide(world.northwind.reviewer2, request, "approve")
    expect(page.locator("#card-news")).to_contain_text("This was decided while you were typing")
    expect(page.get_by_label("Why not?")).to_have_value("half a reason")
    page.get_by_role("link", name="Show it").click()
    expect(page.locator("#decision")).to_contain_text("Reviewer2 approved this")


def test_a_quorum_counts_people(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(1250.0))
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    page.get_by_role("button", name="Approve as first of 2").click()
    expect(page.locator("#card")).to_contain_text("You have had your say; one more person must agree")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    desk.decide(world.northwind.reviewer2, request, "approve")
    expect(page.locator("#decision")).to_be_visible()


def test_no_news_is_lost_while_an_answer_is_on_its_way(desk: Desk, world: World, visit: Visit) -> None:
    """Somebody decides after this vote was counted and before its answer arrives: the answer is older than the news,
    and takes the place on the page that the news would have gone to."""
    _, [request] = desk.waiting(refund(1250.0))
    page = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    held: list[Route] = []
    card, through = f"/queue/{request.pk}/", ["seen"]
    intercept(
        page,
        f"**{card}**",
        lambda route: route.continue_() if any(part in route.request.url for part in through) else held.append(route),
    )
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    page.get_by_role("button", name="Approve as first of 2").click()
    vote = caught(page, held, "decide")
    held.remove(vote)
    answer = vote.fetch()
    caught(page, held, card)  # the page hears of its own vote, maybe before the answer is here, and asks
    held.clear()
    desk.decide(world.northwind.reviewer2, request, "approve")
    news = caught(page, held, card)
    through.append(card)
    vote.fulfill(response=answer)
    expect(page.locator("#card")).to_contain_text("You have had your say; one more person must agree")
    news.continue_()
    expect(page.locator("#decision")).to_be_visible()


def test_taking_it_in_hand_is_seen_by_the_others_and_undone(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0))
    mine = visit(world.northwind.reviewer, f"/queue/{request.pk}/")
    theirs = visit(world.northwind.reviewer2, f"/queue/{request.pk}/")
    for page in (mine, theirs):
        expect(page.locator("body")).to_have_attribute("data-live", "live")
    mine.keyboard.press("c")
    expect(mine.locator(".hand")).to_contain_text("In your hands")
    expect(theirs.locator(".verdict")).to_contain_text("Reviewer has this in hand.")
    expect(theirs.get_by_role("button", name="Approve")).to_have_count(0)
    mine.keyboard.press("u")
    expect(theirs.get_by_role("button", name="Approve and refund")).to_be_visible()
    assert desk.request(request).claimed_by_id is None


def test_what_was_passed_on_leaves_the_list_of_those_it_left(desk: Desk, world: World, visit: Visit) -> None:
    house = world.northwind
    with house.scope():
        group_actions.put_group(house.admin.actor, "leads", members=[house.reviewer2.user.id])
    _, [request] = desk.waiting(refund(1250.0))
    with house.scope():
        ApprovalRequest.objects.filter(pk=request.pk).update(
            agenda=[{"at": "2999-01-01T00:00:00+00:00", "do": "escalate", "group": "leads"}]
        )
    mine, theirs = visit(house.reviewer, "/queue/"), visit(house.reviewer2, "/queue/")
    for page in (mine, theirs):
        expect(page.get_by_role("link", name="Refund 1250.0")).to_be_visible()
        expect(page.locator("body")).to_have_attribute("data-live", "live")
    desk.decide(house.reviewer, request, "escalate", reason="above me")
    expect(mine.locator("#queue-empty")).to_be_visible()
    expect(theirs.locator("#queue-list")).to_contain_text("leads")


def test_who_left_the_group_meanwhile_is_told_so_on_the_card(desk: Desk, world: World, visit: Visit) -> None:
    house = world.northwind
    _, [request] = desk.waiting(refund(1250.0))
    page = visit(house.reviewer, f"/queue/{request.pk}/")
    with house.scope():
        group_actions.put_group(house.admin.actor, "finance", members=[house.reviewer2.user.id])
    page.get_by_role("button", name="Approve as first of 2").click()
    expect(page.locator("#card-news")).to_contain_text("asks for somebody of finance, and you are not in that group")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert desk.request(request).status == "pending"


def test_who_saw_what_is_recorded(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0))
    page = visit(world.northwind.reviewer, "/queue/")
    with page.expect_response(lambda answer: answer.url.endswith(f"/{request.pk}/seen/")) as shown:
        page.wait_for_load_state()
    assert shown.value.status == 204
    with page.expect_response(lambda answer: answer.url.endswith(f"/{request.pk}/seen/")) as read:
        page.get_by_role("link", name="Refund").click()
        expect(page.locator("#card-title")).to_be_visible()
        page.locator(".card-body").evaluate("body => body.scrollTo(0, body.scrollHeight)")
    assert read.value.status == 204
    with desk.house.scope():
        sighting = Sighting.objects.get(request=request)
        assert sighting.viewer_id == world.northwind.reviewer.user.id
        assert sighting.shown_at and sighting.opened_at and sighting.read_at


def test_on_a_phone_the_verdict_stays_under_the_thumb(desk: Desk, world: World, visit: Visit) -> None:
    _, [request] = desk.waiting(refund(40.0, title="Refund €40.00 to Contoso"))
    page = visit(world.northwind.reviewer, "/queue/", viewport={"width": 390, "height": 844})
    page.get_by_role("link", name="Refund €40.00").click()
    approve = page.get_by_role("button", name="Approve and refund")
    expect(approve).to_be_in_viewport()
    expect(page.locator("#queue-list")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = approve.bounding_box()
    assert box is not None and box["height"] >= 44
    page.get_by_role("link", name="← Queue").click()
    expect(page.locator("#queue-list")).to_be_visible()
    assert desk.request(request).status == "pending"


def test_a_lost_connection_says_so_comes_back_and_catches_up(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.reviewer, "/queue/")
    sockets: list[WebSocketRoute] = []
    broken: list[bool] = []

    def between(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if broken:
            socket.close(code=1012)
        else:
            socket.connect_to_server()

    page.route_web_socket(re.compile("/ws/queue/"), between)
    page.reload()
    expect(page.locator("#live-state")).to_have_text(re.compile("Live"))
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    broken.append(True)
    sockets[-1].close(code=1012)
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    desk.waiting(refund(40.0, title="Refund €40.00 to Contoso"))
    broken.clear()
    expect(page.get_by_role("link", name="Refund €40.00 to Contoso")).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-live", "live")
