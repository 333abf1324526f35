"""Requests and decisions over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from console.durable.digest import digest
from tests.api.problems import problem
from tests.approvals.desk import Desk, asking, refund

FIELDS = {
    "id", "run", "kind", "agent", "tool", "arguments", "digest", "status", "verdicts", "votes", "rule", "due_at", "decision"
}  # fmt: skip


def decide(who: Any, request: Any, **body: Any) -> Any:
    return who.api.post(f"/api/v1/approvals/{request.pk}/decisions", body)


def test_a_request_says_all(desk: Desk) -> None:
    run, [request] = desk.waiting(refund(1500.0))
    found = desk.house.operator.api.get(f"/api/v1/approvals/{request.pk}").json()
    assert found.keys() >= FIELDS
    assert (found["run"], found["workflow"], found["kind"]) == (str(run.pk), "refund-desk", "tool")
    assert (found["agent"], found["tool"], found["risk"]) == ("payer", "issue_refund", "high")
    assert found["arguments"] == found["proposed"] == {"order": "A-17", "amount": 1500.0}
    assert found["digest"] == digest(found["arguments"])
    assert found["verdicts"] == ["approve", "edit", "reject", "escalate", "terminate"]
    assert (found["votes"], found["approvers"], found["decision"]) == ([], 2, None)
    assert (found["rule"]["name"], found["on_expiry"]) == ("large refunds", "reject")
    assert found["due_at"].endswith("Z")
    assert found["content"]["schema"]["required"] == ["order", "amount"]


def test_list(desk: Desk) -> None:
    run, requests = desk.waiting(refund(), refund(n=1))
    other, _ = desk.waiting(refund())
    decide(desk.house.reviewer, requests[0], verdict="approve")
    api = desk.house.reviewer.api
    assert len(api.get("/api/v1/approvals").json()["items"]) == 3
    assert len(api.get("/api/v1/approvals", status="pending").json()["items"]) == 2
    mine = api.get("/api/v1/approvals", status="pending", run=str(run.pk)).json()["items"]
    assert [each["id"] for each in mine] == [str(requests[1].pk)]
    assert len(api.get("/api/v1/approvals", status="", run="").json()["items"]) == 3
    problem(api.get("/api/v1/approvals", status="open"), 422, "status")


def test_a_list_costs_the_same_however_long(desk: Desk, django_assert_max_num_queries: Any) -> None:
    api = desk.house.reviewer.api
    for _ in range(2):
        desk.waiting(refund())
    api.get("/api/v1/approvals")
    with django_assert_max_num_queries(8):
        assert len(api.get("/api/v1/approvals").json()["items"]) == 2
    for _ in range(6):
        desk.waiting(refund(1500.0))
    with django_assert_max_num_queries(8):
        assert len(api.get("/api/v1/approvals").json()["items"]) == 8


def test_approve(desk: Desk) -> None:
    run, [request] = desk.waiting(refund())
    response = decide(desk.house.reviewer, request, verdict="approve", reason="fine", digest=request.digest)
    assert response.status_code == 201
    made = response.json()
    assert (made["status"], made["verdicts"]) == ("decided", [])
    assert (made["decision"]["verdict"], made["decision"]["reason"]) == ("approve", "fine")
    assert made["decision"]["by"] == desk.house.reviewer.user.name and made["decision"]["at"]
    assert desk.now(run).status == "queued"


def test_too_late_hears_the_winning_decision(desk: Desk) -> None:
    _, [request] = desk.waiting(refund())
    won = decide(desk.house.reviewer, request, verdict="reject", reason="no").json()["decision"]
    for who, verdict in ((desk.house.reviewer2, "approve"), (desk.house.reviewer, "reject")):
        lost = problem(decide(who, request, verdict=verdict, reason="no"), 409)
        assert lost["decision"] == won
        assert desk.house.reviewer.user.name in lost["detail"]
        assert lost["request"] == str(request.pk)


def test_a_moot_request_says_so(desk: Desk) -> None:
    run, [request] = desk.waiting(refund())
    desk.house.operator.api.post(f"/api/v1/runs/{run.pk}/cancel")
    lost = problem(decide(desk.house.reviewer, request, verdict="approve"), 409)
    assert (lost["decision"], lost["request_status"]) == (None, "moot")


def test_edit(desk: Desk) -> None:
    _, [request] = desk.waiting(refund())
    edited = {"order": "A-17", "amount": 2000}
    half = decide(desk.house.reviewer, request, verdict="edit", arguments=edited).json()
    assert (half["status"], half["approvers"], half["arguments"]) == ("pending", 2, edited)
    assert half["proposed"] == {"order": "A-17", "amount": 40.0}
    assert [(vote["by"], vote["verdict"]) for vote in half["votes"]] == [(desk.house.reviewer.user.name, "edit")]
    again = problem(decide(desk.house.reviewer, request, verdict="approve"), 409)
    assert "somebody else" in again["detail"]
    stale = problem(decide(desk.house.reviewer2, request, verdict="approve", digest=request.digest), 409)
    assert "changed" in stale["detail"]
    done = decide(desk.house.reviewer2, request, verdict="approve", digest=half["digest"]).json()
    assert (done["status"], done["decision"]["verdict"], done["decision"]["arguments"]) == ("decided", "edit", edited)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "verdict"),
        ({"verdict": None}, "verdict"),
        ({"verdict": "respond", "answer": "x"}, "verdict"),
        ({"verdict": "reject"}, "reason"),
        ({"verdict": "reject", "reason": 7}, "reason"),
        ({"verdict": "edit"}, "arguments"),
        ({"verdict": "edit", "arguments": "x"}, "arguments"),
        ({"verdict": "edit", "arguments": {"order": "A-17", "amount": "x"}}, "amount"),
        ({"verdict": "edit", "arguments": {"order": "A-17", "amount": 9000}}, "arguments"),
        ({"verdict": "approve", "arguments": {"order": "B", "amount": 1}}, "arguments"),
        ({"verdict": "approve", "surprise": 1}, "surprise"),
    ],
)
def test_what_does_not_fit(desk: Desk, body: Any, field: str) -> None:
    _, [request] = desk.waiting(refund())
    problem(desk.house.reviewer.api.post(f"/api/v1/approvals/{request.pk}/decisions", body), 422, field)
    assert desk.request(request).status == "pending"


def test_answers(desk: Desk) -> None:
    run, requests = desk.waiting(
        asking("question", question="Colour?"), asking("in_doubt"), asking("final", result="x")
    )
    said = [
        decide(desk.house.reviewer, requests[0], verdict="respond", answer="Blue"),
        decide(desk.house.reviewer, requests[1], verdict="respond", answer="happened", result={"id": 7}),
        decide(desk.house.reviewer, requests[2], verdict="edit", answer="Better"),
    ]
    assert [each.status_code for each in said] == [201] * 3
    decisions = [each.json()["decision"] for each in said]
    assert [each["answer"] for each in decisions] == ["Blue", "happened", "Better"]
    assert decisions[1]["result"] == {"id": 7}


def test_terminate(desk: Desk) -> None:
    run, requests = desk.waiting(refund(), refund(n=1))
    assert decide(desk.house.reviewer, requests[0], verdict="terminate", reason="enough").status_code == 201
    assert (desk.now(run).status, desk.now(run).stop_reason) == ("cancelled", "terminated")
    assert desk.request(requests[1]).status == "moot"


def test_escalate(desk: Desk) -> None:
    _, [request] = desk.waiting(refund())
    made = decide(desk.house.reviewer, request, verdict="escalate").json()
    assert made["status"] == "pending" and made["escalated_at"]
