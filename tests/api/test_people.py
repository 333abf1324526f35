"""Members and groups over the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from console.tenants import absences, group_actions
from tests.api.problems import problem
from tests.world import World


def test_a_group_is_put_read_and_deleted(world: World) -> None:
    api = world.northwind.admin.api
    body = {"description": "Nights", "members": ["operator.northwind"]}
    made = api.put("/api/v1/groups/on-call", body).json()
    assert (made["name"], made["description"], made["empty"]) == ("on-call", "Nights", True)
    assert made["members"] == [{"username": "operator.northwind", "name": "Operator", "role": "operator"}]
    assert api.put("/api/v1/groups/on-call", {"members": ["reviewer.northwind"]}).json()["empty"] is False
    kept = api.put("/api/v1/groups/on-call", {"description": "Days"}).json()
    assert [each["username"] for each in kept["members"]] == ["reviewer.northwind"]
    listed = world.northwind.operator.api.get("/api/v1/groups").json()
    assert listed["items"][1] == kept == world.northwind.reviewer.api.get("/api/v1/groups/on-call").json()
    assert [each["name"] for each in world.fabrikam.admin.api.get("/api/v1/groups").json()["items"]] == ["finance"]
    first, again = (api.delete("/api/v1/groups/on-call", key="once") for _ in range(2))
    assert first.json() == again.json() == {"name": "on-call"}
    problem(api.delete("/api/v1/groups/on-call"), 404)


def test_a_group_in_use_is_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_actions, "_checks", [lambda tenant, name: [f"{n} names {name}" for n in "abcde"]])
    said = problem(world.northwind.admin.api.delete("/api/v1/groups/finance"), 409)["detail"]
    assert said.startswith("The group finance is in use: a names finance; b names finance; c names finance.")
    assert "2 more places" in said


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("Finance", {}, "name"),
        ("a" * 61, {}, "name"),
        ("a%00", {}, "name"),
        ("x", {"description": "a\nb"}, "description"),
        ("x", {"description": 7}, "description"),
        ("x", {"members": "rita"}, "members"),
        ("x", {"members": ["reviewer.fabrikam"]}, "members"),
        ("x", {"members": ["a"] * 1001}, "members"),
        ("x", {"members": ["a" * 151]}, "members[0]"),
        ("x", {"owner": "rita"}, "owner"),
    ],
)
def test_a_group_that_makes_no_sense(world: World, name: str, body: dict[str, Any], field: str) -> None:
    problem(world.northwind.admin.api.put(f"/api/v1/groups/{name}", body), 422, field)
    assert len(world.northwind.admin.api.get("/api/v1/groups").json()["items"]) == 1


def test_members_are_listed_given_roles_and_ended(world: World) -> None:
    north = world.northwind
    with north.scope():
        starts = datetime(2999, 1, 1, tzinfo=UTC)
        absences.put_absence(
            north.reviewer.actor, north.reviewer.user.id, starts, starts.replace(day=9), "reviewer2.northwind", starts
        )
    listed = {each["username"]: each for each in north.operator.api.get("/api/v1/members").json()["items"]}
    assert len(listed) == 4 and listed["reviewer.northwind"]["groups"] == ["finance"]
    assert listed["reviewer.northwind"]["away"][0]["stands_in"] == "reviewer2.northwind"
    api, reviewer = north.admin.api, north.reviewer.api
    changed = api.put("/api/v1/members/reviewer.northwind", {"role": "operator"}).json()
    assert (changed["role"], changed["groups"]) == ("operator", ["finance"])
    problem(reviewer.get("/api/v1/me"), 401)
    assert api.delete("/api/v1/members/reviewer.northwind").json() == {"name": "reviewer.northwind"}
    assert len(api.get("/api/v1/members").json()["items"]) == 3
    problem(api.delete("/api/v1/members/reviewer.northwind"), 404)
    problem(api.put("/api/v1/members/reviewer.northwind", {"role": "admin"}), 404)
    problem(api.put("/api/v1/members/reviewer.fabrikam", {"role": "admin"}), 404)
    problem(api.put("/api/v1/members/a%00b", {"role": "admin"}), 404)
    problem(api.put("/api/v1/members/operator.northwind", {"role": "emperor"}), 422, "role")
    problem(api.put("/api/v1/members/operator.northwind", {}), 422, "role")
    assert "last admin" in problem(api.delete("/api/v1/members/admin.northwind"), 409)["detail"]
    assert "last admin" in problem(api.put("/api/v1/members/admin.northwind", {"role": "operator"}), 409)["detail"]
