"""Deciding: who, what, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import actions
from approvals.actions import AlreadyVoted, Changed, Invalid, TooLate
from approvals.models import ApprovalRequest, Sighting, Vote
from approvals.reading import many
from console.audit.models import AuditRecord
from console.durable.digest import digest
from console.durable.steps import Ask, Decision
from console.runs import feed
from console.runs.models import Run
from console.tenants.access import Forbidden, NotFound
from console.workflows.models import Revision, Workflow
from tests.approvals.desk import Desk, asking, refund

DIGEST_40 = digest({"order": "A-17", "amount": 40.0})


def one(desk: Desk, *asks: Any) -> tuple[Run, ApprovalRequest]:
    run, requests = desk.waiting(*asks)
    return run, requests[0]


def test_announcing_again_is_the_same_request(desk: Desk) -> None:
    run, request = one(desk, refund())
    with desk.house.scope():
        again = desk.announce(run, refund())
        assert again.pk == request.pk
        assert ApprovalRequest.objects.count() == 1
        events = feed.read(feed.queue_topic(desk.house.tenant.id))
    assert [event["payload"]["status"] for event in events] == ["pending"]


def test_a_request_says_what_it_is_about(desk: Desk) -> None:
    _, request = one(desk, refund(1500.0))
    assert request.title == "Refund 1500.0 for order A-17"
    assert (request.approvers, request.risk, request.on_expiry) == (2, "high", "reject")
    assert request.rule["name"] == "large refunds"
    assert timedelta(hours=3, minutes=59) < request.due_at - timezone.now() <= timedelta(hours=4)
    assert b"A-17" not in bytes(request.sealed_request)


def test_nothing_is_announced_for_a_run_that_has_ended(desk: Desk) -> None:
    run = desk.start()
    with desk.house.scope():
        actions.cancel_run(desk.house.operator.actor, run)
        assert actions.announce(run.pk, refund()) is None
        assert ApprovalRequest.objects.count() == 0


def test_approve_makes_the_run_ready(committed: Desk, woken: list[str]) -> None:
    run, request = one(committed, refund())
    woken.clear()
    done = committed.decide(committed.house.reviewer, request, "approve", reason="fine", digest=DIGEST_40)
    assert (done.status, done.verdict, done.decided_by_name) == (
        "decided",
        "approve",
        committed.house.reviewer.user.name,
    )
    assert committed.now(run).status == "queued"
    assert woken == [str(run.pk)]
    [decision] = committed.decisions(run, [refund()])
    assert (decision.verdict, decision.reason, decision.digest) == ("approve", "fine", DIGEST_40)
    assert decision.request == str(request.pk)
    with committed.house.scope():
        record = AuditRecord.objects.get(action="request.decided")
        assert (record.object_id, record.detail["verdict"]) == (str(request.pk), "approve")
        queue = feed.read(feed.queue_topic(committed.house.tenant.id))
        page = feed.read(feed.run_topic(run.pk))
    assert [event["payload"]["status"] for event in queue] == ["pending", "decided"]
    assert "decided" in [event["payload"].get("status") for event in page if event["kind"] == "request"]


def test_the_second_hears_who_decided(desk: Desk) -> None:
    _, request = one(desk, refund())
    desk.decide(desk.house.reviewer, request, "approve")
    for who in (desk.house.reviewer2, desk.house.reviewer):
        with pytest.raises(TooLate) as late:
            desk.decide(who, request, "approve")
        assert late.value.request.decided_by_name == desk.house.reviewer.user.name
        assert desk.house.reviewer.user.name in str(late.value) and "approved this at" in str(late.value)
    with desk.house.scope():
        assert Vote.objects.count() == 1


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_only_reviewers_decide(desk: Desk, role: str) -> None:
    _, request = one(desk, refund())
    with pytest.raises(Forbidden):
        desk.decide(getattr(desk.house, role), request, "approve")
    assert desk.request(request).status == "pending"


def test_another_tenants_request_does_not_exist(desk: Desk, world: Any) -> None:
    _, request = one(desk, refund())
    for who in world.fabrikam.members:
        with world.fabrikam.scope(), pytest.raises(NotFound):
            actions.decide(who.actor, request.pk, "approve")


def test_the_product_itself_does_not_decide(desk: Desk) -> None:
    _, request = one(desk, refund())
    with desk.house.scope(), pytest.raises(Forbidden):
        actions.decide(desk.house.system, request.pk, "approve")


def test_two_different_people(desk: Desk) -> None:
    run, request = one(desk, refund(1500.0))
    half = desk.decide(desk.house.reviewer, request, "approve", reason="ok")
    assert half.status == "pending"
    assert desk.now(run).status == "waiting"
    assert desk.decisions(run, [refund(1500.0)]) == []
    with pytest.raises(AlreadyVoted, match="somebody else"):
        desk.decide(desk.house.reviewer, request, "approve")
    done = desk.decide(desk.house.reviewer2, request, "approve", reason="ok too")
    assert done.status == "decided"
    [decision] = desk.decisions(run, [refund(1500.0)])
    assert decision.reason == "ok\nok too"


def test_one_reject_decides(desk: Desk) -> None:
    run, request = one(desk, refund(1500.0))
    desk.decide(desk.house.reviewer, request, "approve")
    done = desk.decide(desk.house.reviewer2, request, "reject", reason="No such order.")
    assert (done.status, done.verdict) == ("decided", "reject")
    [decision] = desk.decisions(run, [refund(1500.0)])
    assert (decision.verdict, decision.reason) == ("reject", "No such order.")


def test_a_mind_may_be_changed_to_no(desk: Desk) -> None:
    _, request = one(desk, refund(1500.0))
    desk.decide(desk.house.reviewer, request, "approve")
    assert desk.decide(desk.house.reviewer, request, "reject", reason="I misread it.").verdict == "reject"


def test_an_edit_is_what_will_be_executed(desk: Desk) -> None:
    run, request = one(desk, refund())
    edited = {"order": "A-17", "amount": 30.0}
    done = desk.decide(desk.house.reviewer, request, "edit", arguments=edited, reason="less")
    assert done.verdict == "edit"
    [decision] = desk.decisions(run, [refund()])
    assert (decision.verdict, decision.arguments, decision.digest) == ("edit", edited, digest(edited))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"order": "A-17", "amount": "much"}, "amount"),
        ({"order": "A-17", "amount": -1}, "amount"),
        ({"order": "A-17"}, "amount"),
        ({"order": "A-17", "amount": 1, "colour": "red"}, "colour"),
        ({"order": "A-17", "amount": 6000}, "arguments"),  # a rule forbids it
        ([], "arguments"),
        (None, "arguments"),
    ],
)
def test_an_edit_must_fit_schema_and_rules(desk: Desk, arguments: Any, field: str) -> None:
    _, request = one(desk, refund())
    with pytest.raises(Invalid) as invalid:
        desk.decide(desk.house.reviewer, request, "edit", arguments=arguments)
    assert invalid.value.field == field
    assert desk.request(request).status == "pending"


def test_an_edit_into_what_the_current_revision_denies_is_refused(desk: Desk) -> None:
    _, request = one(desk, refund())
    barred = [{"name": "frozen", "match": {"tool": "issue_*"}, "when": "arguments.amount > 20.0", "effect": "deny"}]
    with desk.house.scope():
        now = Revision.objects.create(
            tenant=desk.house.tenant, workflow=desk.workflow, number=2, body={"team": {}, "rules": barred}
        )
        Workflow.objects.filter(pk=desk.workflow.pk).update(current=now)
    with pytest.raises(Invalid, match="frozen"):
        desk.decide(desk.house.reviewer, request, "edit", arguments={"order": "A-17", "amount": 30.0})
    done = desk.decide(desk.house.reviewer, request, "edit", arguments={"order": "A-17", "amount": 10.0})
    assert done.status == "decided"


def test_an_edit_can_raise_the_quorum(desk: Desk) -> None:
    run, request = one(desk, refund())
    edited = {"order": "A-17", "amount": 2000.0}
    half = desk.decide(desk.house.reviewer, request, "edit", arguments=edited)
    assert (half.status, half.approvers, half.rule["name"]) == ("pending", 2, "large refunds")
    done = desk.decide(desk.house.reviewer2, request, "approve", digest=digest(edited))
    assert (done.status, done.verdict) == ("decided", "edit")
    [decision] = desk.decisions(run, [refund()])
    assert decision.arguments == edited


def test_an_edit_does_not_lower_the_quorum_and_voids_votes(desk: Desk) -> None:
    _, request = one(desk, refund(1500.0))
    desk.decide(desk.house.reviewer, request, "approve")
    half = desk.decide(desk.house.reviewer2, request, "edit", arguments={"order": "A-17", "amount": 10.0})
    assert (half.status, half.approvers) == ("pending", 2)
    with desk.house.scope():
        assert sorted(Vote.objects.values_list("verdict", "voided")) == [("approve", True), ("edit", False)]
    with pytest.raises(AlreadyVoted):
        desk.decide(desk.house.reviewer2, request, "approve")
    assert desk.decide(desk.house.reviewer, request, "approve").verdict == "edit"


def test_what_was_looked_at_is_what_is_approved(desk: Desk) -> None:
    _, request = one(desk, refund(1500.0))
    seen = request.digest
    desk.decide(desk.house.reviewer, request, "edit", arguments={"order": "A-17", "amount": 10.0})
    with pytest.raises(Changed, match=desk.house.reviewer.user.name):
        desk.decide(desk.house.reviewer2, request, "approve", digest=seen)
    assert desk.request(request).status == "pending"


@pytest.mark.parametrize(
    ("kind", "verdict", "words", "field"),
    [
        ("tool", "respond", {"answer": "x"}, "verdict"),
        ("tool", "shrug", {}, "verdict"),
        ("tool", "reject", {}, "reason"),
        ("tool", "reject", {"reason": "  "}, "reason"),
        ("tool", "approve", {"arguments": {"order": "B", "amount": 1}}, "arguments"),
        ("tool", "edit", {"answer": "x"}, "answer"),
        ("message", "edit", {}, "answer"),
        ("message", "edit", {"arguments": {}}, "arguments"),
        ("question", "approve", {}, "verdict"),
        ("question", "respond", {}, "answer"),
        ("question", "respond", {"answer": " "}, "answer"),
        ("question", "respond", {"answer": "x", "result": 1}, "result"),
        ("in_doubt", "escalate", {}, "verdict"),
        ("in_doubt", "respond", {"answer": "perhaps"}, "answer"),
        ("in_doubt", "respond", {"answer": "happened"}, "result"),
        ("in_doubt", "respond", {"answer": "did not happen", "result": 1}, "result"),
        ("final", "respond", {"answer": "x"}, "verdict"),
    ],
)
def test_words_that_do_not_go_together(desk: Desk, kind: str, verdict: str, words: Any, field: str) -> None:
    _, request = one(desk, refund() if kind == "tool" else asking(kind, question="Why?"))
    with pytest.raises(Invalid) as invalid:
        desk.decide(desk.house.reviewer, request, verdict, **words)
    assert invalid.value.field == field
    assert desk.request(request).status == "pending"


@pytest.mark.parametrize(
    ("kind", "verdict", "words", "heard"),
    [
        ("question", "respond", {"answer": "Blue."}, {"answer": "Blue."}),
        ("message", "edit", {"answer": "Better."}, {"answer": "Better.", "digest": digest("Better.")}),
        ("message", "approve", {}, {}),
        ("final", "edit", {"answer": "Better."}, {"answer": "Better."}),
        ("final", "reject", {"reason": "Too long."}, {"reason": "Too long."}),
        (
            "in_doubt",
            "respond",
            {"answer": "happened", "result": {"id": 7}},
            {"answer": "happened", "result": {"id": 7}},
        ),
        ("in_doubt", "respond", {"answer": "happened", "result": "text"}, {"result": "text"}),
        ("in_doubt", "respond", {"answer": "did not happen"}, {"answer": "did not happen", "result": None}),
    ],
)
def test_what_each_kind_takes(desk: Desk, kind: str, verdict: str, words: Any, heard: Any) -> None:
    ask = asking(kind, question="Which colour?", message="Hello")
    run, request = one(desk, ask)
    assert desk.decide(desk.house.reviewer, request, verdict, **words).status == "decided"
    [decision] = desk.decisions(run, [ask])
    assert decision.verdict == verdict
    assert {name: getattr(decision, name) for name in heard} == heard


def test_escalate_leaves_it_pending(committed: Desk, woken: list[str]) -> None:
    run, request = one(committed, refund())
    woken.clear()
    still = committed.decide(committed.house.reviewer, request, "escalate", reason="above my pay")
    assert still.status == "pending" and still.escalated_at is not None
    assert committed.now(run).status == "waiting" and woken == []
    with pytest.raises(AlreadyVoted, match="already escalated"):
        committed.decide(committed.house.reviewer2, request, "escalate")
    with committed.house.scope():
        assert "escalate" not in many([still])[0]["verdicts"] and many([still])[0]["votes"] == []
    page = committed.house.reviewer2.client.get(f"/queue/{request.pk}/").content.decode()
    assert "Reviewer escalated it: above my pay" in page and 'value="escalate"' not in page
    assert committed.decide(committed.house.reviewer, request, "approve").status == "decided"


def test_an_escalation_counts_for_no_quorum(desk: Desk) -> None:
    _, request = one(desk, refund(1500.0))
    desk.decide(desk.house.reviewer, request, "escalate", reason="large")
    assert desk.decide(desk.house.reviewer, request, "approve").status == "pending"
    assert desk.decide(desk.house.reviewer2, request, "approve").status == "decided"


def test_terminate_ends_the_run_and_moots_the_rest(desk: Desk) -> None:
    run, requests = desk.waiting(refund(), refund(n=1), asking("question", question="?"))
    desk.decide(desk.house.reviewer, requests[0], "terminate", reason="stop it")
    ended = desk.now(run)
    assert (ended.status, ended.stop_reason) == ("cancelled", "terminated")
    assert "stop it" in ended.stop_detail
    assert [desk.request(each).status for each in requests] == ["decided", "moot", "moot"]
    with pytest.raises(TooLate, match="run has ended"):
        desk.decide(desk.house.reviewer2, requests[1], "approve")


def test_two_requests_are_decided_in_either_order(desk: Desk) -> None:
    asks = [refund(), refund(n=1)]
    run, requests = desk.waiting(*asks)
    desk.decide(desk.house.reviewer, requests[1], "approve")
    desk.decide(desk.house.reviewer, requests[0], "reject", reason="no")
    assert [decision.verdict for decision in desk.decisions(run, asks)] == ["approve", "reject"]
    assert [decision.verdict for decision in desk.decisions(run, asks[:1])] == ["reject"]


def test_the_first_sight_counts(desk: Desk) -> None:
    _, request = one(desk, refund())
    who = desk.house.reviewer.actor
    with desk.house.scope():
        shown = actions.saw(who, request, "shown")
        assert shown.shown_at and shown.opened_at is None
        read = actions.saw(who, request, "read")
        assert read.shown_at == shown.shown_at and read.opened_at and read.read_at
        again = actions.saw(who, request, "opened")
        assert again.opened_at == read.opened_at
        assert Sighting.objects.count() == 1
        with pytest.raises(Invalid):
            actions.saw(who, request, "liked")


def test_doubt_shows_the_call_that_was_made(desk: Desk) -> None:
    shown = refund()
    edited = {"order": "A-17", "amount": 30.0}
    ask = Ask(
        "payer/tools/doubt", 0, "in_doubt", shown.digest, shown.request, "payer", "issue_refund",
        decision=Decision("edit", arguments=edited, by="Rita"),
    )  # fmt: skip
    run = desk.start()
    with desk.house.scope():
        request = actions.announce(run.pk, ask)
        assert request is not None
        found = many([request])[0]
    assert (found["arguments"], found["content"]["edited_by"]) == (edited, "Rita")
    assert request.title == "Did this happen? issue_refund"
    assert request.reason.startswith("No outcome of this call was recorded")


@pytest.mark.parametrize(
    ("ask", "title"),
    [
        (asking("question", question="Which colour?\nMore."), "Which colour?"),
        (asking("message", content="\n Hello\nthere"), "payer: Hello"),
        (asking("final", result="All done."), "Result: All done."),
        (asking("final", result=""), "Result of Refund desk"),
        (asking("in_doubt", title="Refund 40"), "Did this happen? Refund 40"),
        (asking("question", question="x" * 400), "x" * 299 + "…"),
        (asking("question", question="nul\x00"), "nul"),
    ],
)
def test_titles(desk: Desk, ask: Ask, title: str) -> None:
    assert one(desk, ask)[1].title == title
