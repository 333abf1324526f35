"""What time does: reminders, escalations, ends, in business hours where a rule says so. As the card said it would."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import actions, agenda, calendars
from approvals.actions import Invalid, TooLate
from approvals.calendars import after, read
from approvals.models import Calendar
from console.audit.models import AuditRecord
from console.tenants import group_actions
from console.tenants.access import Forbidden
from tests.approvals.desk import Desk, make_desk, refund
from tests.world import World

WEEK = {day: ["09:00", "17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
OSLO = read("Europe/Oslo", WEEK, ["2026-12-25"])
CHAIN = {
    "name": "all",
    "effect": "require",
    "group": "finance",
    "expires_in": "PT4H",
    "escalation": [{"after": "PT1H", "group": "leads"}],
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-20T12:00", 4, "2026-11-20T16:00"),  # a Friday in Oslo: from 13:00 to 17:00
        ("2026-11-20T13:00", 4, "2026-11-23T09:00"),  # an hour of it on Monday
        ("2026-11-21T12:00", 1, "2026-11-23T09:00"),  # a Saturday: counted from Monday
        ("2026-11-20T03:00", 1, "2026-11-20T09:00"),  # before they come
        ("2026-12-24T14:00", 3, "2026-12-28T09:00"),  # Christmas is free, and so is the weekend after it
        ("2026-03-27T15:30", 1, "2026-03-30T07:30"),  # the clocks go forward between Friday and Monday
    ],
)
def test_business_hours_by_hand(start: str, hours: int, end: str) -> None:
    assert after(at(start), timedelta(hours=hours), OSLO) == at(end)


@given(st.integers(0, 400 * 24 * 60), st.integers(1, 60 * 200))
def test_business_hours_are_at_least_as_long_and_add_up(start: int, minutes: int) -> None:
    begin, span = at("2026-01-01T00:00") + timedelta(minutes=start), timedelta(minutes=minutes)
    end = after(begin, span, OSLO)
    assert end - begin >= span
    assert after(after(begin, span / 2, OSLO), span - span / 2, OSLO) == end
    opening = OSLO.opening(end.astimezone(OSLO.zone).date())
    assert opening is not None and opening[0] < end <= opening[1]


def test_without_a_calendar_every_hour_counts() -> None:
    assert after(at("2026-11-20T23:00"), timedelta(hours=4), None) == at("2026-11-21T03:00")


@pytest.mark.parametrize(
    ("zone", "days", "holidays", "field"),
    [
        ("Europe/Nowhere", WEEK, [], "zone"),
        ("../../etc/passwd", WEEK, [], "zone"),
        ("Europe", WEEK, [], "zone"),
        (None, WEEK, [], "zone"),
        ("a\x00", WEEK, [], "zone"),
        ("UTC", {}, [], "days"),
        ("UTC", [], [], "days"),
        ("UTC", {"monday": ["09:00", "17:00"]}, [], "days"),
        ("UTC", {"mon": ["9", "17"]}, [], "days.mon"),
        ("UTC", {"mon": ["17:00", "09:00"]}, [], "days.mon"),
        ("UTC", {"mon": ["09:00"]}, [], "days.mon"),
        ("UTC", {"mon": [9, 17]}, [], "days.mon"),
        ("UTC", WEEK, ["soon"], "holidays"),
        ("UTC", WEEK, [5], "holidays"),
        ("UTC", WEEK, ["2026-12-25"] * 401, "holidays"),
    ],
)
def test_a_calendar_that_makes_no_sense(zone: Any, days: Any, holidays: Any, field: str) -> None:
    with pytest.raises(calendars.Invalid) as caught:
        read(zone, days, holidays)
    assert caught.value.field == field


def test_a_plan_is_in_order_and_ends_with_the_end() -> None:
    made = at("2026-11-20T12:00")
    found = agenda.plan(made, {"expires_in": "PT4H", "escalation": CHAIN["escalation"]})
    assert found.due_at == at("2026-11-20T16:00")
    assert [(entry["do"], entry["at"][11:16]) for entry in found.agenda] == [
        ("escalate", "13:00"), ("remind", "14:00"), ("remind", "15:36"), ("expire", "16:00"),
    ]  # fmt: skip
    assert found.next_at == at("2026-11-20T13:00")
    assert agenda.plan(made, {}).agenda == [] and agenda.plan(made, {}).next_at is None


def test_a_plan_counts_business_hours_where_the_rule_says_so() -> None:
    made = at("2026-11-20T13:00")
    assert agenda.plan(made, {"expires_in": "PT4H", "hours": "business"}, OSLO).due_at == at("2026-11-23T09:00")
    assert agenda.plan(made, {"expires_in": "PT4H"}, OSLO).due_at == at("2026-11-20T17:00")


def chained(world: World, **more: Any) -> Desk:
    with world.northwind.scope():
        group_actions.put_group(world.northwind.admin.actor, "leads", members=[world.northwind.reviewer2.user.id])
    return make_desk(world.northwind, {"team": {}, "rules": [{**CHAIN, **more}]})


def deeds(desk: Desk, request: Any) -> list[str]:
    with desk.house.scope():
        rows = AuditRecord.objects.filter(object_id=str(request.pk)).order_by("id")
        return [row.action.removeprefix("request.") for row in rows]


def test_left_alone_it_is_passed_on_reminded_and_ends(world: World) -> None:
    desk = chained(world, on_expiry="reject")
    run, [request] = desk.waiting(refund())
    assert actions.expire_due() == 0
    due = request.due_at
    for step, group in ((1, "leads"), (1, "leads"), (1, "leads")):
        assert desk.late(request, step)
        assert actions.expire_due() == 1
        assert actions.expire_due() == 0
        assert (desk.request(request).group, desk.request(request).due_at) == (group, due)
    assert desk.late(request)
    assert actions.expire_due() == 1
    ended = desk.request(request)
    assert (ended.status, ended.verdict, ended.decided_by_name) == ("expired", "reject", "policy")
    assert deeds(desk, request) == ["escalated", "reminded", "reminded", "expired"]
    assert desk.now(run).status == "queued"


def test_after_it_was_passed_on_others_decide(world: World) -> None:
    desk = chained(world)
    _, [request] = desk.waiting(refund())
    desk.late(request, 1)
    actions.expire_due()
    with pytest.raises(Forbidden, match="somebody of leads"):
        desk.decide(world.northwind.reviewer, request, "approve")
    assert desk.decide(world.northwind.reviewer2, request, "approve").status == "decided"


def test_a_person_passes_it_on_before_its_time(world: World) -> None:
    desk = chained(world)
    _, [request] = desk.waiting(refund())
    passed = desk.decide(world.northwind.reviewer, request, "escalate", reason="above me")
    assert passed.group == "leads" and [entry["do"] for entry in passed.agenda] == ["remind", "remind", "expire"]
    assert "escalate" not in world.northwind.reviewer2.api.get(f"/api/v1/approvals/{request.pk}").json()["verdicts"]


def test_what_was_promised_stays_whatever_changes(world: World) -> None:
    desk = chained(world)
    _, [request] = desk.waiting(refund())
    before = (request.due_at, request.agenda, request.approvers, request.on_expiry)
    with desk.house.scope():
        actions.put_calendar(world.northwind.admin.actor, "Europe/Oslo", WEEK)
        revision = desk.workflow.current
        revision.body = {"team": {}, "rules": [{**CHAIN, "expires_in": "PT1M", "approvers": 3}]}
        revision.save()
    now = desk.request(request)
    assert (now.due_at, now.agenda, now.approvers, now.on_expiry) == before


def test_nobody_decides_after_the_end_although_the_sweeper_is_late(world: World) -> None:
    desk = chained(world)
    _, [request] = desk.waiting(refund())
    desk.late(request)
    with pytest.raises(TooLate):
        desk.decide(world.northwind.reviewer, request, "approve")


@pytest.mark.parametrize(
    ("safety", "outcome"), [("read_only", "approve"), ("idempotent", "reject"), ("neither", "reject")]
)
def test_time_approves_only_what_does_no_more_than_read(world: World, safety: str, outcome: str) -> None:
    desk = make_desk(
        world.northwind,
        {"team": {}, "rules": [{"name": "all", "effect": "require", "expires_in": "PT1H", "on_expiry": "approve"}]},
    )
    run, [request] = desk.waiting(refund(safety=safety))
    assert request.on_expiry == outcome
    desk.late(request)
    assert actions.expire_due() == 1
    assert desk.request(request).verdict == outcome
    assert desk.now(run).status == "queued"


def test_business_hours_are_the_admins_and_on_the_record(world: World) -> None:
    house = world.northwind
    with house.scope():
        with pytest.raises(Forbidden):
            actions.put_calendar(house.reviewer.actor, "UTC", WEEK)
        with pytest.raises(Invalid):
            actions.put_calendar(house.admin.actor, "UTC", {})
        assert not Calendar.objects.exists()
        actions.put_calendar(house.admin.actor, "Europe/Oslo", WEEK, ["2026-12-25"])
        assert AuditRecord.objects.filter(action="calendar.set").count() == 1
    assert world.fabrikam.admin.api.get("/api/v1/calendar").json() == {"zone": "", "days": {}, "holidays": []}
    assert date.fromisoformat(house.admin.api.get("/api/v1/calendar").json()["holidays"][0]) == date(2026, 12, 25)
