"""Transactions sent by libpq, and hints that nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
import redis
from django.conf import settings

from console.runs import batches, feed
from console.runs.hints import Hints
from console.runs.writer import connect
from console.tenants.scopes import tenant_scope
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = "INSERT INTO django_session (session_key, session_data, expire_date) VALUES ($1, $2, now())"
KEYS = "SELECT session_key FROM django_session WHERE session_key LIKE $1 ORDER BY 1"


@pytest.fixture
def line() -> Iterator[batches.Connection]:
    with connect() as connection:
        yield connection


def test_byte_strings_travel_as_an_array(line: batches.Connection) -> None:
    values = [b"", b"\x00\xff'{,\\", None, b"x" * 100_000]
    sql = "SELECT cardinality($1::bytea[]), encode(($1::bytea[])[2], 'hex'), ($1::bytea[])[3], length(($1::bytea[])[4])"
    assert batches.send(line, [(sql, [batches.blobs(values)])]) == [[(b"4", values[1].hex().encode(), None, b"100000")]]
    assert batches.send(line, [("SELECT cardinality($1::bytea[])", [batches.blobs([])])]) == [[(b"0",)]]


def test_a_transaction_is_all_or_nothing_and_the_line_goes_on(line: batches.Connection) -> None:
    def insert(key: bytes) -> batches.Statement:
        return INSERT, [key, b"data"]

    assert batches.send(line, [insert(b"batch-1"), (KEYS, [b"batch-%"])])[1] == [(b"batch-1",)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        batches.send(line, [insert(b"batch-2"), insert(b"batch-1"), insert(b"batch-3")])
    with pytest.raises(psycopg.errors.UndefinedTable):
        batches.send(line, [insert(b"batch-4"), ("SELECT 1 FROM nowhere", [])])
    assert batches.send(line, [insert(b"batch-5"), (KEYS, [b"batch-%"])])[1] == [(b"batch-1",), (b"batch-5",)]


def test_a_deferred_constraint_fails_the_commit(line: batches.Connection) -> None:
    statements: list[batches.Statement] = [
        ("CREATE TEMP TABLE pair (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)", []),
        ("SELECT 1", []),
    ]
    batches.send(line, statements)
    with pytest.raises(psycopg.errors.UniqueViolation):
        batches.send(line, [("INSERT INTO pair VALUES (1), (1)", [])])
    assert batches.send(line, [("SELECT count(*) FROM pair", [])]) == [[(b"0",)]]


def test_a_line_that_was_cut_is_closed(line: batches.Connection) -> None:
    with connect() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [line.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        batches.send(line, [("SELECT 1", [])])
    assert line.closed


def test_hints_call_again_when_redis_hung_up() -> None:
    client = feed.redis_client()
    hints = feed.hints()
    with client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe("test:hints")
        assert heard.get_message(timeout=5) is None  # the subscription itself
        hints.send([("test:hints", "one"), ("test:hints", "two")])
        client.client_kill_filter(_type="normal", skipme=True)
        hints.send([("test:hints", "three")])
        told = [heard.get_message(timeout=5) for _ in range(3)]
    hints.close()
    assert [message and message["data"] for message in told] == [b"one", b"two", b"three"]


def test_hints_call_as_often_as_redis_hangs_up() -> None:
    pool = redis.ConnectionPool.from_url(settings.REDIS_URL, max_connections=1)
    hints = Hints(pool)
    with feed.redis_client().pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe("test:hints")
        assert heard.get_message(timeout=5) is None  # the subscription itself
        told = []
        for number in ("one", "two", "three"):
            hints.send([("test:hints", number)])
            told.append(heard.get_message(timeout=5))
            hints.close()
    pool.disconnect()
    assert [message and message["data"] for message in told] == [b"one", b"two", b"three"]


def test_one_event_takes_the_next_number_of_each_topic(world: World) -> None:
    tenant = world.northwind.tenant
    run, queue = feed.run_topic(uuid4()), feed.queue_topic(tenant.id)
    with tenant_scope(tenant):
        assert feed.publish(tenant.id, queue, "note", {"text": "first"}) == 1
        assert feed.publish_to(tenant.id, [run, queue], "note", {"text": "both"}, index=3) == [1, 2]
        assert feed.publish_to(tenant.id, [queue, run], "note", {"text": "again"}) == [3, 2]
        told = [(event["seq"], event["index"], event["payload"]["text"]) for event in feed.read(queue)]
    assert told == [(1, None, "first"), (2, 3, "both"), (3, None, "again")]
