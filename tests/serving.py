"""The product behind a real server on the loopback, for tests that need sockets or a browser."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


@contextmanager
def serving() -> Iterator[str]:
    """Serve ``console.asgi`` from a thread until the block ends; yields ``127.0.0.1:<port>``."""
    from console.asgi import HTTP_AT_ONCE, application

    # Whoever waits for a semaphore binds it to their event loop, and this application may have served in another.
    application.application.application_mapping["http"].semaphore = asyncio.Semaphore(HTTP_AT_ONCE)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, log_level="warning", ws="console.live.protocol:DirectProtocol", ws_per_message_deflate=False,
        timeout_graceful_shutdown=2, lifespan="on",
    )  # fmt: skip
    server = uvicorn.Server(config)
    ready = threading.Event()
    startup = server.startup

    async def started(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        ready.set()

    server.startup = started  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="serving", daemon=True)
    thread.start()
    if not ready.wait(20):
        raise RuntimeError("the server did not start within 20 s")
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
