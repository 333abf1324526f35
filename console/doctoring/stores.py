"""The stores: which versions, how much room, and what time it is there."""

from __future__ import annotations

import os
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import django
import redis
from django.conf import settings
from django.db import connection

from console.doctoring.findings import Ailing
from console.durable import SCHEMA_VERSION
from console.tenants.scopes import system_scope

OLDEST_POSTGRES = 150000  # as server_version_num has it
ROOM = 500_000_000  # bytes
SHARE = 0.03  # of a disk, that has to be free
DRIFT = 2.0  # seconds between this machine and the database


def versions() -> str:
    """What runs here; and that every open run was recorded by a version that this one can replay."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('server_version')")
        number, named = cursor.fetchone()
    with system_scope("doctor: journal versions"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(array_agg(DISTINCT journal_version), '{}'), COALESCE(array_agg(DISTINCT autogen_version), '{}')"
            " FROM runs_run WHERE status IN ('queued', 'running', 'waiting') AND NOT probe"
        )
        journals, autogens = cursor.fetchone()
    autogen = version("autogen-agentchat")
    said = (
        f"Python {platform.python_version()}, Django {django.get_version()}, AutoGen {autogen}, Postgres"
        f" {named.split()[0]}, Valkey or Redis {_valkey()}, journal {SCHEMA_VERSION}"
    )
    if number < OLDEST_POSTGRES:
        raise Ailing(said, f"Postgres {named.split()[0]} is too old: bring at least {OLDEST_POSTGRES // 10000}.")
    if journals and max(journals) > SCHEMA_VERSION:
        raise Ailing(
            f"open runs have journals of version {max(journals)}; this Sayso reads up to {SCHEMA_VERSION}",
            "Start the newer version of Sayso again: it wrote them.",
        )
    others = sorted(each for each in autogens if each and each != autogen)
    return said + (f"; open runs were begun with AutoGen {', '.join(others)}" if others else "")


def _valkey() -> str:
    try:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
        with client:
            told = client.info("server")
    except (redis.RedisError, OSError):
        return "(does not answer)"
    return str(told.get("valkey_version") or told.get("redis_version") or "of unknown version")


def clock() -> str:
    """That this machine and the database agree on the time."""
    with connection.cursor() as cursor:
        began = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        apart = float(cursor.fetchone()[0]) - (began + time.time()) / 2
    if abs(apart) > DRIFT:
        raise Ailing(
            f"this machine is {abs(apart):.1f} s {'behind' if apart > 0 else 'ahead of'} the database",
            "Let both take their time from the same server (chrony or ntpd); what is due is decided by both clocks.",
        )
    return f"{abs(apart) * 1000:.0f} ms from the database's"


def disk() -> str:
    """That there is room: in the data directory, and where ``up`` keeps Postgres's files."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        size = int(cursor.fetchone()[0])
    said = [f"the database has {_bytes(size)}"]
    for name, place in _places().items():
        usage = shutil.disk_usage(place)
        said.append(f"{_bytes(usage.free)} of {_bytes(usage.total)} are free for {name}")
        if usage.free < ROOM or usage.free < usage.total * SHARE:
            raise Ailing(
                f"only {_bytes(usage.free)} are free for {name} ({place})",
                "Make room on that disk: when it is full runs stand still, and they go on by themselves after that.",
            )
    return ", ".join(said)


def _places() -> dict[str, Path]:
    """The directories of ours that are on this machine; none where the stores are somebody else's."""
    data = os.environ.get("SAYSO_DATA")
    places = {"the data directory": Path(data), "Postgres": Path(data) / "postgres"} if data else {}
    return {name: place for name, place in places.items() if place.exists()}


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
