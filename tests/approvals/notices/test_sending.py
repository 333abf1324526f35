"""From a change of a request to a message outside: who hears, what they hear, and what happens when it is not taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from standardwebhooks import Webhook, WebhookVerificationError

from approvals.notices import actions, sending, signing, spreading
from approvals.notices.answers import Answer
from approvals.notices.models import Channel, Delivery, Notice
from approvals.notices.transports import Network
from console.audit.models import AuditRecord
from console.tenants import crypto
from console.tenants.scopes import system_scope
from tests.approvals.desk import Desk, refund
from tests.approvals.notices.carrier import Post, Receiver
from tests.approvals.notices.conftest import HOOK, make

Found = Callable[[], list[Delivery]]
DOWN = Answer(False, 503, "busy")


def secret_of(channel: Channel) -> dict[str, str]:
    with system_scope("tests"):
        row = Channel.objects.get(pk=channel.pk)
        found: dict[str, str] = crypto.unseal_json(row.tenant_id, "channel.secret", row.sealed_secrets)
        return found


def test_a_life_is_told(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    run, [request] = desk.waiting(refund())
    assert post.round() == 1
    desk.decide(desk.house.reviewer, request, "escalate")
    desk.decide(desk.house.reviewer, request, "terminate", reason="no")
    assert post.round() == 3
    bodies = [json.loads(sent["body"]) for _, sent in post.carrier.sent]
    kinds = [body["type"] for body in bodies]
    assert kinds[0] == "request.created"
    assert sorted(kinds[1:]) == ["request.decided", "request.escalated", "run.ended"]  # sent side by side
    created = bodies[0]["data"]
    assert created["url"] == f"https://sayso.example.com/queue/{request.pk}/"
    assert (created["id"], created["run"], created["tool"], created["risk"]) == (
        str(request.pk), str(run.pk), "issue_refund", "high",
    )  # fmt: skip
    assert "title" not in created and "A-17" not in json.dumps(bodies)
    ended = next(body for body in bodies if body["type"] == "run.ended")["data"]
    assert (ended["status"], ended["stop_reason"]) == ("cancelled", "terminated")
    assert {each.status for each in deliveries()} == {"delivered"}
    assert post.round() == 0


def test_nobody_listens_and_nothing_is_written(desk: Desk) -> None:
    desk.waiting(refund())
    make(desk, "late", events=["run.ended"])
    desk.waiting(refund())
    with desk.house.scope():
        assert Notice.objects.count() == 0


def test_a_decision_costs_one_query_more(desk: Desk) -> None:
    _, [first] = desk.waiting(refund())
    with CaptureQueriesContext(connection) as queries:
        desk.decide(desk.house.reviewer, first, "approve")
    assert len([query for query in queries if "approvals_notice" in query["sql"]]) == 1
    assert not [query for query in queries if query["sql"].lstrip().startswith("SELECT") and "channel" in query["sql"]]


def test_a_change_that_is_rolled_back_is_not_told(desk: Desk, hook: Channel, post: Post) -> None:
    _, [request] = desk.waiting(refund())
    post.round()
    with pytest.raises(RuntimeError), desk.house.scope():
        from approvals import actions as approvals

        approvals.decide(desk.house.reviewer.actor, request.pk, "approve")
        raise RuntimeError("a test's")
    assert post.round() == 0


@pytest.mark.parametrize(
    ("fields", "heard"),
    [
        ({"risks": ["high"]}, True),
        ({"risks": ["low", "medium"]}, False),
        ({"workflows": ["refund-desk"]}, True),
        ({"groups": ["nobody"]}, False),
        ({"active": False}, False),
        ({"events": ["request.expired"]}, False),
    ],
)
def test_filters(desk: Desk, post: Post, fields: dict[str, Any], heard: bool) -> None:
    make(desk, "hook", **fields)
    desk.waiting(refund())
    assert post.round() == heard


def test_another_tenant_hears_nothing(desk: Desk, world: Any, post: Post) -> None:
    with world.fabrikam.scope():
        actions.put_channel(
            world.fabrikam.admin.actor, "hook", kind="webhook", address=HOOK, events=["request.created"]
        )
    desk.waiting(refund())
    assert post.round() == 0


def test_signed_and_verified_by_the_library(desk: Desk, settings: Any, deliveries: Found) -> None:
    with Receiver() as receiver:
        settings.SAYSO_EGRESS_ALLOW = [f"127.0.0.1:{receiver.server.server_port}"]
        channel = make(desk, "hook", address=receiver.url)
        desk.waiting(refund())
        assert Post(Network()).round() == 1
    [(path, headers, body)] = receiver.got
    assert path == "/hooks/tok_very-secret-path"
    secret = secret_of(channel)["current"]
    assert Webhook(secret).verify(body, headers)["type"] == "request.created"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    [row] = deliveries()
    assert (row.status, row.answered, headers["Webhook-Id"] if "Webhook-Id" in headers else headers["webhook-id"]) == (
        "delivered", 200, row.message_id,
    )  # fmt: skip


def test_a_new_secret_and_the_one_before_sign_for_a_day(desk: Desk, hook: Channel, post: Post) -> None:
    old = secret_of(hook)["current"]
    with desk.house.scope():
        new = actions.rotate(desk.house.admin.actor, "hook")
    desk.waiting(refund())
    post.round()
    _, sent = post.carrier.sent[0]
    for secret in (old, new):
        assert Webhook(secret).verify(sent["body"], sent["headers"])
    post.wait(signing.OVERLAP.total_seconds())
    desk.waiting(refund())
    post.round()
    assert len(post.carrier.sent[1][1]["headers"]["webhook-signature"].split()) == 1


def test_retries_with_growing_pauses_then_dead(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    desk.waiting(refund())
    post.carrier.answers = [DOWN] * 9
    for pause in sending.PAUSES:
        assert post.round() == 1
        [row] = deliveries()
        assert row.status == "failed" and row.answered == 503
        assert row.next_at - post.now == timedelta(seconds=pause * 1.1)  # half of the jitter
        assert post.round() == 0
        post.wait(pause * 1.1)
    assert post.round() == 1
    [row] = deliveries()
    assert (row.status, row.attempts) == ("dead", 9)
    ids = {sent["headers"]["webhook-id"] for _, sent in post.carrier.sent}
    bodies = {sent["body"] for _, sent in post.carrier.sent}
    stamps = {sent["headers"]["webhook-timestamp"] for _, sent in post.carrier.sent}
    assert (len(ids), len(bodies), len(stamps)) == (1, 1, 9)
    post.wait(10**6)
    assert post.round() == 0


def test_the_receiver_says_when_to_come_again(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    desk.waiting(refund())
    post.carrier.answers = [Answer(False, 429, "later", after=900)]
    post.round()
    assert deliveries()[0].next_at - post.now == timedelta(seconds=900)


def test_what_is_raised_is_a_failure(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    desk.waiting(refund())
    post.carrier.answers = [RuntimeError(f"cannot reach {HOOK}")]
    post.round()
    [row] = deliveries()
    with desk.house.scope():
        assert sending.tries_of(row)[0]["said"] == "Sending failed (RuntimeError)."
    assert row.status == "failed"


def test_gone_switches_the_channel_off(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    desk.waiting(refund(), refund(n=1))
    post.carrier.answers = [Answer(False, 410, "gone"), DOWN]
    post.round()
    with desk.house.scope():
        off = Channel.objects.get(pk=hook.pk)
        assert not off.active and "410" in off.off_because
        assert AuditRecord.objects.filter(action="channel.switched_off", actor_kind="system").count() == 1
    post.wait(3600)
    post.round()
    assert len(post.carrier.sent) == 2  # what was still to be tried again is given up
    assert {row.status for row in deliveries()} == {"dead"}
    desk.waiting(refund())
    assert post.round() == 0


def test_redelivery_keeps_the_id(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    desk.waiting(refund())
    post.round()
    [row] = deliveries()
    with desk.house.scope():
        actions.redeliver(desk.house.admin.actor, row.pk)
    post.round()
    (_, first), (_, again) = post.carrier.sent
    assert first["headers"]["webhook-id"] == again["headers"]["webhook-id"] and first["body"] == again["body"]
    assert deliveries()[0].attempts == 2
    with desk.house.scope():
        assert AuditRecord.objects.filter(action="delivery.redelivered").count() == 1


def test_all_that_failed_again(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    post.carrier.answers = [DOWN, DOWN]
    desk.waiting(refund(), refund(n=1), refund(n=2))
    post.round()
    with desk.house.scope():
        assert actions.redeliver_failed(desk.house.admin.actor, "hook") == 2
    assert post.round() == 2
    assert {row.status for row in deliveries()} == {"delivered"}


def test_who_dies_before_recording_has_it_sent_again_under_the_same_id(
    desk: Desk, hook: Channel, post: Post, monkeypatch: pytest.MonkeyPatch, deliveries: Found
) -> None:
    desk.waiting(refund())
    record = sending.record

    def dies(*_: Any) -> bool:
        raise SystemError("a test's")

    monkeypatch.setattr(sending, "record", dies)
    with pytest.raises(SystemError):
        post.round()
    monkeypatch.setattr(sending, "record", record)
    assert post.round() == 0  # the lease holds
    post.wait(sending.LEASE.total_seconds())
    assert post.round() == 1
    (_, first), (_, again) = post.carrier.sent
    assert first["headers"]["webhook-id"] == again["headers"]["webhook-id"]
    assert (deliveries()[0].status, deliveries()[0].attempts) == ("delivered", 2)


def test_a_late_outcome_counts_for_nothing(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    desk.waiting(refund())
    spreading.spread(post.clock() + timedelta(seconds=1))
    now = post.now + timedelta(seconds=2)
    [slow] = sending.claim(8, [], now)
    [quick] = sending.claim(8, [], now + sending.LEASE)
    assert slow.message_id == quick.message_id
    assert sending.record(quick, Answer(True, 200), {}, 1, now, 0)
    assert not sending.record(slow, DOWN, {}, 1, now, 0)
    assert deliveries()[0].status == "delivered"


def test_a_claim_is_held_by_one(desk: Desk, hook: Channel, post: Post) -> None:
    desk.waiting(refund())
    later = post.clock() + timedelta(seconds=1)
    spreading.spread(later)
    assert len(sending.claim(8, [], later)) == 1
    assert sending.claim(8, [], later) == []


def test_one_lane_does_not_take_every_place(desk: Desk, hook: Channel, post: Post) -> None:
    other = make(desk, "other", events=["request.expired", "request.created"])
    desk.waiting(*[refund(n=n) for n in range(5)])
    later = post.clock() + timedelta(seconds=1)
    spreading.spread(later)
    taken = [parcel.lane for parcel in sending.claim(8, [], later)]
    assert sorted(taken) == sorted([hook.pk.hex] * 2 + [other.pk.hex] * 2)
    assert {parcel.lane for parcel in sending.claim(8, [hook.pk.hex], later)} == {other.pk.hex}


def test_redirects_are_not_followed(desk: Desk, settings: Any, deliveries: Found) -> None:
    with Receiver() as elsewhere, Receiver(302, location=elsewhere.url) as receiver:
        settings.SAYSO_EGRESS_ALLOW = ["127.0.0.1"]
        make(desk, "hook", address=receiver.url)
        desk.waiting(refund())
        Post(Network()).round()
    assert (len(receiver.got), elsewhere.got) == (1, [])
    [row] = deliveries()
    assert (row.status, row.answered) == ("failed", 302)


def test_private_addresses_are_refused_when_sending_too(desk: Desk, settings: Any, deliveries: Found) -> None:
    with Receiver() as receiver:
        settings.SAYSO_EGRESS_ALLOW = ["127.0.0.1"]
        make(desk, "hook", address=receiver.url)
        desk.waiting(refund())
        settings.SAYSO_EGRESS_ALLOW = []
        Post(Network()).round()
    assert receiver.got == []
    [row] = deliveries()
    with desk.house.scope():
        assert "private address" in sending.tries_of(row)[0]["said"]


def test_a_long_answer_is_cut_and_holds_no_secret(desk: Desk, settings: Any, deliveries: Found) -> None:
    said = b"you sent tok_very-secret-path " + b"x" * 100_000
    with Receiver(500, said) as receiver:
        settings.SAYSO_EGRESS_ALLOW = ["127.0.0.1"]
        make(desk, "hook", address=receiver.url)
        desk.waiting(refund())
        Post(Network()).round()
    with desk.house.scope():
        [tried] = sending.tries_of(deliveries()[0])
    assert tried["status"] == 500 and tried["said"].startswith("you sent …")
    assert len(tried["said"]) <= 500 and "tok_very" not in tried["said"]
    assert tried["headers"]["webhook-signature"] == "v1,… (not kept)"


def test_old_ones_are_forgotten(desk: Desk, hook: Channel, post: Post, deliveries: Found) -> None:
    desk.waiting(refund())
    post.round()
    assert spreading.prune(post.now) == 0
    assert spreading.prune(post.now + spreading.KEEP + timedelta(seconds=1)) == 1
    assert deliveries() == []
