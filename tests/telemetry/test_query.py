"""The questions that dashboards, alerts and the API ask."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from console.tenants.scopes import system_scope
from telemetry import query
from telemetry.figures import FIGURES, RUNS, SPLITS
from telemetry.models import RunRollup
from telemetry.query import BadQuery, Scope, Window
from tests.telemetry import rolled

NOW = datetime(2026, 11, 21, 17, 30, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def test_every_figure_and_split_answers_for_a_tenant_without_data(world):
    tenant = world.northwind
    for length in (timedelta(hours=24), timedelta(days=90)):
        window = Window.last(length, NOW)
        with tenant.scope():
            scope = Scope(tenant.tenant.id)
            assert query.totals(scope, window, NOW).runs == 0
            assert query.approvals(scope, window, NOW).pending == 0
            assert query.queue_now(scope).queued == 0
            for name, figure in FIGURES.items():
                (line,) = query.series(scope, window, name)
                assert [at for at, _ in line.points] == window.points()
                for by in SPLITS[figure.table]:
                    if by != "revision":
                        assert query.series(scope, window, name, by) == []
                        assert query.breakdown(scope, window, name, by, now=NOW) == []


def test_every_figure_answers_across_all_tenants(world):
    window = Window.last(timedelta(hours=24), NOW)
    with system_scope("the platform's dashboards"):
        assert query.totals(Scope(None), window, NOW).runs == 0
        for name in FIGURES:
            assert len(query.series(Scope(None), window, name)) == 1
            assert query.series(Scope(None), window, name, "tenant") == []


@pytest.mark.parametrize(
    ("narrowed", "figure", "by", "field"),
    [
        ({"agent": "a", "model": "b"}, "cost", "", "model"),
        ({"revision": 3}, "cost", "", "revision"),
        ({"agent": "a"}, "runs", "", "agent"),
        ({"agent": "a"}, "cost", "model", "by"),
        ({"agent": "a\x00"}, "cost", "", "agent"),
        ({"agent": "a" * 201}, "cost", "", "agent"),
        ({"stop_reason": "budget"}, "cost", "", "stop_reason"),
        ({}, "cost", "verdict", "by"),
        ({}, "runs", "revision", "by"),
        ({}, "nonsense", "", "figure"),
    ],
)
def test_nonsense_names_its_field(world, narrowed, figure, by, field):
    with world.northwind.scope(), pytest.raises(BadQuery) as caught:
        query.series(Scope(world.northwind.tenant.id, **narrowed), Window.last(timedelta(hours=3), NOW), figure, by)
    assert caught.value.field == field


def test_a_window_is_whole_hours_or_days():
    hours = Window.of(NOW - timedelta(hours=2), NOW, NOW)
    assert (hours.grain, hours.start.hour, hours.end.hour, len(hours.points())) == ("h", 15, 18, 3)
    days = Window.of(NOW - timedelta(days=9), NOW, NOW)
    assert (days.grain, len(days.points()), days.end) == ("d", 10, datetime(2026, 11, 22, tzinfo=UTC))
    assert days.before().end == days.start and len(days.before().points()) == 10
    assert Window.of(NOW - timedelta(days=60), NOW - timedelta(days=59), NOW).grain == "d"


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (NOW, NOW, "to"),
        (NOW - timedelta(days=900), NOW, "from"),
        (NOW, NOW + timedelta(days=3), "to"),
        (NOW.replace(tzinfo=None), NOW, "from"),
        (NOW.replace(year=1900), NOW, "from"),
    ],
)
def test_a_window_of_nonsense_is_refused(start, end, field):
    with pytest.raises(BadQuery) as caught:
        Window.of(start, end, NOW)
    assert caught.value.field == field


def test_a_window_as_a_whole_is_the_sum_of_its_hours_read_by_the_day(world):
    """Where nobody asks for its hours one by one, its whole days are read as days."""
    tenant = world.northwind.tenant.id
    window = Window.of(NOW - timedelta(hours=75), NOW, NOW)
    for hours in range(0, 90, 5):
        rolled.runs(
            tenant, NOW - timedelta(hours=hours), "timeout" if hours % 3 else "completed", 1 + hours, machine=hours
        )
    with world.northwind.scope():
        scope = Scope(tenant)
        lines = query.series(scope, window, "ended", "stop_reason")
        hourly = {line.key: sum(each or 0 for _, each in line.points) for line in lines if line.key}
        assert {bar.key: bar.value for bar in query.breakdown(scope, window, "ended", "stop_reason")} == hourly
        totals = query.totals(scope, window, NOW)
        assert totals.ended == sum(hourly.values()) == sum(1 + hours for hours in range(0, 76, 5))
        spread = sorted(float(hours) for hours in range(0, 76, 5) for _ in range(1 + hours))
        assert totals.machine[1] == pytest.approx(spread[math.ceil(0.95 * len(spread)) - 1], rel=0.051)
        assert query.percentile_series(scope, window, RUNS, "machine", 0.5, "stop_reason")
    with system_scope("tests: hours"):
        RunRollup.objects.filter(grain="h", at__gte=window.days()[0], at__lt=window.days()[1]).delete()
    with world.northwind.scope():
        assert query.totals(scope, window, NOW) == totals
        assert query.series(scope, window, "ended")[0].points != [(at, 0) for at in window.points()]
        assert sum(each or 0 for _, each in query.series(scope, window, "ended")[0].points) < totals.ended


@pytest.mark.parametrize(
    ("start", "hours", "days"),
    [
        (datetime(2026, 11, 20, 0, tzinfo=UTC), 24, (20, 21)),
        (datetime(2026, 11, 19, 23, tzinfo=UTC), 26, (20, 21)),
        (datetime(2026, 11, 19, 1, tzinfo=UTC), 46, None),
        (datetime(2026, 11, 19, 1, tzinfo=UTC), 3, None),
    ],
)
def test_the_whole_days_of_a_window(start, hours, days):
    first, last = Window(start, start + timedelta(hours=hours), "h").days()
    assert (first.day, last.day) == days if days else first >= last


def test_what_is_split_by_parts_leaves_out_their_sum(world):
    tenant = world.northwind.tenant.id
    rolled.runs(tenant, NOW, "completed", 3)
    rolled.runs(tenant, NOW, "timeout", 2)
    window = Window.last(timedelta(hours=3), NOW)
    with world.northwind.scope():
        bars = query.breakdown(Scope(tenant), window, "ended", "stop_reason")
        assert [(bar.key, bar.value) for bar in bars] == [("completed", 3), ("timeout", 2)]
        assert query.totals(Scope(tenant), window, NOW).ended == 5
        assert query.totals(Scope(tenant, stop_reason="timeout"), window, NOW).ended == 2
