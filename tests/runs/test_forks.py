"""Forks on Postgres: what is copied, what is listed first, what may be edited, and who may. (What of a record is kept, and
that it replays, is shown for random runs in tests/durable/test_forks.py.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from approvals import actions as approvals
from console.audit.models import AuditRecord
from console.durable.steps import Kind, Safety, Status, Step
from console.hosting import advancing
from console.hosting.host import Host
from console.runs import actions, forks, ledger
from console.runs.models import LedgerEntry, Run, StepPayload
from console.runs.models import Step as StepRow
from console.tenants import access, crypto
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows.models import SmokeTest
from console.workflows.reasons import StopReason

from . import scripted
from .conftest import House, make_house
from .test_host import Desk
from .test_retry import AT, done, ended, journal, retry


def pay(seq: int, settled: int | None = None, n: int = 1, **fields: Any) -> Step:
    """A payment that was made, unless told otherwise."""
    over = {"status": Status.DONE, "result": "paid", "ended_at": AT} if settled else {"status": Status.INTENT}
    request = {"tool": "pay", "version": 1, "arguments": {"amount": 5 * n}}
    return Step(
        "a/tools", n, Kind.TOOL, seq, "d", request, AT,
        **{"settled": settled, "safety": Safety.NEITHER, "name": "pay", "key": f"k{n}", **over, **fields},
    )  # fmt: skip


def review(seq: int, settled: int | None = None, n: int = 1, verdict: str = "approve", **words: Any) -> Step:
    result = {"verdict": verdict, "reason": "", "arguments": None, **words} if settled else None
    status = Status.DONE if settled else Status.INTENT
    shown = {"title": f"Pay €{5 * n}", "safety": "neither"}
    return Step(
        "a/tools/review", n, Kind.REVIEW, seq, "d", shown, AT,
        name="pay", status=status, settled=settled, result=result, ended_at=AT if settled else None,
    )  # fmt: skip


def model(seq: int, text: str = "so be it", **fields: Any) -> Step:
    said = {"content": text, "finish_reason": "stop", "usage": {"input_tokens": 3, "output_tokens": 4}, "cost": "0.5"}
    return done(seq, "a/model", result=said, usage={"input_tokens": 3, "output_tokens": 4}, cost="0.5", **fields)


def paid(house: House, reason: str = "completed") -> Run:
    """A model spoke, somebody approved a payment, it was made, and the model spoke again."""
    return ended(house, reason, model(1), review(2, 3), pay(4, 5), model(6, "paid"))


def fork(house: House, run: Run, from_step: int, actor: Any = None, **options: Any) -> Run:
    with tenant_scope(house.tenant):
        return actions.fork(actor or house.operator, run, from_step, **options)


def plan(house: House, run: Run, from_step: int, edit: str = "") -> forks.Plan:
    with tenant_scope(house.tenant):
        found = forks.plan(run, from_step, edit)
        assert found.effects is not None
        return found


def counted(house: House) -> int:
    with tenant_scope(house.tenant):
        return Run.objects.count()


# What it keeps


def test_what_the_ledger_answers_does_not_happen_again(house: House) -> None:
    run = ended(house, "completed", model(1), review(2, 3), pay(4, 5, key="later"), model(6, "paid"))
    with system_scope("test"):
        key = ledger.key_of(run.tenant_id, f"run:{run.pk}", "pay invoice 7")
        StepRow.objects.filter(run=run, seq=4).update(key=key)
        LedgerEntry.objects.create(
            tenant_id=run.tenant_id, scope=f"run:{run.pk}", action="pay invoice 7", tool="pay", version=1, digest="d",
            run_id=run.pk, step="a/tools", n=1, status="done", begun_at=AT,
        )  # fmt: skip
    found = plan(house, run, 1)
    assert found.effects == [] and [effect.step for effect in found.once] == [4]
    again = fork(house, run, 1)  # nothing has to be known first
    with system_scope("test"):
        assert ledger.origin(again) == run.pk  # so the fork is answered from the same entry
        LedgerEntry.objects.filter(run_id=run.pk).update(status="failed")
    assert [effect.step for effect in plan(house, run, 1).effects] == [4]


def test_a_fork_keeps_what_came_before_and_is_recorded(house: House, sent: list[tuple[str, bool]]) -> None:
    run = paid(house)
    sent.clear()
    again = fork(house, run, 6)
    kept = journal(house, again)
    assert [(step.scope, step.seq, step.settled, step.inherited) for step in kept] == [
        ("a/model", 1, 1, True),
        ("a/tools/review", 2, 3, True),
        ("a/tools", 4, 5, True),
    ]
    assert kept[0].result["content"] == "so be it" and kept[2].result == "paid" and kept[2].key == "k1"
    assert (again.status, again.fork_of_id, again.forked_at, again.fork_edited) == ("queued", run.id, 6, "")
    assert again.revision_id == run.revision_id and again.retry_of_id is None
    assert sent == [(str(again.id), False)]
    with tenant_scope(house.tenant):
        audit = AuditRecord.objects.get(action="run.forked")
    assert audit.object_id == str(again.id) and audit.detail["fork_of"] == str(run.id)
    assert (audit.detail["from_step"], audit.detail["kept_steps"], audit.detail["may_repeat_steps"]) == (6, 3, [])
    assert [step.seq for step in journal(house, run)] == [1, 2, 4, 6]  # the old record stays as it is
    assert not any(step.inherited for step in journal(house, run))


def test_what_would_happen_again_is_listed_first(house: House) -> None:
    run = paid(house)
    with pytest.raises(actions.Repeats) as caught:
        fork(house, run, 4)
    assert [(each.step, each.tool, each.title, each.state) for each in caught.value.effects] == [
        (4, "pay", "Pay €5", "done")
    ]
    assert counted(house) == 1
    again = fork(house, run, 4, repeat_effects=True)
    # Not the approval: it was given for the payment that was made.
    assert [step.scope for step in journal(house, again)] == ["a/model"]
    with tenant_scope(house.tenant):
        assert AuditRecord.objects.get(action="run.forked").detail["may_repeat_steps"] == [4]


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (pay(2), "unknown"),
        (pay(2, status=Status.IN_DOUBT), "unknown"),
        (pay(2, safety=Safety.IDEMPOTENT), "unknown"),
        (pay(2, 3, safety=Safety.IDEMPOTENT), "done"),
        (pay(2, 3, status=Status.FAILED, result=None, error={"type": "Timeout", "message": "", "stop": None}), "unknown"),
        (pay(2, 3, status=Status.FAILED, result="pay failed: no such order"), ""),
        (pay(2, 3, status=Status.FAILED, result=None, error={"type": "Denied", "message": "no", "stop": None}), ""),
        (pay(2, 3, safety=Safety.READ_ONLY), ""),
    ],
)  # fmt: skip
def test_what_counts_as_an_effect(house: House, step: Step, state: str) -> None:
    run = ended(house, "worker_lost", model(1), step, model(4))
    assert [each.state for each in plan(house, run, 1).effects] == ([state] if state else [])


def test_an_edited_call_is_listed_as_it_was_made(house: House) -> None:
    edit = review(2, 3, verdict="edit", arguments={"amount": 4})
    run = ended(house, "completed", model(1), edit, pay(4, 5), model(6))
    [effect] = plan(house, run, 1).effects
    assert "€5" not in effect.title and effect.tool == "pay"


def test_an_open_call_before_the_step_is_asked_about_and_not_done_again(house: House) -> None:
    run = ended(house, "worker_lost", model(1), pay(2), model(3, settled=3))
    again = fork(house, run, 3)
    assert [(step.scope, step.status, step.key) for step in journal(house, again)] == [
        ("a/model", "done", ""),
        ("a/tools", "in_doubt", "k1"),  # as the run ended, nobody would record an outcome any more
    ]


def test_late_outcomes_stay_beside_the_call_that_is_in_doubt(house: House) -> None:
    run = ended(house, "worker_lost", model(1), pay(2), model(3))
    with system_scope("test"):
        sealed = crypto.seal_json(run.tenant_id, "step.evidence", {"result": "paid"})
        StepPayload.objects.filter(run=run, seq=2).update(evidence=sealed)
    again = fork(house, run, 3)
    with tenant_scope(house.tenant):
        assert StepPayload.objects.get(run=again, seq=2).evidence is not None


def test_a_call_given_up_in_doubt_is_in_doubt_again(house: House) -> None:
    given_up = pay(2, 3, status=Status.FAILED, result=None, error={"type": "InDoubt", "message": "", "stop": "expired"})
    run = ended(house, "expired", model(1), given_up, model(4))
    [_, again] = journal(house, fork(house, run, 4))
    assert (again.status, again.settled, again.ended_at, again.error) == ("in_doubt", None, None, None)


# What may be edited


def test_other_input_for_the_same_team(house: House) -> None:
    run = paid(house)
    again = fork(house, run, 1, input="Refund order 8", repeat_effects=True)
    assert journal(house, again) == [] and again.fork_edited == "input" and again.title == "Refund order 8"
    with tenant_scope(house.tenant):
        assert crypto.unseal_json(house.tenant.id, "run.input", bytes(again.sealed_input)) == "Refund order 8"


def test_the_input_has_to_fit_the_revision(house: House) -> None:
    house.revise({"team": {}, "input_schema": {"type": "object", "required": ["order"]}})
    run = ended_with(house, {"order": 7})
    with pytest.raises(actions.Invalid, match="'order' is a required property"):
        fork(house, run, 1, input={"customer": "x"})
    assert fork(house, run, 1, input={"order": 8}).fork_edited == "input"


def ended_with(house: House, input: Any) -> Run:
    run = house.start(input)
    with system_scope("test"):
        claim = actions.claim(run.id, "w")
        assert claim is not None
        assert actions.finish(run.id, claim.token, "failed", "invalid_input", "because")
    return house.run(run)


def test_other_words_of_the_model(house: House) -> None:
    run = paid(house)
    again = fork(house, run, 6, answer="Nothing was paid.")
    *_, step = journal(house, again)
    assert step.result["content"] == "Nothing was paid." and step.inherited and step.status == "done"
    assert step.digest == journal(house, run)[-1].digest
    assert (step.usage, step.cost) == (None, None)
    [told] = step.attempts
    assert (told["cause"], told["by"], told["by_id"]) == ("edited", "Olga Operator", str(house.operator.id))
    assert again.fork_edited == "answer"


def test_another_finding_of_a_tool_that_only_reads(house: House) -> None:
    look = pay(2, 2, safety=Safety.READ_ONLY, name="look_up")
    run = ended(house, "completed", model(1), look, model(3))
    *_, step = journal(house, fork(house, run, 2, answer={"order": {"state": "lost"}}))
    assert step.result == {"order": {"state": "lost"}} and step.scope == "a/tools"


@pytest.mark.parametrize("answer", ["", "  ", 7, {"content": "x"}, ["x"], "x" * 300_000, "\ud800"])
def test_words_that_no_model_can_have_said(house: House, answer: Any) -> None:
    with pytest.raises(actions.Invalid, match="answer"):
        fork(house, paid(house), 6, answer=answer)


@pytest.mark.parametrize(
    ("from_step", "why"),
    [(2, "only a reviewer decides"), (4, "changes something in the world")],
)
def test_nobody_forks_themselves_an_approval_or_a_payment(house: House, from_step: int, why: str) -> None:
    run = paid(house)
    for answer in ("approve", {"verdict": "approve"}, "paid"):
        with pytest.raises(actions.Invalid, match=why):
            fork(house, run, from_step, answer=answer, repeat_effects=True)
    assert counted(house) == 1


def test_input_is_edited_at_the_first_step_only_and_not_with_an_answer(house: House) -> None:
    run = paid(house)
    with pytest.raises(actions.Invalid, match="set from_step to 1"):
        fork(house, run, 6, input="x")
    with pytest.raises(actions.Invalid, match="fork twice"):
        fork(house, run, 1, input="x", answer="y")


# Which runs, and who


@pytest.mark.parametrize("reason", list(StopReason))
def test_any_run_that_is_over_can_be_forked(house: House, reason: StopReason) -> None:
    assert fork(house, paid(house, str(reason)), 6).status == "queued"


def test_a_run_without_a_step_is_forked_at_its_beginning(house: House) -> None:
    run = ended(house, "invalid_input")
    assert fork(house, run, 1, input="better").fork_edited == "input"
    with pytest.raises(actions.Invalid, match="must be 1"):
        fork(house, run, 2)
    with pytest.raises(actions.Invalid, match="says nothing"):
        fork(house, run, 1, answer="x")


@pytest.mark.parametrize("number", [-1, 0, 3, 5, 7, 2**31 - 1])
def test_a_number_that_is_no_step(house: House, number: int) -> None:
    with pytest.raises(actions.Invalid, match="no step of this run"):
        fork(house, paid(house), number)


def test_a_run_that_is_at_work_is_not_forked(house: House) -> None:
    run = house.start()
    with pytest.raises(actions.Refused, match="queued"):
        fork(house, run, 1)
    with system_scope("test"):
        assert actions.claim(run.id, "w") is not None
    with pytest.raises(actions.Refused, match="running"):
        fork(house, run, 1)


def test_a_smoke_test_is_not_forked(house: House) -> None:
    run = paid(house)
    with tenant_scope(house.tenant):
        test = SmokeTest.objects.create(
            tenant=house.tenant, workflow=house.workflow, revision=run.revision, sealed_cases=b"", digest="d"
        )
        Run.objects.filter(pk=run.pk).update(smoke_test=test)
    with pytest.raises(actions.Refused, match="smoke test"):
        fork(house, run, 1)


def test_reviewers_do_not_fork_and_others_find_nothing(house: House) -> None:
    run = paid(house)
    reviewer = access.Actor(tenant=house.tenant, role="reviewer", kind="user", id=uuid4(), name="R")
    with pytest.raises(access.Forbidden):
        fork(house, run, 6, reviewer)
    with pytest.raises(access.NotFound):
        other = make_house()
        fork(other, run, 6)


def test_a_waiting_run_is_left_as_it_is_and_what_it_asks_for_is_listed(house: House) -> None:
    run = waiting(house, model(1), review(2))
    found = plan(house, run, 1)
    assert [(each.step, each.title, each.state) for each in found.effects] == [(2, "Pay €5", "waiting")]
    again = fork(house, run, 2, repeat_effects=True)
    assert [step.scope for step in journal(house, again)] == ["a/model"]
    assert house.run(run).status == "waiting" and len(journal(house, run)) == 2


def test_a_doubt_is_not_asked_about_in_two_runs_at_once(house: House) -> None:
    run = waiting(house, model(1), pay(2, status=Status.IN_DOUBT), model(3))
    with pytest.raises(actions.Refused, match="both runs would ask"):
        fork(house, run, 3)
    assert fork(house, run, 1, repeat_effects=True).forked_at == 1


def waiting(house: House, *steps: Step) -> Run:
    run = ended(house, "completed", *steps)
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(status="waiting", stop_reason="", ended_at=None)
    return house.run(run)


@pytest.mark.parametrize("mode", ["ALWAYS", "TERMINATE"])
def test_oversight_is_never_less_than_it_was(house: House, mode: str) -> None:
    house.revise({"team": {}, "oversight": {"mode": "NEVER", "stages": {"a": "NEVER"}}})
    run = paid(house)
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(oversight={"mode": mode, "stages": {"a": "ALWAYS"}})
    again = fork(house, house.run(run), 6)
    assert again.oversight == {"mode": mode, "stages": {"a": "ALWAYS"}}


def test_nor_than_it_is_now(house: House) -> None:
    house.revise({"team": {}, "oversight": {"mode": "NEVER", "stages": {"a": "NEVER"}}})
    run = paid(house)
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(oversight={"mode": "NEVER", "stages": {"a": "NEVER"}})
    run = house.run(run)
    with pytest.raises(actions.Refused, match="fork it from the first step"):
        fork(house, run, 6)
    again = fork(house, run, 1, repeat_effects=True)
    assert again.oversight == {"mode": "TERMINATE", "stages": {"a": "TERMINATE"}}


# Twice, and on and on


def test_twice_makes_two_and_each_has_its_own_record(house: House) -> None:
    run = paid(house)
    first, second = fork(house, run, 6), fork(house, run, 6)
    assert first.id != second.id and len(journal(house, first)) == len(journal(house, second)) == 3


def test_a_retry_of_a_fork_and_a_fork_of_a_retry(house: House) -> None:
    run = ended(house, "model_error", model(1), review(2, 3), pay(4, 5), model(6), failed(7))
    forked = fork(house, run, 6, answer="so it is")
    with system_scope("test"):
        claim = actions.claim(forked.id, "w")
        assert claim is not None and actions.finish(forked.id, claim.token, "failed", "model_error", "again")
    again = retry(house, house.run(forked))
    assert [step.scope for step in journal(house, again)] == ["a/model", "a/tools/review", "a/tools", "a/model"]
    assert again.fork_of_id is None and again.retry_of_id == forked.id
    assert journal(house, again)[-1].attempts[-1]["cause"] == "edited"
    with system_scope("test"):
        claim = actions.claim(again.id, "w")
        assert claim is not None and actions.finish(again.id, claim.token, "failed", "model_error", "again")
    assert len(journal(house, fork(house, house.run(again), 6))) == 3


def failed(seq: int) -> Step:
    return done(seq, status=Status.FAILED, result=None, error={"type": "E", "message": "m", "stop": "model_error"})


def test_the_step_at_which_a_record_stopped_fitting_is_named(house: House) -> None:
    run = ended(house, "divergence", model(1), done(2), done(3))
    assert forks.diverged_at(run, journal(house, run)) is None
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(stop_detail="a/model#2 asks for something else than what is recorded")
    assert forks.diverged_at(house.run(run), journal(house, run)) == 2


# With a worker


@pytest.fixture
def desk(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sent: list[tuple[str, bool]]) -> Iterator[Desk]:
    effects = tmp_path / "effects"
    monkeypatch.setenv("SAYSO_TEST_EFFECTS", str(effects))
    monkeypatch.setattr(advancing, "run_team", scripted.team)
    host = Host("w-test")
    desk = Desk(house, host, effects)
    monkeypatch.setattr("console.runs.wakeups.send", desk.wake_up)
    monkeypatch.setattr("console.runs.feed.nudge", lambda run_id: None)
    host.start()
    yield desk
    host.close()


def test_a_fork_pays_what_is_anew_and_asks_first(desk: Desk) -> None:
    run = desk.start(turns=2, gate=True)
    for _ in range(2):
        desk.becomes(run, "waiting")
        desk.decide(desk.pending(run)[0])
        desk.becomes(run, "waiting", "completed")
    run = desk.becomes(run, "completed")
    assert len(desk.done()) == 2
    second = [step for step in journal(desk.house, run) if step.kind == Kind.TOOL][1]
    again = fork(desk.house, run, second.seq, repeat_effects=True)
    desk.becomes(again, "waiting")
    [asked] = desk.pending(again)
    assert asked.scope == "agent/tools/review" and asked.n == 2  # the first is kept, approval and all
    desk.decide(asked)
    assert desk.becomes(again, "completed").stop_reason == "completed"
    [*_, last] = desk.done()
    assert len(desk.done()) == 3 and last.startswith(f"{again.id} tool 2 {again.id}/"), "it has a key of its own"
    assert desk.becomes(again, "completed").cost == 0, "what was kept was paid for before"


def test_a_rejected_payment_can_be_asked_about_again(desk: Desk) -> None:
    run = desk.start(turns=1, gate=True)
    desk.becomes(run, "waiting")
    desk.decide(desk.pending(run)[0], "reject", reason="not like this")
    run = desk.becomes(run, "completed")
    gate = next(step for step in journal(desk.house, run) if step.kind == Kind.REVIEW)
    again = fork(desk.house, run, gate.seq)
    desk.becomes(again, "waiting")
    desk.decide(desk.pending(again)[0])
    desk.becomes(again, "completed")
    assert len(desk.done()) == 1


def test_whoever_forks_a_run_does_not_approve_it(desk: Desk) -> None:
    run = desk.start(turns=1, gate=True)
    desk.becomes(run, "waiting")
    again = fork(desk.house, desk.house.run(run), 1, repeat_effects=True)
    desk.becomes(again, "waiting")
    [asked] = desk.pending(again)
    assert asked.started_by_id == desk.house.operator.id
    with tenant_scope(desk.house.tenant):
        approvals.cancel_run(desk.house.operator, desk.house.run(run))
    assert desk.house.run(again).status == "waiting", "the one has nothing to do with the other"
