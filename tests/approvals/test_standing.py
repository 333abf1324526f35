"""Yes in advance, and one word to many: both are ordinary decisions, each by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from approvals import actions
from approvals.actions import Invalid, Over, TooLate
from approvals.models import ApprovalRequest, StandingApproval
from console.audit.models import AuditRecord
from console.tenants import actions as tenants
from console.tenants.access import Forbidden, NotFound
from tests.approvals.desk import Desk, asking, make_desk, refund
from tests.world import World


def grant(desk: Desk, request: Any, scope: str = "workflow", same: str = "tool", **more: Any) -> StandingApproval:
    words = {"expires_at": timezone.now() + timedelta(days=3), "reason": "small and often", **more}
    with desk.house.scope():
        return actions.grant(desk.house.reviewer.actor, request.pk, scope=scope, same=same, **words)


def first(desk: Desk, *asks: Any) -> ApprovalRequest:
    return desk.waiting(*(asks or (refund(40.0),)))[1][0]


def test_the_like_is_approved_and_every_use_is_on_the_record(desk: Desk) -> None:
    request = first(desk)
    standing = grant(desk, request)
    assert desk.request(request).status == "pending"  # this one still waits
    run, [later] = desk.waiting(refund(41.0))
    later = desk.request(later)
    assert (later.status, later.verdict, later.decided_by_name) == ("decided", "approve", "Reviewer")
    assert later.standing_id == standing.pk and desk.now(run).status == "queued"
    [decision] = desk.decisions(run, [refund(41.0)])
    assert decision.verdict == "approve" and "small and often" in decision.reason
    with desk.house.scope():
        assert AuditRecord.objects.filter(action="standing.used", object_id=str(standing.pk)).count() == 1
    listed = desk.house.operator.api.get("/api/v1/standing-approvals").json()["items"]
    assert [(one["state"], one["uses"]) for one in listed] == [("active", 1)]


def test_what_it_does_not_cover_still_waits(desk: Desk) -> None:
    request = first(desk)
    grant(desk, request, scope="run", same="call")
    assert first(desk, refund(40.0)).status == "pending"  # another run
    with desk.house.scope():
        run = desk.now(request.run_id)
        assert desk.announce(run, refund(41.0, n=1)).status == "pending"  # other arguments
        assert desk.announce(run, refund(40.0, n=2)).status == "decided"
    other = asking("question", question="Which?")
    assert first(desk, other).status == "pending"


def test_another_rule_or_agent_is_not_covered(desk: Desk) -> None:
    grant(desk, first(desk))
    assert first(desk, refund(1500.0)).status == "pending"  # two people, and another rule


def test_two_people_are_never_one_in_advance(desk: Desk) -> None:
    with pytest.raises(Invalid, match="takes 2 people each time"):
        grant(desk, first(desk, refund(1500.0)))


def test_a_rule_may_forbid_it(world: World) -> None:
    desk = make_desk(world.northwind, {"team": {}, "rules": [{"name": "all", "effect": "require", "standing": False}]})
    with pytest.raises(Invalid, match="does not allow it"):
        grant(desk, first(desk))


def test_it_ends(desk: Desk) -> None:
    request = first(desk)
    expired, revoked = grant(desk, request), grant(desk, request)
    with desk.house.scope():
        StandingApproval.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        with pytest.raises(Forbidden):
            actions.revoke(desk.house.reviewer2.actor, revoked.pk)
        actions.revoke(desk.house.admin.actor, revoked.pk)
        with pytest.raises(Over, match="Admin revoked this"):
            actions.revoke(desk.house.reviewer.actor, revoked.pk)
    assert first(desk).status == "pending"


def test_an_owner_who_is_no_reviewer_any_more_approves_nothing(desk: Desk) -> None:
    grant(desk, first(desk))
    with desk.house.scope():
        tenants.add_member(desk.house.admin.actor, desk.house.reviewer.user, "operator")
    assert first(desk, refund(41.0)).status == "pending"


def test_ones_own_run_is_not_covered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    grant(desk, first(desk))
    from console.runs.models import Run

    run = desk.start()
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(started_by_id=desk.house.reviewer.user.id)
        assert desk.announce(run, refund(41.0)).status == "pending"


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "2026-11-27T17:00:00"}, "expires_at"),
        ({"expires_at": timezone.now() - timedelta(hours=1)}, "expires_at"),
        ({"expires_at": timezone.now() + timedelta(days=40)}, "expires_at"),
        ({"reason": " "}, "reason"),
        ({"reason": "a\x00"}, "reason"),
        ({"scope": "tenant"}, "scope"),
        ({"same": "agent"}, "same"),
    ],
)
def test_what_is_wrong_is_named(desk: Desk, words: dict[str, Any], field: str) -> None:
    request = first(desk)
    with pytest.raises(Invalid) as caught:
        grant(desk, request, **words)
    assert caught.value.field == field
    with desk.house.scope():
        assert not StandingApproval.objects.exists()


def test_nothing_is_granted_with_what_is_decided(desk: Desk) -> None:
    request = first(desk)
    desk.decide(desk.house.reviewer2, request, "approve")
    with pytest.raises(TooLate):
        grant(desk, request)


def test_another_tenants_are_not_there(desk: Desk, world: World) -> None:
    standing = grant(desk, first(desk))
    with world.fabrikam.scope(), pytest.raises(NotFound):
        actions.revoke(world.fabrikam.admin.actor, standing.pk)


def many(desk: Desk, verdict: str, requests: Any, who: Any = None, **words: Any) -> list[Any]:
    with desk.house.scope():
        ids = [getattr(each, "pk", each) for each in requests]
        return actions.decide_many((who or desk.house.reviewer).actor, ids, verdict, **words)


def test_like_requests_are_decided_together_each_by_itself(desk: Desk) -> None:
    requests = [first(desk, refund(amount)) for amount in (10.0, 20.0, 30.0)]
    desk.decide(desk.house.reviewer2, requests[1], "reject", reason="no")
    gone = uuid4()
    answers = many(desk, "approve", [*requests, gone, requests[0]])
    assert [(answer.status, bool(answer.problem)) for answer in answers] == [
        ("decided", False), ("decided", True), ("decided", False), ("", True),
    ]  # fmt: skip
    assert "Reviewer2 rejected this" in answers[1].problem
    with desk.house.scope():
        assert AuditRecord.objects.filter(action="request.decided").count() == 3


def test_never_across_rules_kinds_or_edits(desk: Desk) -> None:
    small, large = first(desk, refund(10.0)), first(desk, refund(1500.0))
    message = first(desk, asking("message", content="Hello"))
    question = first(desk, asking("question", question="Which?"))
    for requests in ([small, large], [small, message], [question]):
        with pytest.raises(Invalid) as caught:
            many(desk, "approve", requests)
        assert caught.value.field == "ids"
    for verdict in ("edit", "terminate", "escalate", "respond", ""):
        with pytest.raises(Invalid) as caught:
            many(desk, verdict, [small])
        assert caught.value.field == "verdict"
    for ids in ([], ["x"], [uuid4() for _ in range(201)]):
        with pytest.raises(Invalid) as caught:
            many(desk, "approve", ids)
        assert caught.value.field == "ids"
    assert {desk.request(each).status for each in (small, large, message, question)} == {"pending"}


def test_only_reviewers_and_only_what_they_looked_at(desk: Desk) -> None:
    request = first(desk)
    with pytest.raises(Forbidden):
        many(desk, "approve", [request], desk.house.operator)
    [answer] = many(desk, "approve", [request], digests={str(request.pk): "0" * 64})
    assert "changed" in answer.problem and desk.request(request).status == "pending"
    [answer] = many(desk, "reject", [request])
    assert "reason" in answer.problem


def test_the_page_of_the_like(desk: Desk) -> None:
    requests = [first(desk, refund(amount)) for amount in (10.0, 20.0)]
    first(desk, refund(1500.0))
    client = desk.house.reviewer.client
    page = client.get(f"/queue/{requests[0].pk}/like/").content.decode()
    assert "2 requests of one kind" in page and "1500" not in page
    answer = client.post(
        f"/queue/{requests[0].pk}/like/", {"id": [str(one.pk) for one in requests], "verdict": "approve"}
    )
    assert "2 of 2 counted" in answer.content.decode()
    assert client.post(f"/queue/{requests[0].pk}/like/", {"verdict": "approve"}).status_code == 422
