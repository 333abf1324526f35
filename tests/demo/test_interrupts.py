"""A benchmark that is ended early, even in the middle of a fork, takes with it what it has started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import call_command

from console.bench.interrupts import Interrupt
from console.management.commands import bench


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The process's own handlers, put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def term() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_what_a_hook_has_dropped_is_raised_where_it_is_heeded() -> None:
    interrupt = Interrupt()
    interrupt.heed()
    with suppress(KeyboardInterrupt):  # as Python does in a hook of fork
        term()
    with pytest.raises(KeyboardInterrupt):
        interrupt.heed()


@pytest.mark.parametrize("forked", [1, 2])
def test_an_instance_that_was_being_started_is_stopped(monkeypatch: pytest.MonkeyPatch, forked: int) -> None:
    made: list[Any] = []
    stopped: list[Any] = []

    class Process:
        pid, returncode = 1, 0

        def __init__(self, *_: Any, **__: Any) -> None:
            made.append(self)
            if len(made) == forked:
                with suppress(KeyboardInterrupt):
                    term()

        def communicate(self) -> tuple[bytes, None]:
            raise AssertionError("nobody waits for a benchmark that was ended")

    for name in ("DATABASE_URL", "DATABASE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(bench, "stop", lambda process, seconds: stopped.append(process))
    monkeypatch.setattr(bench, "_comes_up", lambda *_: True)
    with pytest.raises(KeyboardInterrupt):
        call_command("bench", "overhead")
    assert len(made) == forked and stopped == made[::-1]
