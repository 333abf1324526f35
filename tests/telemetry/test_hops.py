"""The way of a wake-up through the broker is in the trace of the HTTP request that sent it, or else of its run: once sent,
once for each taking."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery import signals
from django.utils import timezone
from kombu import Consumer, Queue

from console import hops, inbox, sweeper, tracing, worker
from console.celery import app
from console.runs import actions as runs
from console.runs import feed, wakeups
from console.runs.models import Run
from console.tenants.scopes import system_scope
from telemetry.outwards import otlp
from telemetry.outwards.sending import Teller
from tests.telemetry.collector import Collector, said
from tests.telemetry.stage import Desk
from tests.telemetry.test_spans import CALLER, PARENT, TRACE, spans, told, tree_of, web

__all__ = ["spans", "told", "web"]
SEND = wakeups.send  # before the desk puts another in its place
OURS = {
    signals.before_task_publish: hops._send,
    signals.after_task_publish: hops._sent,
    signals.worker_init: hops._otlp,
}
Handle = Callable[[], int]


@pytest.fixture
def queue(desk: Desk, web: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A queue of the broker to which the wake-ups of this test really go, and are told."""
    name = f"hops-{uuid4().hex[:8]}"
    monkeypatch.setattr(wakeups, "send", lambda run_id, *, resume, queue="": SEND(run_id, resume=resume, queue=name))
    hops.connect()
    hops.connect()  # twice is once
    yield name
    for signal, ours in OURS.items():
        signal.disconnect(ours)
    feed.redis_client().delete(name)


@pytest.fixture
def admitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that a worker was asked to look at."""
    found: list[str] = []

    class Host:
        def admit(self, run_id: str, resume: bool, looked: Callable[[], object]) -> None:
            if run_id == "broken":
                raise RuntimeError("a test's")
            found.append(run_id)
            looked()

    monkeypatch.setattr(worker, "_host", Host())
    monkeypatch.setattr(inbox, "default", lambda task, app, consumer: None)  # which looks at a whole consumer
    return found


def messages(queue: str) -> list[Any]:
    """What is in the queue, taken."""
    taken: list[Any] = []
    with app.connection_for_read() as connection:
        consumer = Consumer(connection, [Queue(queue, routing_key=queue)], callbacks=[lambda _, it: taken.append(it)])
        with consumer, suppress(socket.timeout):
            while not taken or feed.redis_client().llen(queue):
                connection.drain_events(timeout=1)
    return taken


def handle(message: Any) -> None:
    """What a worker's process does with a message."""
    strategy = app.tasks[hops.TASK].start_strategy(app, SimpleNamespace(connection_errors=(OSError,), hub=None))
    strategy(message, None, lambda *_: None, lambda *_: None, [])


def of_hops(collector: Collector) -> list[Any]:
    return [span for span in collector.spans if span.name.startswith(("send ", "process "))]


def test_from_the_request_through_the_broker(
    desk: Desk, queue: str, told: Teller, collector: Collector, admitted: list[str]
) -> None:
    run = desk.start(traceparent=PARENT, tracestate="acme=1")
    [message] = messages(queue)
    handle(message)
    assert admitted == [str(run.pk)]
    send, process = of_hops(collector)
    assert (send.name, process.name) == (f"send {queue}", f"process {queue}")
    assert (send.kind, process.kind) == (send.SPAN_KIND_PRODUCER, send.SPAN_KIND_CONSUMER)
    assert process.parent_span_id == send.span_id and send.trace_state == process.trace_state == "acme=1"
    assert process.start_time_unix_nano >= send.end_time_unix_nano
    for span, operation in ((send, "send"), (process, "process")):
        assert said(span) == {
            "messaging.system": "redis", "messaging.operation.name": operation, "messaging.operation.type": operation,
            "messaging.destination.name": queue, "messaging.message.id": message.headers["id"],
            "sayso.run.id": str(run.pk),
        }  # fmt: skip

    assert desk.advance(run).status == "waiting"
    desk.decide(run, traceparent=f"00-{TRACE}-{CALLER}-01")
    handle(messages(queue)[0])
    assert desk.advance(run).status == "waiting"
    assert desk.finish(run).status == "completed"
    told.round()
    paths = set(tree_of(Collector(spans=[each for each in collector.spans if each.trace_id.hex() == TRACE])).values())
    start, decide = ("caller", "POST /api/v1/runs"), ("caller", "POST /api/v1/approvals/<request_id>/decisions")
    for request in (start, decide):
        assert {(*request, send.name), (*request, send.name, process.name)} <= paths
    assert (*start, "invoke_workflow refund-desk", "invoke_agent payer", "execute_tool bank") in paths


def test_a_message_that_comes_twice_was_taken_twice(
    desk: Desk, queue: str, collector: Collector, admitted: list[str]
) -> None:
    desk.start(traceparent=PARENT)
    [message] = messages(queue)
    for _ in range(2):
        handle(message)
    assert len(admitted) == 2
    send, *taken = of_hops(collector)
    assert [each.parent_span_id for each in taken] == [send.span_id] * 2 and taken[0].span_id != taken[1].span_id


def test_what_could_not_be_sent_is_not_told(
    desk: Desk, queue: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "kombu.messaging.Producer.publish", lambda *_, **__: (_ for _ in ()).throw(ConnectionRefusedError())
        )
        desk.start(traceparent=PARENT)
    assert of_hops(collector) == []
    desk.start(traceparent=PARENT)
    assert [each.name for each in of_hops(collector)] == [f"send {queue}"]


def let_go(run: Any) -> None:
    """A worker takes it, and leaves."""
    with system_scope("test"):
        claim = runs.claim(run.pk, "test")
        assert claim is not None and runs.release(run.pk, claim.token)


def swept(run: Any) -> None:
    """Nobody has claimed it for long, and a sweep finds it."""
    with system_scope("test"):
        Run.objects.filter(pk=run.pk).update(ready_at=timezone.now() - timedelta(minutes=1))
    assert sweeper.lost_wake_ups() == 1


@pytest.mark.parametrize("sent", [let_go, swept])
@pytest.mark.parametrize("asked", [True, False])
def test_what_no_request_sent_is_in_its_runs_trace(
    desk: Desk, queue: str, told: Teller, collector: Collector, admitted: list[str], sent: Any, asked: bool
) -> None:
    run = desk.start(traceparent=PARENT)
    if not asked:
        with system_scope("test"):
            Run.objects.filter(pk=run.pk).update(trace_context="", request_id="")  # it began its trace by itself
    handle(messages(queue)[0])
    sent(run)
    [message] = messages(queue)
    handle(message)
    *_, send, process = of_hops(collector)
    origin = tracing.origin(run.pk, desk.now(run).trace_context)
    assert {each.trace_id.hex() for each in (send, process)} == {origin.trace_id} and (
        origin.trace_id == TRACE
    ) is asked
    assert send.parent_span_id.hex() == origin.span_id("run") and process.parent_span_id == send.span_id
    assert said(send)["messaging.message.id"] == said(process)["messaging.message.id"] == message.headers["id"]

    assert desk.advance(run).status == "waiting"
    desk.decide(run, traceparent=PARENT)
    assert desk.advance(run).status == "waiting"
    assert desk.finish(run).status == "completed"
    told.round()
    whole = [span for span in collector.spans if span.trace_id.hex() == origin.trace_id]
    above = ("caller", "POST /api/v1/runs") if asked else ()
    paths = set(tree_of(Collector(spans=whole)).values())  # one tree, in which each span's parent is
    assert (*above, "invoke_workflow refund-desk", send.name, process.name) in paths
    assert len({path[: len(above) + 1] for path in paths if "invoke_workflow refund-desk" in path}) == 1


@pytest.mark.parametrize("sent", [let_go, swept])
@pytest.mark.parametrize("asked", [True, False])
def test_nor_is_it_told_where_its_run_is_not(
    desk: Desk,
    queue: str,
    collector: Collector,
    admitted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    sent: Any,
    asked: bool,
) -> None:
    run = desk.start(traceparent=f"00-{TRACE}-{CALLER}-00")
    if not asked:
        with system_scope("test"):
            Run.objects.filter(pk=run.pk).update(trace_context="")
    monkeypatch.setattr(otlp, "samples", lambda trace_id: asked)  # is asked only where a trace begins with the run
    assert messages(queue)
    sent(run)
    [message] = messages(queue)
    assert "traceparent" not in message.headers
    handle(message)
    assert admitted == [str(run.pk)] and of_hops(collector) == []


def test_what_is_sent_about_nothing_known_is_in_no_trace(
    desk: Desk, queue: str, collector: Collector, admitted: list[str]
) -> None:
    assert tracing.HERE.get() is None and SEND("run 1", resume=True, queue=queue)
    [message] = messages(queue)
    assert "traceparent" not in message.headers
    handle(message)
    assert admitted == ["run 1"] and of_hops(collector) == []


def test_an_unsampled_request_tells_nothing(desk: Desk, queue: str, collector: Collector, admitted: list[str]) -> None:
    desk.start(traceparent=f"00-{TRACE}-{CALLER}-00")
    [message] = messages(queue)
    assert message.headers["traceparent"].startswith(f"00-{TRACE}-") and message.headers["traceparent"].endswith("-00")
    handle(message)
    assert admitted and of_hops(collector) == []


def test_a_task_that_fails_says_so_and_nonsense_in_a_header_does_no_harm(
    queue: str, collector: Collector, admitted: list[str]
) -> None:
    for run, parent in (("broken", PARENT), ("run 1", "nonsense")):
        app.send_task(hops.TASK, args=[run], queue=queue, headers={"traceparent": parent}, retry=False)
    for message in messages(queue):
        handle(message)
    [process] = of_hops(collector)
    assert said(process)["error.type"] == "RuntimeError" and process.status.code == process.status.STATUS_CODE_ERROR
    assert admitted == ["run 1"]


def test_other_tasks_are_nobodys_hop(queue: str, collector: Collector) -> None:
    token = tracing.HERE.set(tracing.read(PARENT))
    try:
        app.send_task("console.worker.sweep", queue=queue, retry=False)
    finally:
        tracing.HERE.reset(token)
    [message] = messages(queue)
    assert "traceparent" not in message.headers and of_hops(collector) == []


def test_without_a_collector_nothing_is_told(
    desk: Desk, queue: str, collector: Collector, admitted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = desk.start(traceparent=PARENT)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    handle(messages(queue)[0])
    assert admitted == [str(run.pk)] and [each.name for each in of_hops(collector)] == [f"send {queue}"]
