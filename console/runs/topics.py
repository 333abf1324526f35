"""Events: what is published on a topic starts a run of every workflow whose current revision is subscribed to it.

The topic's type says which (see console.workflows.subscriptions), its source becomes the run's, the data its input. An
event has an id, and happens once: its row is written before anything starts, under a unique key, so that a second
publisher of the same id waits for the first at the index, and then hears the same answer. The rows are kept for good.

Call inside a tenant_scope. An exception that leaves it leaves nothing behind: no event, and no run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from django.db import OperationalError, connection
from django.db.models import QuerySet

from console.audit import log as audit
from console.durable.digest import digest
from console.runs import actions, inputs
from console.runs.models import TopicEvent
from console.tenants import access, crypto
from console.tenants.access import Actor
from console.workflows import subscriptions
from console.workflows.errors import Invalid
from console.workflows.models import Workflow

Json = Any

LONGEST = 200  # characters of an event's id, and of a source
WAIT_MS = 10_000  # how long a second publisher waits for the first before it hears that it is in progress
_LOCK_NOT_AVAILABLE = "55P03"


class Conflict(Exception):
    """This event id stands for something else, or somebody is publishing it; the message says which."""


@dataclass(frozen=True, slots=True)
class Published:
    """What an event did: ``runs`` are {id, workflow}, ``refused`` {workflow, message} of those that took no such data.

    ``again``: it had been published before, and this call started nothing.
    """

    runs: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    again: bool = False


def publish(actor: Actor, topic_type: str, event_id: str, source: str, data: Json) -> Published:
    """Start what is subscribed; the same event again starts nothing and is answered with the same runs.

    Raises Invalid, Forbidden (operators and admins publish), Conflict, and AtLimit when not all of the runs may start.
    """
    access.require(actor, "operator", "admin")
    for name, message in faults(topic_type, event_id, source, data):
        raise Invalid(name, message)
    event = TopicEvent(
        id=uuid4(),
        tenant=actor.tenant,
        topic_type=topic_type,
        event_id=event_id,
        source=source,
        digest=digest({"source": source, "data": data}),
    )
    if not _insert(event):
        return _kept(actor, event)
    published = _start_all(actor, event, data)
    kept = {"runs": published.runs, "refused": published.refused}
    sealed = crypto.seal_json(actor.tenant.id, "topic.answer", kept)
    TopicEvent.objects.filter(tenant=actor.tenant, pk=event.pk).update(sealed_answer=sealed)
    audit.record(
        actor,
        "topic.published",
        "topic_event",
        event.pk,
        type=topic_type,
        event=event_id,
        runs=[each["id"] for each in published.runs],
        refused=[each["workflow"] for each in published.refused],
    )
    return published


def faults(topic_type: str, event_id: str, source: str, data: Json) -> Iterator[tuple[str, str]]:
    """(field, message) of everything that is wrong with an event, by the API's names."""
    said = {"type": subscriptions.type_fault(topic_type), "data": data_fault(data)}
    for name, text in (("id", event_id), ("source", source)):
        fits = 0 < len(text) <= LONGEST and "\x00" not in text
        said[name] = None if fits else f"must be 1 to {LONGEST} characters"
    return ((name, message) for name, message in said.items() if message)


def data_fault(data: Json) -> str | None:
    """Why no workflow at all would take this data, or None."""
    if not isinstance(data, str | dict):
        return "must be text or a JSON object"
    if isinstance(data, str) and not data.strip():
        return "is empty"
    try:
        inputs.check_size(data)
    except Invalid as fault:
        return fault.message
    return None


def answer(event: TopicEvent) -> Published:
    """What an event did, as its publisher was told."""
    return Published(**crypto.unseal_json(event.tenant_id, "topic.answer", bytes(event.sealed_answer or b"")))


def _insert(event: TopicEvent) -> bool:
    """Whether this is the first of its id. Waits for one under way; Conflict when that takes long."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)", [f"{WAIT_MS}ms"])
        before = cursor.fetchone()[0]
        try:
            cursor.execute(
                _INSERT, [event.id, event.tenant_id, event.topic_type, event.event_id, event.source, event.digest]
            )
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
            raise Conflict("This event is being published at this moment; send it again for the answer.") from error
        first = bool(cursor.rowcount == 1)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
    return first


_INSERT = """
    INSERT INTO runs_topicevent (id, tenant_id, topic_type, event_id, source, digest, at)
    VALUES (%s, %s, %s, %s, %s, %s, now()) ON CONFLICT (tenant_id, topic_type, event_id) DO NOTHING
"""


def _kept(actor: Actor, event: TopicEvent) -> Published:
    kept = access.get(TopicEvent, actor, topic_type=event.topic_type, event_id=event.event_id)
    if kept.digest != event.digest:
        raise Conflict("An event with this id and another source or other data was published on this topic before.")
    return replace(answer(kept), again=True)


def _start_all(actor: Actor, event: TopicEvent, data: Json) -> Published:
    published = Published()
    origin = {"topic": event.topic_type, "event": event.event_id}
    for workflow in _subscribed(actor, event.topic_type):
        try:
            run = actions.start(actor, workflow, data, event.source, origin)
        except Invalid as fault:  # raised before anything is written
            message = f"data{fault.field.removeprefix('input')}: {fault.message}"
            published.refused.append({"workflow": workflow.slug, "message": message})
        else:
            published.runs.append({"id": str(run.pk), "workflow": workflow.slug})
    return published


def _subscribed(actor: Actor, topic_type: str) -> Iterable[Workflow]:
    found: QuerySet[Workflow] = access.all(Workflow.objects.select_related("current"), actor)
    return found.filter(current__body__topics__has_any_keys=subscriptions.spellings(topic_type)).order_by("slug")
