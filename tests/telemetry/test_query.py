"""The questions that dashboards, alerts and the API ask."""

from datetime import UTC, datetime, timedelta

import pytest

from console.tenants.scopes import system_scope
from telemetry import query
from telemetry.figures import FIGURES, SPLITS
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
