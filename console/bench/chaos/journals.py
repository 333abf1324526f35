"""What must hold of every journal, and of what was seen of it before: ``verify(run_id)`` gives a run's faults."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from approvals import verify as verifying
from console.runs.models import TERMINAL
from console.tenants.scopes import system_scope

Json = Any


def verify(run_id: str) -> list[str]:
    """What is wrong with a run, its journal and its requests, as ``manage.py verify_runs --payloads`` has it."""
    return [fault.says for _, found in verifying.verify(UUID(run_id), payloads=True) for fault in found]


@dataclass
class Memory:
    """What was seen of settled steps and of ends: neither may ever change. Looks at a few runs at a time."""

    steps: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    ends: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    looks: int = 0

    def look(self, runs: Sequence[str], drawn: random.Random, most: int = 40) -> list[str]:
        """Remember what there is, and say what has changed. While the database is away there is nothing to see."""
        try:
            return self.compare(drawn.sample(list(runs), min(most, len(runs))))
        except (DatabaseError, InterfaceError):
            connection.close()
            return []

    def compare(self, runs: Sequence[str]) -> list[str]:
        """The same of these runs, and raises DatabaseError."""
        with system_scope("bench: journals are compared"), connection.cursor() as cursor:
            cursor.execute(_SETTLED, [list(runs)])
            steps = {(str(row[0]), row[1]): row[2:] for row in cursor.fetchall()}
            cursor.execute(_ENDS, [list(runs), list(TERMINAL)])
            ends = {str(row[0]): row[1:] for row in cursor.fetchall()}
        faults = [f"run {run}: step {seq} was settled as {self.steps[run, seq]} and is {now}"
                  for (run, seq), now in steps.items() if self.steps.get((run, seq), now) != now]  # fmt: skip
        faults += [
            f"run {run}: step {seq} is gone" for run, seq in self.steps if run in runs and (run, seq) not in steps
        ]
        faults += [f"run {run} had ended as {self.ends[run]} and is {ends.get(run)}"
                   for run in self.ends if run in runs and self.ends[run] != ends.get(run)]  # fmt: skip
        self.steps |= steps
        self.ends |= ends
        self.looks += 1
        return faults


_SETTLED = """
    SELECT s.run_id, s.seq, s.settled, s.scope, s.n, s.kind, s.status, s.digest, s.ended_at, s.token, md5(p.request),
           md5(p.result)
    FROM runs_step s JOIN runs_steppayload p USING (run_id, seq)
    WHERE s.run_id = ANY(%s::uuid[]) AND s.settled IS NOT NULL
"""
_ENDS = """
    SELECT id, status, stop_reason, stop_detail, ended_at, md5(sealed_result) FROM runs_run
    WHERE id = ANY(%s::uuid[]) AND status = ANY(%s)
"""
