"""What the environment says, turned into settings values. Standard library only; raises ``ValueError`` on nonsense."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit


def read(name: str, default: str = "") -> str:
    """The value of ``name``, or the content of the file that ``name_FILE`` points to (Docker and Kubernetes secrets).

    Raises ValueError when both are given, or when the file cannot be read.
    """
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and path:
        raise ValueError(f"{name} and {name}_FILE are both set: give one of them")
    if not path:
        return value or default
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{name}_FILE: cannot read {path}: {error.strerror}") from error


def number(name: str, default: int) -> int:
    """A whole number from 0 on. Raises ValueError where it is none."""
    text = os.environ.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} is {text!r}; it has to be a whole number, such as {default}")
    return int(text) if text else default


def database(url: str, role: str, **extra: Any) -> dict[str, Any]:
    """A Django DATABASES entry for ``url`` (``postgresql://user:pw@host:port/name?host=/socket/dir``) that acts as ``role``.

    A login other than the role itself starts its session with ``-c role=``, so that a RESET ROLE stays within the wall.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ValueError(f"DATABASE_URL: expected postgresql://..., got {parts.scheme or 'nothing'}://...")
    query = dict(parse_qsl(parts.query))
    login = unquote(parts.username or "")
    options: dict[str, Any] = {k: v for k, v in query.items() if k not in ("host", "options")}
    if login != role:
        options["options"] = " ".join(filter(None, [query.get("options"), f"-c role={role}"]))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": login,
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host") or unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
        **extra,
    }


def redis_url(url: str) -> str:
    """``url`` as redis-py reads it: ``redis://``, ``rediss://`` or ``unix:///path?db=N``."""
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss", "unix"):
        return url
    if parts.scheme != "redis+socket":
        raise ValueError(f"REDIS_URL: expected redis://, rediss:// or redis+socket://, got {parts.scheme or 'nothing'}")
    number = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return f"unix://{parts.path}?db={number}"


def broker_url(url: str) -> str:
    """``url`` as Celery reads it: what :func:`redis_url` returns, sockets as ``redis+socket://``."""
    parts = urlsplit(redis_url(url))
    if parts.scheme != "unix":
        return url
    number = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={number}"


def mail(url: str, sender: str) -> dict[str, Any]:
    """Django's settings of a mail server, ``smtp://user:password@host:587?tls=1`` or ``smtps://...``; without an address,
    those of an installation that sends no mail. ``tls=1`` is STARTTLS. Raises ValueError."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
        raise ValueError("SAYSO_SMTP_URL: expected smtp://user:password@host:587?tls=1 or smtps://...")
    if url and not ("@" in sender and sender.isprintable()):
        raise ValueError("SAYSO_MAIL_FROM must be the address that mail comes from: it goes with SAYSO_SMTP_URL")
    safe = parts.scheme == "smtps"
    return {
        "EMAIL_SET_UP": bool(url),
        "EMAIL_BACKEND": f"django.core.mail.backends.{'smtp' if url else 'dummy'}.EmailBackend",
        "EMAIL_HOST": parts.hostname or "",
        "EMAIL_PORT": parts.port or (465 if safe else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": safe,
        "EMAIL_USE_TLS": dict(parse_qsl(parts.query)).get("tls") == "1" and not safe,
        "EMAIL_TIMEOUT": 10,
        "DEFAULT_FROM_EMAIL": sender or "sayso@localhost",
    }


def master_key(text: str) -> bytes:
    """The 32 bytes of a master key written in base64 (standard or URL-safe) or hexadecimal. Raises ValueError."""
    try:
        if len(text) == 64:
            return bytes.fromhex(text)
        key = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != 32:
        raise ValueError("SAYSO_MASTER_KEY must be 32 bytes in base64 or hexadecimal")
    return key
