"""The websockets of a running server: who may listen, what arrives, and what a reconnecting page is sent."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from console.live.consumers import FeedConsumer
from console.live.rounds import Rounds
from console.runs import feed
from console.runs.models import Run, RunStatus
from console.tenants import actions, crypto, display_actions
from console.workflows.models import Revision, Workflow
from tests.serving import serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server():
    with serving() as address:
        yield address


def a_run(party) -> Run:
    tenant = party.tenant
    with party.scope():
        workflow = Workflow.objects.create(tenant=tenant, slug="desk", name="Desk")
        revision = Revision.objects.create(tenant=tenant, workflow=workflow, number=1, body={})
        return Run.objects.create(
            tenant=tenant, workflow=workflow, revision=revision, status=RunStatus.WAITING,
            sealed_input=crypto.seal(tenant.id, "run.input", b'"x"'),
        )  # fmt: skip


def say(party, topic, **payload) -> int:
    with party.scope():
        return feed.publish(party.tenant.id, topic, "note", payload)


def listen(server, path, token=None, **headers):
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return connect(f"ws://{server}{path}", additional_headers=headers, open_timeout=10)


def told(socket):
    return json.loads(socket.recv(timeout=10))


def refused(server, path, token=None, **headers) -> int:
    with pytest.raises(InvalidStatus) as caught:
        listen(server, path, token, **headers)
    return caught.value.response.status_code


def test_a_program_hears_of_each_event_once_and_in_order(world, server):
    topic = feed.queue_topic(world.northwind.tenant.id)
    with listen(server, "/ws/queue/?format=json", world.northwind.reviewer.token) as socket:
        assert told(socket) == {"seq": 0, "kind": "hello", "at": None, "data": {}}
        for n in (1, 2, 3):
            say(world.northwind, topic, n=n)
        assert [(told(socket)["seq"]) for _ in range(3)] == [1, 2, 3]


def test_who_comes_back_is_sent_what_they_missed(world, server):
    run = a_run(world.northwind)
    topic = feed.run_topic(run.id)
    for n in range(1, 6):
        say(world.northwind, topic, n=n)
    with listen(server, f"/ws/runs/{run.id}/?format=json&after=2", world.northwind.operator.token) as socket:
        assert [told(socket)["data"]["n"] for _ in range(3)] == [3, 4, 5]
        say(world.northwind, topic, n=6)
        assert told(socket)["seq"] == 6


def test_a_reviewer_hears_what_waits_and_no_title_of_what_is_over(world, server):
    house, topic = world.northwind, feed.queue_topic(world.northwind.tenant.id)

    def ask(status, title) -> None:
        with house.scope():
            feed.publish(house.tenant.id, topic, "request", {"status": status, "title": title, "run_title": title})

    with house.scope():
        display_actions.put(house.admin.actor, "admins", [], [])
    with (
        listen(server, "/ws/queue/?format=json", house.reviewer.token) as socket,
        listen(server, "/ws/queue/?format=json", house.operator.token) as other,
        listen(server, "/ws/queue/?format=json", house.admin.token) as all_of_it,
    ):
        assert {told(each)["kind"] for each in (socket, other, all_of_it)} == {"hello"}
        ask("pending", "Waits")
        ask("decided", "Over")
        heard = [[told(each)["data"]["title"] for _ in "12"] for each in (socket, other, all_of_it)]
        assert heard == [["Waits", None], [None, None], ["Waits", "Over"]]
    with listen(server, "/ws/queue/?format=json&after=0", house.reviewer.token) as socket:
        assert [told(socket)["data"]["title"] for _ in "12"] == [None, None]  # what waited then may be over now
        ask("pending", "Waits too")
        assert told(socket)["data"]["title"] == "Waits too"


def test_masked_titles_are_heard_of_all_runs(world, server):
    run = a_run(world.northwind)
    with world.northwind.scope():
        Run.objects.filter(pk=run.pk).update(title="Write to me@x.example")
        display_actions.put(world.northwind.admin.actor, "everyone", ["email"], [])
    with listen(server, "/ws/feed/", world.northwind.reviewer.token) as socket:
        told(socket)
        a_step(world.northwind, run, name="lookup")
        assert told(socket)["data"]["events"][0]["title"] == "Write to [e-mail address hidden]"


def test_a_page_is_sent_html_that_says_how_far_it_is(world, server):
    topic = feed.queue_topic(world.northwind.tenant.id)
    with listen(server, "/ws/queue/", world.northwind.reviewer.token) as socket:
        say(world.northwind, topic, n=1)
        assert 'id="feed-seq" data-seq="1"' in socket.recv(timeout=10)


def test_one_tenant_hears_nothing_of_another(world, server):
    run = a_run(world.northwind)
    assert refused(server, f"/ws/runs/{run.id}/", world.fabrikam.reviewer.token) == 404
    assert refused(server, f"/ws/runs/{uuid4()}/", world.northwind.reviewer.token) == 404
    with listen(server, "/ws/queue/?format=json", world.fabrikam.reviewer.token) as socket:
        told(socket)
        say(world.northwind, feed.queue_topic(world.northwind.tenant.id), secret="northwind's")
        say(world.fabrikam, feed.queue_topic(world.fabrikam.tenant.id), n=1)
        assert told(socket)["data"] == {"n": 1}


@pytest.mark.parametrize(
    ("path", "status"), [("/ws/queue/", 401), ("/ws/nothing/", 404), ("/ws/queue/?after=soon", 400)]
)
def test_who_may_not_listen_is_told_why_before_the_handshake(world, server, path, status):
    assert refused(server, path) == status


def test_a_token_in_an_address_does_not_get_into_the_log(world, server, caplog):
    with caplog.at_level("INFO", "uvicorn.error"):
        assert refused(server, "/ws/nothing/?token=sayso_of_mine") == 404
        assert refused(server, "/ws/queue/?token=sayso_of_mine") == 401
        with listen(server, "/ws/queue/?token=sayso_of_mine", world.northwind.reviewer.token):
            pass
    assert "/ws/queue/" in caplog.text
    assert "sayso_of_mine" not in caplog.text


def test_a_session_counts_only_from_our_own_pages(world, server):
    cookie = (
        f"{settings.SESSION_COOKIE_NAME}={world.northwind.reviewer.client.cookies[settings.SESSION_COOKIE_NAME].value}"
    )
    with listen(server, "/ws/queue/?format=json", Cookie=cookie, Origin=f"http://{server}") as socket:
        assert told(socket)["kind"] == "hello"
    assert refused(server, "/ws/queue/", Cookie=cookie, Origin="http://elsewhere.example") == 403


# --- All runs of a tenant ---------------------------------------------------------------------------------------------


def a_step(party, run, **facts):
    with party.scope():
        feed.publish(party.tenant.id, feed.run_topic(run.id), "step", {"kind": "tool", "status": "done", **facts})


def test_all_runs_are_heard_in_facts_by_their_own_tenant_alone(world, server):
    ours, theirs = a_run(world.northwind), a_run(world.fabrikam)
    with (
        listen(server, "/ws/feed/", world.northwind.reviewer.token) as socket,
        listen(server, "/ws/feed/", world.fabrikam.reviewer.token) as other,
    ):
        assert [told(each)["kind"] for each in (socket, other)] == ["hello", "hello"]
        a_step(world.fabrikam, theirs, name="theirs")
        a_step(world.northwind, ours, name="lookup", agent="payer", arguments={"card": "a secret"})
        frame = told(socket)
        assert frame["seq"] == 1 and frame["data"]["first"] == 1 and "secret" not in json.dumps(frame)
        (event,) = frame["data"]["events"]
        assert (event["run"], event["workflow"], event["name"], event["agent"]) == (
            str(ours.id),
            "desk",
            "lookup",
            "payer",
        )
        assert [each["name"] for each in told(other)["data"]["events"]] == ["theirs"]


def test_who_comes_back_to_all_runs_is_sent_what_is_kept(world, server):
    run, token = a_run(world.northwind), world.northwind.operator.token
    with listen(server, "/ws/feed/", token) as socket:
        epoch = told(socket)["data"]["epoch"]
        a_step(world.northwind, run, name="one")
        assert told(socket)["seq"] == 1
    with listen(server, "/ws/feed/", world.northwind.reviewer.token) as other:
        told(other)
        a_step(world.northwind, run, name="two")
        assert told(other)["seq"] == 2
        with listen(server, f"/ws/feed/?after=1&epoch={epoch}&kind=tool", token) as socket:
            assert told(socket)["seq"] == 1
            assert [each["name"] for each in told(socket)["data"]["events"]] == ["two"]


@pytest.mark.parametrize(
    "query",
    ["kind=chunk", "status=so", "text=" + "x" * 201, "agent=a%00b", "after=soon", "text=%C3%A4%F0%9F%A6&kind=x"],
)
def test_nonsense_in_the_address_of_all_runs_is_refused(world, server, query):
    assert refused(server, f"/ws/feed/?{query}", world.northwind.reviewer.token) == 400
    assert refused(server, "/ws/feed/") == 401


def test_a_filter_in_any_script_is_understood(world, server):
    run = a_run(world.northwind)
    with world.northwind.scope():
        Run.objects.filter(pk=run.pk).update(title="Ärger über 猫")
    with listen(server, "/ws/feed/?text=%C3%A4rger+%C3%BCber+%E7%8C%AB", world.northwind.reviewer.token) as socket:
        told(socket)
        a_step(world.northwind, run, name="lookup")
        assert told(socket)["data"]["matched"] == 1


@pytest.mark.parametrize("path", ["/ws/feed/", "/ws/queue/?format=json"])
def test_who_is_no_member_any_more_hears_nothing_more(world, server, monkeypatch, path):
    monkeypatch.setattr(FeedConsumer, "rounds", Rounds(every=0.05))
    member = world.northwind.operator
    with listen(server, path, member.token) as socket:
        assert told(socket)["kind"] == "hello"
        with world.northwind.scope():
            actions.remove_member(world.northwind.admin.actor, member.user.id)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)
        assert caught.value.rcvd.code == 4403
