"""Spans of one run are one tree, whoever tells it and however often; a collector that is away is told later."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from console import tracing
from console.durable.steps import Kind, Status, Step
from console.runs.models import Run
from console.tenants.scopes import system_scope
from telemetry.outwards import otlp, sending, trees
from telemetry.outwards.models import Position, Told
from telemetry.outwards.sending import Teller
from telemetry.outwards.trees import Facts, Request
from tests.telemetry.collector import Collector, said
from tests.telemetry.stage import Desk

TRACE, CALLER = "ab" * 16, "cd" * 8
PARENT = f"00-{TRACE}-{CALLER}-01"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> Iterator[Any]:
    """The web's own tracer, which tells at the end of each request."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setattr(otlp, "resource", lambda: Resource({"service.name": "sayso"}))
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(timeout=5)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(otlp, "_telling", lambda: provider)
    yield provider
    provider.shutdown()


@pytest.fixture
def spans(web: Any) -> Iterator[otlp.Spans]:
    sender = otlp.Spans()
    yield sender
    sender.close()


@pytest.fixture
def told(desk: Desk, spans: otlp.Spans) -> Teller:
    """A teller that began before anything happened."""
    teller = Teller(spans)
    teller.round()
    return teller


def tree_of(collector: Collector) -> dict[str, tuple[str, ...]]:
    """Each span's name with those of all that it is in, from the outermost; the caller's own is "caller"."""
    by_id = {span.span_id.hex(): span for span in collector.spans}
    assert len(by_id) == len(collector.spans), "a span was told twice"

    def path(span: Any) -> tuple[str, ...]:
        parent = span.parent_span_id.hex()
        above = ("caller",) if parent == CALLER else () if not parent else path(by_id[parent])
        return (*above, span.name)

    return {span.span_id.hex(): path(span) for span in collector.spans}


def test_the_spans_of_one_run_are_one_tree(desk: Desk, told: Teller, collector: Collector) -> None:
    run = desk.start(traceparent=PARENT, tracestate="acme=1", **{"X-Request-ID": "order-4711"})
    assert desk.advance(run).status == "waiting"
    assert told.round() == 1
    early = {span.span_id for span in collector.spans}
    assert not [span for span in collector.spans if span.name.startswith("invoke_")]  # those are not over
    request = desk.decide(run, traceparent=f"00-{'ef' * 16}-{'12' * 8}-01")
    assert desk.advance(run).status == "waiting"
    assert desk.finish(run).status == "completed"
    assert told.round() == 1 and told.round() == 0

    ours = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    assert early <= {span.span_id for span in collector.spans}
    collector_of_run = Collector(spans=ours)
    paths = set(tree_of(collector_of_run).values())
    web, workflow = "POST /api/v1/runs", "invoke_workflow refund-desk"
    inside = ("caller", web, workflow)
    assert (*inside, "chat gpt-4o-mini") in paths  # the selector's
    assert (*inside, "invoke_agent clerk", "execute_tool lookup_order") in paths
    payer = (*inside, "invoke_agent payer")
    assert {(*payer, each) for each in ("chat gpt-4o-mini", "sayso.approval", "execute_tool bank")} <= paths
    assert all(path[:2] == ("caller", web) for path in paths)
    assert {span.trace_state for span in ours} == {"acme=1"}

    [approval] = [
        span for span in ours if span.name == "sayso.approval" and said(span)["sayso.approval.kind"] == "tool"
    ]
    decided = next(span for span in collector.spans if span.name.endswith("/decisions"))
    [link] = approval.links
    assert (link.trace_id, link.span_id) == (decided.trace_id, decided.span_id)
    about = said(approval)
    assert about["sayso.approval.id"] == str(request.pk) and about["sayso.approval.verdict"] == "approve"
    assert about["sayso.tenant"] == "northwind" and about["sayso.run.id"] == str(run.pk)

    tool = collector.named("execute_tool bank")
    [(headers, _)] = desk.bank.seen
    assert headers["traceparent"] == f"00-{TRACE}-{tool.span_id.hex()}-01" and headers["tracestate"] == "acme=1"
    assert [one.span_id for one in tool.links] == [approval.span_id]
    assert tool.start_time_unix_nano >= approval.end_time_unix_nano
    assert "https://opentelemetry.io/schemas/1.41.0" in collector.schemas


def test_no_content_is_told_unless_the_installation_says_so(
    desk: Desk, spans: otlp.Spans, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    Teller(spans).round()
    run = desk.start()
    desk.advance(run)
    desk.decide(run)
    desk.advance(run)
    monkeypatch.setenv("SAYSO_OTEL_CONTENT", "1")
    loud = Teller(spans)
    with system_scope("test"):
        plain = trees.tree(sending.reading.facts(run.pk))  # type: ignore[arg-type]
        opened = trees.tree(sending.reading.facts(run.pk, contents=True))  # type: ignore[arg-type]
    assert loud.contents
    words = ("Ingrid", "arrived broken", "sk-none")
    assert not [word for word in words if word in str(plain.spans)]
    [tool] = [span for span in opened.spans if span.name == "execute_tool bank"]
    assert "Ingrid Olsen" in tool.attributes["gen_ai.tool.call.arguments"]
    assert "sk-none" not in str(opened.spans)
    assert [one.span_id for one in plain.spans] == [one.span_id for one in opened.spans]


@pytest.mark.parametrize(
    ("shown_to", "patterns", "told"),
    [
        ("everyone", [], "Ingrid Olsen"),
        ("everyone", [{"name": "customer", "pattern": "Ingrid [A-Z]\\w+"}], "[customer hidden]"),
        ("reviewers", [], ""),
        ("admins", [{"name": "customer", "pattern": "Ingrid"}], ""),
    ],
)
def test_contents_are_told_as_the_tenant_has_them_shown(
    desk: Desk, spans: otlp.Spans, shown_to: str, patterns: list[dict[str, str]], told: str
) -> None:
    run = desk.start()
    desk.advance(run)
    desk.decide(run)
    desk.advance(run)
    house = desk.house
    setting = {"shown_to": shown_to, "masks": [], "patterns": patterns}
    assert house.admin.api.put("/api/v1/display", setting).status_code == 200
    with system_scope("test"):
        opened = trees.tree(sending.reading.facts(run.pk, contents=True))  # type: ignore[arg-type]
    [tool] = [span for span in opened.spans if span.name == "execute_tool bank"]
    assert told in tool.attributes.get("gen_ai.tool.call.arguments", "")
    assert ("Ingrid Olsen" in str(opened.spans)) is (told == "Ingrid Olsen")
    assert bool(told) is any("gen_ai.input.messages" in span.attributes for span in opened.spans)


def test_a_chat_says_what_the_conventions_ask(
    desk: Desk, told: Teller, collector: Collector, model_server: str
) -> None:
    run = desk.start()
    desk.advance(run)
    told.round()
    chat = next(span for span in collector.spans if span.name == "chat gpt-4o-mini")
    about = said(chat)
    assert chat.kind == chat.SPAN_KIND_CLIENT
    assert about["gen_ai.operation.name"] == "chat" and about["gen_ai.provider.name"] == "openai"
    assert about["gen_ai.request.model"] == "gpt-4o-mini" and about["gen_ai.usage.input_tokens"] > 0
    assert (about["server.address"], about["server.port"]) == ("127.0.0.1", int(model_server.rpartition(":")[2]))


def test_a_process_that_dies_after_a_send_tells_the_same_again(
    desk: Desk, told: Teller, spans: otlp.Spans, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = desk.start(traceparent=PARENT)
    desk.advance(run)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with contextlib.suppress(KeyboardInterrupt):
            told.round()
    first = [span for span in collector.spans if span.name.startswith(("chat", "execute"))]
    collector.spans.clear()
    other = Teller(spans)
    assert other.round() == 1
    again = [span for span in collector.spans if span.name.startswith(("chat", "execute"))]
    assert [span.SerializeToString() for span in first] == [span.SerializeToString() for span in again] != []
    collector.spans.clear()
    assert other.round() == 0 and collector.spans == []


def test_two_tellers_do_not_tell_at_once(desk: Desk, told: Teller, spans: otlp.Spans) -> None:
    run = desk.start()
    desk.advance(run)
    held = sending._take()
    assert held is not None and Teller(spans).round() == 0
    sending._leave(held)
    assert Teller(spans).round() == 1


def test_a_stale_teller_keeps_nothing(desk: Desk, told: Teller) -> None:
    held = sending._take()
    assert held is not None
    assert not sending._keep(replace(held, token=held.token - 1), [], NOON)


def test_a_collector_that_is_away_is_told_later(
    desk: Desk, told: Teller, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answer = 400
    run = desk.start()
    desk.advance(run)
    assert told.round() == 0 and told.round() == 0
    assert len([line for line in caplog.messages if "takes no spans" in line]) == 1
    collector.answer = 200
    assert told.round() == 1 and collector.spans


def test_what_happened_before_a_collector_was_named_is_not_told(
    desk: Desk, spans: otlp.Spans, collector: Collector
) -> None:
    run = desk.start()
    desk.advance(run)
    with system_scope("test"), connection.cursor() as cursor:
        cursor.execute("UPDATE runs_run SET waiting_since = waiting_since - interval '2 minutes'")
    collector.spans.clear()
    assert Teller(spans).round() == 0 and collector.spans == []


def test_a_day_without_a_collector_is_forgotten(desk: Desk, told: Teller, caplog: pytest.LogCaptureFixture) -> None:
    with system_scope("test"):
        Position.objects.filter(name="spans").update(at=NOON - timedelta(days=400))
    assert told.round() == 0
    assert "away for too long" in caplog.text
    with system_scope("test"):
        assert Position.objects.get(name="spans").at > NOON - timedelta(days=400)


def test_what_was_told_of_ended_runs_is_forgotten_in_the_end(desk: Desk, told: Teller) -> None:
    run = desk.start()
    desk.advance(run)
    desk.decide(run)
    desk.advance(run)
    assert desk.finish(run).status == "completed"
    told.round()
    with system_scope("test"):
        assert Told.objects.get().ended
        Told.objects.update(moment=NOON - timedelta(days=400))
        Run.objects.update(ended_at=NOON - timedelta(days=400))
    told.round()
    with system_scope("test"):
        assert not Told.objects.exists()


def test_an_unsampled_run_is_not_told(desk: Desk, told: Teller, collector: Collector) -> None:
    run = desk.start(traceparent=f"00-{TRACE}-{CALLER}-00")
    desk.advance(run)
    assert told.round() == 1
    assert [span for span in collector.spans if span.trace_id.hex() == TRACE] == []
    desk.decide(run)
    desk.advance(run)
    assert desk.bank.seen[0][0]["traceparent"].endswith("-00")


def test_without_a_collector_nothing_is_imported_and_nothing_asked_for() -> None:
    # opentelemetry.sdk.metrics by itself is no sign: the redis package imports it wherever it is installed.
    large = ("opentelemetry.exporter", "opentelemetry.sdk.trace.export", "telemetry.outwards.otlp", "prometheus")
    look = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'console.settings'; import django; django.setup();"
        "import console.worker; from console.celery import app;"
        f"print([m for m in sys.modules if m.startswith({large})], 'tell' in app.conf.beat_schedule)"
    )
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[-2] == "[] False"


def test_a_run_without_a_collector_and_without_a_trace_says_nothing_to_its_tools(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    run = desk.start(**{"X-Request-ID": "order-1"})
    desk.advance(run)
    desk.decide(run)
    desk.advance(run)
    [(headers, _)] = desk.bank.seen
    assert "traceparent" not in headers and headers["x-request-id"] == "order-1"
    assert desk.now(run).trace_context == ""


# The tree by itself


def step(scope: str, n: int, seq: int, begins: float, ends: float, agent: str = "", **more: Any) -> Step:
    kind = Kind.TOOL if scope.endswith("tools") else Kind.REVIEW if scope.endswith("review") else Kind.MODEL
    at, end = NOON + timedelta(seconds=begins), NOON + timedelta(seconds=ends)
    known = {"settled": seq, "status": Status.DONE, "ended_at": end, "agent": agent, "name": "x", **more}
    return Step(scope, n, kind, seq, "", None, at, **known)


def facts(*steps: Step, **more: Any) -> Facts:
    known = {"ended_at": NOON + timedelta(hours=1), "started_at": NOON, "created_at": NOON, **more}
    origin = tracing.origin("7f2c", "")
    return Facts(origin, "northwind", "desk", 1, "completed", "completed", steps=steps, **known)


def names(given: Facts, told: int = 0) -> list[str]:
    return [span.name for span in trees.tree(given, told).spans]


def test_parallel_agents_have_one_turn_each() -> None:
    given = facts(
        step("a/model", 1, 1, 0, 2, "a"),
        step("b/model", 1, 2, 0, 3, "b"),
        step("a/tools", 1, 3, 2.5, 4, "a"),
        step("b/tools", 1, 4, 3.5, 5, "b"),
        step("c/model", 1, 5, 6, 7, "c"),
        step("a/model", 2, 6, 8, 9, "a"),
    )
    found = [span for span in trees.tree(given).spans if span.name.startswith("invoke_agent")]
    assert [span.name for span in found].count("invoke_agent a") == 2  # before c, and after
    assert [span.name for span in found].count("invoke_agent b") == 1


def test_an_agent_used_as_a_tool_is_inside_its_caller() -> None:
    given = facts(
        step("outer/model", 1, 1, 0, 1, "outer"),
        step("outer/tools/call-1/inner/model", 1, 2, 1, 2, "inner"),
        step("outer/model", 2, 3, 3, 4, "outer"),
    )
    spans = trees.tree(given).spans
    [outer] = [span for span in spans if span.name == "invoke_agent outer"]
    [inner] = [span for span in spans if span.name == "invoke_agent inner"]
    assert inner.parent_id == outer.span_id and outer.end >= inner.end


def test_each_part_of_a_journal_is_told_once_and_as_in_the_whole() -> None:
    steps = [step("a/model", 1, 1, 0, 1, "a"), step("b/model", 1, 2, 1, 2, "b"), step("a/model", 2, 3, 3, 4, "a")]
    waiting = trees.tree(facts(*steps[:2], ended_at=None))
    rest = trees.tree(facts(*steps), waiting.through)
    whole = trees.tree(facts(*steps))
    in_parts = [(span.span_id, span.parent_id) for span in [*waiting.spans, *rest.spans]]
    assert sorted(in_parts) == sorted((span.span_id, span.parent_id) for span in whole.spans)


def test_tries_are_events_and_what_was_kept_from_another_run_is_not_told() -> None:
    tries = [
        {"started_at": NOON.isoformat(), "ended_at": (NOON + timedelta(seconds=1)).isoformat(), "cause": "http_500"},
        {"started_at": "nonsense", "ended_at": None, "cause": None, "model": "gpt-5"},
    ]
    kept = step("a/model", 1, 1, -100, -99, "a", inherited=True)
    one = step("a/model", 2, 2, 2, 3, "a", attempts=tries, usage={"input_tokens": 7, "output_tokens": -1, "x": 1})
    [span, *_] = trees.tree(facts(kept, one, before=tracing.origin("0ld", ""))).spans
    assert [(name, said["error.type"]) for name, _, said in span.events] == [("sayso.attempt", "http_500")]
    assert span.start == NOON and span.attributes["gen_ai.usage.input_tokens"] == 7
    assert "gen_ai.usage.output_tokens" not in span.attributes
    assert span.attributes["gen_ai.response.model"] == "gpt-5"
    assert names(facts(kept)) == ["invoke_workflow desk"]


def test_failures_have_a_type_and_clocks_that_run_backwards_do_no_harm() -> None:
    failed = step("a/tools", 1, 1, 5, 1, "a", status=Status.FAILED, attempts=[{"cause": "timeout"}])
    [span, *_, root] = trees.tree(facts(failed, failed=True)).spans
    assert span.error == "timeout" and span.end >= span.start and root.error == "completed"


def test_a_request_that_nobody_answered_is_told_with_the_end_of_its_run() -> None:
    gate = step("a/tools/review", 1, 1, 0, 1, "a", settled=None, ended_at=None, status=Status.INTENT)
    moot = Request(
        id=None, scope="a/tools/review", n=1, kind="tool", status="moot", agent="a", tool="pay", rule="", approvers=2,  # type: ignore[arg-type]
        created_at=NOON, decided_at=None, verdict="", decided_trace="nonsense",
    )  # fmt: skip
    assert "sayso.approval" not in names(facts(gate, requests=[moot], ended_at=None))
    assert "sayso.approval" in names(facts(gate, requests=[moot]))


def test_metrics_follow_the_conventions(collector: Collector) -> None:
    reader = InMemoryMetricReader()
    instruments = otlp.Instruments([reader])
    first = step("a/model", 1, 1, 0, 1, "a", usage={"input_tokens": 10, "output_tokens": 2})
    instruments.take(trees.tree(facts(first)))
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    assert {"gen_ai.client.token.usage", "gen_ai.client.operation.duration", "sayso.runs.ended"} <= set(metrics)
    [point, _] = metrics["gen_ai.client.token.usage"].data.data_points
    assert list(point.explicit_bounds) == list(otlp.TOKENS) and otlp.TOKENS[-1] == 67108864  # type: ignore[union-attr]
    instruments.close()


# Headers


@pytest.mark.parametrize(
    "parent",
    [
        "", "x", f"ff-{TRACE}-{CALLER}-01", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{'0' * 16}-01", PARENT + "-more",
        PARENT[:-1], "00-" + "é" * 32 + f"-{CALLER}-01", "0" * 10_000, f"00-{TRACE}\x00-{CALLER}-01",
    ],
)  # fmt: skip
def test_a_traceparent_that_makes_no_sense_is_none(parent: str) -> None:
    assert tracing.read(parent) is None


def test_a_tracestate_that_is_too_long_is_dropped() -> None:
    found = tracing.read(PARENT.upper(), "a=" + "x" * 600)
    assert found is not None and found.state == "" and found.parent == PARENT
    assert tracing.read(f"42-{TRACE}-{CALLER}-03-later", "a=1") == tracing.Trace(TRACE, CALLER, 1, "a=1")
