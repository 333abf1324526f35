"""A Postgres that is killed leaves processes behind: none may work on the files beside those of the next one."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from console.up import places
from console.up.processes import alive, working_in
from console.up.stores import SUPERUSER, Postgres, wait

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def store() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="sayso-", dir="/tmp") as scratch:
        base = Path(scratch)
        base.chmod(0o711)
        user = places.postgres_user()
        data = base / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            os.chown(data, user.pw_uid, user.pw_gid)
        yield Postgres(data, base / "pg", durable=False)


def test_what_a_killed_postgres_leaves_behind_ends_before_the_next_one_starts(store: Postgres) -> None:
    store.prepare()
    server = store.command().popen()
    wait(store, server, 60)
    connection = psycopg.connect(store.url(SUPERUSER, "postgres"), autocommit=True)
    try:
        backend = connection.info.backend_pid
        # Deep in a statement, it does not look whether its server still lives.
        connection.pgconn.send_query(b"SELECT sum(i) FROM generate_series(1, 1000000000) AS s(i)")
        server.kill()
        server.wait()
        assert alive(backend)
        store.prepare()
        assert not alive(backend) and not working_in(store.data)
    finally:
        connection.close()
    assert (store.data / "postmaster.pid").exists(), "the next server looks there for what the last one left"
    again = store.command().popen()
    try:
        wait(store, again, 60)
        with psycopg.connect(store.url(SUPERUSER, "postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        again.send_signal(signal.SIGINT)
        again.wait(30)


def test_a_pid_file_that_names_something_else_by_now_stands_in_nobodys_way(store: Postgres) -> None:
    store.prepare()
    (store.data / "postmaster.pid").write_text(f"{os.getpid()}\n{store.data}\n")
    store.prepare()
    assert not (store.data / "postmaster.pid").exists() and alive(os.getpid())
