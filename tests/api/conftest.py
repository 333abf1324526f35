"""The API's tests talk to the whole stack of middleware, with real tokens."""

from __future__ import annotations

import pytest

from tests.approvals.conftest import woken
from tests.approvals.desk import Desk, make_desk
from tests.world import World, world

__all__ = ["woken", "world"]


@pytest.fixture
def desk(world: World) -> Desk:
    """Northwind's refund desk."""
    return make_desk(world.northwind)
