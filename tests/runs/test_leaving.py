"""A process that leaves while the database is away ends no run by that."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import psycopg
import pytest

from console.durable.errors import Fenced
from console.runs import writer
from console.runs.writer import Entry, Writer


def test_what_cannot_be_written_any_more_is_given_up_and_fails_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> psycopg.Connection:
        raise psycopg.OperationalError("the database system is starting up")

    monkeypatch.setattr(writer, "connect", refuse)

    async def leave() -> None:
        made = Writer()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        made.submit(Entry(uuid4(), uuid4(), 1, "barrier", loop=loop, future=future))
        await asyncio.to_thread(made.close)
        # A JournalError would end the run as failed, as soon as the database is back.
        with pytest.raises(Fenced):
            await asyncio.wait_for(future, 30)

    asyncio.run(leave())
