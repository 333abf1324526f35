"""What pages and calls answer when a store is gone or a disk is full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import redis
from django.db import DatabaseError, OperationalError, ProgrammingError, connections
from django.test import Client
from django.utils import timezone

from console import outage
from console.runs import actions, admission
from console.runs.models import Run
from console.tenants.scopes import system_scope
from tests.approvals.desk import make_desk
from tests.world import World


def caused(kind: type[DatabaseError], cause: psycopg.Error) -> DatabaseError:
    try:
        raise kind(str(cause)) from cause
    except DatabaseError as error:
        return error


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (OperationalError("connection refused"), outage.AWAY),
        (OperationalError("couldn't get a connection after 10.00 sec"), outage.AWAY),
        (caused(OperationalError, psycopg.errors.AdminShutdown("terminating connection")), outage.AWAY),
        (caused(OperationalError, psycopg.errors.TooManyConnections("sorry, too many clients already")), outage.AWAY),
        (caused(DatabaseError, psycopg.errors.ReadOnlySqlTransaction("read-only")), outage.AWAY),
        (caused(OperationalError, psycopg.errors.DiskFull("could not extend file")), outage.FULL),
        (OperationalError('could not write to "pg_wal": No space left on device'), outage.FULL),
        (caused(OperationalError, psycopg.errors.LockNotAvailable("lock timeout")), None),
        (ProgrammingError("no such table"), None),
        (ValueError("no such thing"), None),
        (None, None),
    ],
)
def test_an_outage_is_told_from_a_fault(error: BaseException | None, found: outage.Outage | None) -> None:
    assert outage.outage_of(error) is found


def test_an_outage_behind_another_exception_is_one() -> None:
    try:
        try:
            raise OperationalError("gone")
        except OperationalError as error:
            raise RuntimeError("the view failed") from error
    except RuntimeError as error:
        assert outage.outage_of(error) is outage.AWAY
    try:
        try:
            raise OperationalError("gone")
        except OperationalError:
            raise RuntimeError("handled, and something else went wrong") from None
    except RuntimeError as error:
        assert outage.outage_of(error) is None


@pytest.fixture
def gone(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The cast, with a database that nobody reaches any more."""
    client, api = world.northwind.operator.client, world.northwind.operator.api
    assert client.get("/runs/").status_code == 200 and api.get("/api/v1/runs").status_code == 200
    connection = connections["default"]
    connection.close()
    before = connection.settings_dict["HOST"]
    connection.settings_dict["HOST"] = "/nowhere-at-all"
    outage._told.clear()
    yield world
    connection.settings_dict["HOST"] = before
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_without_a_database_every_page_says_so(gone: World) -> None:
    client = gone.northwind.operator.client
    client.raise_request_exception = False
    for path in ("/queue/", "/runs/", "/people/", "/audit/", "/runs/new/"):
        page = client.get(path)
        assert (page.status_code, page.headers["Retry-After"]) == (503, "5"), path
        text = page.content.decode()
        assert "The database does not answer" in text and "Traceback" not in text and "nowhere-at-all" not in text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    sent = client.post("/runs/new/", {"workflow": "refund-desk", "input": "x"})
    assert sent.status_code == 503 and "look at it again before you repeat it" in sent.content.decode()
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/readyz").status_code == 503


@pytest.mark.django_db(transaction=True)
def test_without_a_database_every_call_answers_a_problem(gone: World) -> None:
    api = gone.northwind.operator.api
    for answer in (api.get("/api/v1/runs"), api.post("/api/v1/runs", {"workflow": "w", "input": "x"}, key="k")):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["title"] == "The database does not answer" and "nowhere" not in answer.content.decode()
    assert "Idempotency-Key" in answer.json()["detail"]


def test_a_full_disk_is_named_and_leaves_nothing_half_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk(world.northwind)
    start = actions.feed.publish

    def full(*given: Any, **more: Any) -> Any:
        start(*given, **more)  # after the run has been written
        raise OperationalError("could not extend file") from psycopg.errors.DiskFull("could not extend file")

    monkeypatch.setattr("console.runs.feed.publish", full)
    client = world.northwind.operator.client
    client.raise_request_exception = False
    page = client.post("/runs/new/", {"workflow": desk.workflow.slug, "input": "Refund order A-17"})
    assert page.status_code == 507 and page.headers["Retry-After"] == "60"
    assert "The disk of the database is full" in page.content.decode() and "was not taken" in page.content.decode()
    answer = world.northwind.operator.api.post("/api/v1/runs", {"workflow": desk.workflow.slug, "input": "x"})
    assert answer.status_code == 507 and answer.json()["title"] == "The disk of the database is full"
    with system_scope("a test"):
        assert not Run.objects.exists()


def test_another_fault_stays_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: Any, **more: Any) -> Any:
        raise ValueError("a fault of ours")

    monkeypatch.setattr("console.runs.pages._counts", wrong)
    client = world.northwind.operator.client
    client.raise_request_exception = False
    page = client.get("/runs/")
    assert page.status_code == 500 and "This is our fault" in page.content.decode()
    monkeypatch.setattr("console.tenants.middleware.tokens.token_scope", wrong)
    answer = world.northwind.operator.api.get("/api/v1/runs")
    assert answer.status_code == 500 and json.loads(answer.content)["title"] == "Server error"


def test_an_outage_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch, rf: Any) -> None:
    said: list[str] = []
    monkeypatch.setattr(outage.log, "error", lambda name, **more: said.append(name))
    now = [1000.0]
    monkeypatch.setattr(outage.time, "monotonic", lambda: now[0])
    outage._told.clear()
    for _ in range(5):
        outage.answer(outage.FULL, True, rf.get("/api/v1/runs"))
    now[0] += 61
    outage.answer(outage.FULL, True, rf.get("/api/v1/runs"))
    assert said == ["disk_full", "disk_full"]


def test_without_valkey_pages_work_and_say_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        def ping(self) -> bool:
            raise redis.ConnectionError("gone")

    client = world.northwind.operator.client
    monkeypatch.setattr(outage, "_looked", (-outage.LOOK_EVERY, True))
    assert "Live updates are off" not in client.get("/runs/").content.decode()
    monkeypatch.setattr(outage, "_client", Dead)
    monkeypatch.setattr(outage, "_looked", (-outage.LOOK_EVERY, True))
    page = client.get("/runs/")
    assert page.status_code == 200 and "Live updates are off" in page.content.decode()


def test_a_queue_that_waits_long_is_spoken_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.runs.wakeups.send", lambda *given, **more: True)
    desk = make_desk(world.northwind)
    runs = [desk.start(), desk.start()]
    client = world.northwind.operator.client
    assert "for a worker" not in client.get("/runs/").content.decode()
    with desk.house.scope():
        Run.objects.filter(pk=runs[0].pk).update(ready_at=timezone.now() - timedelta(minutes=3))
    for path in ("/runs/", "/runs/new/"):
        text = client.get(path).content.decode()
        assert "2 runs wait for a worker, the longest for" in text and "3 min" in text, path
    other = world.fabrikam.operator.client.get("/runs/").content.decode()
    assert "for a worker" not in other


def test_a_refused_start_says_when_to_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_limit(tenant: Any) -> None:
        raise admission.AtLimit("500 runs are at work.", 5)

    desk = make_desk(world.northwind)
    monkeypatch.setattr("console.runs.admission.check", at_limit)
    page = world.northwind.operator.client.post("/runs/new/", {"workflow": desk.workflow.slug, "input": "x"})
    assert (page.status_code, page.headers["Retry-After"]) == (429, "5")
    answer = world.northwind.operator.api.post("/api/v1/runs", {"workflow": desk.workflow.slug, "input": "x"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
