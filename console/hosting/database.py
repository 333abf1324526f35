"""The loop's database work: a few threads, each with one connection that it keeps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, InternalError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import ReadOnlySqlTransaction
from structlog.contextvars import bound_contextvars

from console import logs

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

THREADS = 5  # with the journal's writer and the lease keeper this stays well below ten connections a process
PATIENCE = 30.0  # seconds for which work is tried again while the database is away


class Database:
    """Runs functions in threads whose connections survive between calls."""

    def __init__(self, threads: int = THREADS) -> None:
        self._connections: list[BaseDatabaseWrapper] = []
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="database", initializer=self._enter)

    def _enter(self) -> None:
        own = connections[DEFAULT_DB_ALIAS]
        own.inc_thread_sharing()  # so that ``close`` may close it when the thread has ended
        self._connections.append(own)

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``work`` in a thread. It must be safe to do again: a lost connection is made anew and the work repeated.

        What it logs names what it is done for.
        """
        said = logs.bound()

        def named() -> R:
            with bound_contextvars(**said):
                return _persist(work, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._threads, named)

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Any:
        """The same from another thread: a concurrent future."""
        return self._threads.submit(lambda: _persist(work, *args, **kwargs))

    def close(self) -> None:
        """Finish what is under way and close the connections."""
        self._threads.shutdown(wait=True)
        for own in self._connections:
            own.close()


def _persist(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    began, delay = time.monotonic(), 0.05
    while True:
        try:
            return work(*args, **kwargs)
        except (OperationalError, InterfaceError, InternalError) as error:
            connection.close()
            # Hosted databases are made read-only before their disks are full.
            passes = not isinstance(error, InternalError) or isinstance(error.__cause__, ReadOnlySqlTransaction)
            if not passes or time.monotonic() - began > PATIENCE:
                raise
            log.warning("the database is away (%s); trying again in %.2f s", error, delay)
            time.sleep(delay)
            delay = min(delay * 2, 2.0)
