"""The page of insights: its figures, what it says is to be looked at, and where it leads."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from telemetry import address, notable, panels
from telemetry.charts import Chart, Series
from telemetry.panels import Board
from telemetry.query import Scope, Window
from tests.approvals.desk import Desk, make_desk, refund
from tests.telemetry import rolled
from tests.world import World, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture
def desk(db: None, world: World, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Northwind's refund desk, on a day in March."""
    made = make_desk(world.northwind)
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return made


@pytest.fixture
def petra(db: None) -> Client:
    """A browser of a platform admin who is a member nowhere."""
    user = make_user("petra")
    user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    return client


def page_of(client: Client, query: str = "", path: str = "/insights/") -> str:
    answer = client.get(path + query)
    assert answer.status_code == 200
    return answer.content.decode()


def spec(page: str, chart: str) -> dict:
    found = re.search(rf'<script id="data-{chart}" type="application/json">(.*?)</script>', page)
    assert found, chart
    return json.loads(found[1])


def test_a_tenant_without_runs_is_told_what_to_do(desk: Desk, world: World) -> None:
    page = page_of(world.northwind.reviewer.client)
    assert "Nothing ended in this time" in page and "No run ended in this time." in page
    assert "data-stops" not in page and "none before" not in page


def test_why_runs_stopped_and_where_each_bar_leads(desk: Desk, world: World) -> None:
    tenant, flow = world.northwind.tenant.id, desk.workflow.id
    for back, reason, many in ((1, "completed", 8), (1, "timeout", 12), (2, "completed", 6), (2, "rejected", 2)):
        rolled.runs(tenant, NOW - timedelta(days=back), reason, many, workflow=flow)
    page = page_of(world.northwind.operator.client)
    drawn = spec(page, "stops")
    found = {one["name"]: one for one in drawn["series"]}
    assert found["completed"]["values"][-3:] == [6.0, 8.0, 0.0] and found["limits"]["values"][-2] == 12.0
    assert found["limits"]["tone"] == "plain" and found["refused by people"]["tone"] == "wait"
    assert drawn["starts"][-2] == "2026-03-19T00:00:00Z" and drawn["ends"][-2] == "2026-03-20T00:00:00Z"
    text = html.unescape(page)
    assert "/runs/?on=ended&reason=completed&from=2026-03-19T00:00:00Z&to=2026-03-20T00:00:00Z" in text
    assert "12 runs ended as timeout, none in the time before." in text
    assert "12 of them on 19 March, most of them in refund-desk revision 1." in text
    assert "57.1 %" in text  # 16 of 28 ended as they should


def test_what_cost_most_and_because_of_what(desk: Desk, world: World) -> None:
    tenant, flow = world.northwind.tenant.id, desk.workflow.id
    rolled.calls(tenant, NOW - timedelta(days=3), "gpt-4o", 100, 20_000, workflow=flow)
    rolled.calls(tenant, NOW - timedelta(days=40), "gpt-4o", 90, 10_000, workflow=flow)
    rolled.calls(tenant, NOW - timedelta(days=3), "mystery-1", 4, 0, workflow=flow, unpriced=4)
    with world.northwind.scope():
        board = Board(Scope(tenant), Window.last(timedelta(days=30), NOW), NOW)
        said = notable.of(board, "workflow")
    assert said[0].says.endswith("cost most: $2.00 of $2.00, +122% on the time before.")
    assert said[0].because.startswith("Because calls were dearer: $0.0192 each, $0.0100 before. Most of it is gpt-4o")
    assert said[1].says == "4 model calls have no known price, so the cost is too low."
    page = page_of(world.northwind.operator.client, "?by=model")
    assert [one["name"] for one in spec(page, "cost")["series"]][0] == "gpt-4o"
    assert "4 calls unpriced" in page


def test_a_little_money_is_not_told_as_none(desk: Desk, world: World) -> None:
    tenant, flow = world.northwind.tenant.id, desk.workflow.id
    rolled.calls(tenant, NOW - timedelta(days=3), "gpt-4o", 100, 600, workflow=flow)
    rolled.calls(tenant, NOW - timedelta(days=40), "gpt-4o", 100, 44, workflow=flow)
    with world.northwind.scope():
        (said,) = notable.of(Board(Scope(tenant), Window.last(timedelta(days=30), NOW), NOW), "workflow")
    assert said.says.endswith("cost most: $0.0600 of $0.0600, +1,264% on the time before.")
    assert said.because.startswith("Because calls were dearer: $0.0006 each, $0.000044 before.")
    assert said.because.endswith("gpt-4o: $0.0600, $0.0044 before.")


def test_what_is_new_is_said_to_be_and_what_most_of_it_is(desk: Desk, world: World, petra: Client) -> None:
    tenant, other, flow = world.northwind.tenant.id, world.fabrikam.tenant.id, desk.workflow.id
    rolled.calls(tenant, NOW - timedelta(days=3), "gpt-4o", 100, 20_000, workflow=flow)
    rolled.calls(tenant, NOW - timedelta(days=3), "o3", 10, 10_000, workflow=flow)
    with world.northwind.scope():
        board = Board(Scope(tenant), Window.last(timedelta(days=30), NOW), NOW)
        said = notable.of(board, "workflow")
    assert said[0].says.endswith("cost most: $2.10 of $2.10.")  # there was nothing at all before, so nothing is new
    assert said[0].because == "It asked models 110 times, never in the time before. Most of it is gpt-4o: $2.00."
    rolled.calls(other, NOW - timedelta(days=40), "o3", 10, 10_000)
    page = html.unescape(page_of(petra, "?range=30d", path="/platform/insights/"))
    assert "Northwind cost most: $2.10 of $2.10, and nothing in the time before: it is new." in page
    assert "It asked models 110 times, never in the time before. Most of it is gpt-4o: $2.00." in page


def test_who_decides_without_opening(desk: Desk, world: World) -> None:
    tenant, raj = world.northwind.tenant.id, world.northwind.reviewer
    desk.waiting()
    rolled.decisions(tenant, NOW - timedelta(days=1), raj.user.id, 20, 9)
    page = html.unescape(page_of(world.northwind.operator.client))
    assert spec(page_of(world.northwind.operator.client), "reviewers")["series"][1]["values"] == [9.0]
    assert "voted 20 times, 9 of them without opening the request." in page
    assert (
        page.count(panels.VOTES) == 2
    )  # beside the sentence and under the chart: what is counted, and where it is not


def test_the_two_pages_say_why_a_persons_numbers_differ(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = world.northwind
    _, [request] = desk.waiting(refund(1250.0))
    for who in (house.reviewer, house.reviewer2):
        desk.decide(who, request, "approve")
        rolled.decisions(house.tenant.id, NOW - timedelta(days=1), who.user.id, 1, 1)
    drawn = spec(page_of(house.operator.client), "reviewers")
    assert [sum(one["values"]) for one in drawn["series"]] == [0, 2]  # two votes
    monkeypatch.setattr(timezone, "now", lambda: NOW + timedelta(hours=1))
    looking = house.operator.client.get("/people/looking/").content.decode()
    assert "1 of 1</a>" in looking and "2 of 2</a>" not in looking  # one decision
    assert "each request once, for whoever decided it" in looking
    assert "count every vote, an escalation too" in " ".join(looking.split())


def test_no_tenant_sees_anothers_figures_and_the_platform_sees_all_of_them(
    desk: Desk, world: World, petra: Client
) -> None:
    rolled.runs(world.northwind.tenant.id, NOW - timedelta(days=1), "completed", 7)
    rolled.calls(world.northwind.tenant.id, NOW - timedelta(days=1), "gpt-4o", 10, 50_000)
    rolled.calls(world.fabrikam.tenant.id, NOW - timedelta(days=1), "gpt-4o", 10, 20_000)
    assert "data-stops" not in page_of(world.fabrikam.operator.client)
    assert 'href="/platform/insights/"' in page_of(petra, path="/platform/")
    page = page_of(petra, path="/platform/insights/")
    assert [one["name"] for one in spec(page, "cost")["series"]] == ["Northwind", "Fabrikam"]
    assert "Northwind cost most: $0.5000 of $0.7000" in html.unescape(page)
    assert "/runs/?" not in page
    assert world.northwind.admin.client.get("/platform/insights/").status_code == 404


def looked_at(page: str) -> list[tuple[str, str, str]]:
    """What is to be looked at: the sentence, where it leads, and the tenant that it leads into."""
    found = re.search(r'<section class="panel" id="notable".*?</section>', page, re.S)
    lines = re.findall(r'<li class="said">(.*?)</li>', found[0]) if found else []
    read = [re.search(r'<a href="([^"]+)">([^<]+)</a>', line) for line in lines]
    into = [re.search(r'<a class="small into" href="([^"]+)">', line) for line in lines]
    return [(a[2] if a else "", a[1] if a else "", b[1] if b else "") for a, b in zip(read, into, strict=True)]


def test_what_the_platform_is_to_look_at_leads_there(desk: Desk, world: World, petra: Client) -> None:
    north, fabrikam = world.northwind.tenant.id, world.fabrikam.tenant.id
    rolled.runs(north, NOW - timedelta(days=2), "timeout", 9)
    rolled.runs(fabrikam, NOW - timedelta(days=2), "timeout", 2)
    for tenant in (north, fabrikam):  # of both as many, so into neither
        rolled.runs(tenant, NOW - timedelta(days=3), "model_error", 5)
    rolled.calls(fabrikam, NOW - timedelta(days=1), "gpt-4o", 10, 20_000)
    rolled.calls(fabrikam, NOW - timedelta(days=1), "mystery-1", 4, 0, unpriced=4)
    page = html.unescape(page_of(petra, path="/platform/insights/"))
    into = "/platform/?q={0}#why-{0}"
    assert [(says.partition(",")[0], link, where) for says, link, where in looked_at(page)] == [
        ("11 runs ended as timeout", "#panel-stops", into.format("northwind")),
        ("10 runs ended as model error", "#panel-stops", ""),
        ("Fabrikam cost most: $0.2000 of $0.2000.", "#panel-cost", into.format("fabrikam")),
        ("4 model calls have no known price", "#tile-cost", into.format("fabrikam")),
    ]
    assert "Of mystery-1, most of them at Fabrikam: an admin can give prices." in page
    for _, link, where in looked_at(page):
        assert f'id="{link[1:]}"' in page
        assert not where or f'id="{where.partition("#")[2]}"' in page_of(petra, path=where.partition("#")[0])
    split = html.unescape(page_of(petra, "?by=model", path="/platform/insights/"))
    assert ("gpt-4o cost most: $0.2000 of $0.2000.", "#panel-cost", "") in looked_at(split)
    assert "/runs/?" not in page + split


def test_what_a_tenant_is_to_look_at_leads_to_its_runs(desk: Desk, world: World) -> None:
    tenant, flow = world.northwind.tenant.id, desk.workflow.id
    rolled.runs(tenant, NOW - timedelta(days=2), "timeout", 9, workflow=flow)
    rolled.calls(tenant, NOW - timedelta(days=1), "gpt-4o", 10, 20_000, workflow=flow, unpriced=4)
    found = looked_at(html.unescape(page_of(world.northwind.operator.client)))
    assert len(found) == 3 and all(link.startswith("/runs/?") and not into for _, link, into in found)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?range=9y", "“range” must be hours or days"),
        ("?from=soon", "“from” must be a time"),
        ("?from=2026-03-02&to=2026-03-01", "“to” must be later than from"),
        ("?from=0001-01-01", "“from”"),
        ("?to=2026-03-01", "“from” is missing"),
        ("?from=2026-03-01&to=9999-12-31T23:59", "“to” lies in the future"),
        ("?from=2026-03-01T00:00:00%2B23:59&to=9999-12-31T23:59:59-23:59", "“to” must be a time"),
        ("?by=colour", "“by” must be one of workflow, model"),
        ("?workflow=nothing%00", "“workflow” is none of this organisation's"),
        ("?range=%00&by=" + "x" * 5000, "“by” must be"),
    ],
)
def test_nonsense_in_the_address_is_named_and_the_usual_shown(desk: Desk, world: World, query: str, says: str) -> None:
    rolled.runs(world.northwind.tenant.id, NOW - timedelta(days=1), "completed", 7)
    page = html.unescape(page_of(world.northwind.operator.client, query))
    assert says in page and "data-stops" in page


def test_a_chart_is_a_file_and_its_names_are_no_formulas(desk: Desk, world: World) -> None:
    rolled.runs(world.northwind.tenant.id, NOW - timedelta(days=1), "completed", 7)
    client = world.northwind.operator.client
    answer = client.get("/insights/?range=7d&chart=stops")
    assert answer["Content-Type"] == "text/csv; charset=utf-8" and "sayso-stops-2026" in answer["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert rows[0] == ["when", "completed (count)"] and len(rows) == 1 + 7 * 24
    assert ["2026-03-19T12:00:00Z", "7.0"] in rows
    assert client.get("/insights/?chart=nothing").status_code == 404
    odd = Chart("x", "X", "across", "count", ["=1+1", "plain"], [Series("n", [1, None])], first="name")
    assert list(csv.reader(io.StringIO(odd.csv()))) == [["name", "n (count)"], ["'=1+1", "1"], ["plain", ""]]


def test_the_address_of_what_is_seen_can_be_shared() -> None:
    asked = address.read({"range": "7d", "workflow": "refund-desk"}, NOW, ("workflow", "model"))
    assert asked.address() == "?range=7d&workflow=refund-desk&by=workflow"
    assert asked.address(range="24h", by="model") == "?range=24h&workflow=refund-desk&by=model"
    asked = address.read({"from": "2026-03-01T14:00", "to": "2026-03-02"}, NOW, ("workflow", "model"))
    assert asked.address() == "?by=workflow&from=2026-03-01T14%3A00&to=2026-03-02" and not asked.live
    assert asked.words == "1 Mar to 2 Mar 2026" and asked.address(range="7d") == "?range=7d&by=workflow"


def test_the_number_of_questions_does_not_grow_with_what_there_is(desk: Desk, world: World) -> None:
    client, tenant = world.northwind.operator.client, world.northwind.tenant.id

    def asked() -> int:
        with CaptureQueriesContext(connection) as questions:
            client.get("/insights/")
        return len(questions)

    def fill(first: int, last: int) -> None:
        for back in range(first, last):
            rolled.runs(tenant, NOW - timedelta(days=back), "completed", 9, workflow=desk.workflow.id, revision=back)
            rolled.calls(tenant, NOW - timedelta(days=back), f"model-{back}", 3, 10_000, workflow=desk.workflow.id)

    rolled.runs(tenant, NOW - timedelta(days=1), "timeout", 9, workflow=desk.workflow.id)
    fill(1, 3)
    before = asked()
    fill(3, 8)
    assert asked() == before <= 85


def test_reviewers_do_not_see_what_each_of_them_did(desk: Desk, world: World) -> None:
    tenant, raj = world.northwind.tenant.id, world.northwind.reviewer
    rolled.decisions(tenant, NOW - timedelta(days=1), raj.user.id, 20, 9)
    assert "data-reviewers" in page_of(world.northwind.admin.client)
    page = page_of(raj.client)
    assert "data-reviewers" not in page and "without opening the request" not in page
    assert raj.client.get("/insights/?chart=reviewers").status_code == 404
    answer = raj.api.get("/api/v1/telemetry/series?figure=unopened&by=reviewer")
    assert answer.status_code == 403 and "admins and operators" in answer.json()["detail"]
    assert world.northwind.operator.api.get("/api/v1/telemetry/series?figure=unopened&by=reviewer").status_code == 200
