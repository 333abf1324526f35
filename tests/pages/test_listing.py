"""The list of runs, narrowed to those behind a figure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from console.runs.models import Run, Step
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
