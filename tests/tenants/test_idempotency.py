"""A call that is sent twice happens once."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from console import idempotency
from console.tenants.models import IdempotencyRecord, ServiceAccount
from console.tenants.scopes import system_scope
from tests.tenants import urls
from tests.world import Api

pytestmark = pytest.mark.urls("tests.tenants.urls")


def names(house):
    with house.scope():
        return sorted(ServiceAccount.objects.values_list("name", flat=True))


def test_the_same_call_again_is_answered_with_the_first_answer(world):
    api = world.northwind.operator.api
    first = api.post("/api/v1/things", {"name": "once"}, key="k1")
    again = api.post("/api/v1/things", {"name": "once"}, key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again["Content-Type"] == first["Content-Type"]
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert names(world.northwind) == ["once"]
    with world.northwind.scope():
        (record,) = IdempotencyRecord.objects.all()
        assert first.content not in bytes(record.sealed_response)


@pytest.mark.parametrize("other", [("/api/v1/things", {"name": "other"}), ("/api/v1/things?x=1", {"name": "once"})])
def test_the_same_key_for_another_call_is_422(world, other):
    api = world.northwind.operator.api
    api.post("/api/v1/things", {"name": "once"}, key="k1")
    answer = api.post(*other, key="k1")
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert "POST /api/v1/things" in answer.json()["detail"]
    assert names(world.northwind) == ["once"]


def test_a_key_is_the_callers_own(world):
    for member in (world.northwind.operator, world.northwind.admin, world.fabrikam.operator):
        answer = member.api.post("/api/v1/things", {"name": f"of {member.user.username}"}, key="k1")
        assert answer.status_code == 201
        assert "Idempotency-Replayed" not in answer
    assert len(names(world.northwind)) == 2
    assert len(names(world.fabrikam)) == 1


def test_without_a_key_or_on_a_reading_call_nothing_is_kept(world):
    api = world.northwind.operator.api
    api.post("/api/v1/things", {"name": "a"})
    api.client.get("/api/v1/who", headers={"Idempotency-Key": "k1"})
    with world.northwind.scope():
        assert not IdempotencyRecord.objects.exists()


def test_an_error_is_not_kept_and_the_call_may_be_sent_again(world):
    api = world.northwind.operator.api
    refused = {"name": "x", "then": "refuse"}
    assert [api.post("/api/v1/things", refused, key="k1").status_code for _ in range(2)] == [409, 409]
    assert api.post("/api/v1/things", {"name": "x"}, key="k1").status_code == 201
    assert names(world.northwind) == ["x"]


@pytest.mark.parametrize("key", ["x" * 201, "a\tb", "é"])
def test_a_key_that_makes_no_sense_is_422(world, key):
    answer = world.northwind.operator.api.post("/api/v1/things", {"name": "x"}, key=key)
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert names(world.northwind) == []


def test_a_body_over_the_limit_is_413(world, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert world.northwind.operator.api.post("/api/v1/things", {"name": "long enough"}, key="k").status_code == 413


def test_old_records_are_pruned(world):
    api = world.northwind.operator.api
    for name in ("old", "new"):
        api.post("/api/v1/things", {"name": name}, key=name)
    with world.northwind.scope():
        past = timezone.now() - idempotency.KEEP - timedelta(minutes=1)
        IdempotencyRecord.objects.filter(key="old").update(created_at=past)
    assert idempotency.prune() == 1
    with world.northwind.scope():
        assert [record.key for record in IdempotencyRecord.objects.all()] == ["new"]


class Caller(threading.Thread):
    """One call from a thread of its own, with a connection of its own."""

    def __init__(self, token, body, key):
        super().__init__(daemon=True)
        self.work = lambda: Api(token).post("/api/v1/things", body, key=key)
        self.start()

    def run(self):
        try:
            self.answer = self.work()
        finally:
            connection.close()

    def result(self):
        self.join(30)
        return self.answer


def wait_for_a_blocked_insert():
    deadline = time.monotonic() + 20
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO %%idempotency%%'",
                [],
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("the second call never waited for the first")


@pytest.fixture
def gate():
    urls.entered.clear()
    urls.release.clear()
    yield urls
    urls.release.set()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_happen_once(world, gate):
    token, body = world.northwind.operator.token, {"name": "once", "then": "wait"}
    first = Caller(token, body, "k1")
    assert gate.entered.wait(20)
    second = Caller(token, body, "k1")
    wait_for_a_blocked_insert()
    gate.release.set()
    answers = [first.result(), second.result()]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert answers[1]["Idempotency-Replayed"] == "true"
    assert names(world.northwind) == ["once"]


@pytest.mark.django_db(transaction=True)
def test_a_second_call_does_not_wait_for_ever(world, gate, monkeypatch):
    monkeypatch.setattr(idempotency, "WAIT_MS", 50)
    token, body = world.northwind.operator.token, {"name": "once", "then": "wait"}
    first = Caller(token, body, "k1")
    assert gate.entered.wait(20)
    answer = Api(token).post("/api/v1/things", body, key="k1")
    assert (answer.status_code, answer["Retry-After"]) == (409, "1")
    assert "in progress" in answer.json()["detail"]
    gate.release.set()
    assert first.result().status_code == 201
    with system_scope("a test"):
        assert IdempotencyRecord.objects.count() == 1
