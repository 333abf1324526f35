"""The books at the end: what the journals say was done, beside what the world counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from approvals.models import ApprovalRequest, RequestStatus
from console.bench.chaos import teams
from console.durable.run import REVIEW
from console.durable.steps import Step
from console.runs import record
from console.runs.models import TERMINAL, Run, RunStatus
from console.tenants.scopes import system_scope

Json = Any


@dataclass
class Books:
    """Counts, and everything that is wrong."""

    runs: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)  # by stop reason
    effects: dict[str, dict[str, int]] = field(default_factory=dict)  # by kind of tool
    requests: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, title: str, faults: Sequence[str]) -> None:
        """What is wrong with something."""
        self.faults += [f"{title}: {fault}" for fault in faults]


def unsettled(runs: Sequence[str]) -> list[str]:
    """Those of the runs that are neither at an end nor waiting for a person; with their state, for people."""
    with system_scope("bench: who is not at rest"):
        found = list(Run.objects.filter(pk__in=runs).exclude(status__in=TERMINAL).order_by("created_at"))
        asked = set(
            ApprovalRequest.objects.filter(run__in=runs, status=RequestStatus.PENDING).values_list("run_id", flat=True)
        )
    return [
        f"{run.pk} {run.status} token {run.token} lease {run.lease_until} owner {run.lease_owner!r} wake_at {run.wake_at}"
        for run in found
        if run.status != RunStatus.WAITING or run.pk not in asked
    ]


def close(runs: Sequence[str], deeds: Mapping[str, Json], verify: Callable[[str], list[str]]) -> Books:
    """Add it all up. ``deeds`` is what the world counted, ``verify`` says what is wrong with a run's journal."""
    books = Books()
    with system_scope("bench: the books are closed"):
        states = Counter(Run.objects.filter(pk__in=runs).values_list("status", flat=True))
        ends = Counter(Run.objects.filter(pk__in=runs, status__in=TERMINAL).values_list("stop_reason", flat=True))
        asked = ApprovalRequest.objects.filter(run__in=runs)
        books.requests = {
            "all": asked.count(),
            "decided": asked.filter(status=RequestStatus.DECIDED).count(),
            "moot": asked.filter(status=RequestStatus.MOOT).count(),
            "waiting": asked.filter(status=RequestStatus.PENDING).count(),
            "in_doubt": asked.filter(kind="in_doubt").count(),
            "in_doubt_decided": asked.filter(kind="in_doubt", status=RequestStatus.DECIDED).count(),
        }
    lost = unsettled(runs)
    books.add("lost", lost)
    books.runs = {
        "started": len(runs),
        "ended": sum(ends.values()),
        "waiting_for_a_person": sum(states.values()) - sum(ends.values()) - len(lost),
        "lost": len(lost),
    }
    books.ended = dict(sorted(ends.items()))
    if sum(states.values()) != len(runs):
        books.faults.append(f"{len(runs) - sum(states.values())} of the runs are not in the database")
    wanted: dict[str, list[tuple[str, Step, float | None]]] = {}
    for run in runs:
        books.add(f"run {run}", verify(run))
        for deed, step, amount in _deeds(run):
            wanted.setdefault(deed, []).append((run, step, amount))
    _count(books, wanted, deeds)
    return books


def _deeds(run: str) -> list[tuple[str, Step, float | None]]:
    """What a run did or may have done: the deed, its step, and the amount that was agreed on."""
    with system_scope("bench: the effects of a run"):
        steps = record.steps(run)
    reviews = {(step.scope, step.n): step.result or {} for step in steps if step.kind == "review"}
    found = []
    for step in steps:
        if step.kind != "tool" or step.name not in (teams.PAYING, teams.IDEMPOTENT) or _denied(step):
            continue
        arguments = (step.request or {}).get("arguments") or {}
        said = reviews.get((step.scope + REVIEW, step.n)) or {}
        if said.get("verdict") == "edit":
            arguments = said["arguments"]
        found.append((arguments["deed"], step, arguments["amount"]))
    return found


def _denied(step: Step) -> bool:
    return (step.verdict or {}).get("effect") == "deny"


def _count(books: Books, wanted: Mapping[str, list[tuple[str, Step, float | None]]], deeds: Mapping[str, Json]) -> None:
    for tool in (teams.PAYING, teams.IDEMPOTENT):
        mine = {deed: found for deed, found in wanted.items() if found[0][1].name == tool}
        counted = {deed: count for deed, count in deeds.items() if count["tool"] == tool}
        done = {deed for deed, count in counted.items() if count["done"]}
        repeated = {deed for deed, count in counted.items() if count["done"] > 1}
        recorded = {deed for deed, found in mine.items() if any(step.status == "done" for _, step, _ in found)}
        open_ = {deed for deed, found in mine.items() if any(step.settled is None for _, step, _ in found)}
        books.effects[teams.EFFECTS[tool]] = {
            "wanted": len(mine),
            "calls": sum(count["calls"] for count in counted.values()),
            "done": len(done),
            "repeated": len(repeated),
            "lost": len(recorded - done),
            "unasked": len(done - mine.keys()),
            "recorded_done": len(recorded),
            "outcome_open": len(open_ - recorded),
        }
        books.add("done more than once", [f"{deed}: {counted[deed]} {_where(mine.get(deed))}" for deed in repeated])
        books.add("recorded, and never done", [f"{deed}: {_where(mine[deed])}" for deed in recorded - done])
        books.add("done, and in no journal", sorted(done - mine.keys()))
        for deed in done & mine.keys():
            agreed = {amount for _, _, amount in mine[deed]}
            if not set(counted[deed]["amounts"]) <= agreed:
                books.faults.append(f"{deed} was done with {counted[deed]['amounts']}, agreed was {agreed}")


def _where(found: Sequence[tuple[str, Step, float | None]] | None) -> str:
    return ", ".join(f"run {run} step {step.seq} {step.status} key {step.key}" for run, step, _ in found or ())
