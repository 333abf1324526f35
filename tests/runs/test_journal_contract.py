"""The Postgres journal does what every journal must, and what only many runs at once can show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import connection

from console.durable import Fenced, Journal
from console.durable.loop import Loop
from console.durable.steps import Step
from console.hosting.database import Database
from console.runs import actions, feed, record
from console.runs.journal import PostgresJournal
from console.runs.models import FeedEvent, Run, StepPayload
from console.runs.told import step_payload
from console.runs.writer import JournalError, Writer
from console.tenants import crypto
from console.tenants.scopes import system_scope
from tests.durable.contract import JournalContract, intent, step

from .conftest import House


@pytest.fixture
def writer() -> Iterator[Writer]:
    made = Writer()
    yield made
    made.close()


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database(2)
    yield made
    made.close()


class Desk:
    """Makes journals of runs."""

    def __init__(self, house: House, writer: Writer, database: Database) -> None:
        self.house, self.writer, self.database = house, writer, database

    def journal(self, run: Run | None = None) -> PostgresJournal:
        """A journal of a run under a new token, which every older one is stale against."""
        with system_scope("test"):
            run = run or self.house.start()
            Run.objects.filter(pk=run.pk, status="running").update(status="queued")
            claim = actions.claim(run.pk, "test")
            assert claim is not None
            crypto.warm(run.tenant_id)

        async def read() -> list[Step]:
            return await self.database.run(_read, run.id)

        return PostgresJournal(self.writer, run.id, run.tenant_id, claim.token, read)


def _read(run_id) -> list[Step]:
    with system_scope("test"):
        return record.steps(run_id)


@pytest.fixture
def desk(house: House, writer: Writer, database: Database) -> Desk:
    return Desk(house, writer, database)


class TestPostgresJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _desk(self, desk: Desk) -> None:
        self.desk = desk

    def make(self) -> Callable[[], Journal]:
        run = self.desk.house.start()
        return lambda: self.desk.journal(run)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=Loop) as made:
        yield made


def test_runs_that_write_at_once_share_commits(desk: Desk, runner: asyncio.Runner) -> None:
    journals = [desk.journal() for _ in range(20)]
    before = _commits()

    async def all_of_them() -> None:
        async def one(journal: PostgresJournal) -> None:
            for seq in range(1, 11):
                journal.tell("step", {"seq": seq})
                await journal.append(step(seq))
            await journal.flush()

        await asyncio.gather(*(one(journal) for journal in journals))

    runner.run(all_of_them())
    assert [len(_read(journal.run_id)) for journal in journals] == [10] * 20
    assert _commits() - before < 150  # of 200 steps and 20 flushes


def _commits() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_clear_snapshot(), xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        return int(cursor.fetchone()[1])


def test_one_stale_run_does_not_spoil_the_batch(desk: Desk, runner: asyncio.Runner) -> None:
    stale, good = desk.journal(), desk.journal()
    stale.token -= 1

    async def both() -> list[BaseException | None]:
        return await asyncio.gather(stale.append(step(1)), good.append(step(1)), return_exceptions=True)

    outcomes = runner.run(both())
    assert isinstance(outcomes[0], Fenced) and outcomes[1] is None
    assert _read(stale.run_id) == [] and len(_read(good.run_id)) == 1


def test_one_bad_row_does_not_spoil_the_batch(desk: Desk, runner: asyncio.Runner) -> None:
    journals = [desk.journal() for _ in range(4)]
    bad_scope = replace(step(1), scope="x" * 301)
    too_large = step(1, result="x" * (2 * record.PAYLOAD_LIMIT))
    taken = step(1)
    runner.run(journals[2].append(step(1, n=5)))

    async def all_of_them() -> list[BaseException | None]:
        return await asyncio.gather(
            journals[0].append(bad_scope),
            journals[1].append(too_large),
            journals[2].append(taken),
            journals[3].append(step(1)),
            return_exceptions=True,
        )

    wrong, large, fenced, fine = runner.run(all_of_them())
    assert isinstance(wrong, JournalError) and isinstance(large, JournalError) and "keeps at most" in str(large)
    assert isinstance(fenced, Fenced) and fine is None


def test_a_run_that_a_person_ended_takes_no_more_steps(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()
    with system_scope("test"):
        assert actions.finish(journal.run_id, None, "cancelled", "cancelled")
    with pytest.raises(Fenced):
        runner.run(journal.append(step(1)))


def test_facts_with_a_nul_are_kept_without_it(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()
    odd = step(1, name="a\x00b", attempts=[{"cause": "x\x00y"}], usage={"input_tokens": 1, "n\x00": 2})
    runner.run(journal.append(odd))
    (stored,) = _read(journal.run_id)
    assert stored.name == "a\ufffdb" and stored.attempts == [{"cause": "x\ufffdy"}]


def test_payload_is_sealed_and_facts_are_not(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()
    runner.run(journal.append(step(1, request={"iban": "DE02120300000000202051"}, result="secret words")))
    with system_scope("test"):
        row = StepPayload.objects.get(run_id=journal.run_id)
    assert b"DE0212" not in bytes(row.request) and b"secret" not in bytes(row.result)


def test_events_are_in_order_and_there_after_a_flush(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()

    async def tell() -> None:
        for index in range(5):
            journal.tell("message", {"index": index, "content": f"message {index}"}, index)
        await journal.append(step(1))
        journal.tell("step", {"seq": 1})
        await journal.flush()

    runner.run(tell())
    with system_scope("test"):
        events = feed.read(feed.run_topic(journal.run_id))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["payload"].get("index") for event in events if event["kind"] == "message"] == [0, 1, 2, 3, 4]
    assert events[-1]["kind"] == "step"


def test_an_event_of_a_step_is_its_number_and_the_journal_says_the_rest(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()

    async def tell() -> None:
        await journal.append(step(1, name="a long name of a model"))
        journal.tell("step", step_payload(journal.steps[1]), 1)
        journal.tell("step", {"seq": 1, "name": "as it was kept before"})
        await journal.flush()

    runner.run(tell())
    with system_scope("test"):
        rows = list(FeedEvent.objects.filter(topic=feed.run_topic(journal.run_id), kind="step").order_by("seq"))
        said = [event["payload"] for event in feed.read(feed.run_topic(journal.run_id), kind="step")]
    assert [len(row.sealed) > 0 for row in rows] == [False, True]
    assert said == [step_payload(journal.steps[1]), {"seq": 1, "name": "as it was kept before"}]


def test_a_message_is_told_once_however_often_it_is_written(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()

    async def tell() -> None:
        for _ in range(3):
            journal.tell("message", {"index": 0}, 0)
            await journal.flush()

    runner.run(tell())
    with system_scope("test"):
        assert len(feed.read(feed.run_topic(journal.run_id), kind="message")) == 1


def test_the_writer_survives_its_connection(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()
    runner.run(journal.append(step(1)))
    assert desk.writer._connection is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [desk.writer._connection.info.backend_pid])
        assert cursor.fetchone() == (True,)
    runner.run(journal.append(intent(2)))
    runner.run(journal.settle(replace(intent(2), status="done", settled=3, ended_at=datetime.now(UTC))))
    assert [each.seq for each in _read(journal.run_id)] == [1, 2]


def test_a_commit_whose_answer_was_lost_is_recognised(desk: Desk, runner: asyncio.Runner, writer: Writer) -> None:
    """The same entry again, as after a connection that died between commit and answer, is no stale token."""
    from console.runs import writing
    from console.runs.writer import Entry, connect

    journal = desk.journal()
    runner.run(journal.append(step(1)))
    entry = Entry(journal.run_id, journal.tenant_id, journal.token, "append", step(1))
    with connect() as own:
        assert writing.is_written(own, entry)
        assert not writing.is_written(own, replace(entry, token=journal.token - 1))
        assert not writing.is_written(own, replace(entry, step=step(2)))


def test_late_evidence_is_kept_once(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()
    runner.run(journal.append(intent(1)))
    journal.token -= 1
    late = replace(intent(1), status="done", settled=2, result={"paid": True}, ended_at=datetime.now(UTC))
    runner.run(journal.keep_late(late))
    runner.run(journal.keep_late(replace(late, result={"paid": False})))
    with system_scope("test"):
        row = StepPayload.objects.get(run_id=journal.run_id)
        kept = crypto.unseal_json(journal.tenant_id, "step.evidence", bytes(row.evidence))
    assert kept["result"] == {"paid": True}
