"""The list of runs, narrowed to those behind a figure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from console import paging
from console.runs import listing
from console.runs.models import Run, Step
from console.tenants import display_actions, masks
from tests.approvals.desk import Desk
from tests.world import World

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TITLES = ("first", "second", "third")


@pytest.fixture(autouse=True)
def runs(desk: Desk) -> dict[str, Run]:
    """Three runs, an hour apart, that ended after five minutes; the second cost most."""
    made = {title: desk.start(title) for title in TITLES}
    with desk.house.scope():
        for hour, (run, cost) in enumerate(zip(made.values(), (3, 9, 1), strict=True)):
            began = NOON + timedelta(hours=hour)
            Run.objects.filter(pk=run.pk).update(created_at=began, ended_at=began + timedelta(minutes=5), cost=cost)
    return made


def shown(world: World, query: str) -> list[str]:
    """The titles that the list shows, in its order."""
    page = world.northwind.operator.client.get(f"/runs/?{query}")
    assert page.status_code == 200
    return re.findall(r'<a class="title"[^>]*>([^<]+)</a>', page.content.decode())


def step(run: Run, **facts: object) -> None:
    """A recorded effect of ``run``."""
    now = timezone.now()
    where = {"run": run, "tenant_id": run.tenant_id, "seq": 1, "settled": 2, "scope": "a", "n": 0}
    Step.objects.create(**where, status="done", digest="x", started_at=now, ended_at=now, **facts)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("from=2026-03-01T13:00&to=2026-03-01T14:00", ["second"]),
        ("from=2026-03-01T13:03&to=2026-03-01T13:30&on=ended", ["second"]),
        ("from=2026-03-01T14:00:00%2B01:00", ["third", "second"]),
        ("to=2026-03-01T13:00", ["first"]),
        ("sort=cost", ["second", "first", "third"]),
        ("sort=cost&to=2026-03-01T13:00", ["first"]),
        ("like=retry", []),
        ("like=unpriced", []),
        ("topic=support_ticket", []),
        ("revision=1", ["third", "second", "first"]),
        ("revision=2", []),
    ],
)
def test_a_figure_leads_to_its_runs(world: World, query: str, expected: list[str]) -> None:
    assert shown(world, query) == expected


def test_runs_of_an_agent_a_model_and_a_tool(world: World, desk: Desk, runs: dict[str, Run]) -> None:
    with desk.house.scope():
        step(runs["first"], kind="model", name="gpt-4o", agent="planner")
        step(runs["third"], kind="tool", name="gpt-4o", agent="payer")
    assert shown(world, "agent=planner") == ["first"]
    assert shown(world, "model=gpt-4o") == ["first"]
    assert shown(world, "tool=gpt-4o") == ["third"]
    assert shown(world, "agent=planner&model=other") == []


def test_what_is_told_apart_stays_through_the_form_and_is_said(world: World) -> None:
    page = world.northwind.operator.client.get("/runs/?from=2026-03-01&to=2026-03-02&sort=cost").content.decode()
    assert "started from 1 Mar 2026, 00:00 to 2 Mar 2026, 00:00 UTC" in page and "dearest first" in page
    assert '<input type="hidden" name="from" value="2026-03-01">' in page


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("from=yesterday", "must be a date or a time"),
        ("from=9999-12-31T23:59:59-23:59", "must be a date or a time"),
        ("from=2026-03-02&to=2026-03-01", "must be before"),
        ("sort=colour", "must be one of machine, waited"),
        ("revision=-1", "must be the number of a revision"),
        ("revision=%F0%9D%9F%8F", "must be the number of a revision"),
        ("like=%00odd", "must be one of retry"),
        ("on=never", "must be one of started, ended"),
    ],
)
def test_nonsense_in_the_address_is_named_and_left_out(world: World, query: str, says: str) -> None:
    page = world.northwind.operator.client.get(f"/runs/?{query}")
    assert page.status_code == 200
    assert says in page.content.decode() and "it was left out" in page.content.decode()
    assert shown(world, query) == ["third", "second", "first"]


CARD = "4111 1111 1111 1111"
LOOKING = 16  # queries of a page that is narrowed by words
MORE = 'id="runs-more"'


@pytest.fixture
def blotted(desk: Desk, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Card numbers are blotted out. Of eight runs that hold 4111, newest first, the 1st, 5th and 7th say so to a reader."""
    with desk.house.scope():
        display_actions.put(desk.house.admin.actor, "everyone", [masks.CARD], [])
    monkeypatch.setattr(paging, "LIMIT", 2)
    readable = {0: "order 4111 a", 4: "order 4111 b", 6: "order 4111 c"}
    made = [desk.start(readable.get(n, f"card {CARD}")) for n in range(8)]
    with desk.house.scope():
        for n, run in enumerate(made):
            Run.objects.filter(pk=run.pk).update(created_at=NOON - timedelta(hours=n), cost=9 - n)
    return list(readable.values())


def page_of(world: World, query: str) -> str:
    return world.northwind.operator.client.get(f"/runs/?{query}").content.decode()


def after(page: str) -> str:
    """The address of the next page, or nothing."""
    found = re.search(rf'{MORE}.*?href="\?([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else ""


def test_a_page_goes_on_past_what_is_blotted_out(world: World, blotted: list[str]) -> None:
    assert shown(world, "q=4111") == blotted[:2]
    second = after(page_of(world, "q=4111"))
    assert second and shown(world, second) == blotted[2:]
    assert MORE not in page_of(world, second)  # what is left can be read by nobody: there is no next page
    for query in (f"q={CARD}", "q=card+4111"):
        page = page_of(world, query)
        assert "No run is like that" in page and MORE not in page


def test_there_is_no_next_page_when_nothing_readable_is_behind(world: World, desk: Desk, blotted: list[str]) -> None:
    with desk.house.scope():
        Run.objects.filter(title=blotted[2]).update(title=f"card {CARD}")
    assert shown(world, "q=4111") == blotted[:2] and MORE not in page_of(world, "q=4111")


def test_so_does_a_list_in_order(world: World, blotted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MANY", 2)
    assert shown(world, "q=4111&sort=cost") == blotted[:2]
    page = page_of(world, "q=4111&sort=cost")
    assert MORE not in page and "at most 2" in page


@pytest.mark.parametrize("query", ["q=4111", "q=4111&sort=cost"])
def test_it_is_said_when_not_all_were_looked_through(
    world: World, blotted: list[str], query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKED", 4)
    page = page_of(world, query)
    assert shown(world, query) == blotted[:1] and after(page) == ""
    assert "4 runs with these words were looked through, and there are more" in page
    page = page_of(world, "q=card+4111")
    assert "4 runs with these words were looked through" in page and "No run is like that" not in page
    monkeypatch.setattr(listing, "LOOKED", 8)
    assert "looked through" not in page_of(world, query)


def test_a_full_page_leads_on_where_not_all_were_looked_through(
    world: World, blotted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKED", 5)
    page = page_of(world, "q=4111")
    assert shown(world, "q=4111") == blotted[:2] and "looked through" not in page
    assert shown(world, after(page)) == blotted[2:]


def test_the_time_of_own_patterns_ends_the_looking(
    world: World, blotted: list[str], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.house.scope():
        display_actions.put(desk.house.admin.actor, "everyone", [masks.CARD], [{"name": "x", "pattern": "never there"}])
    monkeypatch.setattr(masks, "ALL_S", 0.0)
    assert "1 run with these words was looked through, and there are more" in page_of(world, "q=4111")


def test_a_fixed_price_however_many_are_passed_by(
    world: World, blotted: list[str], django_assert_num_queries: Any
) -> None:
    world.northwind.operator.client.get("/runs/?q=4111")
    for query in ("q=4111", "q=4111&sort=cost"):
        with django_assert_num_queries(LOOKING):
            page_of(world, query)
