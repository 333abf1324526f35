"""The demo's history, made once behind a running instance: in a copy of its database, with a broker of its own.

The copy is taken while nobody is connected, before the applications start. What is made in it is nobody's business until it
is placed, in one transaction; so whatever is interrupted is started over at the next ``up``, and nothing is there twice.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg

from console.up import places
from console.up.places import Refused
from console.up.stores import SUPERUSER, Postgres, Valkey, wait

OFF = "SAYSO_DEMO_HISTORY"  # 0: none is made
COPY = "sayso_history"  # the database that it is made in
LARGEST = 300 * 1024 * 1024  # bytes of a database that is copied for it
MOST_TRIES = 5  # starts at which it is begun

_MADE = """
    SELECT 1 FROM tenants_tenant t JOIN audit_auditrecord a
        ON a.tenant_id = t.id AND a.object_type = 'tenant' AND a.object_id = t.id::text AND a.action = 'demo.history'
    WHERE t.is_demo LIMIT 1
"""

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
        self._tries = data / "history-tries"
        self._valkey: subprocess.Popen[bytes] | None = None

    def begin(self) -> bool:
        """Copy the database, unless the history is there already, or somebody is connected. False: nothing to make."""
        try:
            with psycopg.connect(self._postgres.url(SUPERUSER)) as there:
                made = there.execute(_MADE).fetchone()
                size = there.execute("SELECT pg_database_size(current_database())").fetchone()
            self._drop()
            if made or size is None or size[0] > LARGEST or not self._try():
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

    def _try(self) -> bool:
        """Count another try; False when there have been enough. What does not work is not begun at each start for ever."""
        try:
            before = int(self._tries.read_text())
        except (OSError, ValueError):
            before = 0
        self._tries.write_text(str(before + 1))
        return before < MOST_TRIES

    async def make(self, command: Command) -> str:
        """Make it and put it in its place; returns what there is to say. Raises Refused."""
        self._place.mkdir(mode=0o700, exist_ok=True)
        plan = str(self._place / "plan.json")
        try:
            env = {"REDIS_URL": await self._start_broker(), "SAYSO_DATA": str(self._place)}
            env["DATABASE_URL"] = self._postgres.url("sayso_app", COPY)
            env["SAYSO_OWNER_DATABASE_URL"] = self._postgres.url("sayso_owner", COPY)
            common = ("--plan", plan, "--nice", "19")
            made = await command("demo_history", "make", *common, env=env)
            source = self._postgres.url("sayso_app", COPY)
            placed = await command("demo_history", "place", *common, "--source", source)
        finally:
            self._end_broker()
        await asyncio.to_thread(self._drop)
        self._tries.unlink(missing_ok=True)
        shutil.rmtree(self._place, ignore_errors=True)
        return f"{made.strip()}; {placed.strip()}"

    async def _start_broker(self) -> str:
        """The URL of a Valkey whose messages reach nobody else."""
        sockets = places.runtime(self._data) / "history"
        sockets.mkdir(mode=0o700, exist_ok=True)
        valkey = Valkey(self._place / "valkey", sockets, durable=False)
        valkey.prepare()
        self._valkey = valkey.command().popen(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await asyncio.to_thread(wait, valkey, self._valkey)
        return valkey.url

    def _end_broker(self) -> None:
        if self._valkey is not None:
            self._valkey.kill()
            self._valkey.wait()

    def _drop(self) -> None:
        try:
            with psycopg.connect(self._postgres.url(SUPERUSER, "postgres"), autocommit=True) as server:
                server.execute(f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
        except psycopg.Error as error:
            raise Refused(f"the database {COPY} is still there: {str(error).strip().splitlines()[0]}") from error
