"""Telling a collector what runs did: a round every two seconds in some worker, by a position in Postgres.

One process tells at a time, under a lease with a token. What was taken is kept in the same transaction as the lease is
checked; a process that dies between a send and that tells the same spans again, with the same ids. Nothing waits in
memory: while a collector is away the position stands still, for a day at most, and no run notices.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from django.db import DatabaseError, connection

from console.tenants.scopes import system_scope
from telemetry.outwards import reading, trees
from telemetry.outwards.reading import Due
from telemetry.outwards.trees import Span, Tree

log = logging.getLogger(__name__)

NAME = "spans"
BATCH = 50  # runs that are read and sent at once
BATCHES = 20  # in a round
LEASE = timedelta(seconds=30)
# A transaction is committed after the time that it wrote: what was written longer ago than this is there to be seen.
LATE = timedelta(seconds=60)
OLDEST = timedelta(days=1)  # what a collector has not taken for so long it is not told any more
KEPT = timedelta(hours=1)
SAY_EVERY = 60.0  # seconds between two lines about the same trouble


class Collector(Protocol):
    """Where spans go."""

    def send(self, spans: list[Span]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Held:
    """The right to tell, and from when on."""

    token: int
    at: datetime


class Teller:
    """One process's teller. ``taken`` hears of each tree that the collector has, ``within`` runs database work, and
    ``samples`` says which traces are wanted where nobody decided that when they began."""

    def __init__(
        self,
        collector: Collector,
        taken: Callable[[Tree], None] = lambda tree: None,
        within: Callable[[Callable[[], Any]], Any] = lambda work: work(),
        samples: Callable[[str], bool] = lambda trace_id: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collector = collector
        self._taken = taken
        self._within = within
        self._samples = samples
        self._clock = clock
        self._said = -SAY_EVERY
        self.contents = os.environ.get("SAYSO_OTEL_CONTENT", "") == "1"

    def round(self) -> int:
        """Tell what there is to tell; how many runs. 0 where another process does, or the collector is away."""
        held: Held | None = self._within(_take)
        if held is None:
            return 0
        done = 0
        try:
            for _ in range(BATCHES):
                some, more = self._batch(held)
                done += some
                if not more:
                    break
        finally:
            self._within(lambda: _leave(held))
        return done

    def _batch(self, held: Held) -> tuple[int, bool]:
        """How many runs were told, and whether there are more."""
        now, found = self._within(lambda: _due(held))
        told: list[tuple[Due, Tree]] = [self._within(partial(self._read, due)) for due in found]
        spans = [span for _, tree in told for span in tree.spans]
        if spans and not self._collector.send(spans):
            self._say("the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes no spans; what it has not is told later")
            return 0, False
        more = len(found) == BATCH
        at = found[-1].moment if more else now  # as it was due, not as it was told
        if not self._within(lambda: _keep(held, told, at)):
            log.info("another process tells the collector now")
            return 0, False
        for _, tree in told:
            self._taken(tree)
        return len(told), more

    def _read(self, due: Due) -> tuple[Due, Tree]:
        """A run that cannot be read is left out, so that it does not stand before all others."""
        nothing = Tree([], due.through)
        try:
            with system_scope("telling a collector: a run"):
                facts = reading.facts(due.run_id, self.contents)
            if facts is None:
                return due, nothing
            if facts.ended_at is not None:  # meanwhile, perhaps: then all of it is told now, and not again
                due = replace(due, moment=max(due.moment, facts.ended_at), ended=True)
            origin = facts.origin
            wanted = self._samples(origin.trace_id) if origin.asked is None else origin.sampled
            return due, trees.tree(facts, due.through) if wanted else nothing
        except DatabaseError:
            raise
        except Exception:
            log.exception("run %s cannot be told to a collector", due.run_id)
            return due, nothing

    def _say(self, what: str) -> None:
        if self._clock() - self._said >= SAY_EVERY:
            self._said = self._clock()
            log.warning(what)


def _take() -> Held | None:
    """The lease, where nobody has it. The very first begins with what happens from now on."""
    with system_scope("telling a collector: the lease"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO outwards_position (name, at, token, leased_until)"
            " VALUES (%s, clock_timestamp(), 0, clock_timestamp()) ON CONFLICT (name) DO NOTHING",
            [NAME],
        )
        cursor.execute(
            "UPDATE outwards_position SET token = token + 1, leased_until = clock_timestamp() + %s"
            # One that ends later than any can is nobody's: the clock was set back.
            " WHERE name = %s AND (leased_until <= clock_timestamp() OR leased_until > clock_timestamp() + %s)"
            " RETURNING token, at, clock_timestamp() - at",
            [LEASE, NAME, 2 * LEASE],
        )
        row = cursor.fetchone()
        if row is None:
            return None
        token, at, behind = row
        if behind > OLDEST:
            log.warning(
                "what happened until %s is not told to a collector any more: it was away for too long", at + behind
            )
            cursor.execute("UPDATE outwards_position SET at = clock_timestamp() WHERE name = %s RETURNING at", [NAME])
            at = cursor.fetchone()[0]
        return Held(token, at)


def _due(held: Held) -> tuple[datetime, list[Due]]:
    """The time, and what is due since the position."""
    with system_scope("telling a collector: what is due"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outwards_position SET leased_until = clock_timestamp() + %s WHERE name = %s AND token = %s"
            " RETURNING clock_timestamp(), at",
            [LEASE, NAME, held.token],
        )
        row = cursor.fetchone()
        if row is None:
            return held.at, []
        now, at = row
        return now, reading.due(at - LATE, BATCH)


def _keep(held: Held, told: list[tuple[Due, Tree]], at: datetime) -> bool:
    """Keep what was taken. False: the lease is another's, who has told, or will tell, the same."""
    with system_scope("telling a collector: what was told"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outwards_position SET at = GREATEST(at, %s), leased_until = clock_timestamp() + %s"
            " WHERE name = %s AND token = %s",
            [at, LEASE, NAME, held.token],
        )
        if not cursor.rowcount:
            return False
        if told:
            cursor.executemany(
                "INSERT INTO outwards_told (tenant_id, run_id, through, moment, ended) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (tenant_id, run_id) DO UPDATE SET through = EXCLUDED.through, moment = EXCLUDED.moment,"
                " ended = EXCLUDED.ended",
                [(due.tenant_id, due.run_id, tree.through, due.moment, due.ended) for due, tree in told],
            )
        cursor.execute("DELETE FROM outwards_told WHERE ended AND moment < %s", [at - LATE - KEPT])
        return True


def _leave(held: Held) -> None:
    with system_scope("telling a collector: the lease"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outwards_position SET leased_until = clock_timestamp() WHERE name = %s AND token = %s",
            [NAME, held.token],
        )
