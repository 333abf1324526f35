"""``bench chaos`` in its short form: an instance of its own is ruined for half a minute, and its books have to balance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.bench.chaos import ordeal
from console.bench.chaos.disasters import stop
from console.up.bootstrap import ROOT
from console.up.processes import alive, command_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
SEED = 8  # its schedule has workers, Postgres and Valkey die, tasks come twice, and the model stall
PATIENCE = 900  # seconds, on a busy machine


@contextmanager
def bench(tmp_path: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [
        sys.executable,
        str(ROOT / "manage.py"),
        "bench",
        "chaos",
        "--json",
        "--log",
        str(tmp_path / "log"),
        *more,
    ]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            stop(process, 120)


def left(tmp_path: Path) -> dict[int, str]:
    """Processes that have the bench's directory in their command line."""
    found = {int(entry.name): command_of(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")}
    return {pid: words for pid, words in found.items() if str(tmp_path) in words and pid != os.getpid() and alive(pid)}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o711)
    return tmp_path


def test_nothing_is_lost_and_nothing_is_done_twice(directory: Path) -> None:
    with bench(directory, "--minutes", "0.5", "--seed", str(SEED)) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err[-3000:] + (directory / "log").read_text()[-5000:]
    report = json.loads(out)
    figures = report["figures"]
    assert report["bench"] == "chaos" and figures["faults"] == []
    assert figures["runs"]["started"] >= 5 and figures["runs"]["lost"] == 0
    assert figures["runs"]["ended"] + figures["runs"]["waiting_for_a_person"] == figures["runs"]["started"]
    for counted in figures["effects"].values():
        assert counted["repeated"] == counted["lost"] == counted["unasked"] == 0
    assert figures["disasters"] and figures["journals"]["checked"] == figures["runs"]["started"]
    assert not left(directory)


def test_it_leaves_nothing_behind_when_it_is_interrupted(directory: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    log = directory / "log"
    with bench(directory, "--minutes", "5") as process:
        while not log.exists() or "ready after" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        process.terminate()  # not SIGINT, which whoever runs this in the background ignores
        process.communicate(timeout=120)
        assert process.returncode != 0
    while left(directory):  # what a killed parent leaves is told by the kernel, a moment later
        assert time.monotonic() < deadline, left(directory)
        time.sleep(0.1)
    assert not list(directory.glob("sayso-bench-*"))


def test_it_refuses_to_ruin_an_instance_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ordeal.OWN, raising=False)
    with pytest.raises(RuntimeError, match="started itself"):
        ordeal.run(ordeal.Plan(1, 1))
