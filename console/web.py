"""The web process: ``python -m console.web --port 8000``, uvicorn on a socket whose connections do not outlive their readers."""

from __future__ import annotations

import argparse
import socket

import uvicorn

from console.startup import raise_files
from console.up.listen import listener


def main() -> None:
    """Serve until SIGTERM. With ``--fd`` on a socket that the parent has opened."""
    parser = argparse.ArgumentParser(prog="python -m console.web")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="an open listening socket to serve on")
    parser.add_argument("--grace", type=int, default=5, help="seconds that running requests get at the end (default 5)")
    given = parser.parse_args()
    raise_files()
    door = socket.socket(fileno=given.fd) if given.fd is not None else listener(given.host, given.port)
    config = uvicorn.Config(
        "console.asgi:application",
        lifespan="on",
        ws="console.live.protocol:DirectProtocol",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=given.grace,
        access_log=False,
        log_config=None,  # Django's logging has been set up when the application is imported
        server_header=False,
        proxy_headers=True,
    )
    uvicorn.Server(config).run(sockets=[door])


if __name__ == "__main__":
    main()
