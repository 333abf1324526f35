"""`manage.py up`, for real: its own stores, every process, and what is left when any of it is killed."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from console.up.bootstrap import ROOT
from console.up.listen import free_port
from console.up.places import runtime
from console.up.processes import alive, command_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
PATIENCE = 300  # seconds for anything to happen on a busy machine


class Instance:
    """One data directory, and the `up` that runs on it."""

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, free_port()
        self.process: subprocess.Popen[str] | None = None

    def command(self, *more: str) -> list[str]:
        return [
            sys.executable, str(ROOT / "manage.py"), "up", "--no-demo", "--data", str(self.data), "--port", str(self.port), *more
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            self.command(),
            env=clean(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Stop: Ctrl-C" in line:
                first = [s for s in said if not s.startswith(("Starting Sayso: ", "Installing "))]  # standard error
                assert f"http://127.0.0.1:{self.port}" in first[1], "the address is not among the first lines"
                return self.process
        raise AssertionError("up ended:\n" + "".join(said))

    def wait_for_line(self, text: str) -> str:
        """The next printed line that contains ``text``."""
        assert self.process is not None and self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        for line in self.process.stdout:
            if text in line:
                return line
            assert time.monotonic() < deadline, f"nothing said {text!r}"
        raise AssertionError(f"up ended before it said {text!r}")

    def get(self, path: str) -> tuple[int, dict]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def until(self, path: str, status: int) -> dict:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                found, body = self.get(path)
            except urllib.error.URLError:
                found, body = 0, {}
            if found == status:
                return body
            assert time.monotonic() < deadline, f"{path} answered {found} {body}"
            time.sleep(0.1)  # between two looks

    def database(self) -> psycopg.Connection:
        return psycopg.connect(json.loads((self.data / "instance.json").read_text())["env"]["SAYSO_OWNER_DATABASE_URL"])

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


def clean() -> dict[str, str]:
    """Our environment without the stores and secrets of the tests."""
    ours = ("DATABASE_URL", "REDIS_URL", "SAYSO_", "PYTEST_", "DJANGO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def descendants(pid: int) -> dict[int, str]:
    """The processes below ``pid``, with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended while we looked
    found, fresh = {}, {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found.update({child: command_of(child) for child in fresh})
    return found


def gone(pids: dict[int, str], seconds: float) -> dict[int, str]:
    """Which of ``pids`` are still there after at most ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        left = {pid: command for pid, command in pids.items() if alive(pid) and command_of(pid) == command}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)  # between two looks


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path / "an instance with a long name" / ("x" * 60))
    yield made
    made.end()
    database = made.data / "postgres"
    if database.is_symlink():  # root's temporary directories are out of reach for Postgres's user
        shutil.rmtree(database.resolve())
    place = runtime(made.data)
    for path in sorted(place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    place.rmdir()


def worker_of(process: subprocess.Popen[str]) -> int:
    found = [pid for pid, command in descendants(process.pid).items() if " worker " in command and "celery" in command]
    assert len(found) == 1
    return found[0]


def test_an_instance_lives_dies_and_lives_again(instance: Instance):
    process = instance.start()
    assert instance.get("/healthz") == (200, {"status": "ok"})
    ready = instance.until("/readyz", 200)
    assert ready["checks"]["database"] == "ok" and ready["checks"]["worker"].startswith("ok")

    # A second one on the same data, and another on the same port: one line, exit code 2.
    for command, words in (
        (instance.command(), "is in use by process"),
        ([*instance.command()[:-4], "--data", str(instance.data) + "2", "--port", str(instance.port)], "is taken"),
    ):
        refused = subprocess.run(command, env=clean(), capture_output=True, text=True, check=False)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert words in refused.stderr and refused.stdout == ""

    # A worker that dies is started again.
    worker = worker_of(process)
    os.kill(worker, signal.SIGKILL)
    instance.wait_for_line("starting it again")
    deadline = time.monotonic() + PATIENCE
    while not [p for p, c in descendants(process.pid).items() if " worker " in c and "celery" in c and p != worker]:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks

    # Kill everything's parent without a word: nothing is left, and nothing committed is lost.
    with instance.database() as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (42)")
    below = descendants(process.pid)
    assert len(below) >= 5
    process.kill()
    process.wait()
    assert gone(below, 5) == {}
    process.stdout.close()

    process = instance.start()
    with instance.database() as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(42,)]

    # Told to stop: within five seconds, exit code 0, nothing left.
    below = descendants(process.pid)
    descriptor = os.pidfd_open(process.pid)
    process.send_signal(signal.SIGTERM)
    stopped = select.select([descriptor], [], [], 5)[0]
    os.close(descriptor)
    assert stopped, "it did not stop within five seconds"
    assert process.wait() == 0
    assert gone(below, 1) == {}
