"""A disk that fills: Postgres refuses what is written, by the statement or at the commit, for a while or for long.

Nothing is half-written, and what was under way goes on when there is space again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connections

from approvals import actions as approvals
from approvals.models import ApprovalRequest, Vote
from console.audit.models import AuditRecord
from console.hosting import advancing, database
from console.runs import feed, record
from console.runs.models import FeedEvent, Run
from console.runs.writer import Writer
from console.tenants.scopes import system_scope, tenant_scope

from . import scripted
from .conftest import House, join
from .turns import Worker, expire_lease, pending

FULL, READ_ONLY = "53100", "25006"  # no space; what hosted databases do before there is none
TABLES = ["runs_run", "runs_step", "runs_steppayload", "runs_feedtopic", "runs_feedevent", "approvals_approvalrequest",
          "approvals_vote", "audit_auditrecord"]  # fmt: skip


class Disk:
    """Has Postgres itself refuse writes to the journal's and the requests' tables."""

    def __init__(self) -> None:
        settings = connections["default"].settings_dict
        self._connection = psycopg.connect(
            dbname=settings["NAME"], user=os.environ["SAYSO_TEST_SUPERUSER"],
            host=settings["HOST"] or settings["OPTIONS"].get("host"), port=settings["PORT"] or None, autocommit=True,
        )  # fmt: skip
        self._connection.execute(_MAKE)
        for table in TABLES:
            self._connection.execute(
                f"CREATE TRIGGER test_full BEFORE INSERT OR UPDATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION test_full('statement')"
            )
        self._connection.execute(
            "CREATE CONSTRAINT TRIGGER test_full_commit AFTER INSERT OR UPDATE ON runs_step DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION test_full('commit')"
        )

    def fills(
        self, after: int = 0, writes: int = 1, code: str = FULL, when: str = "statement", table: str = "%"
    ) -> None:
        """Let ``after`` more writes (to a table) through, then refuse ``writes``."""
        self._connection.execute("SELECT setval('test_writes', 1, false)")
        self._connection.execute(
            "UPDATE test_disk SET first = %s, last = %s, code = %s, moment = %s, tables = %s",
            [after + 1, after + writes, code, when, table],
        )

    def frees(self) -> None:
        self.fills(0, 0)

    @property
    def refused(self) -> bool:
        """Whether it has come to a refusal since."""
        found = self._connection.execute(
            "SELECT is_called AND last_value >= first AND last >= first FROM test_writes, test_disk"
        ).fetchone()
        return bool(found and found[0])

    def close(self) -> None:
        self._connection.execute("DROP FUNCTION test_full CASCADE; DROP TABLE test_disk; DROP SEQUENCE test_writes")
        self._connection.close()


_MAKE = """
CREATE SEQUENCE test_writes;
CREATE TABLE test_disk (first bigint, last bigint, code text, moment text, tables text);
INSERT INTO test_disk VALUES (1, 0, '53100', 'statement', '%');
CREATE FUNCTION test_full() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE disk test_disk; number bigint;
BEGIN
    SELECT * INTO disk FROM test_disk;
    IF disk.moment = TG_ARGV[0] AND TG_TABLE_NAME LIKE disk.tables THEN
        number := nextval('test_writes');
        IF number BETWEEN disk.first AND disk.last THEN
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = disk.code;
        END IF;
    END IF;
    RETURN NULL;
END $$;
"""


@pytest.fixture
def disk(house: House) -> Iterator[Disk]:
    made = Disk()
    yield made
    made.close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Worker]:
    monkeypatch.setattr(advancing, "run_team", scripted.team)
    monkeypatch.setenv("SAYSO_TEST_EFFECTS", str(tmp_path / "effects"))
    advancing._revision.cache_clear()
    made = Worker("one")
    yield made
    made.close()


def done(run: Run) -> list[str]:
    """What the run did, as the other side counts."""
    try:
        with open(os.environ["SAYSO_TEST_EFFECTS"], encoding="utf-8") as file:
            return [line for line in file.read().splitlines() if str(run.pk) in line]
    except FileNotFoundError:
        return []


def rows(house: House) -> list[Any]:
    """All that a start or a decision would write."""
    with tenant_scope(house.tenant):
        return [
            list(model.objects.order_by("pk").values())
            for model in (Run, ApprovalRequest, Vote, AuditRecord, FeedEvent)
        ]


def each_write(house: House, disk: Disk, act: Callable[[], Any], code: str) -> int:
    """Do it with each of its writes refused, one after the other, and then undisturbed; returns how many there were."""
    before = rows(house)
    for after in range(40):
        disk.fills(after, code=code)
        try:
            act()
        except DatabaseError:
            assert rows(house) == before
        else:
            assert not disk.refused
            return after
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("code", [FULL, READ_ONLY])
def test_a_run_is_started_or_it_is_not(house: House, disk: Disk, sent: list[tuple[str, bool]], code: str) -> None:
    assert each_write(house, disk, house.start, code) >= 3
    assert len(sent) == 1


@pytest.mark.parametrize("verdict", ["approve", "reject", "terminate"])
def test_a_request_is_decided_or_it_is_not(
    house: House, disk: Disk, worker: Worker, sent: list[tuple[str, bool]], verdict: str
) -> None:
    house.revise(scripted.body_of(turns=1, gate=True))
    run, rita = house.start(), join(house.tenant)
    assert worker.advance(run.pk)
    (request,) = pending(run)
    sent.clear()

    def decide() -> None:
        with tenant_scope(house.tenant):
            approvals.decide(rita, request.pk, verdict, "no" if verdict != "approve" else "")

    assert each_write(house, disk, decide, FULL) >= 4
    assert len(sent) == (verdict != "terminate")
    worker.advance(run.pk)
    ended = {"approve": "completed", "reject": "completed", "terminate": "cancelled"}[verdict]
    assert house.run(run).status == ended and len(done(run)) == (verdict == "approve")


@pytest.mark.parametrize(("code", "when"), [(FULL, "statement"), (FULL, "commit"), (READ_ONLY, "statement")])
def test_a_run_goes_on_when_there_is_space_again(
    house: House, disk: Disk, worker: Worker, code: str, when: str
) -> None:
    house.revise(scripted.body_of(turns=1))
    calm = house.start()
    assert worker.advance(calm.pk)
    for after in range(40):
        run = house.start()
        disk.fills(after, 1, code, when)
        assert worker.advance(run.pk)
        found = house.run(run)
        assert (found.status, found.stop_reason) == ("completed", "completed"), after
        assert len(done(run)) == 1 and story(run) == story(calm), after
        if not disk.refused:
            break
    assert after >= (3 if when == "commit" else 8)


def test_a_turn_that_cannot_be_ended_for_long_is_taken_up_again(
    house: House, disk: Disk, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    house.revise(scripted.body_of(turns=1, gate=True))
    run, rita = house.start(), join(house.tenant)
    disk.fills(0, 10_000, table="approvals_approvalrequest")  # the journal has the gate, and nobody has heard of it
    with pytest.raises(DatabaseError):
        worker.advance(run.pk)
    assert house.run(run).status == "running" and not pending(run)
    disk.frees()
    expire_lease(run)
    assert worker.advance(run.pk)
    (request,) = pending(run)
    with tenant_scope(house.tenant):
        approvals.decide(rita, request.pk, "approve")
    assert worker.advance(run.pk)
    assert house.run(run).status == "completed" and len(done(run)) == 1


def test_a_worker_that_leaves_while_the_disk_is_full_fails_no_run(
    house: House, disk: Disk, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it could not write is not what can never be written."""
    house.revise(scripted.body_of(turns=1))
    run = house.start()
    written = Writer._write

    def leaving(writer: Writer, batch: Any) -> None:
        if any(entry.what == "settle" for entry in batch):
            disk.fills(0, 10_000)
            writer._closing.set()
        written(writer, batch)
        disk.frees()

    monkeypatch.setattr(Writer, "_write", leaving)
    worker.advance(run.pk)
    assert house.run(run).status == "running"  # until its lease has run out
    with system_scope("test"):
        assert [str(step.status) for step in record.steps(run.pk)] == ["done", "intent"]


def story(run: Run) -> Any:
    with system_scope("test"):
        steps = [(s.seq, s.settled, s.scope, s.n, s.status, s.digest, s.result) for s in record.steps(run.pk)]
        events = feed.read(feed.run_topic(run.pk), limit=1000)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    return steps, [event["payload"]["content"] for event in events if event["kind"] == "message"]
