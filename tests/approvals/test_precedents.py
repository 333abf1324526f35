"""What like requests got before: counted by hand here, and never another tenant's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from approvals import precedents
from approvals.models import ApprovalRequest
from tests.approvals.desk import Desk, asking, make_desk, refund
from tests.world import World


def settled(desk: Desk, days: float, took: float, status: str, verdict: str, **changes: Any) -> ApprovalRequest:
    """A refund that waited from ``days`` ago for ``took`` seconds and then was what is said."""
    _, [request] = desk.waiting(refund(40.0))
    created = timezone.now() - timedelta(days=days)
    outcome = {
        "created_at": created,
        "decided_at": created + timedelta(seconds=took),
        "status": status,
        "verdict": verdict,
        "decided_by_name": "Ada",
        **changes,
    }
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=request.pk).update(**outcome)
    return desk.request(request)


def found(desk: Desk, request: ApprovalRequest) -> precedents.Precedents:
    with desk.house.scope():
        return precedents.of(desk.house.reviewer.actor, request)


def test_they_are_counted_by_outcome_with_a_median(desk: Desk, world: World) -> None:
    other = make_desk(world.fabrikam)
    settled(other, 1, 1, "decided", "reject")
    for days, took, status, verdict in (
        (1, 10, "decided", "approve"),
        (2, 20, "decided", "approve"),
        (3, 30, "decided", "edit"),
        (4, 300, "decided", "reject"),
        (5, 9, "decided", "terminate"),
        (6, 90000, "expired", "reject"),
        (91, 1, "decided", "reject"),  # too long ago
        (7, 1, "moot", ""),  # nobody decided
    ):
        settled(desk, days, took, status, verdict)
    settled(desk, 1, 1, "decided", "approve", tool="other_tool")
    settled(desk, 1, 1, "decided", "approve", rule={"name": "another rule"})
    _, [question] = desk.waiting(asking("question", question="Which?"))
    _, [request] = desk.waiting(refund(40.0))
    like = found(desk, request)
    assert (like.approved, like.edited, like.rejected, like.stopped, like.expired, like.answered) == (2, 1, 1, 1, 1, 0)
    assert (like.total, like.bounded, like.median_s) == (6, False, 20.0)  # of 9, 10, 20, 30, 300
    assert [one.verdict for one in like.last] == ["approve", "approve", "edit"]
    assert {one.by for one in like.last} == {"Ada"}
    assert found(desk, question).total == 0
    assert found(other, other.waiting(refund(40.0))[1][0]).rejected == 1


def test_a_rule_is_asked_about_by_its_name(desk: Desk) -> None:
    for days in (1, 2):
        settled(desk, days, 5, "decided", "approve", rule={"name": "large refunds"})
    settled(desk, 3, 5, "decided", "reject")
    _, [large, small] = desk.waiting(refund(1250.0), refund(40.0, n=1))
    assert (found(desk, large).approved, found(desk, large).rejected) == (2, 0)
    assert (found(desk, small).approved, found(desk, small).rejected) == (0, 1)


def test_a_card_shows_what_could_be_known_when_it_was_decided(desk: Desk) -> None:
    settled(desk, 10, 60, "decided", "approve")
    settled(desk, 10, 86400 * 9, "decided", "reject")  # decided a day ago, nine days after it was asked
    then = settled(desk, 8, 60, "decided", "approve")
    assert (found(desk, then).approved, found(desk, then).rejected) == (1, 0)


def test_of_very_many_the_latest_are_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedents, "MOST", 3)
    for days in range(1, 6):
        settled(desk, days, 5, "decided", "approve" if days < 4 else "reject")
    like = found(desk, desk.waiting(refund(40.0))[1][0])
    assert (like.approved, like.rejected, like.bounded) == (3, 0, True)


def test_they_are_found_by_their_index_behind_the_wall(desk: Desk, django_assert_num_queries: Any) -> None:
    _, [request] = desk.waiting(refund(40.0))
    with desk.house.scope():
        actor = desk.house.reviewer.actor
        with django_assert_num_queries(2):
            precedents.of(actor, request)
        with connection.cursor() as cursor:
            # In a table of one row every index costs the same: asked is whether this one can answer, in order.
            for other in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{other} = off")
        plan = precedents._like(actor, request)[: precedents.MOST].explain()
    assert "request_like" in plan and "Sort" not in plan, plan
    assert "rule_name" in plan.split("Index Cond")[1].splitlines()[0], plan
