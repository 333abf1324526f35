"""Events over HTTP: what is subscribed starts, once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from console.audit.models import AuditRecord
from console.runs import topics
from console.runs.models import Run, TopicEvent
from console.tenants import crypto
from console.tenants.models import TenantLimits
from console.workflows.models import Revision
from tests.api.problems import problem
from tests.approvals.desk import Desk, make_desk
from tests.approvals.test_races import together
from tests.world import House, World

NUMBERS = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}
EVENT = {"id": "e-1", "source": "order/A-17", "data": "It arrived broken"}


def subscribe(house: House, slug: str, *spellings: str, **body: Any) -> Desk:
    """A workflow of that name, subscribed to these."""
    return make_desk(house, {"team": {}, "topics": list(spellings), **body}, slug)


def publish(house: House, topic: str = "support_ticket", who: str = "operator", **body: Any) -> Any:
    return getattr(house, who).api.post(f"/api/v1/topics/{topic}/events", {**EVENT, **body})


def started(answer: Any) -> list[str]:
    assert answer.status_code == 202, answer.content
    return [each["workflow"] for each in answer.json()["runs"]]


def runs(house: House) -> int:
    with house.scope():
        return Run.objects.count()


def test_an_event_starts_what_is_subscribed(world: World, woken: list[str]) -> None:
    house = world.northwind
    subscribe(house, "triage", "support_ticket")
    subscribe(house, "other", "billing_ticket")
    answer = publish(house)
    assert started(answer) == ["triage"] and answer.json()["refused"] == []
    run = house.reviewer.api.get(f"/api/v1/runs/{answer.json()['runs'][0]['id']}").json()
    assert (run["workflow"], run["status"], run["title"]) == ("triage", "queued", "It arrived broken")
    assert (run["topic_source"], run["metadata"]) == ("order/A-17", {"topic": "support_ticket", "event": "e-1"})
    assert runs(house) == 1
    with house.scope():
        stored = Run.objects.get()
        assert crypto.unseal_json(house.tenant.id, "run.input", bytes(stored.sealed_input)) == "It arrived broken"
        event = TopicEvent.objects.get()
        assert b"triage" not in bytes(event.sealed_answer)
        [audit] = AuditRecord.objects.filter(action="topic.published")
        assert (audit.object_id, audit.detail["runs"]) == (str(event.pk), [run["id"]])
        assert AuditRecord.objects.filter(action="run.started").count() == 1


def test_exact_types_and_prefixes(world: World) -> None:
    house = world.northwind
    for slug, spelling in {
        "all": "*", "exact": "support_ticket", "longer": "support_ticket.new", "prefix": "support_*", "whole": "support_ticket*"
    }.items():  # fmt: skip
        subscribe(house, slug, spelling)
    subscribe(house, "both", "support_ticket", "support_*")
    assert started(publish(house)) == ["all", "both", "exact", "prefix", "whole"]
    assert started(publish(house, "support_ticket.new")) == ["all", "both", "longer", "prefix", "whole"]
    assert started(publish(house, "support")) == ["all"]
    assert started(publish(house, "Support_ticket")) == ["all"]


def test_only_the_current_revision_counts(world: World) -> None:
    desk = subscribe(world.northwind, "triage", "old")
    with desk.house.scope():
        number = Revision.objects.create(
            tenant=desk.house.tenant, workflow=desk.workflow, number=2, body={"team": {}, "topics": ["new"]}
        )
    assert (started(publish(desk.house, "old")), started(publish(desk.house, "new"))) == (["triage"], [])
    with desk.house.scope():
        desk.workflow.current = number
        desk.workflow.save(update_fields=["current"])
    assert started(publish(desk.house, "old", id="e-2")) == []
    assert started(publish(desk.house, "new", id="e-2")) == ["triage"]


def test_nobody_is_subscribed(world: World) -> None:
    house = world.northwind
    make_desk(house)
    answer = publish(house)
    assert (answer.status_code, answer.json()) == (202, {"runs": [], "refused": []})
    subscribe(house, "late", "support_ticket")
    assert started(publish(house)) == []  # it has happened already


def test_a_schema_that_refuses_does_not_stop_the_others(world: World) -> None:
    house = world.northwind
    subscribe(house, "a-numbers", "support_ticket", input_schema=NUMBERS)
    subscribe(house, "b-broken", "support_ticket", input_schema={"$ref": "#/$defs/nowhere"})
    subscribe(house, "c-any", "support_ticket")
    answer = publish(house, data={"amount": "much"})
    assert started(answer) == ["c-any"]
    first, second = answer.json()["refused"]
    assert first == {"workflow": "a-numbers", "message": "data.amount: 'much' is not of type 'number'"}
    assert second["workflow"] == "b-broken" and "cannot be checked" in second["message"]
    assert publish(house, data={"amount": "much"}).json() == answer.json()
    assert started(publish(house, id="e-2", data={"amount": 7})) == ["a-numbers", "c-any"]
    with house.scope():
        [first_audit, _] = AuditRecord.objects.filter(action="topic.published").order_by("id")
        assert first_audit.detail["refused"] == ["a-numbers", "b-broken"] and "much" not in str(first_audit.detail)


def test_the_same_event_twice_starts_once(world: World) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    first = publish(house)
    again = publish(house, who="admin")
    assert (again.status_code, again.json()) == (202, first.json())
    assert runs(house) == 1
    for other in ({"source": "order/B-2"}, {"data": "Another"}):
        assert "before" in problem(publish(house, **other), 409)["detail"]
    assert runs(house) == 1
    # Another topic's event of that id, and another tenant's, are others.
    assert started(publish(house, "other")) == ["triage"]
    subscribe(world.fabrikam, "theirs", "*")
    assert started(publish(world.fabrikam)) == ["theirs"]


def test_the_same_event_at_once_starts_once(transactional_db: None, world: World) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    for number in range(5):
        answers = together(*[lambda n=number: publish(house, id=f"e-{n}")] * 3)
        assert [each.status_code for each in answers] == [202] * 3, answers
        assert answers[0].json() == answers[1].json() == answers[2].json()
        assert runs(house) == number + 1


def test_a_second_publisher_does_not_wait_for_ever(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = world.northwind
    subscribe(house, "triage", "*")
    monkeypatch.setattr(topics, "WAIT_MS", 50)

    def second() -> Any:
        try:
            return publish(house)
        finally:
            connections.close_all()

    with house.scope():
        topics.publish(house.operator.actor, "support_ticket", EVENT["id"], EVENT["source"], EVENT["data"])
        [answer] = together(second)
        assert "at this moment" in problem(answer, 409)["detail"]
    assert started(publish(house)) == ["triage"] and runs(house) == 1


def test_another_tenants_workflows_hear_nothing(world: World) -> None:
    subscribe(world.northwind, "triage", "*")
    assert started(publish(world.fabrikam)) == []
    assert (runs(world.northwind), runs(world.fabrikam)) == (0, 0)


def test_reviewers_do_not_publish(world: World) -> None:
    subscribe(world.northwind, "triage", "*")
    problem(publish(world.northwind, who="reviewer"), 403)
    assert runs(world.northwind) == 0
    assert started(publish(world.northwind, who="admin")) == ["triage"]


@pytest.mark.parametrize(
    ("topic", "body", "fields"),
    [
        ("a b", {}, ["type"]),
        ("a*", {}, ["type"]),
        ("x" * 101, {}, ["type"]),
        ("fine", {"id": ""}, ["id"]),
        ("fine", {"id": 7}, ["id"]),
        ("fine", {"id": "x" * 201}, ["id"]),
        ("fine", {"source": ""}, ["source"]),
        ("fine", {"source": "x" * 201}, ["source"]),
        ("fine", {"data": " "}, ["data"]),
        ("fine", {"data": None}, ["data"]),
        ("fine", {"data": ["a"]}, ["data"]),
        ("fine", {"data": "x" * 70_000}, ["data"]),
        ("fine", {"colour": "red"}, ["colour"]),
        ("a/b", {}, None),
    ],
)
def test_what_does_not_fit(world: World, topic: str, body: Any, fields: list[str] | None) -> None:
    subscribe(world.northwind, "triage", "*")
    answer = publish(world.northwind, topic, **body)
    problem(answer, 422, *fields) if fields else problem(answer, 404)
    assert runs(world.northwind) == 0


def test_all_faults_are_named_at_once(world: World) -> None:
    answer = world.northwind.operator.api.post("/api/v1/topics/a%20b/events", {"id": "", "data": 7})
    problem(answer, 422, "type", "id", "source", "data")
    for field, event in {"id": ("a", "", "s", "d"), "type": ("a b", "e", "s", "d"), "data": ("a", "e", "s", 7)}.items():
        with world.northwind.scope(), pytest.raises(topics.Invalid) as caught:
            topics.publish(world.northwind.operator.actor, *event)
        assert caught.value.field == field


def test_at_the_limit_nothing_is_half_started(world: World, woken: list[str]) -> None:
    house = world.northwind
    for slug in ("a", "b", "c"):
        subscribe(house, slug, "*")
    with house.scope():
        TenantLimits.objects.create(tenant=house.tenant, limits={"max_runs": 2})
    answer = publish(house)
    problem(answer, 429)
    assert answer["Retry-After"] == "5"
    assert (runs(house), woken) == (0, [])
    with house.scope():
        assert TopicEvent.objects.count() == 0
        TenantLimits.objects.update(limits={"max_runs": 3})
    assert started(publish(house)) == ["a", "b", "c"]
