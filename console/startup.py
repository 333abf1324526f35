"""What a serving process does before its first request: refuse a privileged login, and settle the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from django.db import connection
from django.urls import get_resolver

from console.tenants import roles

FILES = 65_536
WORKER = (100_000, 20, 50)  # of the collector, in a worker: what is over goes by itself there, so it has little to find


def refuse_privilege() -> None:
    """Raise roles.WrongRole unless this process stands behind the tenant wall; leaves no connection open."""
    try:
        roles.assert_app_role()
    finally:
        connection.close()


def settle(thresholds: tuple[int, int, int] = (100_000, 50, 100)) -> None:
    """Set what is imported aside from the garbage collector, and collect more rarely (p99 of a delivery: 278 to 47 ms)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*thresholds)


def raise_files() -> None:
    """Let this process open more files, where it may: every page that listens holds a socket of its web process."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Lifespan:
    """The ASGI lifespan protocol: the checks above on startup, ``closing`` on shutdown."""

    def __init__(self, closing: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        self.closing = closing

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()  # lifespan.startup
        try:
            await asyncio.to_thread(_begin)
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        for close in self.closing:
            await close()
        await send({"type": "lifespan.shutdown.complete"})


def _begin() -> None:
    refuse_privilege()
    get_resolver().url_patterns  # noqa: B018 - imports every page now, rather than in somebody's first request
    settle()
