"""Where rollups lie, how long they are kept, and how runs are taken out of them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connections

from console.tenants.access import Forbidden
from console.tenants.scopes import system_scope
from telemetry import partitions, retention
from telemetry.forgetting import forget
from telemetry.kept import held
from telemetry.models import ALL, RunRollup, StepRollup
from tests.telemetry.journal import AT, Journal, project, wrong


def test_the_months_around_a_day():
    months = partitions.around(date(2026, 1, 31))
    assert (months[0], months[-1]) == (date(2025, 10, 1), date(2028, 1, 1))
    assert len(months) == len(set(months)) == partitions.BEHIND + partitions.AHEAD + 1


def row(tenant, at, grain="h"):
    RunRollup.objects.create(tenant=tenant, grain=grain, cut="all", workflow_id=ALL, at=at, key="", part="", started=1)


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_a_new_month_takes_what_lay_in_the_default_partition(world):
    later, name = datetime(2041, 3, 5, tzinfo=UTC), "telemetry_runrollup_2041_03"
    with system_scope("tests: a row of a month to come"):
        row(world.northwind.tenant, later)
    owner = connections["owner"]
    try:
        assert (
            partitions.ensure(owner, date(2041, 3, 9), ["telemetry_runrollup"])
            == partitions.BEHIND + partitions.AHEAD + 1
        )
        assert partitions.ensure(owner, date(2041, 3, 9), ["telemetry_runrollup"]) == 0
        with system_scope("tests: where it is"), connections["default"].cursor() as cursor:
            cursor.execute("SELECT tableoid::regclass::text, started FROM telemetry_runrollup WHERE at = %s", [later])
            assert cursor.fetchall() == [(name, 1)]
    finally:
        with owner.cursor() as cursor:
            for month in partitions.around(date(2041, 3, 9)):
                cursor.execute(f"DROP TABLE IF EXISTS telemetry_runrollup_{month:%Y_%m}")


@pytest.mark.django_db(transaction=True)
def test_what_is_kept_no_longer_goes(world):
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    tenants = [house.tenant for house in world.houses]
    with world.northwind.scope():
        retention.put(world.northwind.admin.actor, 40, 90)
    with system_scope("tests: old rows"):
        for tenant in tenants:
            for days in (10, 60, 200):
                for grain in ("h", "d"):
                    row(tenant, now - timedelta(days=days), grain)
    assert retention.prune(now) == 4 and retention.prune(now) == 0
    with system_scope("tests: what is left"):
        left = {tenant.slug: set() for tenant in tenants}
        for one in RunRollup.objects.select_related("tenant"):
            left[one.tenant.slug].add((one.grain, (now - one.at).days))
    assert left == {
        "northwind": {("h", 10), ("d", 10), ("d", 60)},
        "fabrikam": {("h", 10), ("h", 60), ("d", 10), ("d", 60), ("d", 200)},
    }


def test_only_an_admin_says_how_long(world):
    with world.northwind.scope(), pytest.raises(Forbidden):
        retention.put(world.northwind.operator.actor, 50, 90)


@pytest.mark.django_db(transaction=True)
def test_runs_that_are_forgotten_leave_no_trace(world):
    journal = Journal(world.northwind.tenant)
    kept, gone = journal.run(), journal.run()
    for run in (kept, gone):
        journal.step(run)
        journal.end(run, AT)
    project()
    with held():
        forget([str(gone.pk)])
        with system_scope("tests: it goes"):
            gone.steps.all().delete()
            gone.delete()
    assert wrong() == []
    with held():
        forget([str(kept.pk)])
        with system_scope("tests: it goes"):
            kept.steps.all().delete()
            kept.delete()
            assert not RunRollup.objects.exists() and not StepRollup.objects.exists()
