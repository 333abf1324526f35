"""Retry: what it keeps, and when it is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from approvals.verify import verify
from console.audit.models import AuditRecord
from console.durable.steps import Kind, Safety, Status, Step
from console.runs import actions, record
from console.runs import models as rows
from console.runs.models import Run
from console.tenants import access, crypto
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows.reasons import ABOUT, StopReason

from .conftest import House

AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)


def ended(house: House, reason: str, *steps: Step) -> Run:
    """A run that ended for ``reason`` with these steps in its journal."""
    run = house.start()
    with system_scope("test"):
        claim = actions.claim(run.id, "w")
        assert claim is not None
        for step in steps:
            rows.Step.objects.create(
                run=run, tenant_id=run.tenant_id, seq=step.seq, settled=step.settled, scope=step.scope, n=step.n,
                kind=str(step.kind), status=str(step.status), safety=str(step.safety), digest=step.digest, key=step.key,
                cost=step.cost, usage=step.usage, name=step.name, attempts=step.attempts,
                started_at=step.started_at, ended_at=step.ended_at, token=claim.token,
            )  # fmt: skip
            rows.StepPayload.objects.create(
                run=run, tenant_id=run.tenant_id, seq=step.seq, request=record.seal_request(run.tenant_id, step),
                result=record.seal_outcome(run.tenant_id, step),
            )  # fmt: skip
        assert actions.finish(run.id, claim.token, ABOUT[StopReason(reason)].status, reason, "because")
    return house.run(run)


def done(seq: int, scope: str = "a/model", settled: int | None = None, **fields: Any) -> Step:
    return Step(
        scope, seq, Kind.MODEL, seq, f"digest {seq}", {"ask": seq}, AT,
        **{"status": Status.DONE, "settled": settled or seq, "result": f"said {seq}", "ended_at": AT, **fields},
    )  # fmt: skip


def tool(seq: int, status: Status = Status.INTENT, safety: Safety = Safety.NEITHER, **fields: Any) -> Step:
    return Step(
        "a/tools", seq, Kind.TOOL, seq, "d", {"pay": seq}, AT, status=status, safety=safety, key=f"k{seq}", **fields
    )


def retry(house: House, run: Run) -> Run:
    with tenant_scope(house.tenant):
        return actions.retry(house.operator, run)


def journal(house: House, run: Run) -> list[Step]:
    with tenant_scope(house.tenant):
        return record.steps(run.pk)


def test_a_retry_keeps_what_was_done_and_is_recorded(house: House, sent: list[tuple[str, bool]]) -> None:
    failed = done(3, status=Status.FAILED, result=None, error={"type": "E", "message": "m", "stop": "model_error"})
    run = ended(house, "model_error", done(1, cost="0.5", usage={"input_tokens": 3}), done(2), failed)
    sent.clear()
    again = retry(house, run)
    kept = journal(house, again)
    assert [(step.seq, step.settled, step.result, step.inherited) for step in kept] == [
        (1, 1, "said 1", True),
        (2, 2, "said 2", True),
    ]
    assert kept[0].usage == {"input_tokens": 3} and kept[0].cost == "0.5"
    assert again.status == "queued" and again.retry_of_id == run.id and again.revision_id == run.revision_id
    assert sent == [(str(again.id), False)]
    with tenant_scope(house.tenant):
        assert crypto.unseal_json(house.tenant.id, "run.input", bytes(again.sealed_input)) == "Refund order 7"
        audit = AuditRecord.objects.get(action="run.retried")
    assert audit.object_id == str(again.id) and audit.detail["kept_steps"] == 2
    assert [step.seq for step in journal(house, run)] == [1, 2, 3]  # the old record stays as it is


def test_open_gates_are_asked_again_and_places_have_no_gaps(house: House) -> None:
    review = Step("a/tools/review", 1, Kind.REVIEW, 2, "d", {}, AT)
    run = ended(house, "expired", done(1), review, tool(3, Status.DONE, settled=5, ended_at=AT, result=1), done(4))
    assert [(step.scope, step.seq, step.settled) for step in journal(house, retry(house, run))] == [
        ("a/model", 1, 1),
        ("a/tools", 2, 4),
        ("a/model", 3, 3),
    ]


@pytest.mark.parametrize("status", [Status.INTENT, Status.IN_DOUBT])
def test_a_call_whose_outcome_nobody_knows_is_not_forgotten(house: House, status: Status) -> None:
    run = ended(house, "worker_lost", done(1), tool(2, status))
    kept = journal(house, retry(house, run))
    assert [(step.scope, step.status, step.key) for step in kept] == [
        ("a/model", "done", ""),
        ("a/tools", Status.IN_DOUBT, "k2"),  # as the run ended, nobody would record an outcome any more
    ]


def test_a_call_that_may_be_repeated_is_made_again_and_asks_nobody(house: House) -> None:
    run = ended(house, "worker_lost", done(1), tool(2, safety=Safety.IDEMPOTENT))
    assert str(journal(house, run)[-1].status) == "in_doubt"  # it is over, and may have done it
    kept = [(str(step.status), step.key) for step in journal(house, retry(house, run))]
    assert kept == [("done", ""), ("intent", "k2")]
    assert not [fault for _, found in verify(run.pk) for fault in found if "in doubt" in fault.says]


def test_a_failed_call_is_kept_with_the_unknown_one_that_came_of_it(house: House) -> None:
    error = {"type": "Timeout", "message": "no answer", "stop": None}
    failed = tool(2, Status.FAILED, settled=2, ended_at=AT, error=error)
    run = ended(house, "cancelled", done(1), failed, tool(3, Status.IN_DOUBT))
    kept = [(step.seq, step.settled, str(step.status)) for step in journal(house, retry(house, run))]
    assert kept == [(1, 1, "done"), (2, 2, "failed"), (3, None, "in_doubt")]


def test_a_failed_call_before_the_last_good_step_was_part_of_the_talk(house: House) -> None:
    told = tool(2, Status.FAILED, settled=3, result="Error: no", ended_at=AT)
    run = ended(house, "model_error", done(1), told, done(4))
    assert [step.scope for step in journal(house, retry(house, run))] == ["a/model", "a/tools", "a/model"]


def test_a_step_that_ended_the_run_is_not_kept_even_before_a_good_one(house: House) -> None:
    fatal = done(2, status=Status.FAILED, result=None, error={"type": "E", "message": "m", "stop": "timeout"})
    run = ended(house, "model_error", done(1), fatal, done(3, scope="b/model"))
    assert [(step.scope, step.n, step.seq) for step in journal(house, retry(house, run))] == [
        ("a/model", 1, 1),
        ("b/model", 3, 2),
    ]


def test_a_run_without_a_good_step_begins_anew(house: House) -> None:
    assert journal(house, retry(house, ended(house, "model_error"))) == []


@pytest.mark.parametrize("reason", [reason for reason in StopReason if not reason.about.retryable])
def test_some_ends_are_not_retried(house: House, reason: StopReason) -> None:
    run = ended(house, str(reason), done(1))
    with pytest.raises(actions.Refused) as caught:
        retry(house, run)
    assert str(caught.value)
    with tenant_scope(house.tenant):
        assert Run.objects.count() == 1


def test_a_run_that_goes_on_is_not_retried(house: House) -> None:
    with pytest.raises(actions.Refused, match="still queued"):
        retry(house, house.start())


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ({"max_turns": 5}, {"max_turns": 6}, True),
        ({"max_turns": 5}, {"max_turns": 5}, False),
        ({"max_turns": 5}, {"max_turns": 4}, False),
        ({"max_turns": 5}, {}, True),
        ({"max_turns": 5}, {"max_turns": 5, "max_tokens": 9}, False),
    ],
)
def test_after_a_limit_only_with_a_raised_limit(house: House, before: Any, after: Any, allowed: bool) -> None:
    house.revise({"team": {"x": 1}, "limits": before})
    run = ended(house, "max_turns", done(1))
    house.revise({"team": {"x": 1}, "limits": after})
    if not allowed:
        with pytest.raises(actions.Refused, match="Raise max_turns"):
            retry(house, run)
        return
    again = retry(house, run)
    assert again.revision_id != run.revision_id and len(journal(house, again)) == 1


def test_durations_are_compared_as_time(house: House) -> None:
    house.revise({"team": {}, "limits": {"run_timeout": "PT90S"}})
    run = ended(house, "timeout", done(1))
    house.revise({"team": {}, "limits": {"run_timeout": "PT1M"}})
    with pytest.raises(actions.Refused):
        retry(house, run)
    house.revise({"team": {}, "limits": {"run_timeout": "PT2M"}})
    assert retry(house, run).deadline_s == 120


def test_a_revision_that_changes_more_than_limits_does_not_fit_the_record(house: House) -> None:
    house.revise({"team": {"x": 1}, "limits": {"max_turns": 5}})
    run = ended(house, "max_turns", done(1))
    house.revise({"team": {"x": 2}, "limits": {"max_turns": 6}})
    with pytest.raises(actions.Refused, match="more than its limits"):
        retry(house, run)


def test_reviewers_do_not_retry(house: House) -> None:
    run = ended(house, "model_error")
    reviewer = access.Actor(tenant=house.tenant, role="reviewer", kind="user", id=None, name="R")
    with tenant_scope(house.tenant), pytest.raises(access.Forbidden):
        actions.retry(reviewer, run)


def test_every_reason_says_what_happened_and_what_to_do() -> None:
    assert set(ABOUT) == set(StopReason)
    for reason, about in ABOUT.items():
        assert about.sentence.endswith(".")
        assert about.remedy.endswith(".") or reason is StopReason.COMPLETED
        assert about.status in ("completed", "failed", "cancelled")
        assert not (about.retryable and about.limit)
    for never in ("rejected", "contract_violation", "divergence", "terminated", "completed"):
        assert not ABOUT[StopReason(never)].retryable and not ABOUT[StopReason(never)].limit
