"""/metrics: who may read it, what it says, and that it says what it can while a store is away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from console import requests
from console.health import HEARTBEATS
from console.runs import feed
from console.runs.models import Run
from console.tenants.scopes import system_scope
from telemetry.outwards import exposition, gauges
from telemetry.outwards.exposition import Kept
from telemetry.outwards.models import Ended
from tests.runs.conftest import make_house
from tests.telemetry import rolled

TOKEN = "a token of a monitor"  # noqa: S105


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "kept", Kept(gauges.measure))
    monkeypatch.setattr(requests, "timings", timings := requests.Timings())
    monkeypatch.setattr(exposition, "timings", timings)
    monkeypatch.setattr("console.runs.wakeups.send", lambda run_id, *, resume, queue="": True)
    client = feed.redis_client()
    for key in list(client.scan_iter(HEARTBEATS)):  # of the workers of tests before
        client.delete(key)


def scrape(**headers: str) -> dict[str, Any]:
    """Every sample by (name, labels as text)."""
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.content
    found = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            key = sample.name + "{" + ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items())) + "}"
            assert key not in found, "a sample is there twice"
            found[key] = sample.value
    return found


def end(run: Run, ago: int, reason: str = "completed", status: str = "completed") -> None:
    with system_scope("test"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_run SET status = %s, stop_reason = %s, ended_at = clock_timestamp() - make_interval(secs => %s)"
            " WHERE id = %s",
            [status, reason, ago, run.pk],
        )


def test_it_counts_what_is_there(transactional_db: None) -> None:
    house = make_house()
    slug = house.tenant.slug
    end(house.start(), 500)
    end(house.start(), 1, "timeout", "failed")
    house.start()
    found = scrape()
    assert found["sayso_up{store=postgres}"] == found["sayso_up{store=valkey}"] == 1
    assert found[f"sayso_runs{{status=queued,tenant={slug}}}"] == 1
    assert found["sayso_queue_depth{queue=runs}"] == 1
    assert found[f"sayso_runs_ended_total{{status=completed,stop_reason=completed,tenant={slug}}}"] == 1
    assert found[f"sayso_runs_ended_total{{status=failed,stop_reason=timeout,tenant={slug}}}"] == 1
    assert found["sayso_workers{}"] == 0 and found["sayso_leases{state=held}"] == 0


def test_a_run_that_has_ended_is_counted_once_and_for_good(transactional_db: None) -> None:
    house = make_house()
    key = f"sayso_runs_ended_total{{status=completed,stop_reason=completed,tenant={house.tenant.slug}}}"
    end(house.start(), 500)
    end(house.start(), 10)
    for _ in range(3):
        exposition.kept = Kept(gauges.measure)
        assert scrape()[key] == 2
    with system_scope("test"), connection.cursor() as cursor:
        assert Ended.objects.get().many == 1  # the other may have company that is not to be seen yet
        cursor.execute(
            "UPDATE outwards_position SET at = at - interval '10 minutes'; UPDATE outwards_ended SET many = 0"
        )
    exposition.kept = Kept(gauges.measure)
    assert scrape()[key] == 2


def test_days_that_nobody_counted_come_from_the_rollups_and_their_runs_are_not_looked_at(
    transactional_db: None,
) -> None:
    house = make_house()
    key = f"sayso_runs_ended_total{{status=completed,stop_reason=completed,tenant={house.tenant.slug}}}"
    bad = f"sayso_runs_ended_total{{status=failed,stop_reason=timeout,tenant={house.tenant.slug}}}"
    now = timezone.now()
    for days in (3, 40, 400):
        rolled.runs(house.tenant.id, now - timedelta(days=days), "completed", 1_000)
    rolled.runs(house.tenant.id, now - timedelta(days=3), "timeout", 7)
    rolled.runs(house.tenant.id, now, "completed", 50)  # of a day that is counted run by run
    end(house.start(), 3 * 86_400)  # in the rollups, as far as this knows
    end(house.start(), 3_600)
    for _ in range(2):
        exposition.kept = Kept(gauges.measure)
        found = scrape()
        assert (found[key], found[bad]) == (3_001, 7)
    with system_scope("test"), connection.cursor() as cursor:
        cursor.execute("UPDATE outwards_position SET at = at - interval '10 days' WHERE name = 'ended'")
    exposition.kept = Kept(gauges.measure)
    assert scrape()[key] == 3_001 + 1_000 + 1  # nobody scraped for ten days: what ended in them


def test_a_scrape_is_a_fixed_number_of_statements_and_given_again_for_seconds(transactional_db: None) -> None:
    scrape()
    counts = []
    for _ in range(2):
        make_house().start()
        exposition.kept = Kept(gauges.measure)
        with CaptureQueriesContext(connection) as asked:
            scrape()
        counts.append(len(asked))
        with CaptureQueriesContext(connection) as again:
            scrape()
        assert len(again) == 0
    assert counts[0] == counts[1] <= 14


def test_more_tenants_than_the_cap_are_others(transactional_db: None, settings: Any) -> None:
    settings.SAYSO_METRICS_TENANTS = 1
    big, small, smaller = make_house(), make_house(), make_house()
    for house in (big, big, small, smaller):
        house.start()
    found = scrape()
    assert found[f"sayso_runs{{status=queued,tenant={big.tenant.slug}}}"] == 2
    assert found["sayso_runs{status=queued,tenant=other}"] == 2
    assert not [key for key in found if small.tenant.slug in key]


def _away(*_: Any) -> None:
    raise OperationalError("connection refused for sayso_app at db.internal")


def test_without_postgres_it_says_so_and_the_rest(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "_count_ended", _away)
    found = scrape()
    assert found["sayso_up{store=postgres}"] == 0 and found["sayso_up{store=valkey}"] == 1
    assert "sayso_workers{}" in found and not [key for key in found if key.startswith("sayso_runs")]


def test_without_valkey_it_says_so_and_the_rest(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = redis.Redis(port=1, socket_timeout=0.1, socket_connect_timeout=0.1)
    monkeypatch.setattr(gauges, "_redis", lambda: nowhere)
    found = scrape()
    assert found["sayso_up{store=valkey}"] == 0 and "sayso_workers{}" not in found
    assert found["sayso_queue_depth{queue=runs}"] == 0


def test_requests_are_timed_by_route(transactional_db: None) -> None:
    Client().get("/healthz")
    Client().get("/no/such/place/")
    Client().get("/login/")
    found = scrape()
    assert found["sayso_http_request_duration_seconds_count{method=GET,route=/healthz,status=200}"] == 1
    assert found["sayso_http_request_duration_seconds_bucket{le=+Inf,method=GET,route=/login/,status=200}"] == 1
    assert not [key for key in found if "such" in key]


def test_kinds_of_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST", 3)
    timings = requests.Timings()
    for number in range(10):
        timings.note("BREW", f"/{number}", 200, 99.0)
    assert len(timings.all()) == 4
    counts, seconds = timings.all()["other", "", ""]
    assert counts[-1] == 7 and seconds == 7 * 99.0


# Who may


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_machine_may(transactional_db: None, address: str) -> None:
    assert Client(REMOTE_ADDR=address).get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("10.0.0.7", {}),
        ("", {}),
        ("nonsense", {}),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.7"}),
        ("10.0.0.7", {"Authorization": "Bearer something else"}),
        ("10.0.0.7", {"Authorization": "Bearer \u00e9"}),
        ("10.0.0.7", {"Authorization": "Bearer"}),
    ],
)
def test_others_are_told_what_they_need(settings: Any, address: str, headers: dict[str, str]) -> None:
    settings.SAYSO_METRICS_TOKEN = TOKEN
    answer = Client(REMOTE_ADDR=address).get("/metrics", headers=headers)
    assert answer.status_code == 403 and b"SAYSO_METRICS_TOKEN" in answer.content


def test_without_a_token_nobody_else_may(settings: Any) -> None:
    settings.SAYSO_METRICS_TOKEN = ""
    for given in ("Bearer ", "Bearer x", ""):
        assert Client(REMOTE_ADDR="10.0.0.7").get("/metrics", headers={"Authorization": given}).status_code == 403


def test_the_token_opens_it_from_anywhere(transactional_db: None, settings: Any) -> None:
    settings.SAYSO_METRICS_TOKEN = TOKEN
    far = Client(REMOTE_ADDR="10.0.0.7")
    answer = far.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "10.0.0.7"})
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    assert far.post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_openmetrics_where_it_is_asked_for(transactional_db: None) -> None:
    answer = Client().get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")
