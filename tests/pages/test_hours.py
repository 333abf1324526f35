"""The page of business hours: what is typed is kept as a whole, or not at all, and each field says what is wrong."""

from __future__ import annotations

from approvals.calendars import faults
from approvals.models import Calendar
from tests.world import World

WEEK = {"zone": "Europe/Oslo", "mon_from": "09:00", "mon_to": "17:00", "holidays": "2026-12-25"}


def test_everything_that_is_wrong_is_said_at_once(world: World) -> None:
    house = world.northwind
    typed = {
        "zone": "Mars/Olympus", "mon_from": "17:00", "mon_to": "09:00", "tue_from": "nine", "tue_to": "",
        "holidays": "yesterday",
    }  # fmt: skip
    answer = house.admin.client.post("/hours/", typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    for said in ("Zone must be the name", "Mon must end half an hour", "Tue must be times", "Holidays "):
        assert said in page
    assert 'value="Mars/Olympus"' in page and "yesterday" in page
    with house.scope():
        assert not Calendar.objects.exists()
    assert house.admin.client.post("/hours/", WEEK).status_code == 302
    assert house.operator.client.post("/hours/", WEEK).status_code == 403
    with house.scope():
        assert Calendar.objects.get().zone == "Europe/Oslo"


def test_a_week_without_a_day_is_a_fault_of_the_days() -> None:
    assert list(faults("UTC", {}, [])) == ["days"]
    assert faults("UTC", {"fri": ["09:00", "15:00"]}, ["2026-12-25"]) == {}
