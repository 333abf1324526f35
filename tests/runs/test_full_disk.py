"""A disk that fills while runs write their journals: they stand still, say so once, and go on when there is room."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest

from console.runs import writing

from .test_host import Desk, desk, until  # noqa: F401 - the fixture

write = writing.write


def test_runs_stand_still_while_the_disk_is_full_and_go_on_after(
    desk: Desk,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried, room = [0], [False]

    def full(*given: Any) -> None:
        if not room[0]:
            tried[0] += 1
            raise psycopg.errors.DiskFull('could not extend file "base/1/2": No space left on device')
        write(*given)

    monkeypatch.setattr(writing, "write", full)
    with caplog.at_level(logging.WARNING, "console.runs.writer"):
        run = desk.start(turns=2)
        until(lambda: tried[0] >= 3)
        assert desk.house.run(run).status == "running" and desk.done() == []
        room[0] = True
        run = desk.becomes(run, "completed", "failed")
    assert (run.status, run.stop_reason, len(desk.done())) == ("completed", "completed", 2)
    said = [record.getMessage() for record in caplog.records if record.name == "console.runs.writer"]
    assert len(said) == 1 and said[0].startswith("the database's disk is full"), said
