"""Pages through Django's client: no browser, no broker."""

from __future__ import annotations

import pytest

from tests.approvals.desk import Desk, make_desk
from tests.world import World, world

__all__ = ["world"]


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of runs for which a wake-up was sent, instead of sending it."""
    sent: list[str] = []
    monkeypatch.setattr("console.runs.wakeups.send", lambda run_id, **_: sent.append(str(run_id)) or True)
    return sent


@pytest.fixture
def desk(db: None, world: World) -> Desk:
    """Northwind's refund desk, in the test's transaction."""
    return make_desk(world.northwind)
