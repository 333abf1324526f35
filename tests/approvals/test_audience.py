"""Who may decide: the group, the starter, the role of this very moment, and whoever has it in hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import actions
from approvals.actions import Claimed, Invalid, TooLate
from approvals.models import ApprovalRequest, Vote
from console.audit.models import AuditRecord
from console.tenants import actions as tenants
from console.tenants import group_actions
from console.tenants.access import Forbidden, NotFound
from tests.approvals.desk import Desk, asking, make_desk, refund
from tests.world import World

OF_LEADS = {"name": "leads look", "match": {"tool": "*"}, "effect": "require", "group": "leads"}


def ruled(world: World, **rule: Any) -> Desk:
    """A desk whose only rule asks for everything, with these demands."""
    return make_desk(world.northwind, {"team": {}, "rules": [{"name": "all", "effect": "require", **rule}]})


def one(desk: Desk, *asks: Any) -> ApprovalRequest:
    return desk.waiting(*(asks or (refund(),)))[1][0]


def put(desk: Desk, name: str, *members: Any) -> None:
    with desk.house.scope():
        group_actions.put_group(desk.house.admin.actor, name, members=[member.user.id for member in members])


def test_only_the_group_decides(world: World) -> None:
    desk = ruled(world, group="leads")
    put(desk, "leads", world.northwind.reviewer2)
    request = one(desk)
    for verdict in ("approve", "reject", "terminate", "escalate"):
        with pytest.raises(Forbidden, match="asks for somebody of leads, and you are not in that group"):
            desk.decide(world.northwind.reviewer, request, verdict, reason="x")
    assert desk.decide(world.northwind.reviewer2, request, "approve").status == "decided"


def test_a_group_with_nobody_in_it_says_so_and_decides_nothing(world: World) -> None:
    desk = ruled(world, group="leads")
    put(desk, "leads")
    request = one(desk)
    with pytest.raises(Forbidden, match="no reviewer is in that group. An admin can add one under People"):
        desk.decide(world.northwind.reviewer, request, "approve")
    put(desk, "leads", world.northwind.reviewer)
    assert desk.decide(world.northwind.reviewer, request, "approve").status == "decided"


def test_a_group_of_another_tenant_is_another_group(world: World) -> None:
    desk = ruled(world, group="leads")
    put(desk, "leads")
    with world.fabrikam.scope():
        group_actions.put_group(world.fabrikam.admin.actor, "leads", members=[world.fabrikam.reviewer.user.id])
    request = one(desk)
    with pytest.raises(NotFound):
        desk.decide(world.fabrikam.reviewer, request, "approve")
    with world.fabrikam.scope(), pytest.raises(NotFound):
        actions.claim(world.fabrikam.reviewer.actor, request.pk)


def test_the_starter_agrees_to_nothing_of_their_run(desk: Desk) -> None:
    run, [request] = desk.waiting(refund(40.0))
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=request.pk).update(started_by_id=desk.house.reviewer.user.id)
    for verdict, words in (("approve", {}), ("edit", {"arguments": {"order": "A-17", "amount": 1.0}})):
        with pytest.raises(Forbidden, match="You started this run"):
            desk.decide(desk.house.reviewer, request, verdict, **words)
    answer = desk.house.reviewer.api.post(f"/api/v1/approvals/{request.pk}/decisions", {"verdict": "approve"})
    assert answer.status_code == 403 and "You started this run" in answer.json()["detail"]
    assert desk.request(request).status == "pending"
    assert desk.decide(desk.house.reviewer, request, "reject", reason="my mistake").verdict == "reject"


def test_the_starter_is_kept_with_the_request(desk: Desk) -> None:
    run, [request] = desk.waiting(refund())
    assert request.started_by_id == run.started_by_id == desk.house.operator.user.id


def test_a_role_that_was_taken_away_a_second_ago_decides_nothing(desk: Desk) -> None:
    request = one(desk)
    late = desk.house.reviewer.actor
    with desk.house.scope():
        tenants.add_member(desk.house.admin.actor, desk.house.reviewer.user, "operator")
        with pytest.raises(Forbidden, match="taken away or changed"):
            actions.decide(late, request.pk, "approve")
        with pytest.raises(Forbidden):
            actions.claim(late, request.pk)
    assert desk.request(request).status == "pending"


def test_a_token_that_was_revoked_meanwhile_decides_nothing(desk: Desk) -> None:
    request = one(desk)
    service, _ = desk.house.service("decider", role="reviewer")
    with desk.house.scope():
        token = service.apitoken_set.get()
        actor = replace(desk.house.reviewer.actor, kind="token", id=service.id, name="decider", token_id=token.id)
        tenants.revoke_token(desk.house.admin.actor, token.id)
        with pytest.raises(Forbidden):
            actions.decide(actor, request.pk, "approve")


def test_what_one_has_in_hand_the_others_leave(desk: Desk) -> None:
    request = one(desk)
    with desk.house.scope():
        held = actions.claim(desk.house.reviewer.actor, request.pk)
        assert held.claimed_by_name == "Reviewer" and held.claimed_until > timezone.now() + timedelta(minutes=14)
        actions.claim(desk.house.reviewer.actor, request.pk)  # again: longer
        with pytest.raises(Claimed, match="Reviewer has this in hand until"):
            actions.claim(desk.house.reviewer2.actor, request.pk)
        with pytest.raises(Claimed):
            actions.release(desk.house.reviewer2.actor, request.pk)
    with pytest.raises(Claimed):
        desk.decide(desk.house.reviewer2, request, "approve")
    with desk.house.scope():
        actions.claim(desk.house.reviewer2.actor, request.pk, take_over=True)
    assert desk.decide(desk.house.reviewer2, request, "approve").claimed_by_id is None
    with desk.house.scope():
        taken = AuditRecord.objects.filter(action="request.claimed", object_id=str(request.pk))
        assert taken.count() == 3 and taken.latest("id").detail["was"] == "Reviewer"
        for deed in (actions.claim, actions.release):
            with pytest.raises(TooLate):
                deed(desk.house.reviewer.actor, request.pk)


def test_a_claim_runs_out_by_itself(desk: Desk) -> None:
    request = one(desk)
    with desk.house.scope():
        actions.claim(desk.house.reviewer.actor, request.pk)
        ApprovalRequest.objects.filter(pk=request.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert desk.decide(desk.house.reviewer2, request, "approve").status == "decided"


def test_an_admin_frees_what_somebody_keeps(desk: Desk) -> None:
    request = one(desk)
    with desk.house.scope():
        actions.claim(desk.house.reviewer.actor, request.pk)
        assert actions.release(desk.house.admin.actor, request.pk).claimed_until is None
        with pytest.raises(Forbidden):
            actions.release(desk.house.operator.actor, request.pk)
        with pytest.raises(Forbidden):
            actions.claim(desk.house.admin.actor, request.pk)


def test_giving_it_to_a_colleague(desk: Desk) -> None:
    request = one(desk)
    with desk.house.scope():
        given = actions.assign(desk.house.reviewer.actor, request.pk, "reviewer2.northwind")
        assert given.claimed_by_id == desk.house.reviewer2.user.id
        for wrong in ("operator.northwind", "reviewer.fabrikam", "nobody", "", "a\x00", None):
            with pytest.raises(Invalid) as caught:
                actions.assign(desk.house.reviewer.actor, request.pk, wrong)
            assert caught.value.field == "to"
        with pytest.raises(Forbidden):
            actions.assign(desk.house.operator.actor, request.pk, "reviewer2.northwind")


def test_nobody_is_given_what_they_may_not_decide(world: World) -> None:
    desk = ruled(world, group="leads")
    put(desk, "leads", world.northwind.reviewer)
    request = one(desk)
    with desk.house.scope(), pytest.raises(Invalid, match="not of leads"):
        actions.assign(desk.house.admin.actor, request.pk, "reviewer2.northwind")


def test_a_rule_says_which_verdicts_there_are(world: World) -> None:
    desk = ruled(world, verdicts=["approve", "reject"])
    request = one(desk)
    with pytest.raises(Invalid, match="must be one of approve, reject: the rule that asked allows no other"):
        desk.decide(world.northwind.reviewer, request, "edit", arguments={"order": "A-17", "amount": 1.0})
    with pytest.raises(Invalid):
        desk.decide(world.northwind.reviewer, request, "terminate")
    found = world.northwind.reviewer.api.get(f"/api/v1/approvals/{request.pk}").json()
    assert found["verdicts"] == ["approve", "reject"]
    assert desk.decide(world.northwind.reviewer, request, "approve").verdict == "approve"


def test_an_edit_takes_a_second_person_where_the_rule_says_so(world: World) -> None:
    desk = ruled(world, second_for_edit=True)
    request = one(desk)
    edited = desk.decide(world.northwind.reviewer, request, "edit", arguments={"order": "A-17", "amount": 35.5})
    assert (edited.status, edited.approvers) == ("pending", 2)
    with pytest.raises(actions.AlreadyVoted):
        desk.decide(world.northwind.reviewer, request, "approve")
    won = desk.decide(world.northwind.reviewer2, request, "approve")
    assert (won.status, won.verdict) == ("decided", "edit")
    plain = one(desk)
    assert desk.decide(world.northwind.reviewer, plain, "approve").status == "decided"


def test_comments_decide_nothing_and_are_sealed(desk: Desk) -> None:
    request = one(desk)
    with desk.house.scope():
        said = actions.comment(desk.house.operator.actor, request.pk, "Ask @reviewer.northwind, not @nobody")
        assert b"Ask" not in bytes(said.sealed)
        for wrong in ("", " ", "x" * 4001, "a\x00", None):
            with pytest.raises(Invalid):
                actions.comment(desk.house.operator.actor, request.pk, wrong)
        assert Vote.objects.count() == 0
    found = desk.house.reviewer.api.get(f"/api/v1/approvals/{request.pk}/comments").json()["items"]
    assert [(one["by"], one["mentions"]) for one in found] == [("Operator", ["reviewer.northwind"])]
    assert desk.request(request).status == "pending"


def test_putting_off_is_for_oneself_alone(desk: Desk) -> None:
    from approvals import listing

    request = one(desk)
    now = timezone.now()
    with desk.house.scope():
        mine, theirs = desk.house.reviewer.actor, desk.house.reviewer2.actor
        actions.snooze(mine, request.pk, now + timedelta(hours=1))
        assert [listing.waiting(mine), listing.waiting(theirs)] == [0, 1]
        for wrong in (now - timedelta(hours=1), now + timedelta(days=40)):
            with pytest.raises(Invalid):
                actions.snooze(mine, request.pk, wrong)
        actions.snooze(mine, request.pk, None)
        assert listing.waiting(mine) == 1


def test_a_question_is_put_off_no_longer_than_it_waits(world: World) -> None:
    desk = ruled(world, expires_in="PT2H")
    request = one(desk)
    with desk.house.scope(), pytest.raises(Invalid, match="before it falls due"):
        actions.snooze(world.northwind.reviewer.actor, request.pk, timezone.now() + timedelta(hours=3))


def test_a_view_is_kept_by_name(desk: Desk) -> None:
    from approvals.models import SavedView

    with desk.house.scope():
        mine = desk.house.reviewer.actor
        first = actions.keep_view(mine, " Big  ones ", {"risk": "high"})
        again = actions.keep_view(mine, "Big ones", {"risk": "high", "kind": "tool"})
        assert first.pk == again.pk and again.filters == {"risk": "high", "kind": "tool"}
        with pytest.raises(NotFound):
            actions.forget_view(desk.house.reviewer2.actor, first.pk)
        for wrong in ("", "x" * 61, "a\x00"):
            with pytest.raises(Invalid):
                actions.keep_view(mine, wrong, {})
        actions.forget_view(mine, first.pk)
        assert not SavedView.objects.exists()


def test_a_question_and_a_doubt_have_their_own_words(desk: Desk) -> None:
    _, [request] = desk.waiting(asking("question", question="Which?"))
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=request.pk).update(started_by_id=desk.house.reviewer.user.id)
    assert desk.decide(desk.house.reviewer, request, "respond", answer="The first").status == "decided"
