"""The broker's transport: messages are hints, taken once and kept nowhere."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection, Consumer, Queue

from console import broker
from console.celery import app
from console.runs import feed


@pytest.fixture
def queue() -> Iterator[Queue]:
    """A queue of this test's own, with four messages."""
    name = f"broker-{uuid4().hex[:8]}"
    found = Queue(name, routing_key=name)
    with app.connection_for_write() as connection:
        producer = connection.Producer()
        for number in range(4):
            producer.publish({"number": number}, routing_key=name, declare=[found])
    yield found
    feed.redis_client().delete(name)


def take(connection: Connection, queue: Queue, prefetch: int, until: int) -> list[Any]:
    """Consume until so many came, or none for a moment; nothing is acknowledged."""
    taken: list[Any] = []
    with Consumer(connection, [queue], callbacks=[lambda body, message: taken.append(message)]) as consumer:
        consumer.qos(prefetch_count=prefetch)
        with suppress(socket.timeout):
            while len(taken) < until:
                connection.drain_events(timeout=1)
    return taken


def test_what_is_taken_is_kept_nowhere(queue: Queue) -> None:
    redis = feed.redis_client()
    with app.connection_for_read() as connection:
        assert isinstance(connection.transport, broker.Transport)
        taken = take(connection, queue, 0, 4)
        assert [message.payload["number"] for message in taken] == [0, 1, 2, 3]
        assert redis.llen(queue.name) == 0 and not redis.exists("unacked", "unacked_index")
        taken[0].ack()
        taken[1].reject(requeue=True)  # a hint that nobody wants is forgotten
    assert redis.llen(queue.name) == 0  # and what was not looked at: the sweeper finds those runs


def test_a_process_takes_no_more_than_it_may_hold(queue: Queue) -> None:
    with app.connection_for_read() as connection:
        taken = take(connection, queue, 2, 3)
        assert len(taken) == 2 and feed.redis_client().llen(queue.name) == 2


def test_nothing_is_taken_while_the_tap_is_shut(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    tap = broker.Tap()
    monkeypatch.setattr(broker, "tap", tap)
    for _ in range(broker.AT_ONCE):
        tap.begin()
    with app.connection_for_read() as connection:
        assert take(connection, queue, 0, 1) == []
        for _ in range(broker.AT_ONCE // 2):
            assert tap.shut
            tap.end()
        assert len(take(connection, queue, 0, 4)) == 4


def test_a_tap_that_opens_wakes_the_hub() -> None:
    tap = broker.Tap()
    readers: list[tuple[Any, ...]] = []
    hub = SimpleNamespace(add_reader=lambda *given: readers.append(given))
    for _ in range(2):  # a connection, and the one after it
        tap.wakes(hub)
    [(here, read, *given), again] = readers
    assert again == readers[0]

    def awake() -> bool:
        return bool(select.select([here], [], [], 0)[0])

    for _ in range(broker.AT_ONCE):
        assert not tap.shut
        tap.begin()
    for _ in range(broker.AT_ONCE // 2):
        assert tap.shut and not awake()
        tap.end()
    assert awake() and not tap.shut
    read(*given)
    tap.end()
    assert not awake()  # it was open


def test_every_address_of_redis_means_this_transport() -> None:
    for url in ("redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "redis+socket:///tmp/none?virtual_host=2"):
        assert Connection(url).get_transport_cls() is broker.Transport


def test_short_commands_share_a_client() -> None:
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second and first is not channel.client
