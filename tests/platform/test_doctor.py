"""What the doctor finds, and that each finding says what helps."""

from __future__ import annotations

import io
import json
import time
from collections import namedtuple
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from approvals.models import ApprovalRequest
from console import doctoring, sweeper
from console.doctoring import findings, settings, stores, work
from console.doctoring.findings import Ailing, Finding
from console.runs.models import Run, Step
from console.tenants.scopes import system_scope
from tests.approvals.desk import Desk, make_desk, refund
from tests.world import World

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def desk(world: World, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("console.runs.wakeups.send", lambda *given, **more: True)
    return make_desk(world.northwind)


def ails(check: Any, says: str, remedy: str) -> None:
    (found,) = findings.examine({"it": check})
    assert not found.ok and says in found.says and remedy in found.remedy, found
    assert found.remedy.endswith(".")


def test_a_check_never_stops_another() -> None:
    def broken(error: Exception) -> Any:
        def check() -> str:
            raise error

        return check

    found = findings.examine(
        {
            "well": lambda: "all is well",
            "database": broken(OperationalError("no such socket\nand more")),
            "stuck": broken(OperationalError("no such socket")),
            "sweeper": broken(redis.ConnectionError("refused")),
            "mine": broken(Ailing("it hurts", "Rest.")),
            "odd": broken(LookupError("unknown")),
        }
    )
    assert found[0] == Finding("well", True, "all is well")
    assert found[1].says == "no such socket" and "DATABASE_URL" in found[1].remedy
    assert "DATABASE_URL" in found[2].remedy and "REDIS_URL" in found[3].remedy
    assert found[4] == Finding("mine", False, "it hurts", "Rest.") and found[5].remedy


def test_the_command_prints_remedies_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def hurts() -> str:
        raise Ailing("it hurts", "Rest.")

    checks = {"well": lambda: "all is well", "ill": hurts}
    monkeypatch.setattr("console.management.commands.doctor.CHECKS", checks)
    for arguments in ([], ["--json"]):
        said = io.StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("doctor", *arguments, stdout=said)
        assert end.value.code == 1
        if arguments:
            assert json.loads(said.getvalue()) == {
                "well": {"ok": True, "says": "all is well", "remedy": ""},
                "ill": {"ok": False, "says": "it hurts", "remedy": "Rest."},
            }
        else:
            assert "BAD  ill         it hurts\n                 Rest." in said.getvalue()
    checks.pop("ill")
    call_command("doctor", stdout=io.StringIO())


@pytest.mark.parametrize(
    ("url", "hosts", "https", "says"),
    [
        ("sayso", ["*"], True, "SAYSO_URL"),
        ("https://a.example", ["b.example"], True, "a.example of SAYSO_URL is refused"),
        ("https://a.example", ["*"], True, "allows any name"),
        ("http://a.example", ["a.example"], False, "without TLS"),
        ("https://a.example", ["a.example"], True, ""),
        ("http://127.0.0.1:8000", ["127.0.0.1"], False, ""),
        ("http://[::1]:8000", ["[::1]"], False, ""),
    ],
)
def test_addresses_that_nobody_should_use(settings: Any, url: str, hosts: list[str], https: bool, says: str) -> None:
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS, settings.HTTPS = url, hosts, https
    if says:
        ails(doctoring.CHECKS["settings"], says, ".")
    else:
        assert url in doctoring.CHECKS["settings"]()


def test_keys(settings: Any) -> None:
    assert doctoring.CHECKS["keys"]() == "both set"
    settings.SECRET_KEY = "insecure-x"
    ails(doctoring.CHECKS["keys"], "sessions end", "long random")
    settings.SAYSO_MASTER_KEY = ""
    ails(doctoring.CHECKS["keys"], "nothing sealed", "sealed with")


@pytest.mark.django_db(databases=["default", "owner"])
def test_migrations_of_a_newer_version_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.migrations() == "all applied"
    loader = "django.db.migrations.recorder.MigrationRecorder.applied_migrations"
    made = settings.MigrationExecutor(settings.connections["owner"]).loader
    known, [newest] = made.applied_migrations, made.graph.leaf_nodes("runs")
    monkeypatch.setattr(loader, lambda self: {**known, ("runs", "9999_later"): None})
    ails(settings.migrations, "migrations of runs", "newer version")
    monkeypatch.setattr(loader, lambda self: {key: known[key] for key in known if key != newest})
    ails(settings.migrations, "not applied", "migrate")


def test_versions_and_journals(desk: Desk) -> None:
    run = desk.start()
    assert "Postgres 18" in stores.versions() and "journal 1" in stores.versions()
    with system_scope("a test"):
        Run.objects.filter(pk=run.pk).update(autogen_version="0.7.4")
    assert "begun with AutoGen 0.7.4" in stores.versions()
    with system_scope("a test"):
        Run.objects.filter(pk=run.pk).update(journal_version=2)
    ails(stores.versions, "journals of version 2", "newer version")
    with system_scope("a test"):
        Run.objects.filter(pk=run.pk).update(status="completed")
    assert "journal 1" in stores.versions()


def test_the_clock(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stores.clock().endswith("from the database's")
    now = time.time
    monkeypatch.setattr(stores.time, "time", lambda: now() - 300)
    ails(stores.clock, "300.0 s behind", "chrony")
    monkeypatch.setattr(stores.time, "time", lambda: now() + 300)
    ails(stores.clock, "ahead of", "chrony")


def test_the_disk(db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("SAYSO_DATA", str(tmp_path))
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda place: Usage(10**12, 0, 5 * 10**11))
    assert "500 GB of 1.0 TB are free for the data directory" in stores.disk()
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda place: Usage(10**12, 0, 2 * 10**10))
    ails(stores.disk, "only 20 GB are free", "Make room")
    monkeypatch.delenv("SAYSO_DATA")
    assert stores.disk().startswith("the database has")


def test_the_age_of_queues(desk: Desk) -> None:
    assert work.age() == "0 requests wait for people"
    run = desk.start()
    desk.waiting(refund())
    assert work.age().startswith("runs: 1 ready, the oldest for 0 s; 1 requests wait")
    with system_scope("a test"):
        Run.objects.filter(pk=run.pk).update(ready_at=timezone.now() - timedelta(minutes=20))
    ails(work.age, "the oldest for 20 min", "more workers for runs")


@pytest.mark.django_db(transaction=True)
def test_the_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    work.feed.redis_client().delete(sweeper.SWEPT)
    ails(work.swept, "nothing has been swept lately", "beat")
    sweeper.sweep()
    assert work.swept() == "swept 0 s ago"
    now = time.time
    monkeypatch.setattr(work.time, "time", lambda: now() + 60)
    ails(work.swept, "for 60 s", "beat")


def test_runs_that_nothing_moves(desk: Desk) -> None:
    run, (request,) = desk.waiting(refund())
    assert work.stuck() == "no run is stuck"
    long_ago = timezone.now() - timedelta(hours=3)
    with system_scope("a test"):
        ApprovalRequest.objects.filter(pk=request.pk).update(status="moot")
        ails(work.stuck, "1 run is waiting, and neither", "verify_runs")
        running = Run.objects.filter(pk=run.pk)
        running.update(status="running", lease_until=long_ago)
        ails(work.stuck, "under a lease that ran out", "sweeper")
        running.update(lease_until=timezone.now() + timedelta(hours=1), limits={"tool_timeout": "PT10S"})
        Step.objects.create(
            tenant_id=run.tenant_id, run_id=run.pk, seq=1, scope="a", n=1, kind="tool", status="intent", safety="neither",
            digest="d", started_at=long_ago,
        )  # fmt: skip
        ails(work.stuck, "longer ago than its time limit", "log of its worker")
