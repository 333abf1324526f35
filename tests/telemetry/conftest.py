"""The tests of what reads the record afterwards; and a desk with a collector beside it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.approvals.conftest import woken
from tests.demo.server import serving
from tests.runs.turns import Worker
from tests.telemetry.collector import Bank, Collector, banking, collecting
from tests.telemetry.stage import Desk, make_desk
from tests.world import World, world

__all__ = ["woken", "world"]


@pytest.fixture(scope="session")
def model_server() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def bank() -> Iterator[Bank]:
    with banking() as found:
        yield found


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def desk(
    transactional_db: None,
    world: World,
    bank: Bank,
    model_server: str,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    settings.SAYSO_EGRESS_ALLOW = ["127.0.0.1"]
    monkeypatch.setenv("SAYSO_DATA", str(tmp_path))
    monkeypatch.setattr("console.runs.wakeups.send", lambda run_id, *, resume, queue="": True)
    numbers = count(1)
    return make_desk(world, model_server, bank, lambda: Worker(f"worker{next(numbers)}"))
