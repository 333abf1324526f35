"""The demo's history, end to end and small: made in a copy of the database, put in its place, and right.

The commands are those that `up` runs, in processes of their own; only the copy is made by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from approvals import verify
from approvals.models import ApprovalRequest
from console.audit.models import AuditRecord
from console.demo import history, seed
from console.runs.models import TERMINAL, FeedEvent, Run, Step
from console.tenants.models import Tenant, User
from console.tenants.scopes import system_scope, tenant_scope
from console.up import places
from console.workflows.models import Workflow

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("SAYSO_TEST_SUPERUSER" not in os.environ, reason="copies a database of our own"),
]
URL = "http://127.0.0.1:9/v1"


def _url(name: str, role: str) -> str:
    at = connections["owner"].settings_dict
    return f"postgresql://{role}@/{name}?host={at['HOST'] or at['OPTIONS'].get('host')}"


def _tool(name: str) -> str:
    return str(places.installation(Path(sysconfig.get_path("platlib"))) / name)


@pytest.fixture
def plan(settings: Any, tmp_path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """What was planned for a small story, and the URL of the copy of this database in which it was made."""
    settings.DEMO_MODEL_URL = URL
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    seed.seed()
    superuser, name = os.environ["SAYSO_TEST_SUPERUSER"], str(connections["default"].settings_dict["NAME"])
    made, dump, file = f"{name}_history", tmp_path / "dump", tmp_path / "plan.json"
    with psycopg.connect(_url("postgres", superuser), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{made}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{made}" OWNER sayso_owner')
    # `up` copies it at once; here somebody who sweeps between tests is connected to it.
    subprocess.run([_tool("pg_dump"), "-Fc", "-f", dump, "-d", _url(name, superuser)], check=True)
    subprocess.run([_tool("pg_restore"), "--exit-on-error", "-d", _url(made, superuser), dump], check=True)
    urls = {"DATABASE_URL": _url(made, "sayso_app"), "SAYSO_OWNER_DATABASE_URL": _url(made, "sayso_owner")}
    env = {**os.environ, **urls, "SAYSO_DEMO_MODEL_URL": URL, "SAYSO_DATA": str(tmp_path / "data")}
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "demo_history", "make", "--plan", str(file)]
    done = subprocess.run([*command, "--scale", "0.08"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    yield json.loads(file.read_text()), urls["DATABASE_URL"]
    with psycopg.connect(_url("postgres", superuser), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{made}" WITH (FORCE)')


def test_a_small_history_is_placed_once_and_is_right(plan: tuple[dict[str, Any], str]) -> None:
    planned, url = plan
    with system_scope("a test looks"):
        assert not Run.objects.exists()  # nothing of it was seen here
        current = dict(Workflow.objects.values_list("pk", "current_id"))
    described = seed.describe()
    assert not history.made()
    many = history.place(planned, url)
    assert many == len(planned["runs"]) > 15 and history.made()
    assert history.place(planned, url) == 0  # never twice
    assert seed.describe() == described  # whom others rely on are who they were

    found = [fault for _, faults in verify.verify(payloads=True) for fault in faults]
    assert found == []
    now = timezone.now()
    with system_scope("a test looks"):
        assert set(Tenant.objects.values_list("slug", flat=True)) == {"northwind", "fabrikam", "contoso", "tailspin"}
        assert {pk: at for pk, at in Workflow.objects.values_list("pk", "current_id") if pk in current} == current
        runs = list(Run.objects.all())
        steps = list(Step.objects.all())
        requests = list(ApprovalRequest.objects.prefetch_related("votes", "sightings"))
        events = list(FeedEvent.objects.order_by("topic", "seq"))
        assert not AuditRecord.objects.filter(object_type__in=("run", "request"), detail__demo=None).exists()
    assert len(runs) == many and {run.status for run in runs} <= set(TERMINAL)
    by_run = {run.id: run for run in runs}
    begun = {one["run"]: one for one in planned["runs"]}
    for run in runs:
        assert run.metadata == {"demo": "history"} and run.ended_at is not None and run.started_at is not None
        assert run.created_at.isoformat() == begun[str(run.id)]["start"]
        assert run.created_at <= run.started_at <= run.ended_at < now
        # The wall time is made of what the totals say, give or take the looks of the maker.
        told = run.queue_s + run.active_s + run.waiting_s
        assert abs((run.ended_at - run.created_at).total_seconds() - told) < 5, run.stop_reason
    for step in steps:
        run = by_run[step.run_id]
        if step.inherited:
            continue
        assert (
            run.created_at <= step.started_at <= (step.ended_at or run.ended_at) <= run.ended_at + timedelta(seconds=1)
        )
        if step.kind == "model" and step.ended_at:
            assert (step.ended_at - step.started_at).total_seconds() < 60
    assert requests and all(request.status != "pending" for request in requests)
    for request in requests:
        end = by_run[request.run_id].ended_at
        if request.status == "moot":  # a run's end comes first, and what it leaves to nobody after it
            assert end is not None and end <= request.decided_at < end + timedelta(seconds=30)
        else:
            assert request.created_at <= request.decided_at <= end or request.verdict == "terminate"
        for vote in request.votes.all():
            assert request.created_at <= vote.at <= request.decided_at
        for seen in request.sightings.all():
            times = [each for each in (request.created_at, seen.shown_at, seen.opened_at, seen.read_at) if each]
            assert times == sorted(times)
    assert events and all(event.at < now for event in events)

    with system_scope("a test looks"):
        northwind = Tenant.objects.get(slug="northwind")
        plain = Tenant(slug="plain")
    with tenant_scope(northwind):
        assert history.has_demo_history(northwind) and not history.has_demo_history(plain)
    client = Client()
    client.force_login(User.objects.get(username="olga"))
    page = client.get("/runs/").content.decode()
    assert page.count(">demo</span>") > 2
    mine = next(run for run in runs if run.tenant_id == northwind.pk)
    assert ">demo</span>" in client.get(f"/runs/{mine.pk}/").content.decode()
