"""The pages of events, and the forms that name queues: who sees what, what is refused where, and what a list costs."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from console.audit.models import AuditRecord
from console.runs import topics
from console.runs.models import Run, TopicEvent
from console.tenants import crypto
from console.tenants.models import Tenant, TenantLimits
from console.workflows.models import Workflow
from tests.approvals.desk import Desk, make_desk
from tests.world import House, World

PAGE, FORM = "/events/", "/events/new/"
EVENT = {"type": "support_ticket", "id": "e-1", "source": "order/A-17", "data": "It arrived broken"}
NUMBERS = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}


def subscribe(house: House, slug: str, *spellings: str, **body: Any) -> Desk:
    """A workflow of that name, subscribed to these."""
    return make_desk(house, {"team": {}, "topics": list(spellings), **body}, slug)


def publish(house: House, who: str = "operator", **fields: str) -> Any:
    return getattr(house, who).client.post(FORM, {**EVENT, **fields}, follow=True)


def text(answer: Any) -> str:
    """What a page says, without its tags."""
    content: str = answer.content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", content)).split())


def look(house: House, path: str = PAGE, who: str = "reviewer") -> str:
    answer = getattr(house, who).client.get(path)
    assert answer.status_code == 200, path
    return text(answer)


def runs(house: House) -> int:
    with house.scope():
        return Run.objects.count()


def error(answer: Any, field: str) -> str:
    """What is said beside a field, which names it."""
    page = answer.content.decode()
    assert re.search(rf'id="{field}"[^>]* aria-describedby="[^"]*\b{field}-error"[^>]* aria-invalid="true"', page), (
        field
    )
    found = re.search(rf'<p class="error" id="{field}-error">(.*?)</p>', page)
    assert found is not None
    return html.unescape(found[1])


# Publishing


def test_an_event_is_published_and_shows_the_runs_it_started(
    world: World, woken: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    house = world.northwind
    subscribe(house, "triage", "support_ticket")
    subscribe(house, "strict", "support_*", input_schema=NUMBERS)
    with django_capture_on_commit_callbacks(execute=True):
        answer = publish(house)
    with house.scope():
        run, event = Run.objects.get(), TopicEvent.objects.get()
        [deed] = AuditRecord.objects.filter(action="topic.published")
    assert answer.redirect_chain == [(f"/events/{event.pk}/?said=published", 302)]
    said = text(answer)
    assert (
        "Published. 1 run started." in said and run.short in said and "Queued" in said and "It arrived broken" in said
    )
    assert "strict refused data: 'It arrived broken' is not of type 'object'" in said
    assert (run.topic_source, woken, deed.actor_id) == ("order/A-17", [str(run.pk)], house.operator.user.pk)
    listed = look(house)
    assert "e-1" in listed and f"triage {run.short}" in listed and "refused strict: data: 'It arrived" in listed
    assert f'href="/events/{event.pk}/"' in house.reviewer.client.get("/audit/").content.decode()


def test_json_is_published_as_an_object(world: World) -> None:
    house = world.northwind
    subscribe(house, "strict", "*", input_schema=NUMBERS)
    assert "1 run started" in text(publish(house, data='{"amount": 7}', **{"as": "json"}))
    assert "no workflow took the data" in text(publish(house, id="e-2", data='{"amount": 7}'))  # a text, as it stands
    with house.scope():
        assert crypto.unseal_json(house.tenant.id, "run.input", bytes(Run.objects.get().sealed_input)) == {"amount": 7}


def test_where_nobody_is_subscribed_that_is_said(world: World) -> None:
    house = world.northwind
    assert "No workflow is subscribed to anything yet" in look(house, FORM, "operator")
    assert "no workflow is subscribed to this type" in text(publish(house))
    assert "Nothing: no workflow was subscribed." in look(house)


def test_the_same_event_twice_shows_the_same_runs(world: World) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    first, again = publish(house), publish(house, "admin")
    assert "was published before" in text(again) and "was published before" not in text(first)
    assert again.redirect_chain[0][0] == first.redirect_chain[0][0].replace("published", "again")
    with house.scope():
        assert Run.objects.get().short in text(again)
        assert AuditRecord.objects.filter(action="topic.published").count() == 1


@pytest.mark.parametrize("other", [{"source": "order/B-2"}, {"data": "Another"}])
def test_other_data_under_the_same_id_is_refused_on_the_page(world: World, other: dict[str, str]) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    publish(house)
    answer = publish(house, **other)
    assert answer.status_code == 409 and runs(house) == 1
    with house.scope():
        event = TopicEvent.objects.get()
    assert "was published on this topic before" in error(answer, "id")
    assert f'href="/events/{event.pk}/"' in error(answer, "id")
    assert next(iter(other.values())) in answer.content.decode()  # what was typed is still there


def test_at_the_limit_nothing_is_half_published(
    world: World, woken: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    house = world.northwind
    for slug in ("a", "b"):
        subscribe(house, slug, "*")
    with house.scope():
        TenantLimits.objects.create(tenant=house.tenant, limits={"max_runs": 1})
    with django_capture_on_commit_callbacks(execute=True):
        answer = publish(house)
    assert answer.status_code == 429 and "Nothing was published. 1 runs are at work" in text(answer)
    with house.scope():
        assert not TopicEvent.objects.exists() and not Run.objects.exists() and not woken
        assert not AuditRecord.objects.filter(action__in=("topic.published", "run.started")).exists()
        TenantLimits.objects.update(limits={"max_runs": 2})
    assert "2 runs started" in text(publish(house))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"type": "a b"}, {"type": "must be a topic type"}),
        ({"type": ""}, {"type": "must be a topic type"}),
        ({"type": "support_*"}, {"type": "must be a topic type"}),
        ({"type": "x" * 101}, {"type": "at most 100 characters"}),
        ({"type": "a\x00"}, {"type": "must be a topic type"}),
        ({"id": "  "}, {"id": "1 to 200 characters"}),
        ({"id": "x" * 201}, {"id": "1 to 200 characters"}),
        ({"id": "a\x00"}, {"id": "1 to 200 characters"}),
        ({"source": ""}, {"source": "1 to 200 characters"}),
        ({"source": "a\x00"}, {"source": "1 to 200 characters"}),
        ({"data": " "}, {"data": "is empty"}),
        ({"data": "x" * 70_000}, {"data": "the limit is 65,536"}),
        ({"data": '{"a": "' + "x" * 70_000 + '"}', "as": "json"}, {"data": "the limit is 65,536"}),
        ({"data": "{", "as": "json"}, {"data": "is no JSON"}),
        ({"data": "", "as": "json"}, {"data": "is no JSON"}),
        ({"data": "[1]", "as": "json"}, {"data": "is JSON, but no object"}),
        ({"data": '"text"', "as": "json"}, {"data": "is JSON, but no object"}),
        ({"data": '{"a": NaN}', "as": "json"}, {"data": "is not JSON"}),
        ({"data": '{"a": 1e999}', "as": "json"}, {"data": "is not JSON"}),
        ({"data": '{"a": "\\ud800"}', "as": "json"}, {"data": "is not JSON"}),
        ({"data": '{"a": ' * 101 + "1" + "}" * 101, "as": "json"}, {"data": "is nested more than 100 levels deep"}),
        ({"data": '{"a": ' * 9_000 + "1" + "}" * 9_000, "as": "json"}, {"data": "is no JSON"}),
        ({"type": "a b", "id": "", "source": "", "data": "[", "as": "json"}, dict.fromkeys(EVENT, "")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_by_field(world: World, fields: dict[str, str], wrong: dict[str, str]) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    answer = publish(house, **fields)
    assert answer.status_code == 422
    for field, said in wrong.items():
        assert said in error(answer, field)
    assert answer.content.decode().count('class="error"') == len(wrong)
    assert runs(house) == 0


def test_the_form_takes_over_a_type_and_nothing_odd(world: World) -> None:
    client = world.northwind.operator.client
    for asked, shown in (("support_ticket", "support_ticket"), ("support_*", "support_"), ("", ""), ('"><b>', '"><b>')):
        page = client.get(FORM, {"type": asked}).content.decode()
        assert f'name="type" value="{html.escape(shown)}"' in page


def test_only_operators_and_admins_publish(world: World) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    assert (house.reviewer.client.get(FORM).status_code, publish(house, "reviewer").status_code) == (403, 403)
    assert runs(house) == 0 and FORM not in house.reviewer.client.get(PAGE).content.decode()
    for who in ("operator", "admin"):
        assert FORM in getattr(house, who).client.get(PAGE).content.decode()
        assert "1 run started" in text(publish(house, who, id=who))
    with house.scope():
        event = TopicEvent.objects.first()
        assert event is not None
    assert FORM not in house.reviewer.client.get(f"/events/{event.pk}/").content.decode()


def test_a_form_of_another_site_publishes_nothing(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.northwind.operator.user)
    assert client.post(FORM, EVENT).status_code == 403 and runs(world.northwind) == 0


# The list


def test_which_topics_start_which_workflows(world: World) -> None:
    house = world.northwind
    subscribe(house, "triage", "support_ticket", "billing_*")
    subscribe(house, "desk", "support_ticket", "support_ticket")
    subscribe(house, "all", "*")
    subscribe(house, "none")
    with house.scope():
        for workflow in Workflow.objects.all():
            Workflow.objects.filter(pk=workflow.pk).update(name=f"The {workflow.slug}")
    said = look(house)
    assert "* any type The all its events" in said
    assert "billing_* any type that begins so The triage its events" in said
    assert "support_ticket exactly The desk , The triage its events" in said
    assert "none" not in said
    assert "The all" not in look(world.fabrikam)


def test_by_type_prefix_and_id(world: World) -> None:
    house = world.northwind
    for kind, key in (
        ("support_ticket", "first"),
        ("support_call", "second"),
        ("supportXcall", "third"),
        ("b", "first"),
    ):
        publish(house, type=kind, id=key)
    wanted = {
        "type=support_ticket": ["first"], "type=support_*": ["first", "second"], "type=*": ["first", "first", "second", "third"],
        "id=first": ["first", "first"], "type=b&id=first": ["first"], "type=b&id=second": [], "type=none": [],
        "type=%25*": [], "type=%00b": ["first"], "type=" + "x" * 500: [],
    }  # fmt: skip
    for query, keys in wanted.items():
        page = house.reviewer.client.get(f"{PAGE}?{query}").content.decode()
        assert sorted(re.findall(r'<a class="title"[^>]*>(.*?)</a>', page)) == keys, query
        assert ("No event is like that" in page) is not bool(keys)


def test_a_page_at_a_time_and_for_a_fixed_price(world: World, django_assert_num_queries: Any) -> None:
    house = world.northwind
    subscribe(house, "triage", "support_*")
    client = house.reviewer.client
    publish(house, id="first")
    client.get(PAGE)
    # The session and user, the membership (two), the scope's settings (four), one's groups and what waits for them; then
    # subscriptions, events, their runs, and what is shown of those. What is last is there with the first page as with any.
    with django_assert_num_queries(QUERIES):
        client.get(PAGE)
    with house.scope():
        event, now = TopicEvent.objects.get(), timezone.now()
        for n in range(119):
            event.pk, event.event_id = uuid4(), f"n-{n:03}"
            event.save(force_insert=True)
            TopicEvent.objects.filter(pk=event.pk).update(at=now - timedelta(seconds=n // 3))  # three at a time
        TopicEvent.objects.filter(event_id="first").update(at=now - timedelta(days=1))
    seen, path = [], PAGE
    for length in (50, 50, 20):
        with django_assert_num_queries(QUERIES):
            page = client.get(path).content.decode()
        found = re.findall(r'<a class="title"[^>]*>(.*?)</a>', page)
        assert len(found) == length
        seen += found
        path = PAGE + html.unescape((re.findall(r'hx-get="(\?[^"]*)"', page) or [""])[0])
    assert path == PAGE and seen[-1] == "first" and sorted(seen[:-1]) == [f"n-{n:03}" for n in range(119)]
    assert [int(key[2:]) // 3 for key in seen[:-1]] == sorted(n // 3 for n in range(119))
    assert client.get(f"{PAGE}?after=nonsense")["Location"] == PAGE


QUERIES = 16


def test_many_runs_of_one_event_are_on_its_own_page(world: World) -> None:
    house = world.northwind
    for n in range(5):
        subscribe(house, f"w-{n}", "*")
    answer = publish(house)
    assert "5 runs started" in text(answer) and answer.content.decode().count('href="/runs/') >= 5
    listed = look(house)
    assert "w-2" in listed and "all of it" in listed and "w-3 r-" not in listed


def test_a_run_that_is_gone_is_not_hidden(world: World) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    answer = publish(house)
    with house.scope():
        Run.objects.all().delete()
    assert "a run that is no longer kept" in look(house)
    assert "a run that is no longer kept" in look(house, answer.redirect_chain[0][0])


def test_what_publishers_write_is_text_and_never_markup(world: World) -> None:
    house, odd = world.northwind, "<script>alert('x')</script>&amp;\"é"
    subscribe(house, "triage", "*", input_schema=NUMBERS)
    answer = publish(house, id=odd, source=odd, data=odd)
    for page in (answer, house.reviewer.client.get(PAGE), publish(house, id=odd, source=odd, data="other")):
        assert "<script>alert" not in page.content.decode() and html.escape(odd) in page.content.decode()
    assert html.escape(odd) in house.reviewer.client.get(PAGE, {"id": odd}).content.decode()


def test_an_empty_tenant_is_told_what_to_do(world: World) -> None:
    house = world.northwind
    for who, way in (("admin", "import one that does"), ("reviewer", "an admin imports one that does")):
        said = look(house, who=who)
        assert "No workflow is started by events yet" in said and way in said
        assert "http://testserver/api/v1/topics/support_ticket/events" in said
    subscribe(house, "bills", "billing_*")
    said = look(house)
    assert "No event yet" in said and "/api/v1/topics/billing_example/events" in said
    subscribe(house, "calls", "call")
    assert "/api/v1/topics/call/events" in look(house)


def test_another_tenant_sees_nothing(world: World) -> None:
    house, other = world.northwind, world.fabrikam
    subscribe(house, "triage", "*")
    answer = publish(house, id="only-ours")
    place = answer.redirect_chain[0][0]
    assert other.admin.client.get(place).status_code == 404
    assert "only-ours" not in look(other) and "triage" not in look(other)
    assert "No event is like that" in look(other, f"{PAGE}?id=only-ours")
    assert "Published. Nothing started" in text(publish(other, id="only-ours"))  # an id of theirs is another
    assert runs(other) == 0


def test_everybody_reads_and_nobody_posts_there(world: World) -> None:
    house = world.northwind
    place = publish(house).redirect_chain[0][0]
    for path in (PAGE, place):
        for member in house.members:
            assert member.client.get(path).status_code == 200
        assert (house.admin.client.post(path).status_code, Client().get(path).status_code) == (405, 302)
        assert (world.stranger.get(path).status_code, house.admin.client.head(path).content) == (403, b"")
    assert house.admin.client.get(f"/events/{uuid4()}/").status_code == 404


def test_publishing_tells_whether_it_was_before(world: World) -> None:
    house = world.northwind
    with house.scope():
        again = [topics.publish(house.operator.actor, "a", "e", "s", "d").again for _ in range(2)]
    assert again == [False, True]
    answer = house.operator.api.post("/api/v1/topics/a/events", {"id": "e", "source": "s", "data": "d"})
    assert json.loads(answer.content) == {"runs": [], "refused": []}


# Queues


def test_the_workflow_says_what_starts_it_and_where_it_waits(desk: Desk, world: World) -> None:
    house, page = world.northwind, "/workflows/refund-desk/"
    said = look(house, page)
    assert "so no event does" in said and "in the queue runs , where general workers listen" in said
    assert 'name="queue"' not in house.reviewer.client.get(page).content.decode()
    subscribe(house, "triage", "support_*", "call")
    said = look(house, "/workflows/triage/")
    assert "support_* any type that begins so" in said and "call exactly" in said
    with house.scope():
        Tenant.objects.filter(pk=house.tenant.pk).update(queue="northwind")
    assert "in the queue northwind , the organisation's" in look(house, page)
    answer = house.admin.client.post(page + "queue/", {"queue": " payments "}, follow=True)
    assert "Saved." in text(answer) and "in the queue payments , its own" in text(answer)
    with house.scope():
        [deed] = AuditRecord.objects.filter(action="workflow.queue")
    assert (deed.detail["before"], deed.detail["after"]) == ("", "payments")
    house.admin.client.post(page + "queue/", {"queue": ""})
    assert "in the queue northwind , the organisation's" in look(house, page)


def test_a_run_that_waits_long_for_a_worker_is_said(desk: Desk, world: World) -> None:
    run, page = desk.start(), "/workflows/refund-desk/"
    assert "A run has waited in it" not in look(world.northwind, page)
    with world.northwind.scope():
        Run.objects.filter(pk=run.pk).update(ready_at=timezone.now() - timedelta(minutes=7))
    assert "A run has waited in it for 7 min" in look(world.northwind, page)


@pytest.mark.parametrize("name", ["no spaces", "x" * 61, "unacked", "celery", "-a", "a\x00", "<b>"])
@pytest.mark.parametrize("path", ["/workflows/refund-desk/queue/", "/routing/"])
def test_a_name_that_no_queue_can_have(desk: Desk, world: World, path: str, name: str) -> None:
    answer = world.northwind.admin.client.post(path, {"queue": name})
    assert answer.status_code == 422 and error(answer, "queue")
    assert f'value="{html.escape(name)}"' in answer.content.decode()
    with world.northwind.scope():
        assert not AuditRecord.objects.filter(action__endswith=".queue").exists()


def test_the_organisations_queue_is_on_the_page_of_limits(desk: Desk, world: World) -> None:
    house = world.northwind
    assert "Where runs wait for a worker" in look(house, "/limits/", "admin")
    assert "Where runs wait for a worker" not in look(house, "/limits/refund-desk/", "admin")
    answer = house.admin.client.post("/routing/", {"queue": "northwind"}, follow=True)
    assert "Saved." in text(answer) and 'value="northwind"' in answer.content.decode()
    house.admin.client.post("/workflows/refund-desk/queue/", {"queue": "payments"})
    assert "queue payments" in look(house, "/limits/", "admin")
    with house.scope():
        assert Tenant.objects.get(pk=house.tenant.pk).queue == "northwind"
        assert AuditRecord.objects.filter(action="tenant.queue").count() == 1
    house.admin.client.post("/limits/", {"max_turns": "7"})  # the other form leaves it alone
    with house.scope():
        assert Tenant.objects.get(pk=house.tenant.pk).queue == "northwind"
        assert TenantLimits.objects.get().limits == {"max_turns": 7}


def test_only_admins_of_that_tenant_name_queues(desk: Desk, world: World) -> None:
    for path in ("/workflows/refund-desk/queue/", "/routing/"):
        for member in world.northwind.members:
            if member.role != "admin":
                assert member.client.post(path, {"queue": "mine"}).status_code == 403
        assert world.northwind.admin.client.get(path).status_code == 405
    assert world.fabrikam.admin.client.post("/workflows/refund-desk/queue/", {"queue": "mine"}).status_code == 404
    with world.northwind.scope():
        assert not Workflow.objects.exclude(queue="").exists()
        assert Tenant.objects.get(pk=world.northwind.tenant.pk).queue == ""
