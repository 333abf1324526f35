"""What must hold of every journal, and of what was seen of it before: ``verify(run_id)`` gives a run's faults."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from approvals.models import ApprovalRequest, RequestStatus
from console.durable.run import REVIEW
from console.durable.steps import Safety, Status, Step
from console.runs import record
from console.runs.models import TERMINAL, Run, RunStatus
from console.tenants.scopes import system_scope

Json = Any


def verify(run_id: UUID | str) -> list[str]:
    """The faults of one run's journal, each a sentence; none where all is well."""
    with system_scope("bench: a journal is verified"):
        run = Run.objects.get(pk=run_id)
        steps = record.steps(run_id)
        requests = list(ApprovalRequest.objects.filter(run=run_id).values_list("scope", "n", "status", "verdict"))
    return [*_dense(steps), *_gated(steps, requests), *_ended(run, requests)]


def _dense(steps: Sequence[Step]) -> list[str]:
    places = sorted(
        [step.seq for step in steps] + [step.settled for step in steps if step.settled not in (None, step.seq)]
    )
    if places != list(range(1, len(places) + 1)):
        return [f"its places are not dense: {places}"]
    faults = []
    for step in steps:
        where = f"step {step.seq} ({step.scope}#{step.n})"
        if step.settled is not None and step.settled < step.seq:
            faults.append(f"{where} was settled before it began")
        if (step.settled is None) != (step.status in (Status.INTENT, Status.IN_DOUBT)):
            faults.append(f"{where} is {step.status} and settled at {step.settled}")
    if len({(step.scope, step.n) for step in steps}) != len(steps):
        faults.append("two steps have the same identity")
    return faults


def _gated(steps: Sequence[Step], requests: Sequence[tuple[str, int, str, str]]) -> list[str]:
    """Whatever did something was allowed to, or a person agreed, and with the very same words as the journal has."""
    at = {(step.scope, step.n): step for step in steps}
    said = {(scope, n): (status, verdict) for scope, n, status, verdict in requests}
    faults = []
    for step in steps:
        if step.kind != "tool" or step.safety is Safety.READ_ONLY or step.inherited:
            continue
        if (step.verdict or {}).get("effect") == "deny" and step.status is Status.FAILED:
            continue
        review = at.get((step.scope + REVIEW, step.n))
        if review is None:
            if (step.verdict or {}).get("effect") != "allow":
                faults.append(f"step {step.seq} ({step.name}) was done without being allowed: {step.verdict}")
            continue
        verdict = (review.result or {}).get("verdict")
        if review.settled is None or verdict not in ("approve", "edit", "allow"):
            faults.append(f"step {step.seq} ({step.name}) was done, and its review says {verdict}")
        elif verdict != "allow" and not review.inherited:
            if said.get((review.scope, review.n)) != (RequestStatus.DECIDED, verdict):
                faults.append(f"step {step.seq} says {verdict}, its request {said.get((review.scope, review.n))}")
    return faults


def _ended(run: Run, requests: Sequence[tuple[str, int, str, str]]) -> list[str]:
    pending = [place for *place, status, _ in requests if status == RequestStatus.PENDING]
    faults = []
    if run.status in TERMINAL:
        if pending:
            faults.append(f"it has ended, and requests are pending: {pending}")
        if not run.stop_reason or run.ended_at is None or run.lease_until is not None:
            faults.append("it has ended without a reason or a time, or under a lease")
    elif run.status == RunStatus.WAITING and not pending and run.wake_at is None:
        faults.append("it waits, and nobody is asked")
    return faults


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
