"""A database of the benchmark's own, on the server of the instance: no figure of anybody's is touched by what is made in it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import OperationalError, connections

from console.bench.interrupts import Interrupt

NAME = "sayso_bench_dashboard"
PATIENCE = 60.0  # seconds for a session to end that is not ours to end
AGAIN = 0.5  # seconds


@contextmanager
def database() -> Iterator[None]:
    """Every connection that this process makes meanwhile goes to a new, migrated database, which is dropped afterwards.

    What a benchmark that was killed has left is dropped first. Where somebody holds the database at the end, that is said on
    standard error, and the next benchmark drops it: what was measured is not lost for it.
    """
    # Ended by a person, or with the shell: the database goes, too.
    Interrupt(signal.SIGINT)
    names = {alias: connections.settings[alias]["NAME"] for alias in ("default", "owner")}
    _drop()
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {NAME} TEMPLATE template0")
    try:
        _turn_to(dict.fromkeys(names, NAME))
        call_command("migrate", database="owner", verbosity=0)
        yield
    finally:
        _turn_to(names)
        try:
            _drop()
        except OperationalError as error:
            sys.stderr.write(f"The database {NAME} stays until the next benchmark: {error}{_who()}\n")


def _drop() -> None:
    """Let nobody in any more, end the sessions of our roles, and drop it. Raises OperationalError where others stay.

    Not by force: the owner may not end the server's own vacuum. A plain DROP asks it to give way, and waits five seconds.
    """
    until = time.monotonic() + PATIENCE
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
        if cursor.fetchone() is None:
            return
        cursor.execute(f"ALTER DATABASE {NAME} WITH ALLOW_CONNECTIONS false")
    while True:
        for alias in ("default", "owner"):
            _end_sessions(alias)
        try:
            with connections["owner"].cursor() as cursor:
                cursor.execute(f"DROP DATABASE {NAME}")
            return
        except OperationalError:
            if time.monotonic() > until:
                raise
        time.sleep(AGAIN)


def _end_sessions(alias: str) -> None:
    """End those of the roles whose rights this connection has."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND usesysid IS NOT NULL AND pg_has_role(usesysid, 'USAGE')",
            [NAME],
        )


def _who() -> str:
    """The sessions that are in it, for people to read."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pid, backend_type, usename, state FROM pg_stat_activity WHERE datname = %s", [NAME])
        return "; ".join(" ".join(str(each) for each in row if each) for row in cursor.fetchall())


def _turn_to(names: dict[str, str]) -> None:
    for alias, name in names.items():
        connections[alias].close()
        connections[alias].close_pool()  # or it would hand out sessions of the database that was
        connections[alias].settings_dict["NAME"] = name  # this thread's
        connections.settings[alias]["NAME"] = name  # those of threads to come
