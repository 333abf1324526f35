"""Starts the stores of a test run before Django's settings are read; named in ``addopts`` as ``-p tests.plugin``.

One Postgres a run, shared by the workers of xdist (each makes a database of its own); one Valkey a worker, since publish and
subscribe know no databases. Both die with the run. DATABASE_URL and REDIS_URL, where set, are used instead.
"""

from __future__ import annotations

import base64
import gc
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from console.up import roles
from console.up.places import postgres_user
from console.up.stores import SUPERUSER, Postgres, Valkey, wait

gc.set_threshold(20_000, 10, 10)  # most of what a run makes stays, or goes at once: seldom is often enough

_started: list[tuple[subprocess.Popen[bytes], int]] = []
_scratch: list[Path] = []


def _place() -> Path:
    """A short directory that Postgres's user may pass through."""
    path = Path(tempfile.mkdtemp(prefix="sayso-test-", dir="/tmp"))  # noqa: S108 - made private to us by mkdtemp
    _scratch.append(path)
    if postgres_user() is not None:
        path.chmod(0o711)
    return path


def _start_postgres() -> None:
    place = _place()
    data = place / "data"
    data.mkdir(mode=0o700)
    user = postgres_user()
    if user is not None:
        os.chown(data, user.pw_uid, user.pw_gid)
    postgres = Postgres(data, place / "pg", durable=False)
    postgres.prepare()
    command = postgres.command()
    with open(place / "postgres.log", "wb") as log:
        process = command.popen(stdout=log, stderr=log)
    _started.append((process, signal.SIGQUIT))
    wait(postgres, process)
    roles.make(postgres.url(SUPERUSER, "postgres"), database="sayso")
    os.environ["DATABASE_URL"] = postgres.url("sayso_app")
    os.environ["SAYSO_OWNER_DATABASE_URL"] = postgres.url("sayso_owner")
    os.environ["SAYSO_TEST_SUPERUSER"] = SUPERUSER  # only a store of our own has one for tests/sweeping.py


def _start_valkey() -> None:
    place = _place()
    valkey = Valkey(place / "valkey", place, durable=False)
    valkey.prepare()
    process = valkey.command().popen(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _started.append((process, signal.SIGKILL))
    wait(valkey, process)
    os.environ["REDIS_URL"] = valkey.url


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    worker = "PYTEST_XDIST_WORKER" in os.environ
    if "DATABASE_URL" not in os.environ:
        _start_postgres()
    if "REDIS_URL" not in os.environ or (worker and os.environ.get("SAYSO_TEST_VALKEY")):
        _start_valkey()
        os.environ["SAYSO_TEST_VALKEY"] = "1"
    os.environ.setdefault("SAYSO_SECRET_KEY", "the secret key of the tests: " + "x" * 40)
    os.environ.setdefault("SAYSO_MASTER_KEY", base64.b64encode(bytes(range(32))).decode())
    os.environ.setdefault("SAYSO_DATA", str(_place()))  # where the demo's tools leave their marks
    os.environ.setdefault("SAYSO_DB_POOL", "0")  # no connection outlives its test
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    while _started:
        process, how = _started.pop()
        process.send_signal(how)
        process.wait(10)
    while _scratch:
        shutil.rmtree(_scratch.pop())
