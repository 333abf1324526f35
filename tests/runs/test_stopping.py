"""Stopping: a cancel at any moment, what it says of what had happened, and what is heard afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import actions as approvals
from approvals import in_doubt
from approvals.errors import Invalid
from approvals.models import ApprovalRequest
from console import sweeper
from console.audit.models import AuditRecord
from console.runs import actions, effects, evidence, feed, record
from console.runs.models import Run, Step, StepPayload
from console.tenants.scopes import system_scope, tenant_scope

from . import scripted
from .conftest import House
from .test_host import Desk, desk, until

__all__ = ["desk"]


@pytest.fixture(autouse=True)
def _released() -> Any:
    scripted.HELD.clear()
    yield
    scripted.HELD.set()


def cancel(desk: Desk, run: Run) -> Run:
    with tenant_scope(desk.house.tenant):
        return approvals.cancel_run(desk.house.operator, desk.house.run(run))


def account(desk: Desk, run: Run) -> effects.Account:
    found = desk.house.run(run)
    with tenant_scope(desk.house.tenant):
        return effects.account(found, Step.objects.filter(run=found).order_by("seq"), over=found.ended_at is not None)


def hanging(desk: Desk) -> Run:
    """A run whose tool has done its work and says nothing."""
    run = desk.start(turns=1, hang=True, timeout=30)
    until(desk.done)
    return run


def test_a_cancel_in_a_hung_call_says_what_may_have_happened_and_keeps_what_comes_of_it(desk: Desk) -> None:
    run = hanging(desk)
    ended = cancel(desk, run)
    assert ended.status == "cancelled" and "1 may have happened (pay)" in ended.stop_detail
    with tenant_scope(desk.house.tenant):
        step = Step.objects.get(run=run, scope="agent/tools")
    assert (step.status, step.worker) == ("in_doubt", "test")  # not an intent for ever
    assert desk.host.live == 1  # the call is left to come to its end
    (maybe,) = account(desk, run).maybe
    assert maybe.heard is None
    scripted.HELD.set()
    until(lambda: desk.host.live == 0)
    (done,) = account(desk, run).done
    assert done.heard is not None and done.heard.result == {"did": 1} and done.heard.worker == "test"
    (late,) = desk.events(run, "late")
    assert late["payload"]["scope"] == "agent/tools"
    assert desk.house.run(run).stop_detail == ended.stop_detail  # what was known then


def test_no_cancel_waits_for_a_nudge(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is away: the keeper of the leases looks by itself."""
    monkeypatch.setattr(feed, "nudge", lambda run_id: None)
    run = desk.becomes(desk.start(sleep=60), "running")
    until(lambda: desk.host.live == 1)
    assert cancel(desk, run).status == "cancelled"
    until(lambda: desk.host.live == 0)


def test_a_process_that_leaves_does_not_wait_for_a_hung_call_of_a_run_that_is_over(desk: Desk) -> None:
    run = hanging(desk)
    cancel(desk, run)
    assert desk.host.close()  # within its grace, not within the thirty seconds of the call
    assert account(desk, run).maybe


def test_a_cancel_while_it_waits_says_what_was_not_done(desk: Desk) -> None:
    run = desk.becomes(desk.start(turns=1, gate=True), "waiting")
    ended = cancel(desk, run)
    assert "1 not done (pay)" in ended.stop_detail and desk.pending(run) == []
    (never,) = account(desk, run).not_done
    assert never.why == "Nobody had decided about it."


def test_a_cancel_before_anything_has_nothing_to_tell(desk: Desk) -> None:
    desk.deaf = True
    run = desk.start()
    assert cancel(desk, run).stop_detail == "Olga Operator cancelled the run."
    assert not account(desk, run)


def doubtful(desk: Desk) -> tuple[Run, Run, ApprovalRequest]:
    """A cancelled run, its retry, and the question of the retry about the call that was under way."""
    desk.house.revise(scripted.body_of(turns=1, hang=True, timeout=0.5))
    run = desk.house.start()
    until(desk.done)
    with tenant_scope(desk.house.tenant):
        approvals.cancel_run(desk.house.operator, run)
        again = actions.retry(desk.house.operator, desk.house.run(run))

    def asked() -> list[ApprovalRequest]:
        sweeper.due_runs()  # the call's time is waited for first
        return desk.pending(again)

    until(asked)
    (request,) = desk.pending(again)
    return run, again, request


def hear(run: Run, status: str, result: Any) -> None:
    """What came of the call is heard in the run that was cancelled."""
    with system_scope("test"):
        row = Step.objects.get(run=run, scope="agent/tools")
        step = next(one for one in record.steps(run.pk) if one.scope == "agent/tools")
        step.status, step.result, step.ended_at = status, result, row.started_at  # type: ignore[assignment]
        StepPayload.objects.filter(run=run, seq=row.seq).update(
            evidence=evidence.seal(run.tenant_id, step, "w1"), evidence_began=step.started_at, evidence_certain=True
        )
        assert approvals.heard_late(run.pk, "agent/tools", 1) == 1


def test_evidence_is_shown_with_the_question_and_did_not_happen_must_be_meant(desk: Desk) -> None:
    run, again, request = doubtful(desk)
    assert request.kind == "in_doubt"
    with tenant_scope(desk.house.tenant):
        known = in_doubt.known(request)
    assert known is not None and known.worker == "test" and known.says == "" and known.cause
    hear(run, "done", {"did": 1})
    with tenant_scope(desk.house.tenant):
        known = in_doubt.known(request)
        assert known is not None and known.heard is not None
        assert known.says == "done" and known.heard.result == {"did": 1} and known.heard.run_id == run.pk
        told = in_doubt.as_json(known)
    assert told["worker"] == "test" and told["heard"]["status"] == "done" and told["key"].startswith(str(run.pk))
    with pytest.raises(Invalid) as refused:
        desk.decide(request, "respond", answer="did not happen")
    assert refused.value.field == "despite_evidence" and desk.pending(again)
    scripted.HELD.set()
    desk.decide(request, "respond", answer="did not happen", despite_evidence=True)
    assert desk.becomes(again, "completed", "failed").status == "completed"
    assert len(desk.done()) == 2  # as the person said, knowing
    with tenant_scope(desk.house.tenant):
        audit = AuditRecord.objects.get(action="request.decided", object_id=str(request.pk))
    assert audit.detail["answer"] == "did not happen" and "answered" in audit.detail["despite_evidence"]


def test_what_happened_is_kept_as_a_persons_word(desk: Desk) -> None:
    _, again, request = doubtful(desk)
    desk.decide(request, "respond", answer="happened", result={"did": 1})
    assert desk.becomes(again, "completed", "failed").status == "completed"
    (done,) = account(desk, again).done
    assert done.why == "Rita Reviewer says so." and len(desk.done()) == 1


def test_a_journal_of_a_newer_version_is_left_to_a_newer_worker(
    house: House, sent: list[Any], caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = house.start()
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(journal_version=99, ready_at="2026-01-01T00:00Z")
        assert actions.claim(run.pk, "w") is None and actions.too_new() == 1
    sent.clear()
    monkeypatch.setattr(sweeper, "_told", {})
    sweeper.sweep()
    assert sent == [] and "wait for a newer worker" in caplog.text
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(journal_version=0)
        claim = actions.claim(run.pk, "w")
    assert claim is not None and claim.run.journal_version == 1  # what is written from now on is of this version


@pytest.mark.parametrize("text", ['{"a": ', "[1", "[" * 100_000])
def test_an_outcome_that_begins_as_json_must_be_json(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        in_doubt.read_result(text)
    assert refused.value.field == "result"


def test_what_is_typed_as_an_outcome() -> None:
    assert in_doubt.read_result(' {"id": 7} ') == {"id": 7} and in_doubt.read_result("booked\r\nRF-1") == "booked\nRF-1"
    assert in_doubt.read_result("  ") is None
