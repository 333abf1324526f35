"""Celery's side of a worker: tasks hand over and return."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from console import sweeper, worker
from console.celery import app
from console.runs import wakeups

SEND = wakeups.send  # before the fixtures of this package put another in its place


class FakeHost:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.admitted: list[tuple[str, bool]] = []
        self.submitted: list[Future[int]] = []
        self.database = self

    def admit(self, run_id: str, resume: bool, looked: Callable[[], object]) -> None:
        self.admitted.append((run_id, resume))

    def submit(self, work: Any) -> Future[int]:
        self.submitted.append(Future())
        return self.submitted[-1]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost()
    monkeypatch.setattr(worker, "_host", made)
    monkeypatch.setattr(worker, "_sweeping", None)
    monkeypatch.setattr(worker, "_projecting", None)
    return made


def test_the_tasks_have_the_names_that_senders_use(host: FakeHost) -> None:
    assert {wakeups.ADVANCE, "console.worker.sweep"} <= set(app.tasks)
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)
    app.tasks[wakeups.ADVANCE]("run 1", resume=True)
    app.tasks[wakeups.ADVANCE]("run 2")
    assert host.admitted == [("run 1", True), ("run 2", False)]


def test_sweeps_do_not_overlap(host: FakeHost) -> None:
    worker.sweep()
    worker.sweep()
    assert len(host.submitted) == 1
    host.submitted[0].set_result(0)
    worker.sweep()
    assert len(host.submitted) == 2


def test_a_lease_that_runs_out_before_the_next_sweep_is_looked_at_in_time(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[tuple[float, Any]] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, then: Any) -> None:
            timers.append((seconds, then))

        def start(self) -> None:
            assert self.daemon  # it holds up no shutdown

    monkeypatch.setattr(worker.threading, "Timer", Timer)
    for left, expected in ((None, 0), (9.0, 0), (0.4, 1)):
        monkeypatch.setattr(sweeper, "next_loss", lambda left=left: left)
        worker._look_in_time()
        assert len(timers) == expected
    [(seconds, then)] = timers
    assert seconds > 0.4
    then()
    then()  # one at a time
    assert len(host.submitted) == 1


def test_rounds_of_projecting_do_not_overlap(host: FakeHost) -> None:
    worker.project()
    worker.project()
    assert len(host.submitted) == 1
    host.submitted[0].set_result(0)
    worker.project()
    assert len(host.submitted) == 2


def test_a_failing_round_of_projecting_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(seconds: float) -> int:
        raise ZeroDivisionError("the projector's own fault")

    monkeypatch.setattr(worker.projector, "catch_up", fail)
    assert worker._project() == 0
    assert "the projector's own fault" in caplog.text


def test_a_failing_sweep_is_logged_and_the_next_one_comes(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail() -> int:
        raise ZeroDivisionError("the sweep's own fault")

    monkeypatch.setattr(sweeper, "sweep", fail)
    assert worker._sweep() == 0
    assert "the sweep's own fault" in caplog.text


def test_a_process_that_is_no_worker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_host", None)
    with pytest.raises(RuntimeError, match="not a worker"):
        worker.advance_run("run 1")


def test_a_broker_that_is_away_is_no_fault_of_the_run(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(app, "send_task", fail)
    assert SEND("run 1", resume=True) is False
    assert "the sweeper will find it" in caplog.text
