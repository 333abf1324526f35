"""Groups of people: who is in which, who can decide, and what changes that."""

from __future__ import annotations

from console.tenants import groups
from tests.world import World


def test_who_is_in_which(world: World) -> None:
    north = world.northwind
    with north.scope():
        assert groups.names(north.tenant.id) == ["finance"]
        assert groups.of(north.reviewer.actor) == {"finance"}
        assert groups.of(north.admin.actor) == groups.of(north.system) == frozenset()
        assert [each.username for each in groups.members(north.tenant.id, "finance")] == [
            "reviewer.northwind",
            "reviewer2.northwind",
        ]
        assert groups.empty(north.tenant.id, ["finance", "nobody"]) == {"nobody"}
