"""The Postgres journal does what every journal must, and what only many runs at once can show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from console.durable import Fenced, Journal
from console.durable.loop import Loop
from console.durable.steps import Step
from console.hosting.database import Database
from console.runs import actions, feed, record, told, writing
from console.runs.journal import PostgresJournal
from console.runs.models import FeedEvent, Run, StepPayload
from console.runs.told import step_payload
from console.runs.writer import Entry, JournalError, Writer, connect
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
        rows = list(FeedEvent.objects.filter(topic=feed.run_topic(journal.run_id), many__gt=1))
        said = [event["payload"] for event in feed.read(feed.run_topic(journal.run_id), kind="step")]
        kept = crypto.unseal_json(journal.tenant_id, "feed", bytes(rows[0].sealed))
    assert [(row.kind, row.index, row.many) for row in rows] == [("step", None, 2)]
    assert [each[:2] + each[3:] for each in kept] == [
        ["step", 1],
        ["step", None, {"seq": 1, "name": "as it was kept before"}],
    ]
    assert said == [step_payload(journal.steps[1]), {"seq": 1, "name": "as it was kept before"}]


def test_an_event_of_a_step_by_itself_keeps_nothing_but_its_number(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()

    async def tell() -> None:
        await journal.append(step(1))
        journal.tell("step", step_payload(journal.steps[1]), 1)
        await journal.flush()

    runner.run(tell())
    with system_scope("test"):
        (row,) = FeedEvent.objects.filter(topic=feed.run_topic(journal.run_id), kind="step")
        (said,) = feed.read(feed.run_topic(journal.run_id), kind="step")
    assert (row.index, row.many, bytes(row.sealed)) == (1, 1, b"")
    assert (said["index"], said["payload"]) == (1, step_payload(journal.steps[1]))


def _talk(journal: PostgresJournal, messages: int = 6, words: int = 1) -> None:
    """Of each message a step before it: 1, 0, 2, 1, ..."""
    for index in range(messages):
        journal.tell("step", {"seq": index + 1}, index + 1)
        journal.tell("message", {"index": index, "content": f"message {index}" * words}, index)


def test_what_is_told_within_a_moment_is_one_row_and_read_from_anywhere(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()
    topic = feed.run_topic(journal.run_id)

    async def tell() -> None:
        for seq in range(1, 7):
            await journal.append(step(seq, n=seq))
        _talk(journal)
        await journal.flush()

    runner.run(tell())
    with system_scope("test"):
        rows = FeedEvent.objects.filter(topic=topic)
        several = rows.get(many__gt=1)
        events = feed.events(topic)
        first = several.seq - 11
        assert (several.kind, several.index, several.many) == ("message", 5, 12)
        assert [event.seq for event in events] == list(range(1, several.seq + 1))
        assert [(event.kind, event.index) for event in events[first - 1 :]] == [
            (kind, index + (kind == "step")) for index in range(6) for kind in ("step", "message")
        ]
        assert all(event.at >= several.at for event in events[first - 1 :])
        for after in range(several.seq + 1):
            for limit in (1, 2, 5, 50):
                assert feed.events(topic, after, limit) == events[after : after + limit]
        said = [event for event in events if event.kind == "message"]
        assert [event.payload["content"] for event in said] == [f"message {index}" for index in range(6)]
        assert feed.events(topic, first + 3, 2, kind="message") == said[2:4]
        assert feed.events(topic, 0, 3, kind="step") == [event for event in events if event.kind == "step"][:3]
        messages = rows.filter(kind="message")
        assert told.messages(messages) == said and told.messages(messages, 2) == said[-2:]
        assert told.messages(messages, 3, until=said[1].at) == [event for event in said if event.at <= said[1].at][-3:]
        assert told.messages(messages, 3, until=several.at - timedelta(seconds=1)) == []


def test_a_row_of_the_feed_stays_small(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()

    async def tell() -> None:
        _talk(journal, 70, words=100)
        journal.tell("message", {"index": 70, "content": "x" * 100_000}, 70)
        journal.tell("message", {"index": 71}, 71)
        await journal.flush()

    runner.run(tell())
    with system_scope("test"):
        rows = list(FeedEvent.objects.filter(topic=feed.run_topic(journal.run_id)).order_by("seq"))
        events = feed.events(feed.run_topic(journal.run_id))
    assert [event.index for event in events if event.kind == "message"] == list(range(72))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert max(row.many for row in rows) <= told.MANY
    assert sorted(len(row.sealed) for row in rows)[-2] < told.LARGE + 2_000  # but for what is large by itself


@given(st.lists(st.tuples(st.sampled_from(["message", "step", "status"]), st.integers(0, 20_000)), max_size=150))
def test_rows_part_events_and_lose_none(given: list[tuple[str, int]]) -> None:
    at = datetime.now(UTC)
    drafts = [
        told.Draft(kind, None if kind == "status" else place, at, "x" * size)
        for place, (kind, size) in enumerate(given)
    ]
    rows = list(told.rows_of(drafts))
    assert [draft for row in rows for draft in row] == drafts and all(rows)
    for row in rows:
        assert len(row) <= told.MANY
        assert len(row) == 1 or sum(0 if each.refers else len(each.text) for each in row) <= told.LARGE
        places = [each.index for each in row if each.kind == "message"]
        assert told.heading(row) == (("message", places[-1]) if places else (row[0].kind, told.heading(row)[1]))


def test_a_message_that_was_written_among_others_is_not_told_again(desk: Desk, runner: asyncio.Runner) -> None:
    """As after a connection that died between the commit and its answer."""
    journal = desk.journal()

    async def tell() -> None:
        for index in range(4):
            journal.tell("message", {"index": index}, index)
        await journal.flush()

    runner.run(tell())

    def again(index: int) -> Entry:
        draft = told.Draft("message", index, datetime.now(UTC), "{}")
        return Entry(journal.run_id, journal.tenant_id, journal.token, "event", draft=draft)

    with connect() as line:
        assert [writing.is_written(line, again(index)) for index in range(6)] == [True] * 4 + [False] * 2


def test_a_row_that_is_refused_is_told_event_by_event(desk: Desk, runner: asyncio.Runner) -> None:
    journal = desk.journal()

    async def tell() -> None:
        journal.tell("message", {"index": 0}, 0)
        await journal.flush()
        journal.tell("message", {"index": 1}, 1)
        journal.tell("status", {"status": "running"})
        journal.tell("message", {"index": 0}, 0)  # there already: a row that ends with it is refused
        await journal.flush()

    runner.run(tell())
    with system_scope("test"):
        events = feed.events(feed.run_topic(journal.run_id))
    assert [(event.kind, event.index) for event in events][-3:] == [("message", 0), ("message", 1), ("status", None)]


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
