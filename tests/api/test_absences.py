"""Absences over the API: one's own, anybody's for an admin, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.audit.models import AuditRecord
from console.tenants import groups
from console.tenants.models import Absence
from tests.api.problems import problem
from tests.world import Api, House, World

ABSENCES = "/api/v1/absences"


def at(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def body(**more: Any) -> dict[str, Any]:
    return {"starts": at(-0.01), "ends": at(7), "stands_in": "reviewer2.northwind", **more}


def kept(house: House) -> int:
    with house.scope():
        return Absence.objects.count()


def test_a_reviewer_goes_away_and_comes_back(world: World) -> None:
    north = world.northwind
    api = north.reviewer.api
    made, again = (api.post(ABSENCES, given, key="once") for given in [body()] * 2)
    assert (made.status_code, again.status_code) == (201, 201) and made.json() == again.json()
    said = made.json()
    assert (said["username"], said["name"], said["stands_in"]) == (
        "reviewer.northwind",
        "Reviewer",
        "reviewer2.northwind",
    )
    assert north.operator.api.get(ABSENCES).json() == {"items": [said], "next": None}
    with north.scope():
        assert [each.username for each in groups.reviewers(north.tenant.id, "finance") if each.away] == [
            "reviewer.northwind"
        ]
        record = AuditRecord.objects.get(action="absence.set")
        assert (record.actor_kind, record.actor_name, record.detail["delegate"]) == (
            "token",
            "Reviewer",
            said["stands_in"],
        )
    assert api.delete(f"{ABSENCES}/{said['id']}").json() == {"id": said["id"]}
    assert "over already" in problem(api.delete(f"{ABSENCES}/{said['id']}"), 409)["detail"]
    assert api.get(ABSENCES).json()["items"] == []


def test_one_that_has_not_begun_is_taken_back(world: World) -> None:
    api = world.northwind.reviewer.api
    said = api.post(ABSENCES, body(starts=at(1))).json()
    assert api.delete(f"{ABSENCES}/{said['id']}").status_code == 200
    problem(api.delete(f"{ABSENCES}/{said['id']}"), 404)


def test_an_admin_speaks_for_anybody_and_others_for_themselves_alone(world: World) -> None:
    north = world.northwind
    for member in (north.operator, north.reviewer2):
        problem(member.api.post(ABSENCES, body(username="reviewer.northwind", stands_in="reviewer2.northwind")), 403)
    made = north.admin.api.post(ABSENCES, body(username="reviewer.northwind"))
    assert made.status_code == 201
    for member in (north.operator, north.reviewer2):
        problem(member.api.delete(f"{ABSENCES}/{made.json()['id']}"), 403)
    problem(world.fabrikam.admin.api.delete(f"{ABSENCES}/{made.json()['id']}"), 404)
    assert world.fabrikam.reviewer.api.get(ABSENCES).json()["items"] == []
    problem(north.admin.api.post(ABSENCES, body()), 422, "username")  # admins decide nothing
    robot = Api(north.service(role="reviewer")[1])
    assert "no person's" in problem(robot.post(ABSENCES, body()), 422, "username")["detail"]
    problem(robot.post(ABSENCES, body(username="reviewer.northwind")), 403)
    assert kept(north) == 1
    assert north.reviewer.api.delete(f"{ABSENCES}/{made.json()['id']}").status_code == 200


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"username": "reviewer.fabrikam"}, "username"),
        ({"username": "ghost"}, "username"),
        ({"username": "operator.northwind"}, "username"),
        ({"username": "a" * 151}, "username"),
        ({"username": ["rita"]}, "username"),
        ({"username": "reviewer.northwind", "stands_in": "reviewer.northwind"}, "stands_in"),
        ({"username": "reviewer.northwind", "stands_in": "reviewer.fabrikam"}, "stands_in"),
        ({"username": "reviewer.northwind", "stands_in": "admin.northwind"}, "stands_in"),
        ({"username": "reviewer.northwind", "stands_in": " "}, "stands_in"),
        ({"username": "reviewer.northwind", "stands_in": None}, "stands_in"),
        ({"username": "reviewer.northwind", "starts": "2026-01-01"}, "starts"),
        ({"username": "reviewer.northwind", "starts": "2099-01-01T00:00:00"}, "starts"),
        ({"username": "reviewer.northwind", "starts": "0001-01-01T00:00:00+14:00"}, "starts"),
        ({"username": "reviewer.northwind", "starts": at(-3)}, "starts"),
        ({"username": "reviewer.northwind", "starts": {"a": [1e300]}}, "starts"),
        ({"username": "reviewer.northwind", "ends": at(-0.005)}, "ends"),
        ({"username": "reviewer.northwind", "ends": at(-1)}, "ends"),
        ({"username": "reviewer.northwind", "ends": "9999-12-31T23:59:59-14:00"}, "ends"),
        ({"username": "reviewer.northwind", "ends": 1e300}, "ends"),
        ({"username": "reviewer.northwind", "why": "skiing"}, "why"),
    ],
)
def test_what_makes_no_sense(world: World, more: dict[str, Any], field: str) -> None:
    problem(world.northwind.admin.api.post(ABSENCES, body(**more)), 422, field)
    assert kept(world.northwind) == 0


def test_a_text_that_cannot_be_kept(world: World) -> None:
    for field in ("username", "stands_in", "starts"):
        problem(world.northwind.admin.api.post(ABSENCES, body(**{field: "a\x00b"})), 400)
    for key in ("1", "nonsense", "%00", "7a4e5bd4-2f3c-4a0e-9a39-0f6fd1b7d3f1"):
        problem(world.northwind.admin.api.delete(f"{ABSENCES}/{key}"), 404)


def test_two_about_the_same_days(world: World) -> None:
    api = world.northwind.reviewer.api
    assert api.post(ABSENCES, body()).status_code == 201
    assert "set already" in problem(api.post(ABSENCES, body()), 422, "starts")["detail"]
    turned = body(stands_in="reviewer.northwind")
    assert "is away" in problem(world.northwind.reviewer2.api.post(ABSENCES, turned), 422, "stands_in")["detail"]
    assert kept(world.northwind) == 1
