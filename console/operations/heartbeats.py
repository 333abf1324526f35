"""What processes say of themselves: a key each in Valkey, which expires when they are gone."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from console.health import HEARTBEATS
from console.live.store import WEB_HEARTBEATS
from console.runs import feed

MOST = 500  # processes that are shown


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process. ``age`` in seconds since it was heard of; ``held`` runs, of whatever tenant."""

    name: str
    age: float
    since: datetime | None = None
    queues: tuple[str, ...] = ()
    slots: int = 0
    used: int = 0
    held: int = 0
    queued: int = 0
    leaving: bool = False
    silent: bool = False  # it holds leases, and no heartbeat of it is there


@dataclass(frozen=True, slots=True)
class Heard:
    """What Valkey knew. ``there`` is False where it does not answer; ``took`` is how long its ping did, in seconds."""

    there: bool
    took: float = 0.0
    workers: tuple[Worker, ...] = ()
    sockets: int = 0
    lagging: int = 0
    webs: int = 0


def listen(client: redis.Redis | None = None) -> Heard:
    """All that is heard of now; a Valkey that is away is an answer, too."""
    client = client or feed.redis_client()
    try:
        began = time.perf_counter()
        client.ping()
        took = time.perf_counter() - began
        workers = [_worker(name, said) for name, said in _read(client, HEARTBEATS)]
        webs = [said for _, said in _read(client, WEB_HEARTBEATS + "*")]
    except (redis.RedisError, OSError):
        return Heard(False)
    return Heard(
        True, took, tuple(sorted(workers, key=lambda each: each.name)),
        sum(_whole(said, "sockets") for said in webs), sum(_whole(said, "lagging") for said in webs), len(webs),
    )  # fmt: skip


def _read(client: redis.Redis, pattern: str) -> list[tuple[str, dict[str, Any]]]:
    keys = []
    for key in client.scan_iter(pattern, count=500):
        keys.append(key)
        if len(keys) == MOST:
            break
    found = []
    for key, value in zip(keys, client.mget(keys) if keys else [], strict=True):  # type: ignore[arg-type]
        if value is not None:  # else it has just expired
            found.append((key.decode().split(":", 2)[2], _said(value)))
    return found


def _said(value: bytes | str) -> dict[str, Any]:
    """A heartbeat. One of an older version is a bare time."""
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"at": found}


def _worker(name: str, said: dict[str, Any]) -> Worker:
    at, since = said.get("at"), said.get("since")
    return Worker(
        name=name,
        age=max(time.time() - at, 0.0) if isinstance(at, int | float) else 0.0,
        since=datetime.fromtimestamp(since, UTC) if isinstance(since, int | float) else None,
        queues=tuple(str(each) for each in said.get("queues") or ()),
        slots=_whole(said, "slots"),
        used=_whole(said, "used"),
        held=_whole(said, "held"),
        queued=_whole(said, "queued"),
        leaving=said.get("leaving") is True,
    )


def _whole(said: dict[str, Any], name: str) -> int:
    value = said.get(name)
    return value if isinstance(value, int) else 0
