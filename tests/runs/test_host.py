"""A worker's host with real stores: from start to finish, and everything that comes in between."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from console import sweeper
from console.hosting import advancing
from console.hosting.host import Host
from console.runs import actions, feed, record
from console.runs.models import Run, Step
from console.tenants import crypto
from console.tenants.scopes import system_scope, tenant_scope

from . import scripted
from .conftest import House, join

PATIENCE = 20.0  # seconds until a test gives up waiting


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition; what it returned."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never came true: {condition}")


class Desk:
    """A house with a host, and wake-ups that go straight to it."""

    def __init__(self, house: House, host: Host, effects: Path) -> None:
        self.house, self.host, self.effects = house, host, effects
        self.deaf = False
        self.reviewer = join(house.tenant)

    def wake_up(self, run_id: Any, *, resume: bool, queue: str = "") -> bool:
        if not self.deaf:
            self.host.admit(str(run_id), resume)
        return True

    def start(self, **script: Any) -> Run:
        self.house.revise(scripted.body_of(**script))
        return self.house.start()

    def becomes(self, run: Run, *statuses: str) -> Run:
        def look() -> Run | None:
            found = self.house.run(run)
            return found if found.status in statuses else None

        return until(look)

    def pending(self, run: Run) -> list[ApprovalRequest]:
        with tenant_scope(self.house.tenant):
            return list(ApprovalRequest.objects.filter(run=run, status="pending").order_by("created_at"))

    def decide(self, request: ApprovalRequest, verdict: str = "approve", **words: Any) -> None:
        with tenant_scope(self.house.tenant):
            approvals.decide(self.reviewer, request.pk, verdict, **words)

    def events(self, run: Run, kind: str | None = None) -> list[dict[str, Any]]:
        with tenant_scope(self.house.tenant):
            return feed.read(feed.run_topic(run.pk), kind=kind, limit=5000)

    def done(self) -> list[str]:
        return self.effects.read_text().splitlines() if self.effects.exists() else []


@pytest.fixture
def desk(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    monkeypatch.setattr(advancing, "run_team", scripted.team)
    monkeypatch.setenv("SAYSO_TEST_EFFECTS", str(tmp_path / "effects"))
    advancing._revision.cache_clear()
    host = Host("test")
    desk = Desk(house, host, tmp_path / "effects")
    monkeypatch.setattr("console.runs.wakeups.send", desk.wake_up)
    host.start()
    yield desk
    assert host.close()


def test_a_run_goes_from_start_to_finish(desk: Desk) -> None:
    run = desk.becomes(desk.start(turns=2), "completed", "failed")
    assert (run.status, run.stop_reason, run.stop_detail) == ("completed", "completed", "the script ended")
    assert crypto.unseal_json(run.tenant_id, "run.result", bytes(run.sealed_result)) == "done after 2"
    assert (run.input_tokens, run.output_tokens, str(run.cost), run.unpriced_steps) == (20, 10, "0.002000", 0)
    assert run.model_s > 0 and run.tool_s > 0 and run.queue_s >= 0 and run.waiting_s == 0 and run.lease_until is None
    with tenant_scope(desk.house.tenant):
        steps = record.steps(run.id)
    assert [(step.scope, step.n, str(step.status)) for step in steps] == [
        ("agent/model", 1, "done"),
        ("agent/tools", 1, "done"),
        ("agent/model", 2, "done"),
        ("agent/tools", 2, "done"),
    ]
    messages = desk.events(run, "message")
    assert [message["index"] for message in messages] == [0, 1, 2, 3, 4]
    events = desk.events(run)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["payload"]["status"] for event in events if event["kind"] == "status"] == [
        "queued",
        "running",
        "completed",
    ]
    assert len(desk.done()) == 2


def test_a_turn_that_is_over_does_not_wait_for_the_collector(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[weakref.ref[object]] = []
    take = advancing.Turn.take

    def watched(turn: advancing.Turn) -> Any:
        kept.extend(map(weakref.ref, (turn, turn.journal, turn.gates)))
        return take(turn)

    monkeypatch.setattr(advancing.Turn, "take", watched)
    gc.collect()
    gc.disable()
    try:
        run = desk.becomes(desk.start(turns=1, gate=True), "waiting")
        until(lambda: [each() for each in kept] == [None] * 3)
        desk.decide(*desk.pending(run))
        desk.becomes(run, "completed", "failed")
        until(lambda: [each() for each in kept] == [None] * 6)
    finally:
        gc.enable()


def test_it_parks_at_a_gate_and_goes_on_when_decided(desk: Desk) -> None:
    run = desk.becomes(desk.start(turns=1, gate=True), "waiting")
    assert run.waiting_since is not None and run.lease_until is None and desk.host.live == 0
    (request,) = desk.pending(run)
    assert desk.done() == []
    desk.decide(request)
    run = desk.becomes(run, "completed", "failed")
    assert run.status == "completed" and run.waiting_s > 0 and len(desk.done()) == 1
    with tenant_scope(desk.house.tenant):
        assert [(step.scope, step.attempts) for step in record.steps(run.id)] == [
            ("agent/model", []),
            ("agent/tools/review", []),
            ("agent/tools", []),
        ]
    assert [message["index"] for message in desk.events(run, "message")] == [0, 1, 2]


def test_a_question_is_answered(desk: Desk) -> None:
    run = desk.becomes(desk.start(turns=0, question=True), "waiting")
    desk.decide(desk.pending(run)[0], "respond", answer="Yes, really.")
    run = desk.becomes(run, "completed")
    assert desk.events(run, "message")[-1]["payload"]["content"] == "Yes, really."


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ({"stop": "budget"}, "failed", "budget"),
        ({"stop": "model_error"}, "failed", "model_error"),
        ({"turns": 0, "raise": "no such thing"}, "failed", "invalid_input"),
        ({"turns": 1, "raise": "no such thing"}, "failed", "tool_error"),
    ],
)
def test_every_end_has_its_reason(desk: Desk, script: dict[str, Any], status: str, reason: str) -> None:
    run = desk.becomes(desk.start(**script), "failed", "completed", "cancelled")
    assert (run.status, run.stop_reason) == (status, reason) and run.stop_detail


def test_machine_time_is_limited_and_says_so(desk: Desk) -> None:
    desk.house.revise(scripted.body_of(sleep=60) | {"limits": {"run_timeout": "PT0.2S"}})
    run = desk.becomes(desk.house.start(), "failed", "completed", "cancelled")
    assert (run.status, run.stop_reason) == ("failed", "timeout") and "0.2 s" in run.stop_detail


def test_a_person_cancels_a_running_run(desk: Desk) -> None:
    run = desk.becomes(desk.start(sleep=60), "running")
    with tenant_scope(desk.house.tenant):
        approvals.cancel_run(desk.house.operator, desk.house.run(run))
    until(lambda: desk.host.live == 0)
    run = desk.house.run(run)
    assert (run.status, run.stop_reason) == ("cancelled", "cancelled")


def test_a_cancel_request_ends_a_running_run(desk: Desk) -> None:
    run = desk.becomes(desk.start(sleep=60), "running")
    until(lambda: desk.host.live == 1)
    with system_scope("test"):
        assert actions.request_cancel(run.id)
    assert desk.becomes(run, "cancelled").stop_reason == "cancelled"


def test_redelivery_is_harmless(desk: Desk) -> None:
    run = desk.start(turns=3, sleep=0.02)
    for _ in range(20):
        desk.host.admit(str(run.id), True)
    run = desk.becomes(run, "completed")
    for _ in range(5):
        desk.host.admit(str(run.id), True)
    until(lambda: not desk.host._busy)
    assert len(desk.done()) == 3 and run.token == 1


def test_who_asks_hears_once_when_the_run_was_looked_at(desk: Desk) -> None:
    desk.deaf = True
    run, waits = desk.start(turns=1, sleep=60), desk.start(turns=1)
    heard: list[str] = []

    def ask(name: str, run_id: Any) -> None:
        desk.host.admit(str(run_id), False, lambda: heard.append(name))

    desk.host.slots = 1
    ask("nobody's", uuid4())
    until(lambda: heard == ["nobody's"])
    ask("first", run.pk)
    until(lambda: desk.host.live == 1 and heard[1:] == ["first"])
    ask("again", run.pk)
    ask("no slot", waits.pk)
    until(lambda: heard[2:] == ["again", "no slot"])
    desk.host.leave()
    ask("leaving", waits.pk)
    until(lambda: "leaving" in heard and desk.host.live == 0)
    assert sorted(heard) == ["again", "first", "leaving", "no slot", "nobody's"]


def test_a_run_whose_wake_up_was_lost_is_found(desk: Desk) -> None:
    desk.deaf = True
    run = desk.start(turns=1)
    assert sweeper.lost_wake_ups() == 0  # it may still be on its way
    _age(run, "ready_at", 3)
    desk.deaf = False
    assert sweeper.sweep() >= 1
    assert desk.becomes(run, "completed")


def test_a_dead_workers_run_is_taken_over(desk: Desk) -> None:
    desk.deaf = True
    run = desk.start(turns=1)
    with system_scope("test"):
        assert actions.claim(run.id, "a worker that dies") is not None
    _age(run, "lease_until", 11)
    desk.deaf = False
    sweeper.sweep()
    run = desk.becomes(run, "completed")
    assert run.token == 2 and run.lost_leases == 0


def test_three_lost_leases_in_a_row_end_the_run(desk: Desk) -> None:
    desk.deaf = True
    run = desk.start(turns=1)
    for _ in range(3):
        with system_scope("test"):
            assert actions.claim(run.id, "a worker that dies") is not None
        _age(run, "lease_until", 11)
        sweeper.expired_leases()
    run = desk.house.run(run)
    assert (run.status, run.stop_reason) == ("failed", "worker_lost") and "3 workers" in run.stop_detail


def test_a_step_begins_the_count_of_lost_leases_anew(desk: Desk) -> None:
    desk.deaf = True
    run = desk.start(turns=1)
    for loss in range(1, 5):
        with system_scope("test"):
            claim = actions.claim(run.id, "a worker that dies")
            assert claim is not None
            _append(run, claim.token, loss)
        _age(run, "lease_until", 11)
        sweeper.expired_leases()
    assert (desk.house.run(run).status, desk.house.run(run).lost_leases) == ("queued", 1)


def test_a_waiting_run_whose_time_has_come_is_made_ready(desk: Desk) -> None:
    desk.deaf = True
    run = desk.start(turns=1)
    with system_scope("test"):
        claim = actions.claim(run.id, "w")
        assert claim is not None and actions.park(run.id, claim.token, claim.wake, timezone.now())
    desk.deaf = False
    sweeper.sweep()
    assert desk.becomes(run, "completed")


def test_a_worker_that_leaves_gives_its_runs_back(desk: Desk) -> None:
    runs = [desk.start(turns=1, sleep=60) for _ in range(5)]
    until(lambda: desk.host.live == 5)
    began = time.monotonic()
    assert desk.host.close()
    assert time.monotonic() - began < 5
    for run in runs:
        found = desk.house.run(run)
        assert found.status == "queued" and found.lease_until is None and found.ready_at is not None


def test_two_hundred_runs_live_in_one_process(desk: Desk) -> None:
    scripted.HELD.clear()
    desk.house.revise(scripted.body_of(turns=2, hold=True))
    runs = [desk.house.start() for _ in range(200)]
    until(lambda: desk.host.live == 200)
    with system_scope("test"):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'sayso_app'"
            )
            assert cursor.fetchone()[0] <= 11  # ours is one of them
    scripted.HELD.set()
    for run in runs:
        assert desk.becomes(run, "completed", "failed").status == "completed"
    assert len(desk.done()) == 400


def test_runs_that_have_begun_are_admitted_first(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order: list[str] = []
    host = Host("test", slots=1)

    async def take(run_id: str) -> None:
        order.append(run_id)
        host._busy.discard(run_id)

    monkeypatch.setattr(host, "_take", take)
    host._busy.add("somebody")
    for run_id, resume in (("new 1", False), ("new 2", False), ("begun 1", True), ("begun 2", True), ("new 1", False)):
        host._admit(run_id, resume)
    host.start()
    for _ in range(4):
        host._post(host._busy.clear)
        host._post(host._fill)
    until(lambda: len(order) == 4)
    assert order == ["begun 1", "begun 2", "new 1", "new 2"]
    assert host.close()


def _age(run: Run, field: str, seconds: float) -> None:
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(**{field: F(field) - timedelta(seconds=seconds)})


def _append(run: Run, token: int, seq: int) -> None:
    Step.objects.create(
        run=run, tenant_id=run.tenant_id, seq=seq, settled=seq, scope="s", n=seq, kind="model", status="done", digest="d",
        started_at=timezone.now(), token=token,
    )  # fmt: skip


FROZEN = {"name": "frozen", "match": {"tool": "pay"}, "effect": "deny"}


def test_a_denial_of_the_current_revision_wins_over_an_approval_of_an_older_run(desk: Desk) -> None:
    run = desk.becomes(desk.start(turns=1, gate=True), "waiting")
    desk.house.revise({**scripted.body_of(turns=1, gate=True), "rules": [FROZEN]})
    desk.decide(desk.pending(run)[0])
    assert desk.becomes(run, "completed", "failed").status == "completed"
    assert desk.done() == []  # approved, and not done all the same
    with tenant_scope(desk.house.tenant):
        (step,) = [step for step in record.steps(run.id) if step.scope == "agent/tools"]
    assert step.error["type"] == "Denied" and "frozen" in step.error["message"]


def test_a_denial_made_while_a_worker_holds_the_run_wins_too(desk: Desk) -> None:
    scripted.HELD.clear()
    run = desk.becomes(desk.start(turns=2, gate=True), "waiting")
    desk.decide(desk.pending(run)[0])  # of turn 1: the claim for turn 2 sees no denial
    second = until(lambda: desk.pending(run))[0]
    desk.house.revise({**scripted.body_of(turns=2, gate=True), "rules": [FROZEN]})
    desk.decide(second)
    assert desk.becomes(run, "completed", "failed").status == "completed"
    assert len(desk.done()) == 1
