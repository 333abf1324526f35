"""``bench dashboard`` in small: what it makes is what the projector would have made, and every question has an answer."""

from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from console.bench.dashboard import checking, making, measuring
from console.tenants.scopes import system_scope
from telemetry import query
from telemetry.query import Scope, Window


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_its_rollups_are_those_of_its_runs(monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(measuring, "TIMES", 1)
    monkeypatch.setattr(measuring, "PAGES", 1)
    monkeypatch.setattr(measuring.address, "PRESETS", {"30d": "30 days"})
    making.people(now)
    try:
        rows = making.fill(1_000, now)
        assert rows["bench_raw"] == 1_000 and checking.check() == 15
        with system_scope("tests: totals"):
            found = query.totals(Scope(None), Window.last(timedelta(days=91), now), now)
            lines = query.series(Scope(None), Window.last(timedelta(days=91), now), "machine_p95")
        assert (found.runs, found.pending) == (1_000, making.WAITING) and any(value for _, value in lines[0].points)
        spent, statements = measuring.measure(now)
        figures, ratios = measuring.report({}, spent, spent, statements, measuring.compare(now))
        assert ratios["p95_5M_to_100k"] == 1 and set(figures["p95_ms"]) == set(statements)
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_raw")
