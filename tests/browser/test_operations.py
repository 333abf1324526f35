"""The page of operations in a browser: its feed moves, holds under a flood, and stays as large as it was."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import CDPSession, Page, expect

from console.runs import feed
from console.runs.models import Run
from tests.approvals.desk import Desk
from tests.browser.test_accessibility import faults, looks
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
Visit = Callable[..., Page]

RATE, SECONDS = 500, 6  # events a second
WATCH = """() => {
  window.seen = { gaps: [], long: 0, most: 0 };
  let before = performance.now();
  new PerformanceObserver((list) => list.getEntries().forEach((each) => {
    window.seen.long += 1; window.seen.most = Math.max(window.seen.most, each.duration); })).observe({ type: "longtask" });
  const picture = (now) => { window.seen.gaps.push(now - before); before = now; requestAnimationFrame(picture); };
  requestAnimationFrame(picture);
}"""


def hints(run_id: UUID, numbers: range, **more: Any) -> list[tuple[str, str]]:
    """Steps of a run as hubs are told of them."""
    at = datetime.now(UTC)
    said = {"kind": "tool", "name": "lookup_order", "agent": "payer", "status": "done", "started_at": at.isoformat(),
            "ended_at": at.isoformat(), **more}  # fmt: skip
    topic = feed.run_topic(run_id)
    return [(feed.CHANNEL, feed.frame(topic, n, "step", at, json.dumps(said))) for n in numbers]


def flood(run_id: UUID, page: Page) -> None:
    """RATE events a second for SECONDS, in ten batches a second as writers commit them."""
    began, sent = time.monotonic(), 0
    while sent < RATE * SECONDS:
        due = min(int((time.monotonic() - began + 0.1) * RATE), RATE * SECONDS)
        feed.send(hints(run_id, range(1000 + sent, 1000 + due), status="failed" if sent % 7 == 0 else "done"))
        sent = due
        page.wait_for_timeout(100)


def spent(meter: CDPSession) -> float:
    """Seconds of processor time that the page's main thread has taken."""
    metrics = {each["name"]: each["value"] for each in meter.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def frames(page: Page) -> list[float]:
    """Milliseconds between pictures since the last time."""
    found: list[float] = page.evaluate("() => window.seen.gaps.splice(0)")
    return found


def a_run(desk: Desk, title: str) -> Run:
    run = desk.start()
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(title=title)
    return run


def test_a_flood_is_thinned_out_counted_and_never_freezes_the_page(desk: Desk, world: World, visit: Visit) -> None:
    run = a_run(desk, "The flood")
    page = visit(world.northwind.operator, "/operations/")
    expect(page.locator("#watch-says")).to_have_text("live")
    page.evaluate(WATCH)
    page.wait_for_timeout(1500)
    idle = frames(page)
    nodes = page.evaluate("() => document.querySelectorAll('*').length")
    meter = page.context.new_cdp_session(page)
    # Processor time of the page's main thread: how long things take says more about who else is on this machine.
    meter.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = spent(meter)
    flood(run.pk, page)
    took = spent(meter) - before
    busy = frames(page)
    expect(page.locator("#watch-skipped")).to_contain_text("skipped since the page was opened")
    assert page.locator("#events > li").count() == 300
    assert page.evaluate("() => document.querySelectorAll('*').length") < nodes + 300 * 12
    seen = page.evaluate("() => window.seen")
    print(
        f"{took / SECONDS:.0%} of a processor under {RATE} events/s; pictures a second: {len(busy) / sum(busy) * 1000:.0f},"
        f" idle {len(idle) / sum(idle) * 1000:.0f}; longest gap {max(busy):.0f} ms, idle {max(idle):.0f}; {seen['long']}"
        f" long tasks, the longest {seen['most']:.0f} ms"
    )
    assert took < SECONDS / 2
    page.get_by_role("button", name="Pause").click()  # it still answers
    expect(page.locator("#watch-pause")).to_have_text("Go on")


def test_what_happens_appears_is_filtered_by_the_server_and_can_be_held(desk: Desk, world: World, visit: Visit) -> None:
    run = a_run(desk, "Refund order 7 " + "with a very long title " * 7)
    page = visit(world.northwind.operator, "/operations/")
    expect(page.locator("#watch-says")).to_have_text("live")
    feed.send(hints(run.pk, range(900, 901), name="first_of_all"))
    row = page.locator("#events > li").first
    expect(row).to_contain_text("first_of_all")
    expect(row.get_by_role("link")).to_have_attribute("href", f"/runs/{run.pk}/")
    page.get_by_label("Status or stop reason").select_option("trouble")
    expect(page).to_have_url(re.compile("status=trouble"))
    expect(page.locator("#watch-says")).to_have_text("live")
    feed.send(hints(run.pk, range(901, 902), name="went_well"))
    feed.send(hints(run.pk, range(902, 903), name="went_wrong", status="failed"))
    expect(page.locator("#events")).to_contain_text("went_wrong")
    expect(page.locator("#events")).not_to_contain_text("went_well")
    page.get_by_role("button", name="Pause").click()
    feed.send(hints(run.pk, range(903, 904), name="while_held", status="failed"))
    expect(page.locator("#watch-skipped")).to_contain_text("Paused: 1 since then")
    expect(page.locator("#events")).not_to_contain_text("while_held")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#events")).to_contain_text("while_held")


def test_the_machinery_is_looked_at_again_by_itself_and_works_without_a_script(
    desk: Desk, world: World, visit: Visit
) -> None:
    page = visit(world.northwind.operator, "/operations/")
    with page.expect_response(lambda answer: "hx-request" in answer.request.headers and "/operations/" in answer.url):
        pass
    a_run(desk, "Seen without a script")
    plain = visit(world.northwind.reviewer, "/operations/?kind=status", java_script_enabled=False)
    expect(plain.get_by_role("heading", name="Is it well?")).to_be_visible()
    expect(plain.get_by_label("What happens")).to_have_value("status")
    expect(plain.get_by_role("button", name="Pause")).to_be_hidden()


def test_at_390_pixels_nothing_sticks_out(desk: Desk, world: World, visit: Visit) -> None:
    run = a_run(desk, "x" * 190)
    page = visit(world.northwind.operator, "/operations/", viewport={"width": 390, "height": 844})
    expect(page.locator("#watch-says")).to_have_text("live")
    feed.send(hints(run.pk, range(900, 930), name="a_tool_" + "with_a_long_name_" * 8, agent="agent_" * 25))
    expect(page.locator("#events")).to_contain_text("a_tool_")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_everybody_can_use_it(desk: Desk, world: World, visit: Visit) -> None:
    run = a_run(desk, "Refund order 7")
    page = visit(world.northwind.operator, "/operations/")
    expect(page.locator("#watch-says")).to_have_text("live")
    feed.send([*hints(run.pk, range(900, 903)), *hints(run.pk, range(903, 906), status="failed")])
    expect(page.locator("#events")).to_contain_text("lookup_order")
    for width in looks(page):
        assert faults(page) == [], width
