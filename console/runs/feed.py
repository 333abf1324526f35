"""The live feed: what screens are told, in order.

Truth is the table. An event takes its topic's next sequence number in the transaction that makes it true, so no event
is ever told that did not happen; the Redis message sent on commit is a hint with the payload in it, and may be lost.

Lock order: whoever changes a run and publishes changes the run first. The topic's row is locked until the end of the
transaction, so publish as late as you can.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection, transaction

from console.runs.hints import Hints
from console.runs.models import FeedEvent
from console.tenants import crypto

log = logging.getLogger(__name__)

CHANNEL = "sayso:feed"
NUDGES = "sayso:nudge"
_PAUSE = 1.0  # seconds without a try after Redis has failed


def run_topic(run_id: UUID | str) -> str:
    """The topic of one run."""
    return f"run:{run_id}"


def queue_topic(tenant_id: UUID | str) -> str:
    """The topic of a tenant's approval queue."""
    return f"queue:{tenant_id}"


def publish(tenant_id: UUID, topic: str, kind: str, payload: dict[str, Any], index: int | None = None) -> int:
    """Write an event inside the caller's transaction and tell the hubs on commit. Returns its sequence number.

    ``payload`` is what ``json.dumps(..., default=str)`` takes. Call it inside a tenant or system scope.
    """
    at = datetime.now(UTC)
    text = json.dumps(payload, default=str)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO runs_feedtopic AS t (name, tenant_id, last_seq) VALUES (%s, %s, 1)"
            " ON CONFLICT (name) DO UPDATE SET last_seq = t.last_seq + 1 RETURNING last_seq",
            [topic, tenant_id],
        )
        seq: int = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO runs_feedevent (topic, seq, tenant_id, kind, index, sealed, at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [topic, seq, tenant_id, kind, index, crypto.seal(tenant_id, "feed", text.encode()), at],
        )
    hint = frame(topic, seq, kind, at, text)
    transaction.on_commit(lambda: send([(CHANNEL, hint)]), robust=True)
    return seq


def ephemeral(topic: str, kind: str, payload: dict[str, Any]) -> None:
    """Tell the hubs something that is not kept: streamed text. It has no sequence number."""
    send([(CHANNEL, frame(topic, None, kind, datetime.now(UTC), json.dumps(payload, default=str)))])


def read(topic: str, after: int = 0, limit: int = 500, kind: str | None = None) -> list[dict[str, Any]]:
    """Events of a topic after a sequence number: ``{"topic", "seq", "kind", "index", "at", "payload"}``, in order."""
    rows = FeedEvent.objects.filter(topic=topic, seq__gt=after)
    if kind is not None:
        rows = rows.filter(kind=kind)
    return [
        {
            "topic": row.topic,
            "seq": row.seq,
            "kind": row.kind,
            "index": row.index,
            "at": row.at.isoformat(),
            "payload": crypto.unseal_json(row.tenant_id, "feed", bytes(row.sealed)),
        }
        for row in rows.order_by("seq")[:limit]
    ]


def frame(topic: str, seq: int | None, kind: str, at: datetime, payload_text: str) -> str:
    """The Redis message of an event; the payload is JSON text already, so it is not encoded twice."""
    head = json.dumps({"topic": topic, "seq": seq, "kind": kind, "at": at.isoformat()})
    return f'{head[:-1]}, "payload": {payload_text}}}'


def nudge(run_id: UUID | str) -> None:
    """Tell the worker that holds this run to look at it now: a decision, or a request to cancel."""
    send([(NUDGES, str(run_id))])


class _Line:
    """This process's connection to Redis. A failure is logged and never reaches the caller; after one, nothing is
    tried for a moment, so that a dead Redis slows nobody down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._silent_until = 0.0

    def send(self, messages: Iterable[tuple[str, str]]) -> None:
        if time.monotonic() < self._silent_until:
            return
        try:
            pipe = self.client().pipeline(transaction=False)
            for channel, text in messages:
                pipe.publish(channel, text)
            pipe.execute()
        except (redis.RedisError, OSError) as error:
            self._silent_until = time.monotonic() + _PAUSE
            log.warning("the live feed could not be told (%s); screens catch up from the database", error)

    def client(self) -> redis.Redis:
        with self._lock:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=0.5, max_connections=16
                )
            return self._client


_line = _Line()


def send(messages: Iterable[tuple[str, str]]) -> None:
    """Publish (channel, text) pairs in one round trip; a failing Redis is logged, never raised."""
    _line.send(messages)


def hints() -> Hints:
    """A line for one thread that publishes much, and does not wait for Redis to say that it has heard."""
    return Hints(_line.client().connection_pool)


def redis_client() -> redis.Redis:
    """This process's Redis client (short timeouts; not for subscriptions)."""
    return _line.client()
