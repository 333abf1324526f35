"""verify_runs over real journals: runs that a host has advanced, and then broken in the database."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from console.runs import verify as journals
from console.runs.models import Run
from console.tenants import crypto
from console.tenants.scopes import system_scope

from .test_host import Desk, desk  # noqa: F401 - the fixture

pytestmark = pytest.mark.django_db(transaction=True)


def verified(*arguments: str) -> tuple[dict[str, Any], int]:
    """What the command prints with --json, and its exit code."""
    said, code = io.StringIO(), 0
    try:
        call_command("verify_runs", "--json", *arguments, stdout=said)
    except SystemExit as end:
        code = int(end.code or 0)
    return json.loads(said.getvalue()), code


def broken(sql: str, *values: Any) -> None:
    with system_scope("a test breaks something"), connection.cursor() as cursor:
        cursor.execute(sql, values)
        assert cursor.rowcount == 1


@pytest.fixture
def paid(desk: Desk) -> Run:  # noqa: F811
    """A run whose two payments a person approved."""
    run = desk.start(turns=2, gate=True)
    for _ in range(2):
        desk.becomes(run, "waiting")
        desk.decide(desk.pending(run)[0])
        desk.becomes(run, "waiting", "completed")
    return desk.becomes(run, "completed")


def test_runs_that_were_advanced_are_valid(desk: Desk, paid: Run) -> None:  # noqa: F811
    waiting = desk.becomes(desk.start(turns=1, gate=True), "waiting")
    asked = desk.becomes(desk.start(turns=1, question=True), "waiting")
    assert verified("--payloads") == ({"runs": 3, "faults": 0, "found": []}, 0)
    assert verified("--run", str(waiting.pk))[0]["runs"] == 1
    assert verified("--tenant", desk.house.tenant.slug, "--since", "2020-01-01")[0]["runs"] == 3
    assert verified("--since", "2999-01-01T10:00Z")[0]["runs"] == 0
    broken("DELETE FROM approvals_approvalrequest WHERE run_id = %s", asked.pk)
    found, code = verified()
    assert code == 1 and {each["run"] for each in found["found"]} == {str(asked.pk)}
    said = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_runs", stdout=said)
    first, *_, last = said.getvalue().splitlines()
    assert first.startswith(f"BAD  run {asked.pk}: ") and last == f"3 runs checked, {found['faults']} faults"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE runs_step SET seq = 99 WHERE run_id = %s AND seq = 2", "has a hole"),
        ("UPDATE runs_step SET ended_at = NULL WHERE run_id = %s AND seq = 1", "its end is not in the journal"),
        ("DELETE FROM runs_step WHERE run_id = %s AND seq = 2", "no review of it is in the journal"),
        ("DELETE FROM runs_steppayload WHERE run_id = %s AND seq = 1", "has lost what it said"),
        ("UPDATE runs_run SET stop_reason = '' WHERE id = %s", "its stop reason is missing"),
        ("UPDATE runs_run SET lease_until = now(), lease_owner = 'w' WHERE id = %s", "holds a lease"),
        ("UPDATE approvals_approvalrequest SET verdict = 'reject' WHERE run_id = %s AND n = 1", "was not approved"),
        ("UPDATE approvals_approvalrequest SET digest = 'x' WHERE run_id = %s AND n = 1", "shows other arguments"),
        ("UPDATE approvals_approvalrequest SET approvers = 3 WHERE run_id = %s AND n = 1", "takes 3 people"),
        ("UPDATE approvals_approvalrequest SET status = 'pending' WHERE run_id = %s AND n = 1", "still asks people"),
    ],
)  # fmt: skip
def test_what_is_broken_in_the_database_is_found(paid: Run, sql: str, says: str) -> None:
    broken(sql, paid.pk)
    found, code = verified("--run", str(paid.pk))
    assert code == 1 and any(says in each["says"] for each in found["found"]), found


def test_what_is_sealed_is_opened_where_that_is_asked_for(paid: Run) -> None:
    with system_scope("a test"):
        other = crypto.seal_json(paid.tenant_id, "step.request", {"turn": 77})
    broken("UPDATE runs_steppayload SET request = %s WHERE run_id = %s AND seq = 4", other, paid.pk)
    assert verified()[1] == 0
    assert "holds another request" in verified("--payloads")[0]["found"][0]["says"]
    broken("UPDATE runs_steppayload SET request = %s WHERE run_id = %s AND seq = 4", b"garbage", paid.pk)
    assert "cannot be opened" in verified("--payloads")[0]["found"][0]["says"]


def test_an_approved_request_whose_contents_were_exchanged_is_found(paid: Run) -> None:
    with system_scope("a test"):
        other = crypto.seal_json(paid.tenant_id, "request", {"arguments": {"turn": 77}})
    broken("UPDATE approvals_approvalrequest SET sealed_request = %s WHERE run_id = %s AND n = 1", other, paid.pk)
    assert "than the approval binds" in verified("--payloads")[0]["found"][0]["says"]


def test_few_runs_are_read_at_once(desk: Desk, paid: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(journals, "AT_ONCE", 1)
    other = desk.becomes(desk.start(turns=1), "completed")
    batches = list(journals.batches())
    assert [[read.run.id for read in batch] for batch in batches] == [[one] for one in sorted([paid.pk, other.pk])]


def test_nonsense_is_refused(house: Any) -> None:
    for arguments, says in (
        (["--run", "x"], "no run's id"),
        (["--since", "lately"], "no time"),
        (["--tenant", "nobody"], "no tenant nobody"),
        (["--run", str(uuid4())], "no run"),
    ):
        with pytest.raises(CommandError, match=says):
            call_command("verify_runs", *arguments)
