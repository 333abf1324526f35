"""What was to say that a request waits, when it waits no more: people are spared it, webhooks get every fact."""

from __future__ import annotations

import pytest

from approvals import actions
from approvals.notices.answers import Answer
from tests.approvals.desk import Desk, refund
from tests.approvals.notices.carrier import Post
from tests.approvals.notices.conftest import make
from tests.approvals.notices.test_people import Found, wants

BUSY = Answer(False, 503, "busy")


@pytest.fixture
def waits(desk: Desk, post: Post) -> Desk:
    """A mail channel, a webhook and a person to whom nothing could be delivered yet."""
    make(desk, "hook")
    make(desk, "people", kind="email", address="a@example.com")
    wants(desk, desk.house.reviewer, "all")
    post.carrier.always = {"mail": BUSY, "post": BUSY}
    return desk


def test_decided_meanwhile(waits: Desk, post: Post, deliveries: Found) -> None:
    _, [request] = waits.waiting(refund())
    assert post.round() == 3
    waits.decide(waits.house.reviewer, request, "approve")
    post.carrier.always, post.carrier.sent = {}, []
    post.wait(60)
    post.round()
    sent = [(way, what.get("subject") or what["body"].split('"')[3], what.get("to")) for way, what in post.carrier.sent]
    assert sorted(sent) == [
        ("mail", "Refund desk: A call of issue_refund was approved by Reviewer", ["a@example.com"]),
        ("post", "request.created", None),
        ("post", "request.decided", None),
    ]
    states = sorted((row.notice.event, row.lane == "email", row.status) for row in deliveries())
    assert states == [
        ("request.created", False, "delivered"),
        ("request.created", True, "dropped"),
        ("request.created", True, "dropped"),
        ("request.decided", False, "delivered"),
        ("request.decided", True, "delivered"),
    ]
    post.wait(9_999)
    assert post.round() == 0
    dropped = waits.house.admin.api.get("/api/v1/channels/people/deliveries", status="dropped").json()["items"]
    assert len(dropped) == 1 and dropped[0]["next_at"] is None
    page = waits.house.admin.client.get(f"/deliveries/{dropped[0]['id']}/").content.decode()
    assert "Not sent: decided meanwhile." in page and "Send it again" not in page
    again = waits.house.admin.api.post(f"/api/v1/deliveries/{dropped[0]['id']}/redeliver")
    assert again.status_code == 409
    assert waits.house.admin.client.get("/channels/people/?status=dropped").status_code == 200


def test_a_run_that_ended_meanwhile(waits: Desk, post: Post, deliveries: Found) -> None:
    run, _ = waits.waiting(refund())
    post.round()
    with waits.house.scope():
        actions.cancel_run(waits.house.operator.actor, waits.now(run))
    post.carrier.always, post.carrier.sent = {}, []
    post.wait(60)
    post.round()
    assert [row.status for row in deliveries() if row.lane == "email" and row.notice.event == "request.created"] == [
        "dropped",
        "dropped",
    ]
    page = next(row for row in deliveries() if row.status == "dropped" and row.channel_id)
    shown = waits.house.admin.client.get(f"/deliveries/{page.pk}/").content.decode()
    assert "Not sent: its run ended meanwhile." in shown


def test_what_still_waits_is_sent(waits: Desk, post: Post, deliveries: Found) -> None:
    waits.waiting(refund())
    post.round()
    post.carrier.always = {}
    post.wait(60)
    assert post.round() == 3
    assert {row.status for row in deliveries()} == {"delivered"}
