"""What a list of requests can be narrowed to: the same on the page, in a saved view and over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import actions, filters, listing
from approvals.models import ApprovalRequest
from console.runs.models import Run
from tests.api.problems import problem
from tests.approvals.desk import Desk, asking, refund


@pytest.fixture
def three(desk: Desk) -> Desk:
    """Three that wait: of payer, of clerk, and of payer in a run that the reviewer started."""
    _, _ = desk.waiting(refund())
    _, [clerks] = desk.waiting(refund())
    run, [own] = desk.waiting(refund(1500.0))
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=clerks.pk).update(agent="clerk")
        me = desk.house.reviewer.user.pk
        Run.objects.filter(pk=run.pk).update(started_by_id=me)
        ApprovalRequest.objects.filter(pk=own.pk).update(started_by_id=me)
    return desk


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ({}, 3),
        ({"agent": "payer"}, 2),
        ({"agent": "clerk"}, 1),
        ({"agent": "pay"}, 0),
        ({"agent": "clerk", "tool": "issue_"}, 1),
        ({"starter": "me"}, 1),
        ({"starter": "operator.northwind"}, 2),
        ({"starter": "operator.northwind", "agent": "clerk"}, 1),
        ({"starter": "operator.fabrikam"}, 0),
        ({"starter": "nobody"}, 0),
        ({"starter": "00000000-0000-0000-0000-000000000000"}, 0),
        ({"starter": "a\x00"}, 0),
        ({"agent": "x" * 5000}, 0),
        ({"kind": "tool"}, 3),
        ({"kind": "question"}, 0),
        ({"workflow": "refund-desk"}, 3),
        ({"workflow": "nothing"}, 0),
        ({"group": "-"}, 2),
        ({"group": "finance"}, 1),
        ({"risk": "high"}, 3),
        ({"held": "nobody"}, 3),
        ({"held": "me"}, 0),
        ({"due": "soon"}, 0),
        ({"mentions": "me"}, 0),
        ({"whose": "mine"}, 2),
    ],
)
def test_page_and_api_agree(three: Desk, asked: dict[str, str], number: int) -> None:
    who = three.house.reviewer
    listed = who.api.get("/api/v1/approvals", status="pending", **asked)
    assert listed.status_code == 200 and len(listed.json()["items"]) == number
    page = who.client.get("/queue/", {"whose": "all", **asked})
    assert page.status_code == 200 and page.content.decode().count('<li class="item') == number
    if asked.keys() <= {"agent", "starter"}:
        assert who.client.get("/queue/", {"whose": "all", "part": "say", **asked}).status_code == 200


def test_what_waits_alone(three: Desk) -> None:
    with three.house.scope():
        key = ApprovalRequest.objects.filter(agent="clerk").values_list("pk", flat=True)[0]
    three.decide(three.house.reviewer, three.request(key), "approve")
    api = three.house.reviewer.api
    assert len(api.get("/api/v1/approvals").json()["items"]) == 3
    for asked in ({"held": "nobody"}, {"whose": "mine"}, {"due": "soon"}):
        assert str(key) not in api.get("/api/v1/approvals", **asked).content.decode()
    assert len(api.get("/api/v1/approvals", agent="clerk").json()["items"]) == 1


@pytest.mark.parametrize("name", ["whose", "kind", "risk", "due", "held", "mentions"])
def test_a_choice_that_there_is_not(desk: Desk, name: str) -> None:
    problem(desk.house.reviewer.api.get("/api/v1/approvals", **{name: "strange"}), 422, name)


def test_a_view_keeps_them(three: Desk) -> None:
    client = three.house.reviewer.client
    asked = "whose=all&agent=payer&starter=me&mentions=&evil=1"
    assert client.post("/queue/views/", {"name": "Mine", "filters": asked}).status_code == 302
    page = client.get("/queue/").content.decode()
    assert "agent=payer" in page and "starter=me" in page and "evil" not in page


def test_another_tenant_sees_nothing_of_it(three: Desk, world: Any) -> None:
    assert world.fabrikam.reviewer.api.get("/api/v1/approvals", agent="payer").json()["items"] == []


def test_the_mark_of_a_mention_costs_no_query_of_its_own(desk: Desk) -> None:
    desk.waiting(refund(), asking("question", question="Which?"))
    who = desk.house.reviewer.actor
    with desk.house.scope(), CaptureQueriesContext(connection) as seen:
        found, _ = listing.page(filters.marked(who, listing.pending(who, agent="payer")))
        assert [row["for_you"] for row in listing.items(found)] == [False, False]
    assert len([each for each in seen if "approvals_approvalrequest" in each["sql"]]) == 1


def test_a_claim_is_seen_in_the_filters(three: Desk) -> None:
    with three.house.scope():
        key = ApprovalRequest.objects.filter(agent="clerk").values_list("pk", flat=True)[0]
        actions.claim(three.house.reviewer.actor, key)
    page = three.house.reviewer.client.get("/queue/?whose=all&held=me").content.decode()
    assert page.count('<li class="item') == 1
    assert f'data-filter-holder="{three.house.reviewer.user.pk}"' in page
    assert f'data-holder="{three.house.reviewer.user.pk}"' in page
