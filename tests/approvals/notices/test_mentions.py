"""Mentions: who is told of a comment, once, by the ways they chose, and who is not."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import actions
from approvals.models import Mention
from approvals.notices.models import Delivery
from console.audit.models import AuditRecord
from console.runs import feed
from console.tenants import actions as tenant_actions
from tests.approvals.desk import Desk, refund
from tests.approvals.notices.carrier import Post
from tests.approvals.notices.conftest import make
from tests.approvals.notices.test_people import Found, wants
from tests.world import World


def say(desk: Desk, who: Any, request: Any, text: str) -> Any:
    with desk.house.scope():
        return actions.comment(who.actor, request.pk, text)


def test_who_is_mentioned_is_written_to_once(desk: Desk, post: Post) -> None:
    house = desk.house
    wants(desk, house.admin, "urgent", "admin@example.com")  # decides nothing, and hears of it all the same
    wants(desk, house.operator, "off", "operator@example.com")
    _, [request] = desk.waiting(refund())
    text = "Secret words, @admin.northwind and @ADMIN.Northwind. Also @operator.northwind."
    say(desk, house.reviewer, request, text)
    assert post.round() == 1 and post.round() == 0
    [(way, sent)] = post.carrier.sent
    assert (way, sent["to"]) == ("mail", ["admin@example.com"])
    assert sent["subject"] == "Refund desk: Reviewer mentioned you in a comment on a call of issue_refund"
    assert f"Look at it: https://sayso.example.com/queue/{request.pk}/" in sent["text"]
    assert "It waits for a decision." in sent["text"] and "Secret" not in str(sent)


def test_a_mention_of_oneself_tells_nobody(desk: Desk, post: Post) -> None:
    wants(desk, desk.house.admin, "all", "admin@example.com")
    _, [request] = desk.waiting(refund())
    say(desk, desk.house.admin, request, "I, @admin.northwind, looked.")
    assert post.round() == 0
    with desk.house.scope():
        assert not Mention.objects.exists()


def test_strangers_and_those_who_left_are_not_told(desk: Desk, world: World, post: Post, deliveries: Found) -> None:
    wants(desk, desk.house.admin, "all", "admin@example.com")
    _, [request] = desk.waiting(refund())
    path = f"/api/v1/approvals/{request.pk}/comments"
    answer = desk.house.reviewer.api.post(path, {"text": "@admin.fabrikam, @nobody. and @admin.northwind"})
    assert answer.status_code == 201
    assert (answer.json()["mentions"], answer.json()["unknown"]) == (["admin.northwind"], ["admin.fabrikam", "nobody"])
    with desk.house.scope():
        tenant_actions.remove_member(desk.house.system, desk.house.admin.user.pk)
    assert post.round() == 0 and deliveries() == []
    page = desk.house.reviewer.client.get(f"/queue/{request.pk}/").content.decode()
    assert "Mentions admin.northwind." in page
    assert "Nobody here is called admin.fabrikam or nobody, so nobody was told under that name." in page


@pytest.mark.parametrize(
    ("text", "mentions", "unknown"),
    [
        ("@reviewer.northwind.", ["reviewer.northwind"], []),
        ("(@reviewer.northwind)", ["reviewer.northwind"], []),
        ("@reviewer.northwind@example.com", ["reviewer.northwind"], []),
        ("mail reviewer@reviewer.northwind", [], []),
        ("@@reviewer.northwind", [], []),
        ("@ @. @-- nobody", [], []),
        ("@nobody @nobody!", [], ["nobody"]),
        ("@" + "x" * 400, [], ["x" * 150]),
        (" ".join(f"@n{number}" for number in range(40)), [], [f"n{number}" for number in range(20)]),
    ],
)
def test_what_is_a_mention(desk: Desk, text: str, mentions: list[str], unknown: list[str]) -> None:
    _, [request] = desk.waiting(refund())
    path = f"/api/v1/approvals/{request.pk}/comments"
    found = desk.house.operator.api.post(path, {"text": text}).json()
    assert (found["mentions"], found["unknown"]) == (mentions, unknown)


def test_a_mention_is_on_the_persons_queue_and_in_the_feed(desk: Desk) -> None:
    house = desk.house
    run, [request] = desk.waiting(refund())
    desk.waiting(refund())
    for _ in range(2):
        say(desk, house.operator, request, "@reviewer.northwind please")
    with house.scope():
        assert Mention.objects.count() == 1
        said = AuditRecord.objects.filter(action="request.commented").first()
        assert said is not None and said.detail["mentioned"] == [str(house.reviewer.user.pk)]
        heard = [each["payload"] for each in feed.read(feed.run_topic(run.pk), 0, 50, kind="request")]
    assert heard[-1]["mention"]["whom"] == [str(house.reviewer.user.pk)] and "mention" not in heard[0]
    theirs = house.reviewer.client.get("/queue/?mentions=me").content.decode()
    assert theirs.count('<li class="item') == 1 and theirs.count("mentions you") == 1
    every = house.reviewer.client.get("/queue/").content.decode()
    assert every.count('<li class="item') == 2 and every.count("mentions you") == 1
    others = house.reviewer2.client.get("/queue/?mentions=me").content.decode()
    assert others.count('<li class="item') == 0 and "mentions you" not in others
    listed = house.reviewer.api.get("/api/v1/approvals", mentions="me").json()["items"]
    assert [each["id"] for each in listed] == [str(request.pk)]


def test_no_channel_hears_of_a_mention(desk: Desk, post: Post) -> None:
    make(desk, "hook")
    _, [request] = desk.waiting(refund())
    post.round()
    sent = len(post.carrier.sent)
    say(desk, desk.house.operator, request, "@reviewer.northwind")
    assert post.round() == 0 and len(post.carrier.sent) == sent
    with desk.house.scope():
        assert Delivery.objects.filter(notice__event="request.mentioned").count() == 0
    refused = desk.house.admin.api.put(
        "/api/v1/channels/more",
        {"kind": "webhook", "address": "https://hooks.example.com/x", "events": ["request.mentioned"]},
    )
    assert refused.status_code == 422
