"""Insights: charts are drawn, and a bar leads to the runs behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect

from console.runs.models import Run
from tests.approvals.desk import Desk
from tests.telemetry import rolled
from tests.world import World

Visit = Callable[..., Page]


def test_a_bar_leads_to_the_runs_behind_it_and_back(desk: Desk, world: World, visit: Visit) -> None:
    yesterday = timezone.now() - timedelta(days=1)
    run = desk.start("Refund order B-99")
    desk.start("Not this one")
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(status="completed", stop_reason="completed", ended_at=yesterday)
    rolled.runs(world.northwind.tenant.id, yesterday, "completed", 1, workflow=desk.workflow.id)
    page = visit(world.northwind.operator, "/insights/")
    canvas = page.locator("#chart-stops")
    expect(canvas).to_be_visible()
    # Where Chart.js has put the only bar: found through the chart itself, as a pointer finds it through its eyes.
    spot = page.evaluate(
        "() => { const chart = Chart.getChart('chart-stops'), at = chart.data.datasets[0].data.findIndex((one) => one > 0);"
        " const bar = chart.getDatasetMeta(0).data[at]; return [bar.x, (bar.y + bar.base) / 2]; }"
    )
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + spot[0], box["y"] + spot[1])
    expect(page).to_have_url(re.compile(r"/runs/\?on=ended&reason=completed&from=.*&to="))
    expect(page.get_by_role("link", name="Refund order B-99")).to_be_visible()
    expect(page.get_by_text("Not this one")).to_have_count(0)
    page.go_back()
    expect(page.locator("#chart-stops")).to_be_visible()


def test_the_table_beside_says_the_same_and_files_are_made(desk: Desk, world: World, visit: Visit) -> None:
    rolled.runs(world.northwind.tenant.id, timezone.now() - timedelta(days=1), "timeout", 9, workflow=desk.workflow.id)
    page = visit(world.northwind.operator, "/insights/")
    panel = page.locator("#panel-stops")
    panel.get_by_text("As a table").click()
    expect(panel.get_by_role("table").last.get_by_role("link", name="9")).to_be_visible()
    with page.expect_download() as picture:
        panel.get_by_role("button", name="PNG").click()
    assert picture.value.suggested_filename == "sayso-chart-stops.png"
    assert open(picture.value.path(), "rb").read(8) == b"\x89PNG\r\n\x1a\n"
    with page.expect_download() as table:
        panel.get_by_role("link", name="CSV").click()
    assert table.value.suggested_filename.startswith("sayso-stops-")


def test_a_single_hour_among_empty_ones_is_seen(desk: Desk, world: World, visit: Visit) -> None:
    rolled.runs(
        world.northwind.tenant.id, timezone.now() - timedelta(days=2), "completed", 1, workflow=desk.workflow.id
    )
    page = visit(world.northwind.operator, "/insights/?range=7d")
    expect(page.locator("#chart-machine")).to_be_visible()
    radii = page.evaluate("Chart.getChart('chart-machine').data.datasets[0].pointRadius")
    assert sorted(set(radii)) == [0, 2.5] and radii.count(2.5) == 1


def test_new_figures_come_by_themselves_and_leave_what_is_unfolded(desk: Desk, world: World, visit: Visit) -> None:
    now = timezone.now()
    rolled.runs(world.northwind.tenant.id, now, "completed", 3, workflow=desk.workflow.id)
    page = visit(world.northwind.operator, "/insights/?range=24h")
    page.locator("#panel-stops").get_by_text("As a table").click()
    expect(page.locator("#tile-runs")).to_contain_text("3")
    rolled.runs(world.northwind.tenant.id, now, "completed", 4, workflow=desk.workflow.id)
    page.evaluate("document.dispatchEvent(new Event('insights:refresh'))")
    expect(page.locator("#tile-runs")).to_contain_text("7")
    expect(page.locator("#panel-stops").get_by_role("table").last.get_by_role("link", name="7")).to_be_visible()
