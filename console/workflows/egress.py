"""Where a credential or a tool may lead: public addresses, and what SAYSO_EGRESS_ALLOW names.

A tenant's admin types the address, so without this a call would be a way into the network the workers stand in. The
name is looked up when a run is claimed, and before each call of a tool; what it leads to afterwards is the firewall's business.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

_KEEP = 300.0  # seconds for which an answer of the name service holds
_known: dict[tuple[str, int], tuple[float, str]] = {}
_lock = threading.Lock()


def fault(url: str, allow: Iterable[str]) -> str:
    """Why this address must not be called, or an empty text. ``allow`` holds ``host`` or ``host:port``."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return f"{url!r} is no address."
    if parts.scheme not in ("http", "https") or not host:
        return f"{url!r} is no http or https address."
    allowed = {entry.lower() for entry in allow}
    bracketed = f"[{host}]" if ":" in host else host
    if host in allowed or bracketed in allowed or f"{bracketed}:{port}" in allowed:
        return ""
    now = time.monotonic()
    with _lock:
        known = _known.get((host, port))
    if known is None or known[0] < now:
        known = (now + _KEEP, _look(host, port))
        with _lock:
            _known[host, port] = known
    return known[1]


def _look(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ""  # it leads nowhere: the call itself will say so
    for *_, place in found:
        address = ipaddress.ip_address(str(place[0]).split("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        if not (mapped or address).is_global or address.is_multicast:
            return f"{host} is a private address; SAYSO_EGRESS_ALLOW may name it."
    return ""
