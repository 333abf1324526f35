"""Mail and chat: who is written to, what it says, and that what agents write cannot pose as ours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail as django_mail
from django.utils import timezone

from approvals.errors import Conflict
from approvals.notices import actions, chat, outbox, spreading, words
from approvals.notices.events import ALERTS, EVENTS, WAITING
from approvals.notices.models import Delivery
from approvals.notices.transports import Network
from console import environment
from console.runs.models import Run
from console.tenants import actions as tenant_actions
from console.tenants import group_actions
from tests.approvals.desk import Desk, asking, make_desk, refund
from tests.approvals.notices.carrier import Post, Receiver
from tests.approvals.notices.conftest import make
from tests.world import Member, World

Found = Callable[[], list[Delivery]]


def wants(desk: Desk, who: Member, what: str, email: str = "rita@example.com") -> None:
    who.user.email = email
    who.user.save(update_fields=["email"])
    with desk.house.scope():
        actions.subscribe(who.actor, what)


def test_a_reviewer_is_written_to(desk: Desk, post: Post) -> None:
    wants(desk, desk.house.reviewer, "all")
    _, [request] = desk.waiting(refund(1200.0))
    assert post.round() == 1
    [(way, sent)] = post.carrier.sent
    assert (way, sent["to"]) == ("mail", ["rita@example.com"])
    assert sent["subject"] == "Refund desk: A call of issue_refund waits for a decision"
    for line in (
        "Why: the rule “large refunds” asks for a person.",
        "It takes 2 people.",
        "then it is rejected.",
        f"Look at it: https://sayso.example.com/queue/{request.pk}/",
        "Risk: high.",
    ):
        assert line in sent["text"]
    assert "A-17" not in sent["subject"] + sent["text"]
    desk.decide(desk.house.reviewer, request, "approve")
    assert post.round() == 0  # what was decided waits for nobody


def test_who_is_not_written_to(desk: Desk, post: Post, world: Any, settings: Any) -> None:
    house = desk.house
    wants(desk, house.admin, "all", "admin@example.com")  # decides nothing
    wants(desk, house.reviewer, "urgent")
    wants(desk, house.reviewer2, "all", "")
    desk.waiting(refund())
    assert post.round() == 0
    _, [request] = desk.waiting(refund())
    post.round()
    desk.decide(house.reviewer2, request, "escalate")
    assert post.round() == 1
    wants(desk, house.reviewer, "all")
    with house.scope():
        run = desk.start()
        Run.objects.filter(pk=run.pk).update(started_by_id=house.reviewer.user.pk)
        desk.announce(run, refund())
    assert post.round() == 0  # their own run
    settings.EMAIL_SET_UP = False
    desk.waiting(refund())
    assert post.round() == 0


def test_where_nobody_can_decide_the_admins_are_told(world: World, post: Post) -> None:
    rule = {"name": "leads look", "effect": "require", "group": "leads"}
    desk = make_desk(world.northwind, {"team": {}, "rules": [rule]}, "leaderless")
    house = desk.house
    with house.scope():
        group_actions.put_group(house.admin.actor, "leads", members=[house.operator.user.id])
    wants(desk, house.admin, "all", "admin@example.com")
    wants(desk, house.reviewer, "all")
    wants(desk, house.operator, "all", "operator@example.com")
    desk.waiting(refund())
    assert post.round() == 1
    [(_, sent)] = post.carrier.sent
    assert sent["to"] == ["admin@example.com"]
    assert (
        "For: the group leads. No reviewer is in it, so nobody can decide this until an admin adds one" in sent["text"]
    )
    with house.scope():
        group_actions.put_group(house.admin.actor, "leads", members=[house.reviewer.user.id])
    desk.waiting(refund())
    assert post.round() == 1
    _, sent = post.carrier.sent[-1]
    assert sent["to"] == ["rita@example.com"] and "No reviewer" not in sent["text"]


def test_who_left_meanwhile_is_not_written_to(desk: Desk, post: Post, deliveries: Found) -> None:
    wants(desk, desk.house.reviewer, "all")
    desk.waiting(refund())
    spreading.spread(max(post.clock(), timezone.now()))
    with desk.house.scope():
        tenant_actions.remove_member(desk.house.admin.actor, desk.house.reviewer.user.pk)
    post.round()
    assert post.carrier.sent == []
    assert [row.status for row in deliveries()] == ["dead"]


def test_a_reminder(desk: Desk, post: Post) -> None:
    wants(desk, desk.house.reviewer, "urgent")
    run, [request] = desk.waiting(refund())
    with desk.house.scope():
        outbox.note(desk.request(request), desk.now(run), "request.reminded")
    post.round()
    assert "still waits for a decision" in post.carrier.sent[0][1]["subject"]


def test_mail_goes_through_djangos(desk: Desk) -> None:
    make(desk, "people", kind="email", address="a@example.com, b@example.com", include_title=True)
    desk.waiting(refund(title="Refund\r\nBcc: eve@example.com 40"))
    assert Post(Network()).round() == 1
    [message] = django_mail.outbox
    assert message.to == ["a@example.com", "b@example.com"]
    assert "\n" not in message.subject and message.extra_headers["Message-ID"].startswith("<msg_")


def test_without_a_mail_server_nothing_is_queued(desk: Desk, settings: Any, post: Post, deliveries: Found) -> None:
    settings.EMAIL_SET_UP = False
    make(desk, "people", kind="email", address="a@example.com")
    desk.waiting(refund())
    assert post.round() == 0 and deliveries() == []
    with desk.house.scope(), pytest.raises(Conflict, match="SAYSO_SMTP_URL"):
        actions.test(desk.house.admin.actor, "people")
    assert "not set up" in desk.house.admin.client.get("/channels/").content.decode()
    assert "not set up" in desk.house.reviewer.client.get("/you/").content.decode()


@pytest.mark.parametrize("kind", ["tool", "message", "question", "final", "in_doubt"])
@pytest.mark.parametrize("event", [event for event in EVENTS if event not in ALERTS])
def test_every_letter_is_whole(desk: Desk, kind: str, event: str) -> None:
    run, [request] = desk.waiting(refund() if kind == "tool" else asking(kind, question="Which one?"))
    facts = outbox.facts_of(None if event == "run.ended" else request, desk.now(run))
    subject, text = words.letter(words.About(event, timezone.now(), {**facts, "status": "completed"}))
    assert subject.startswith("Refund desk: ") and len(subject) < words.SUBJECT
    assert text.splitlines()[-1].startswith("Look at it: https://sayso.example.com/")
    assert "None" not in text and "Which" not in text
    assert ("Why: " in text) == (event in WAITING)


@pytest.mark.parametrize("event", ALERTS)
@pytest.mark.parametrize("more", [0, 7])
def test_every_letter_of_an_alert_is_whole(event: str, more: int) -> None:
    facts: dict[str, Any] = {"more": 7, "severity": "high", "says": "7 more alerts."}
    if not more:
        facts = {"alert": "5a", "rule": "<Cost>", "severity": "low", "since": "2026-11-21T17:00:00Z", "says": "Cost is $5",
                 "because": "Mostly a [model](https://evil.example).", "comes_and_goes": True}  # fmt: skip
    subject, text = words.letter(words.About(event, timezone.now(), facts))
    assert len(subject) <= words.SUBJECT and "None" not in text and "<" not in subject + text and "](" not in text
    where = "/alerts/" if more else "/alerts/5a/"
    assert text.splitlines()[-1] == f"Look at it: https://sayso.example.com{where}"
    assert ("7 more alerts" in text) == bool(more) and ("comes and goes" in text) != bool(more)


def test_agents_words_are_harmless() -> None:
    said = words.harmless("<!channel> [Approve](https://evil.example)\n@here www.evil.example `x` \u202e*b*")
    for bad in ("<", ">", "[", "]", "://", "@h", "www.", "\n", "`", "\u202e", "*b*"):
        assert bad not in said
    assert "Approve" in said


def test_a_chat(desk: Desk, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    for status, state in ((200, "delivered"), (403, "failed")):
        with Receiver(status, b"{}") as receiver:
            place = f"127.0.0.1:{receiver.server.server_port}"
            settings.SAYSO_EGRESS_ALLOW = [place]
            make(desk, "chat", kind="chat", address=f"ntfy://{place}/secret-topic", include_title=True)
            desk.waiting(refund())
            assert Post(Network()).round() == 1
        [(_, _, body)] = receiver.got
        assert b"Refund 40.0 for order A-17" in body and b"/queue/" in body
        with desk.house.scope():
            assert Delivery.objects.order_by("-created_at")[0].status == state
            Delivery.objects.all().delete()
    theirs = logging.getLogger("apprise")  # where pytest listens all the same, and nobody else does
    assert not theirs.propagate
    assert not any("secret-topic" in each.getMessage() for each in caplog.records if each.name != theirs.name)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", "Slack"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "Slack"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "Discord"),
        ("https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "Discord"),
        (
            "workflows://prod-1.westeurope.logic.azure.com:443/643e69f61e7a4e2d9d6a5a2ea5b3d2e5/sig123abcd",
            "Microsoft Teams",
        ),
        ("tgram://123456789:abcdefg_hijklmnop/123", "Telegram"),
        ("gchat://workspace/key/token", "Google Chat"),
        ("mmosts://chat.example.com/abcdefghijklmnopqrstuvwxyz", "Mattermost"),
        ("rockets://user:pw@chat.example.com/#c", "Rocket.Chat"),
        ("pagerduty://" + "a" * 32 + "@" + "b" * 20, "PagerDuty"),
        ("ntfy://topic", "ntfy"),
    ],
)
def test_chat_services(url: str, name: str) -> None:
    assert chat.name_of(url, []) == name


def test_settings_of_mail() -> None:
    assert environment.mail("", "")["EMAIL_SET_UP"] is False
    found = environment.mail("smtp://me%40x:p%2Fw@mail.example.com:587?tls=1", "sayso@example.com")
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"], found["EMAIL_PORT"]) == ("me@x", "p/w", 587)
    assert found["EMAIL_USE_TLS"] and not found["EMAIL_USE_SSL"] and found["EMAIL_SET_UP"]
    assert environment.mail("smtps://mail.example.com", "a@b.example")["EMAIL_PORT"] == 465
    for url, sender in (("http://x", "a@b.example"), ("smtp://", "a@b.example"), ("smtp://mail.example.com", "")):
        with pytest.raises(ValueError, match="SAYSO_"):
            environment.mail(url, sender)
