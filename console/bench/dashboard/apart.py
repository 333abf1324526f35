"""A database of the benchmark's own, on the server of the instance: no figure of anybody's is touched by what is made in it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import connections

NAME = "sayso_bench_dashboard"


@contextmanager
def database() -> Iterator[None]:
    """Every connection that this process makes meanwhile goes to a new, migrated database, which is dropped afterwards.

    What a benchmark that was killed has left is dropped first.
    """
    # Ended by a person, or with the shell: the database goes, too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
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
        _drop()


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _drop() -> None:
    with connections["owner"].cursor() as cursor:
        # Not by force: the owner may not end the server's own vacuum, which gives way to a plain one.
        cursor.execute(f"DROP DATABASE IF EXISTS {NAME}")


def _turn_to(names: dict[str, str]) -> None:
    for alias, name in names.items():
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name  # this thread's
        connections.settings[alias]["NAME"] = name  # those of threads to come
