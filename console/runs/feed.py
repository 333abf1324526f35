"""The live feed: what screens are told, in order.

Truth is the table. An event takes its topic's next sequence number in the transaction that makes it true, so no event
is ever told that did not happen; the Redis message sent on commit is a hint with the payload in it, and may be lost.

Lock order: whoever changes a run and publishes changes the run first. The topic's row is locked until the end of the
transaction, so publish as late as you can.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from console import prepared
from console.once import once
from console.runs import told
from console.runs.hints import Hints
from console.runs.models import FeedEvent
from console.tenants import crypto

CHANNEL = "sayso:feed"
NUDGES = "sayso:nudge"


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
    return publish_to(tenant_id, [topic], kind, payload, index)[0]


def publish_to(
    tenant_id: UUID, topics: Sequence[str], kind: str, payload: dict[str, Any], index: int | None = None
) -> list[int]:
    """The same event to several topics of a tenant, each named once, in one statement. Returns its number in each."""
    at = datetime.now(UTC)
    text = json.dumps(payload, default=str)
    sealed = crypto.seal(tenant_id, "feed", text.encode())
    with prepared.cursor() as cursor:
        cursor.execute(_PUBLISH, [tenant_id, list(topics), tenant_id, kind, index, sealed, at])
        numbers: dict[str, int] = dict(cursor.fetchall())
    hints = [(CHANNEL, frame(topic, numbers[topic], kind, at, text)) for topic in topics]
    transaction.on_commit(lambda: send(hints), robust=True)
    return [numbers[topic] for topic in topics]


# The topics' rows are taken in the order of their names, so that two who publish to the same ones never wait crosswise.
_PUBLISH = """
    WITH topics AS (
        INSERT INTO runs_feedtopic AS t (name, tenant_id, last_seq)
        SELECT name, %s, 1 FROM unnest(%s::text[]) AS n(name) ORDER BY name
        ON CONFLICT (name) DO UPDATE SET last_seq = t.last_seq + 1
        RETURNING name, last_seq
    )
    INSERT INTO runs_feedevent (topic, seq, tenant_id, kind, index, sealed, at)
    SELECT name, last_seq, %s, %s, %s::int, %s::bytea, %s FROM topics
    RETURNING topic, seq
"""


def ephemeral(topic: str, kind: str, payload: dict[str, Any]) -> None:
    """Tell the hubs something that is not kept: streamed text. It has no sequence number."""
    send([(CHANNEL, frame(topic, None, kind, datetime.now(UTC), json.dumps(payload, default=str)))])


def read(topic: str, after: int = 0, limit: int = 500, kind: str | None = None) -> list[dict[str, Any]]:
    """Events of a topic after a sequence number: ``{"topic", "seq", "kind", "index", "at", "payload"}``, in order."""
    return [
        {
            "topic": event.topic,
            "seq": event.seq,
            "kind": event.kind,
            "index": event.index,
            "at": event.at.isoformat(),
            "payload": event.payload,
        }
        for event in events(topic, after, limit, kind)
    ]


def events(topic: str, after: int = 0, limit: int = 500, kind: str | None = None) -> list[told.Event]:
    """At most ``limit`` events of a topic after a sequence number, in order. Call inside a scope."""
    rows = FeedEvent.objects.filter(topic=topic).order_by("seq")
    if kind is not None:
        rows = rows.filter(Q(kind=kind) | Q(many__gt=1)) if kind != told.MESSAGE else rows.filter(kind=kind)
    found: list[told.Event] = []
    while len(found) < limit:
        batch = list(rows.filter(seq__gt=after)[:limit])
        opened = [event for event in told.events(batch) if event.seq > after]
        found += [event for event in opened if kind is None or event.kind == kind]
        if len(batch) < limit:
            break
        after = batch[-1].seq
    return found[:limit]


def frame(topic: str, seq: int | None, kind: str, at: datetime, payload_text: str) -> str:
    """The Redis message of an event; the payload is JSON text already, and neither topic nor kind needs escaping."""
    number = "null" if seq is None else seq
    return f'{{"topic": "{topic}", "seq": {number}, "kind": "{kind}", "at": "{at.isoformat()}", "payload": {payload_text}}}'


def nudge(run_id: UUID | str) -> None:
    """Tell the worker that holds this run to look at it now: a decision, or a request to cancel."""
    send([(NUDGES, str(run_id))])


@once
def redis_client() -> redis.Redis:
    """This process's Redis client (short timeouts; not for subscriptions)."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=0.5, max_connections=16)


def hints() -> Hints:
    """A line for one thread, on which nobody waits for Redis to say that it has heard."""
    return Hints(redis_client().connection_pool)


_lock = threading.Lock()


@once
def _line() -> Hints:
    return hints()


def send(messages: Iterable[tuple[str, str]]) -> None:
    """Publish (channel, text) pairs without waiting for an answer; a failing Redis is logged, never raised."""
    with _lock:  # one line for all threads: a request's thread ends with it, and a new line each would cost more
        _line().send(messages)
