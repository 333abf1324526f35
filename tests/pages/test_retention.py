"""How long figures are kept, as admins set it: what is deleted is said before it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from console.audit.models import AuditRecord
from console.tenants.scopes import system_scope
from telemetry import retention
from telemetry.models import ALL, RunRollup
from tests.world import World


def kept(world: World) -> tuple[int, int]:
    with world.northwind.scope():
        found = retention.of(world.northwind.tenant.id)
        return found.hours, found.days


def old(world: World, grain: str, days: int) -> None:
    at = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
    with system_scope("tests: a figure"):
        RunRollup.objects.create(
            tenant=world.northwind.tenant, grain=grain, cut="all", workflow_id=ALL, at=at, key="", part="", started=1
        )


def test_what_deletes_nothing_is_saved_at_once(world: World) -> None:
    admin = world.northwind.admin.client
    assert 'value="100"' in admin.get("/retention/").content.decode()
    answer = admin.post("/retention/", {"hours": "50", "days": "90"})
    assert (answer.status_code, answer["Location"]) == (302, "/retention/?saved=1")
    assert kept(world) == (50, 90) and "last changed by" in admin.get("/retention/").content.decode()
    with world.northwind.scope():
        assert AuditRecord.objects.filter(action="telemetry.retention").count() == 1


def test_what_deletes_is_said_first_and_done_when_it_was_read(world: World) -> None:
    admin = world.northwind.admin.client
    old(world, "h", 70)
    old(world, "d", 120)
    wanted = {"hours": "60", "days": "100"}
    page = admin.post("/retention/", wanted)
    said = page.content.decode()
    assert page.status_code == 200 and "This deletes figures" in said and "Nothing is saved yet" in said
    assert "10 days of them" in said and "20 days of them" in said and kept(world) == (100, 800)
    assert "This deletes" in admin.post("/retention/", {**wanted, "sure": "99 100"}).content.decode()  # of another time
    assert kept(world) == (100, 800)
    assert admin.post("/retention/", {**wanted, "sure": "60 100"}).status_code == 302 and kept(world) == (60, 100)
    assert retention.prune(timezone.now()) == 2


def test_another_tenants_figures_are_not_told(world: World) -> None:
    old(world, "h", 90)
    answer = world.fabrikam.admin.client.post("/retention/", {"hours": "50", "days": "90"})
    assert answer.status_code == 302 and kept(world) == (100, 800)


def test_only_admins(world: World) -> None:
    for who in (world.northwind.reviewer, world.northwind.operator):
        assert who.client.get("/retention/").status_code == 403
        assert who.client.post("/retention/", {"hours": "50", "days": "90"}).status_code == 403
    assert kept(world) == (100, 800)


@pytest.mark.parametrize(
    ("hours", "days", "field"),
    [("39", "90", "hours"), ("50", "49", "days"), ("50", "4001", "days"), ("x", "90", "hours"), ("\x00", "90", "hours"),
     ("9" * 5000, "90", "hours"), ("50", "", "days"), ("٥٠", "90", "hours"), ("-1", "90", "hours"), ("50.5", "90", "hours")],
)  # fmt: skip
def test_nonsense(world: World, hours: str, days: str, field: str) -> None:
    answer = world.northwind.admin.client.post("/retention/", {"hours": hours, "days": days})
    page = answer.content.decode()
    assert answer.status_code == 422 and f'id="{field}-error"' in page and "must be a whole number of days" in page
    assert kept(world) == (100, 800)
