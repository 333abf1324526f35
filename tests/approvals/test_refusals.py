"""Each way in which a decision is refused has an answer of its own, on the page, over the API and for many at once; and
neither the request nor its run moves."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals import actions
from approvals.actions import TooLate
from approvals.models import ApprovalRequest, Vote
from console.tenants import actions as tenants
from console.tenants import group_actions
from tests.approvals.desk import RULES, Desk, make_desk, refund
from tests.world import World

LIKE = {"name": "no edits", "match": {"tool": "issue_*"}, "effect": "require", "verdicts": ["approve", "reject"]}
LEADS = {"name": "leads look", "match": {"tool": "issue_*"}, "effect": "require", "group": "leads"}
APPROVE = {"verdict": "approve"}


@dataclass
class Case:
    """``before`` makes it so; ``code`` and ``says`` are what the reviewer hears; ``gone``: they do not even get in."""

    code: int
    says: str
    before: Callable[[Desk, ApprovalRequest], object] = lambda desk, request: None
    body: dict[str, Any] = field(default_factory=lambda: dict(APPROVE))
    rules: list[Any] = field(default_factory=lambda: RULES)
    gone: bool = False


def overdue(desk: Desk, request: ApprovalRequest, outcome: str = "reject") -> None:
    with desk.house.scope():
        past = timezone.now() - timedelta(seconds=1)
        ApprovalRequest.objects.filter(pk=request.pk).update(due_at=past, next_at=past, on_expiry=outcome, agenda=[])


def swept(desk: Desk, request: ApprovalRequest) -> None:
    overdue(desk, request)
    assert actions.expire_due() == 1


def cancelled(desk: Desk, request: ApprovalRequest) -> None:
    with desk.house.scope():
        actions.cancel_run(desk.house.operator.actor, desk.now(request.run_id))


def demoted(desk: Desk, request: ApprovalRequest) -> None:
    with desk.house.scope():
        tenants.add_member(desk.house.admin.actor, desk.house.reviewer.user, "operator")


def dismissed(desk: Desk, request: ApprovalRequest) -> None:
    with desk.house.scope():
        tenants.remove_member(desk.house.admin.actor, desk.house.reviewer.user.id)


def out_of_the_group(desk: Desk, request: ApprovalRequest) -> None:
    with desk.house.scope():
        group_actions.put_group(desk.house.admin.actor, "leads", members=[desk.house.reviewer2.user.id])


def nobody_left(desk: Desk, request: ApprovalRequest) -> None:
    with desk.house.scope():
        group_actions.put_group(desk.house.admin.actor, "leads", members=[])


def held(desk: Desk, request: ApprovalRequest) -> None:
    with desk.house.scope():
        actions.claim(desk.house.reviewer2.actor, request.pk)


def started(desk: Desk, request: ApprovalRequest) -> None:
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=request.pk).update(started_by_id=desk.house.reviewer.user.id)


def edit(**arguments: Any) -> dict[str, Any]:
    return {"verdict": "edit", "arguments": {"order": "A-17", **arguments}}


CASES = {
    "after its time, before the sweeper": Case(409, "The time to decide this ended at", overdue),
    "after the sweeper": Case(409, "Nobody answered in time: this expired at", swept),
    "after the run": Case(409, "The run has ended, so nothing is left to decide here.", cancelled),
    "without the role": Case(403, "you are operator here", demoted, gone=True),
    "without a membership": Case(403, "not a member of any tenant", dismissed, gone=True),
    "out of the group": Case(403, "leads, and you are not in that group", out_of_the_group, rules=[LEADS]),
    "a group with nobody": Case(403, "leads, and no reviewer is in that group. An admin can", nobody_left, rules=[LEADS]),
    "in a colleague's hands": Case(409, "has this in hand until", held),
    "one's own run": Case(403, "You started this run, so somebody else has to agree to it.", started),
    "one's own run, edited": Case(403, "You started this run", started, edit(amount=1)),
    "other arguments": Case(409, "What is proposed was changed", body={**APPROVE, "digest": "0" * 64}),
    "a verdict that the rule bars": Case(422, "the rule that asked allows no other", body=edit(amount=1), rules=[LIKE]),
    "a verdict of another kind": Case(422, "must be one of approve, edit", body={"verdict": "respond", "answer": "x"}),
    "what the schema refuses": Case(422, "less than or equal to the minimum of 0", body=edit(amount=-1)),
    "what a rule denies": Case(422, "“never above 5,000” forbids issue_", body=edit(amount=9000)),
}  # fmt: skip


def waits(world: World, case: Case) -> tuple[Desk, ApprovalRequest]:
    desk = make_desk(world.northwind, {"team": {}, "rules": case.rules})
    with desk.house.scope():
        group_actions.put_group(desk.house.admin.actor, "leads", members=[desk.house.reviewer.user.id])
    request = desk.waiting(refund())[1][0]
    assert desk.house.reviewer.client and desk.house.reviewer.api  # they are in already
    case.before(desk, request)
    return desk, request


def unmoved(desk: Desk, request: ApprovalRequest, before: tuple[Any, ...]) -> None:
    now, run = desk.request(request), desk.now(request.run_id)
    assert (now.status, now.verdict, run.status, run.wake) == before
    with desk.house.scope():
        assert not Vote.objects.exists()


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_everywhere_and_nothing_moves(world: World, name: str) -> None:
    case = CASES[name]
    desk, request = waits(world, case)
    was, run = desk.request(request), desk.now(request.run_id)
    before = (was.status, was.verdict, run.status, run.wake)
    who, path = desk.house.reviewer, f"/queue/{request.pk}/decide/"

    over_api = who.api.post(f"/api/v1/approvals/{request.pk}/decisions", case.body)
    assert over_api.status_code == (401 if case.gone else case.code), over_api.content
    assert case.gone or re.search(case.says, over_api.json()["detail"]), over_api.json()

    form = {f"arg.{key}": value for key, value in case.body.get("arguments", {}).items()}
    on_page = who.client.post(path, {**{k: v for k, v in case.body.items() if k != "arguments"}, **form})
    assert on_page.status_code == case.code
    assert re.search(case.says, re.sub(r"\s+", " ", on_page.content.decode()))

    if case.body["verdict"] == "approve":
        many = {"ids": [str(request.pk)], "verdict": "approve"}
        if "digest" in case.body:
            many["digests"] = {str(request.pk): case.body["digest"]}
        together = who.api.post("/api/v1/approvals/decisions", many)
        assert together.status_code == (401 if case.gone else 200)
        assert case.gone or re.search(case.says, together.json()["items"][0]["problem"]), together.json()
    unmoved(desk, request, before)


def test_a_session_and_a_token_that_ended_decide_nothing(world: World) -> None:
    desk, request = waits(world, Case(0, ""))
    who = desk.house.reviewer
    who.client.post("/logout/")
    away = who.client.post(f"/queue/{request.pk}/decide/", APPROVE)
    assert away.status_code == 302 and away["Location"].startswith("/login/")
    with desk.house.scope():
        for token in who.user.apitoken_set.all():
            tenants.revoke_token(desk.house.admin.actor, token.pk)
    assert who.api.post(f"/api/v1/approvals/{request.pk}/decisions", APPROVE).status_code == 401
    unmoved(desk, request, ("pending", "", "waiting", 0))


def test_nothing_is_taken_in_hand_or_granted_after_the_end(world: World) -> None:
    desk, request = waits(world, Case(0, ""))
    overdue(desk, request)
    who, later = desk.house.reviewer.actor, timezone.now() + timedelta(hours=1)
    with desk.house.scope():
        for deed in (
            lambda: actions.claim(who, request.pk),
            lambda: actions.assign(who, request.pk, "reviewer2.northwind"),
            lambda: actions.grant(who, request.pk, scope="run", same="call", expires_at=later, reason="r"),
        ):
            with pytest.raises(TooLate, match="The time to decide this ended at"):
                deed()


def test_a_yes_in_advance_of_somebody_who_left_the_group_counts_no_more(world: World) -> None:
    desk, request = waits(world, Case(0, "", rules=[LEADS]))
    later = timezone.now() + timedelta(hours=1)
    with desk.house.scope():
        actions.grant(
            desk.house.reviewer.actor, request.pk, scope="workflow", same="tool", expires_at=later, reason="r"
        )
    _, [covered] = desk.waiting(refund(41.0))
    assert desk.request(covered).status == "decided"
    out_of_the_group(desk, request)
    _, [waiting] = desk.waiting(refund(42.0))
    assert desk.request(waiting).status == "pending"


def test_a_group_with_nobody_in_it_is_said_to_everybody_who_looks(world: World) -> None:
    desk, request = waits(world, Case(0, "", nobody_left, rules=[LEADS]))
    for who in desk.house.members:
        page = " ".join(who.client.get(f"/queue/{request.pk}/").content.decode().split())
        assert "no reviewer is in that group. An admin can add one under People" in page, who.role
        assert str(request.pk) in desk.house.admin.client.get("/queue/").content.decode()
