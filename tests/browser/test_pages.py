"""The other pages, each for the thing it is for, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from console.durable.steps import Kind, Status
from console.durable.steps import Step as Recorded
from console.runs import feed, record
from console.runs.models import Run, Step, StepPayload, TopicEvent
from tests.approvals.desk import Desk, make_desk, refund
from tests.browser.conftest import caught, intercept
from tests.world import PASSWORD, World

Visit = Callable[..., Page]


def test_log_in_switch_and_out(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(None, "/runs/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("User name").fill("reviewer.northwind")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    expect(page.get_by_label("User name")).to_have_value("reviewer.northwind")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(page.url.split("/login")[0].split("/runs")[0] + "/runs/")
    page.get_by_text("Northwind").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_run_is_started(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.operator, "/runs/new/?workflow=refund-desk")
    field = page.get_by_label("What should be done")
    field.fill("   ")
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator("#input-error")).to_contain_text("empty")
    page.get_by_label("What should be done").fill("Refund order A-17, it arrived broken")
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Refund order A-17, it arrived broken")
    expect(page.locator("#run-pill")).to_have_text("Queued")


def test_a_run_is_watched_live_and_cancelled(desk: Desk, world: World, visit: Visit) -> None:
    run, _ = desk.waiting(refund(40.0, title="Refund €40.00"))
    page = visit(world.northwind.operator, f"/runs/{run.pk}/")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    expect(page.locator("#run-requests")).to_contain_text("waiting for a person")
    message = {"index": 0, "source": "payer", "type": "TextMessage", "content": "I will refund it.", "at": None}
    with desk.house.scope():
        feed.publish(run.tenant_id, feed.run_topic(run.pk), "message", message, index=0)
    expect(page.locator("#feed")).to_contain_text("I will refund it.")
    page.get_by_text("Cancel run").click()
    page.get_by_role("button", name="Cancel it now").click()
    expect(page.locator("#run-pill")).to_have_text("Cancelled")
    expect(page.locator("#run-end")).to_contain_text("An operator cancelled the run.")
    expect(page.get_by_role("button", name="Retry after the last good step")).to_be_visible()


def test_the_list_of_runs_moves_while_it_is_looked_at(desk: Desk, world: World, visit: Visit) -> None:
    page, up = stopped(visit(world.northwind.operator, "/runs/")), [True]
    intercept(page, "**/runs/", lambda route: route.continue_() if up else route.abort())
    expect(page.get_by_text("No run yet")).to_be_visible()
    run, [request] = desk.waiting(refund(40.0))
    page.clock.run_for(5000)
    row = page.locator("#runs > tr")
    expect(row).to_contain_text("Waiting")
    expect(page.locator("#runs-say")).to_contain_text("1 waits for a person")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    page.get_by_role("link", name="Refund order A-17").focus()
    desk.decide(world.northwind.reviewer, request, "terminate", reason="no more")
    page.clock.run_for(5000)
    expect(row).to_contain_text("Cancelled")
    expect(page.get_by_role("link", name="Refund order A-17")).to_be_focused()
    up.clear()
    page.clock.run_for(5000)
    expect(page.locator("body")).to_have_attribute("data-live", "lost")


def test_unfolding_a_list_wins_over_looking_again(desk: Desk, world: World, visit: Visit) -> None:
    for _ in range(51):
        desk.start()
    page = stopped(visit(world.northwind.operator, "/runs/"))
    held: list[Route] = []
    intercept(page, "**/runs/*", held.append)  # with and without a cursor
    page.clock.run_for(5000)
    caught(page, held, "/runs/")
    page.get_by_role("link", name="Show 50 more").click()
    more = caught(page, held, "/runs/?")
    page.clock.run_for(20_000)  # not while it is on its way
    more.continue_()
    expect(page.locator("#runs > tr")).to_have_count(51)
    page.clock.run_for(20_000)  # and not when it is there
    expect(page.locator("#runs > tr")).to_have_count(51)
    assert len(held) == 2


def stopped(page: Page) -> Page:
    """The page, from its next load on by a clock that moves when the test says so."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    return page


def test_a_run_that_ends_elsewhere_shows_it(desk: Desk, world: World, visit: Visit) -> None:
    run, [request] = desk.waiting(refund(40.0))
    page = visit(world.northwind.operator, f"/runs/{run.pk}/")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    desk.decide(world.northwind.reviewer, request, "terminate", reason="no more")
    expect(page.locator("#run-pill")).to_have_text("Cancelled")
    expect(page.locator("#run-end")).to_contain_text("A reviewer ended the run.")
    expect(page.get_by_text("Cancel run")).to_have_count(0)


def test_a_step_opens_in_place(desk: Desk, world: World, visit: Visit) -> None:
    run = desk.start()
    write_step(desk, run)
    page = visit(world.northwind.operator, f"/runs/{run.pk}/")
    expect(page.locator(".falls")).to_contain_text("model gpt-4o-mini")
    page.locator("#steps").get_by_role("link").click()
    expect(page.get_by_role("dialog")).to_contain_text("what did they say")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_credentials_go_in_and_never_come_out(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.admin, "/credentials/")
    page.get_by_label("Name", exact=True).fill("default")
    page.get_by_label("Base URL").fill("ftp://nowhere")
    page.get_by_label("API key").fill("sk-secret-in-test")
    page.get_by_role("button", name="Add it").click()
    page.get_by_label("Base URL").fill("https://api.example.com/v1")
    page.get_by_label("API key").fill("sk-secret-in-test")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_contain_text("default")
    assert "sk-secret-in-test" not in page.content()
    page.goto("/audit/")
    expect(page.locator("#records")).to_contain_text("credential.put")
    assert "sk-secret-in-test" not in page.content()


def test_an_event_is_published_and_its_run_is_watched(desk: Desk, world: World, visit: Visit) -> None:
    make_desk(world.northwind, {"team": {}, "topics": ["support_*"]}, "triage")
    page = stopped(visit(world.northwind.operator, "/events/"))
    page.reload()
    page.get_by_role("link", name="publish one").click()
    page.get_by_label("Type of the topic").fill("support_ticket")
    page.get_by_label("Id", exact=True).fill("mail-4711")
    page.get_by_label("Source").fill("mail/ingrid@example.com")
    page.get_by_label("a JSON object").check()
    page.get_by_label("Data", exact=True).fill("[]")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#data-error")).to_contain_text("no object")
    page.get_by_label("Data", exact=True).fill('{"subject": "Charged twice"}')
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status").filter(has_text="Published")).to_contain_text("1 run started")
    started = page.locator("#runs-live")
    expect(started).to_contain_text("Queued")
    with desk.house.scope():
        Run.objects.update(status="completed", stop_reason="completed", ended_at=datetime.now(UTC))
    page.clock.run_for(5000)
    expect(started).to_contain_text("Completed")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    started.get_by_role("link", name="Charged twice").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Charged twice")


def test_a_fault_in_a_queue_is_where_one_looks(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.admin, "/limits/", viewport={"width": 1200, "height": 600})
    page.get_by_label("Queue").fill("no spaces")
    page.get_by_role("button", name="Save the queue").click()
    expect(page.locator("#queue-error")).to_be_in_viewport()
    page.get_by_label("Queue").fill("northwind")
    page.get_by_role("button", name="Save the queue").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_be_in_viewport()


def test_the_workflow_says_what_it_may_do(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.admin, "/workflows/")
    page.get_by_role("link", name="Refund desk").click()
    expect(page.get_by_role("heading", name="What this team may do without a person")).to_be_visible()
    expect(page.get_by_text("2 people are asked, from finance")).to_be_visible()


@pytest.mark.parametrize("path", ["/retention/", "/display/"])
@pytest.mark.parametrize("width", [1440, 390])
def test_what_is_said_below_save_keeps_a_distance(
    desk: Desk, world: World, visit: Visit, width: int, path: str
) -> None:
    page = visit(world.northwind.admin, path, viewport={"width": width, "height": 900})
    save, said = page.locator("main form .actions").last, page.locator("main form .actions + .help").last
    above, below = save.bounding_box(), said.bounding_box()
    assert above is not None and below is not None
    assert 8 <= below["y"] - (above["y"] + above["height"]) <= 24


def test_dark_and_light_are_remembered(desk: Desk, world: World, visit: Visit) -> None:
    page = visit(world.northwind.reviewer, "/queue/", color_scheme="light")
    page.get_by_text("Northwind").click()
    page.get_by_role("button", name="Light or dark").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(19, 20, 22)"


@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_has_names_for_its_controls_and_fits(desk: Desk, world: World, visit: Visit, width: int) -> None:
    run, [request] = desk.waiting(refund(40.0, title="Refund €40.00 to " + "Donaudampfschifffahrtsgesellschaft" * 4))
    write_step(desk, run)
    event = publish_long(world)
    page = visit(world.northwind.admin, "/queue/", viewport={"width": width, "height": 844})
    places = [
        f"/queue/{request.pk}/",
        f"/runs/{run.pk}/",
        "/runs/",
        "/runs/new/",
        "/workflows/",
        "/workflows/refund-desk/",
        "/events/",
        f"/events/{event}/",
        "/events/new/",
        "/limits/",
    ]
    for path in [*places, "/credentials/", "/audit/", "/nothing/here/"]:
        page.goto(path)
        assert page.evaluate(NAMELESS) == [], path
        assert page.locator("h1").count() == 1, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


# Controls that a screen reader could not name, and ids that are there twice.
NAMELESS = """() => {
  const named = e => e.labels && e.labels.length || e.getAttribute('aria-label') || e.textContent.trim() || e.type === 'hidden';
  const ids = Array.from(document.querySelectorAll('[id]')).map(e => e.id);
  return Array.from(document.querySelectorAll('a, button, input, select, textarea, summary')).filter(e => !named(e))
    .map(e => e.outerHTML).concat(ids.filter((id, i) => ids.indexOf(id) !== i));
}"""


def publish_long(world: World) -> str:
    """The id of an event in which everything is as long as it may be and has no place to break."""
    house, topic = world.northwind, "t" * 100
    make_desk(house, {"team": {}, "topics": [topic], "input_schema": {"type": "object"}}, "w" * 80)
    body = {"id": "i" * 200, "source": "s" * 200, "data": "d" * 300}
    assert house.operator.api.post(f"/api/v1/topics/{topic}/events", body).status_code == 202
    with house.scope():
        return str(TopicEvent.objects.get().pk)


def write_step(desk: Desk, run: Run) -> None:
    """One model call in the run's journal."""

    now = datetime.now(UTC)
    step = Recorded(
        "payer/model", 0, Kind.MODEL, 1, "ab" * 32, {"messages": ["what did they say"]}, now, status=Status.DONE
    )
    step.result = {"content": "a lot"}
    with desk.house.scope():
        Step.objects.create(
            run=run, tenant_id=run.tenant_id, seq=1, settled=1, scope=step.scope, n=0, kind="model", status="done",
            name="gpt-4o-mini", agent="payer", digest=step.digest, attempts=[{}], started_at=now,
            usage={"input_tokens": 10, "output_tokens": 2}, cost="0.001", ended_at=now + timedelta(seconds=1),
        )  # fmt: skip
        StepPayload.objects.create(
            run=run, tenant_id=run.tenant_id, seq=1, request=record.seal_request(run.tenant_id, step),
            result=record.seal_outcome(run.tenant_id, step),
        )  # fmt: skip
