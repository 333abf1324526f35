"""A backup of a database in which a run waits, restored elsewhere with the same keys: decided there, the run goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from approvals.verify import verify
from console.runs.models import Run
from console.tenants import crypto
from console.tenants.scopes import tenant_scope
from console.up.stores import SUPERUSER, Postgres
from tests.runs.conftest import house  # noqa: F401 - the fixture
from tests.runs.test_host import Desk, desk  # noqa: F401 - the fixture

pytestmark = pytest.mark.skipif("SAYSO_TEST_SUPERUSER" not in os.environ, reason="needs a Postgres of our own")


@pytest.mark.django_db(transaction=True)
def test_a_run_that_waited_in_a_backup_goes_on_where_it_is_restored(desk: Desk, tmp_path: Path) -> None:  # noqa: F811
    run = desk.becomes(desk.start(turns=1, gate=True), "waiting")
    settings = connections["default"].settings_dict
    tools = Postgres(tmp_path, Path(settings["HOST"])).bin
    login = ["-h", settings["HOST"], "-U", SUPERUSER]

    def call(tool: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(tools / tool), *login, *arguments], capture_output=True, text=True, env={"LC_ALL": "C"}
        )
        assert done.returncode == 0, done.stderr

    dump, name = str(tmp_path / "backup"), settings["NAME"]
    call("pg_dump", "-Fc", "-f", dump, name)
    restored = f"{name}_restored"
    call("createdb", "-O", "sayso_owner", restored)
    try:
        call("pg_restore", "--exit-on-error", "-d", restored, dump)
        # What happened after the backup is not in it: here, all of it is thrown away.
        with tenant_scope(desk.house.tenant):
            Run.objects.filter(pk=run.pk).update(title="later than the backup")
        desk.deaf = True
        assert desk.host.close()
        _move(settings, restored)
        crypto.forget()
        assert desk.house.run(run).title != "later than the backup"
        desk.decide(desk.pending(run)[0])
        host = type(desk.host)("restored")
        host.start()
        host.admit(str(run.pk), resume=True)
        assert desk.becomes(run, "completed", "failed").status == "completed"
        assert host.close() and len(desk.done()) == 1
        assert [faults for _, faults in verify(payloads=True)] == [[]]
    finally:
        _move(settings, name)
        with psycopg.connect(host=settings["HOST"], user=SUPERUSER, dbname="postgres", autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{restored}" WITH (FORCE)')


def _move(settings: dict[str, Any], name: str) -> None:
    connections["default"].close()
    settings["NAME"] = name
