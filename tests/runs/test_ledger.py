"""The ledger of deeds that are done once, in Postgres: who may do it, and what the others hear, whatever broke before."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from console.agents.deeds import Deed, Found
from console.durable.errors import Fenced
from console.runs import ledger
from console.runs.models import LedgerEntry, Run, Step, StepPayload
from console.tenants import crypto
from console.tenants.scopes import system_scope, tenant_scope
from tests.runs.conftest import House, make_house

REFUND = Deed("run", "refund 7", "refund", 1, "d" * 64, False, "clerk/tools", 1)
AGAIN = replace(REFUND, n=2)


@pytest.fixture
def run(house: House) -> Run:
    return house.start()


def begin(run: Run, deed: Deed = REFUND, sure: bool = False, token: int | None = None, scope: str = "") -> Found:
    with system_scope("a test's worker"):
        first = ledger.origin(run)
        where = scope or ledger.scope_of(deed.scope, first, run.topic_source)
        return ledger.begin(run, run.token if token is None else token, where, deed, sure)


def end(run: Run, status: str, result: Any = None, deed: Deed = REFUND) -> bool:
    with system_scope("a test's worker"):
        where = ledger.scope_of(deed.scope, ledger.origin(run), run.topic_source)
        return ledger.end(run, where, deed, status, result)


def journal(run: Run, deed: Deed, status: str, result: Any = None, **more: Any) -> None:
    """What the run's journal says of the deed's step."""
    with tenant_scope(run.tenant):
        Step.objects.filter(run=run, scope=deed.step, n=deed.n).delete()
        step = Step.objects.create(
            run=run, tenant_id=run.tenant_id, seq=deed.n, scope=deed.step, n=deed.n, kind="tool", status=status,
            safety="neither", name=deed.tool, digest=deed.digest, started_at=run.created_at, **more,
        )  # fmt: skip
        outcome = crypto.seal_json(run.tenant_id, "step.result", {"result": result, "error": None})
        StepPayload.objects.filter(run=run, seq=step.seq).delete()
        StepPayload.objects.create(
            run=run, tenant_id=run.tenant_id, seq=step.seq, request=b"", result=outcome if status == "done" else None
        )


def test_a_deed_that_was_done_is_answered_and_says_by_whom(run: Run) -> None:
    assert begin(run).state == "ours" and end(run, "done", {"paid": 7})
    found = begin(run, AGAIN)
    assert (found.state, found.result, found.run, found.step) == ("done", {"paid": 7}, str(run.id), "clerk/tools#1")
    with tenant_scope(run.tenant):
        assert b"paid" not in bytes(LedgerEntry.objects.get().sealed_result or b"")


def test_a_retry_hears_of_what_the_first_run_did(house: House, run: Run) -> None:
    assert begin(run).state == "ours" and end(run, "done", "paid")
    with tenant_scope(run.tenant):
        Run.objects.filter(pk=run.pk).update(status="failed", stop_reason="tool_error")
        facts = {"tenant": run.tenant, "workflow": run.workflow, "revision": run.revision, "sealed_input": b""}
        middle = Run.objects.create(**facts, retry_of=run)
        last = Run.objects.create(**facts, retry_of=middle)
    assert begin(last).state == "done" and begin(house.start()).state == "ours"


def test_all_runs_of_a_topic_source_share_its_deeds(house: House) -> None:
    deed = replace(REFUND, scope="topic_source")
    one, other, elsewhere, none = (
        house.start(topic_source=source) for source in ("ticket-1", "ticket-1", "ticket-2", "")
    )
    assert begin(one, deed).state == "ours" and end(one, "done", "paid", deed)
    assert begin(other, deed).result == "paid"
    assert begin(elsewhere, deed).state == begin(none, deed).state == "ours"
    assert begin(other, REFUND).state == "ours"  # in its run, it is another


def test_another_tenant_has_deeds_of_its_own(house: House, run: Run) -> None:
    assert begin(run).state == "ours" and end(run, "done", "paid")
    stranger = make_house()
    theirs = stranger.start()
    with tenant_scope(theirs.tenant):
        assert not LedgerEntry.objects.exists()
    assert begin(theirs, scope=f"run:{run.id}").state == "ours"


def test_other_arguments_or_another_tool_are_no_repetition(run: Run) -> None:
    assert begin(run).state == "ours" and end(run, "done", "paid")
    assert begin(run, replace(AGAIN, digest="e" * 64)).state == "other"
    assert begin(run, replace(AGAIN, tool="pay_out")).state == "other"


def test_what_surely_failed_may_be_done(run: Run) -> None:
    assert begin(run).state == "ours" and end(run, "failed")
    assert begin(run, replace(AGAIN, digest="e" * 64)).state == "ours"
    assert not end(run, "done", "late", REFUND)  # it is another step's by now
    assert end(run, "done", "paid", AGAIN) and begin(run, replace(AGAIN, n=3, digest="e" * 64)).state == "done"


def test_a_worker_without_the_run_begins_nothing(run: Run) -> None:
    with pytest.raises(Fenced):
        begin(run, token=run.token + 1)
    with tenant_scope(run.tenant):
        assert not LedgerEntry.objects.exists()


def test_the_same_step_begun_anew_goes_ahead(run: Run) -> None:
    assert begin(run).state == begin(run).state == "ours"
    journal(run, REFUND, "intent")
    assert begin(run).state == "ours"  # the engine has asked whoever must be asked
    assert end(run, "done", "paid") and begin(run).state == "done"  # killed before its step was closed


def test_a_run_that_is_at_it_is_waited_for(run: Run) -> None:
    assert begin(run).state == "ours"
    journal(run, REFUND, "intent")
    assert begin(run, AGAIN).state == "under_way"
    assert begin(run, AGAIN, sure=True).state == "under_way"


@pytest.mark.parametrize("how", ["in doubt", "run over", "no step", "said so", "failed"])
def test_what_nobody_knows_is_never_done_again_silently(run: Run, how: str) -> None:
    assert begin(run).state == "ours"
    if how != "no step":
        journal(run, REFUND, {"in doubt": "in_doubt", "failed": "failed"}.get(how, "intent"))
    if how == "run over":
        with tenant_scope(run.tenant):
            Run.objects.filter(pk=run.pk).update(status="cancelled", ended_at=run.created_at + timedelta(seconds=1))
    if how == "said so":
        assert end(run, "unknown")
    assert begin(run, AGAIN).state == "unknown"
    assert begin(run, replace(AGAIN, idempotent=True)).state == "ours"  # with the same key it may
    assert begin(run, replace(AGAIN, n=3)).state != "done"


def test_a_person_who_says_that_it_did_not_happen_lets_it_be_done(run: Run) -> None:
    assert begin(run).state == "ours" and end(run, "unknown")
    journal(run, REFUND, "in_doubt")
    assert begin(run, AGAIN).state == "unknown" and begin(run, AGAIN, sure=True).state == "ours"
    assert end(run, "done", "paid", AGAIN) and begin(run, replace(AGAIN, n=3)).result == "paid"


def test_a_person_who_says_that_it_happened_is_believed(run: Run) -> None:
    assert begin(run).state == "ours"
    journal(run, REFUND, "done", "refunded by hand", settled=2)
    assert begin(run, AGAIN).result == "refunded by hand"


def test_of_many_at_once_exactly_one_does_it(house: House) -> None:
    runs = [house.start(topic_source="ticket-1") for _ in range(6)]
    deed, found, gate = replace(REFUND, scope="topic_source"), [], threading.Barrier(6)

    def worker(run: Run) -> None:
        try:
            gate.wait(10)
            found.append(begin(run, deed).state)
        finally:
            connection.close()

    threads = [threading.Thread(target=worker, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["ours", *["unknown"] * 5]


@pytest.mark.parametrize("action", ["refund 7", "x" * 120, "é" * 120])
def test_a_key_is_short_and_tells_deeds_apart(action: str) -> None:
    tenant, first = uuid4(), uuid4()
    keys = {
        ledger.key_of(tenant, ledger.scope_of("run", first, ""), action),
        ledger.key_of(tenant, ledger.scope_of("topic_source", first, "s" * 200), action),
        ledger.key_of(uuid4(), ledger.scope_of("topic_source", first, "s" * 200), action),
        ledger.key_of(tenant, ledger.scope_of("topic_source", first, "s" * 199 + "t"), action),
    }
    assert len(keys) == 4 and max(map(len, keys)) <= ledger.KEY
    assert f"{first}:{action}" in keys
