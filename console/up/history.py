"""The demo's history, made once behind a running instance: in a copy of its database, with a broker of its own.

The copy is taken while nobody is connected, before the applications start. What is made in it is nobody's business until it
is placed, in one transaction; so whatever is interrupted is started over at the next ``up``, and nothing is there twice.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import psycopg

from console.up import places
from console.up.places import Refused
from console.up.stores import SUPERUSER, Postgres, Valkey, wait

OFF = "SAYSO_DEMO_HISTORY"  # 0: none is made
COPY = "sayso_history"  # the database that it is made in
LARGEST = 300 * 1024 * 1024  # bytes of a database that is copied for it

Command = Callable[..., Awaitable[str]]


def wanted() -> bool:
    """Whether the environment leaves it to us."""
    return os.environ.get(OFF, "") not in ("0", "no", "off")


class History:
    """Of one instance. ``begin`` before its applications start, ``make`` when they are ready."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._place = data / "history"
        self._postgres = Postgres(places.database_directory(data), places.runtime(data) / "pg")
        self._valkey: subprocess.Popen[bytes] | None = None

    def begin(self) -> bool:
        """Copy the database, unless the history is there already, or somebody is connected. False: nothing to make."""
        try:
            with psycopg.connect(self._postgres.url(SUPERUSER)) as there:
                made = there.execute("SELECT 1 FROM audit_auditrecord WHERE action = 'demo.history' LIMIT 1").fetchone()
                size = there.execute("SELECT pg_database_size(current_database())").fetchone()
            self._drop()
            if made or size is None or size[0] > LARGEST:
                return False
            with psycopg.connect(self._postgres.url(SUPERUSER, "postgres"), autocommit=True) as server:
                # Postgres would wait five seconds for them, and keep everybody else waiting.
                busy = (
                    "SELECT 1 FROM pg_stat_activity WHERE datname = 'sayso' AND backend_type = 'client backend' LIMIT 1"
                )
                for _ in range(50):
                    if server.execute(busy).fetchone() is None:
                        server.execute(f"CREATE DATABASE {COPY} TEMPLATE sayso OWNER sayso_owner STRATEGY wal_log")
                        # What is lost by a crash is made again.
                        server.execute(f"ALTER DATABASE {COPY} SET synchronous_commit = off")
                        return True
                    server.execute("SELECT pg_sleep(0.01)")
        except psycopg.Error as error:
            raise Refused(f"the demo's history cannot be made: {str(error).strip().splitlines()[0]}") from error
        return False

    async def make(self, command: Command) -> str:
        """Make it and put it in its place; returns what there is to say. Raises Refused."""
        self._place.mkdir(mode=0o700, exist_ok=True)
        plan = str(self._place / "plan.json")
        try:
            env = {**self._start_broker(), "SAYSO_DATA": str(self._place)}
            env["DATABASE_URL"] = self._postgres.url("sayso_app", COPY)
            env["SAYSO_OWNER_DATABASE_URL"] = self._postgres.url("sayso_owner", COPY)
            made = await command("demo_history", "make", "--plan", plan, env=env)
            placed = await command(
                "demo_history", "place", "--plan", plan, "--source", self._postgres.url("sayso_app", COPY)
            )
        finally:
            self._end_broker()
        await asyncio.to_thread(self._drop)
        shutil.rmtree(self._place, ignore_errors=True)
        return f"{made.strip()}; {placed.strip()}"

    def _start_broker(self) -> Mapping[str, str]:
        """A Valkey whose messages reach nobody else."""
        sockets = places.runtime(self._data) / "history"
        sockets.mkdir(mode=0o700, exist_ok=True)
        valkey = Valkey(self._place / "valkey", sockets, durable=False)
        valkey.prepare()
        self._valkey = valkey.command().popen(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait(valkey, self._valkey)
        return {"REDIS_URL": valkey.url}

    def _end_broker(self) -> None:
        if self._valkey is not None:
            self._valkey.kill()
            self._valkey.wait()

    def _drop(self) -> None:
        with psycopg.connect(self._postgres.url(SUPERUSER, "postgres"), autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
