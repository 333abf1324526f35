"""Smoke tests over HTTP and on pages: who may, what is refused, and what people see of it."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.runs import smoke
from console.runs.models import Run
from console.tenants import crypto
from console.workflows.models import Revision, SmokeSuite, SmokeTest
from tests.api.problems import problem
from tests.approvals.desk import BODY, Desk
from tests.world import World

SUITE: dict[str, Any] = {
    "required": True,
    "cases": [
        {
            "name": "a <b>bold</b> refund",
            "input": "Refund order A-17",
            "expect": {"tools": ["issue_refund"], "asked": []},
        },
        {"name": "no", "input": {"order": "A-17"}, "decide": "reject", "expect": {"contract": {"type": "object"}}},
    ],
}
API = "/api/v1/workflows/refund-desk"
PAGE = "/workflows/refund-desk/smoke/"


def end(desk: Desk, **facts: Any) -> None:
    """All runs of smoke tests are over."""
    with desk.house.scope():
        Run.objects.exclude(smoke_test=None).update(**{"status": "completed", "stop_reason": "completed", **facts})
    smoke.look()


def test_what_is_put_is_what_is_got(desk: Desk) -> None:
    admin, reviewer = desk.house.admin.api, desk.house.reviewer.api
    assert reviewer.get(f"{API}/smoke").json() == {"required": False, "cases": []}
    assert admin.put(f"{API}/smoke", SUITE).json() == SUITE
    assert reviewer.get(f"{API}/smoke").json() == SUITE
    assert admin.put(f"{API}/smoke", reviewer.get(f"{API}/smoke").json()).json() == SUITE
    with desk.house.scope():
        assert b"Refund order" not in bytes(SmokeSuite.objects.get().sealed_cases)


def test_faults_are_named_and_nothing_is_kept(desk: Desk) -> None:
    problem(
        desk.house.admin.api.put(f"{API}/smoke", {"cases": [{"name": "x"}], "more": 1}),
        422,
        "$.more",
        "$.cases[0].input",
    )
    assert desk.house.admin.api.get(f"{API}/smoke").json()["cases"] == []


def test_a_test_is_started_followed_and_ended(desk: Desk) -> None:
    desk.house.admin.api.put(f"{API}/smoke", SUITE)
    started = desk.house.operator.api.post(f"{API}/revisions/1/smoke-tests")
    assert started.status_code == 202
    test = started.json()
    assert (test["status"], test["revision"], [case["passed"] for case in test["cases"]]) == (
        "running",
        1,
        [None, None],
    )
    assert [case["status"] for case in test["cases"]] == ["queued", "queued"]
    run = desk.house.reviewer.api.get(f"/api/v1/runs/{test['cases'][0]['run']}").json()
    assert run["smoke_test"] == test["id"]
    assert desk.house.reviewer.api.get("/api/v1/runs").json()["items"] == []
    assert "Refund order A-17" not in desk.house.reviewer.client.get("/runs/").content.decode()
    again = problem(desk.house.operator.api.post(f"{API}/revisions/1/smoke-tests"), 422, "number")
    assert "still running" in again["detail"]
    end(desk, sealed_result=crypto.seal_json(desk.house.tenant.id, "run.result", "a text"))
    ended = desk.house.reviewer.api.get(f"{API}/smoke-tests/{test['id']}").json()
    assert ended["status"] == "failed" and [case["passed"] for case in ended["cases"]] == [False, False]
    assert ended["cases"][0]["faults"] == ["issue_refund was not called."]
    assert ended["cases"][1]["faults"] == ["The result does not fit: 'a text' is not of type 'object'"]
    assert desk.house.reviewer.api.get(f"{API}/smoke-tests").json()["items"] == [ended]


def test_the_wrong_role_and_the_wrong_tenant(desk: Desk, world: World) -> None:
    desk.house.admin.api.put(f"{API}/smoke", SUITE)
    operator, reviewer, stranger = desk.house.operator.api, desk.house.reviewer.api, world.fabrikam.admin.api
    problem(operator.put(f"{API}/smoke", SUITE), 403)
    problem(reviewer.post(f"{API}/revisions/1/smoke-tests"), 403)
    problem(operator.post(f"{API}/revisions/1/smoke-tests", {"promote": True}), 403)
    problem(operator.post(f"{API}/revisions/1/smoke-tests", {"promote": "maybe"}), 422, "promote")
    test = operator.post(f"{API}/revisions/1/smoke-tests").json()
    for answer in (
        stranger.get(f"{API}/smoke"), stranger.put(f"{API}/smoke", SUITE), stranger.get(f"{API}/smoke-tests"),
        stranger.post(f"{API}/revisions/1/smoke-tests"), stranger.get(f"{API}/smoke-tests/{test['id']}"),
        operator.post(f"{API}/revisions/99/smoke-tests"), operator.get(f"{API}/smoke-tests/nonsense"),
    ):  # fmt: skip
        problem(answer, 404)
    assert world.fabrikam.admin.client.get(PAGE).status_code == 404
    assert desk.house.reviewer.client.post(PAGE, {"do": "test", "number": "1"}).status_code == 403


def test_the_page_says_how_revisions_did(desk: Desk) -> None:
    empty = desk.house.admin.client.get(PAGE).content.decode()
    assert "No case yet" in empty and "what this case is about" in empty
    kept = desk.house.admin.client.post(PAGE, {"do": "keep", "required": "1", "cases": json.dumps(SUITE["cases"])})
    assert kept.status_code == 302
    reviewer = desk.house.reviewer.client.get(PAGE).content.decode()
    assert "a &lt;b&gt;bold&lt;/b&gt; refund" in reviewer and "<b>bold" not in reviewer
    assert "ends as completed; calls issue_refund; asks nobody" in reviewer and "people say no" in reviewer
    assert "Test it" not in reviewer and "Write them" not in reviewer and "required before new runs" in reviewer
    assert desk.house.operator.client.post(PAGE, {"do": "test", "number": "1"}).status_code == 302
    going = desk.house.operator.client.get(PAGE).content.decode()
    assert 'hx-trigger="every 2s"' in going and "running" in going
    end(desk, stop_reason="budget", stop_detail="10 of 10 tokens are used.")
    over = desk.house.operator.client.get(PAGE).content.decode()
    assert "It ended as budget, not as completed. 10 of 10 tokens are used." in over and "every 2s" not in over


def test_the_page_refuses_with_the_fault_beside_it(desk: Desk) -> None:
    client = desk.house.admin.client
    for text, said in (
        ("{", "is not JSON"),
        ("[1]", "$.cases[0]"),
        ('[{"name": "x"}]', "$.cases[0].input"),
        ("[" * 100_000, "is not JSON"),
    ):
        answer = client.post(PAGE, {"do": "keep", "cases": text})
        assert answer.status_code == 422 and said in answer.content.decode()
    none = client.post(PAGE, {"do": "test", "number": "1"})
    assert none.status_code == 422 and "keeps no smoke test yet" in none.content.decode()
    assert client.post(PAGE, {"do": "test", "number": "x"}).status_code == 404
    with desk.house.scope():
        assert SmokeSuite.objects.count() == 0


def test_a_test_that_cannot_begin_leaves_nothing_behind(desk: Desk) -> None:
    desk.house.admin.api.put(f"{API}/smoke", SUITE)
    desk.house.admin.api.put("/api/v1/limits", {"max_runs": 1})  # room for the first of the two
    answer = desk.house.operator.client.post(PAGE, {"do": "test", "number": "1"})
    assert answer.status_code == 422 and "max_runs" in answer.content.decode()
    problem(desk.house.operator.api.post(f"{API}/revisions/1/smoke-tests"), 429)
    with desk.house.scope():
        assert (SmokeTest.objects.count(), Run.objects.count()) == (0, 0)


def test_a_revision_that_waits_for_its_test_says_so(desk: Desk) -> None:
    desk.house.admin.api.put(f"{API}/smoke", SUITE)
    with desk.house.scope():
        Revision.objects.create(tenant=desk.house.tenant, workflow=desk.workflow, number=2, body=BODY)
    client = desk.house.admin.client
    page = client.get("/workflows/refund-desk/?revision=2").content.decode()
    assert "has to pass the workflow&#x27;s smoke test first, which has not been run" in page
    assert "Promote revision 2" not in client.get("/workflows/refund-desk/compare/?to=2").content.decode()
    refused = client.post("/workflows/refund-desk/promote/", {"number": "2"})
    assert refused.status_code == 422 and "smoke test" in refused.content.decode()


def test_a_run_is_kept_as_a_case_from_its_page(desk: Desk, world: World) -> None:
    run = desk.start("Refund order A-17")
    admin = desk.house.admin.client
    assert "Keep as a smoke test" not in admin.get(f"/runs/{run.pk}/").content.decode()
    early = admin.post(f"/runs/{run.pk}/keep/", {"name": "x"})
    assert early.status_code == 422 and "one which has ended" in early.content.decode()
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(status="completed", stop_reason="completed")
    assert "Keep as a smoke test" in admin.get(f"/runs/{run.pk}/").content.decode()
    assert "Keep as a smoke test" not in desk.house.operator.client.get(f"/runs/{run.pk}/").content.decode()
    assert admin.post(f"/runs/{run.pk}/keep/", {"name": ""}).status_code == 422
    assert desk.house.operator.client.post(f"/runs/{run.pk}/keep/", {"name": "x"}).status_code == 403
    assert world.fabrikam.admin.client.post(f"/runs/{run.pk}/keep/", {"name": "x"}).status_code == 404
    assert admin.post(f"/runs/{run.pk}/keep/", {"name": "as it was"})["Location"] == PAGE
    (case,) = desk.house.admin.api.get(f"{API}/smoke").json()["cases"]
    assert case["input"] == "Refund order A-17" and case["expect"]["stop_reason"] == "completed"


def test_the_page_asks_the_database_as_often_with_ten_tests(desk: Desk) -> None:
    desk.house.admin.api.put(f"{API}/smoke", SUITE)
    counts = []
    desk.house.operator.client.get(PAGE)  # what is asked once in a process
    for _ in range(2):
        for _ in range(4):
            desk.house.operator.api.post(f"{API}/revisions/1/smoke-tests")
            end(desk)
        with CaptureQueriesContext(connection) as queries:
            desk.house.operator.client.get(PAGE)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    with desk.house.scope():
        assert SmokeTest.objects.count() == 8
