"""A demo model on a free port, in a thread, without latency."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from console.demo.model import Server


@contextmanager
def serving() -> Iterator[str]:
    """The server's address, ``http://127.0.0.1:port``."""
    server = uvicorn.Server(uvicorn.Config(Server(latency=0), port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
