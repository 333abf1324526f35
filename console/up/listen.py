"""The listening socket of the console: taken before anything starts, and kept while the web process restarts."""

from __future__ import annotations

import errno
import socket

from console.up.places import Refused

SEND_BUFFER = 131_072  # bytes: a reader that stopped reading is noticed soon, instead of after megabytes
USER_TIMEOUT = (
    15_000  # milliseconds until unacknowledged data closes a connection: a dead reader does not live for ever
)


def listener(host: str, port: int) -> socket.socket:
    """A bound and listening TCP socket whose connections inherit the limits above. Raises Refused when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        door.bind((host, port))
        door.listen(2048)
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            raise Refused(f"port {port} is taken: stop what listens there, or give --port") from error
        raise Refused(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return door


def free_port(preferred: int | None = None) -> int:
    """A port on the loopback that nobody listens on: ``preferred`` where it is free."""
    for port in (preferred or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Refused("there is no free port on the loopback")
