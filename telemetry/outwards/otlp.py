"""OpenTelemetry's SDK: our spans as its own, its exporters, and instruments by the GenAI conventions 1.41.

Imported only where a collector is named. Nothing here is made the process's global provider, so AutoGen's own spans, and
those of any library, go nowhere: there is one source of spans. OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER,
OTEL_EXPORTER_OTLP_* and OTEL_METRIC_EXPORT_INTERVAL mean what OpenTelemetry says they mean.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from console import tracing
from console.once import once
from telemetry.outwards.trees import Span, Tree

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
SCOPE = InstrumentationScope("sayso", "1", SCHEMA)
PATIENCE = 5.0  # seconds for one batch, tries included; the next round tries again
KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))  # 1 to 67,108,864
WAITS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600)  # seconds, of people
_METRICS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


@once
def resource() -> Resource:
    """Who tells: the environment's words win over ours."""
    ours = {"service.name": "sayso", "service.instance.id": f"{os.uname().nodename}-{os.getpid()}"}
    return Resource.create().merge(Resource(ours)).merge(OTELResourceDetector().detect())


class Spans:
    """Sends the spans of runs. Nothing waits in here: what a collector did not take is read from the journal again."""

    def __init__(self) -> None:
        self._exporter = OTLPSpanExporter(timeout=PATIENCE)

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether the collector took them."""
        return bool(self._exporter.export([readable(span) for span in spans]) is SpanExportResult.SUCCESS)

    def close(self) -> None:
        """End a send that is under way."""
        self._exporter.shutdown()


def readable(span: Span) -> ReadableSpan:
    """Ours as the SDK's, with our ids."""
    parent = _context(span.trace_id, span.parent_id, span.state, remote=span.remote) if span.parent_id else None
    failed = bool(span.error)
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id, span.state),
        parent=parent,
        resource=resource(),
        attributes={**span.attributes, **({"error.type": span.error} if failed else {})},
        events=[Event(name, attributes, _nanoseconds(at)) for name, at, attributes in span.events],
        links=[Link(_context(to.trace_id, to.span_id, to.state), attributes) for to, attributes in span.links],
        kind=KINDS[span.kind],
        status=Status(StatusCode.ERROR, span.error) if failed else Status(StatusCode.UNSET),
        start_time=_nanoseconds(span.start),
        end_time=_nanoseconds(span.end),
        instrumentation_scope=SCOPE,
    )


def _context(trace_id: str, span_id: str, state: str = "", *, remote: bool = False, flags: int = 1) -> SpanContext:
    known = TraceState.from_header([state]) if state else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, TraceFlags(flags), known)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000


# HTTP requests and messages to workers: spans that no journal has. They are told as they end, behind a bounded queue.


def samples(trace_id: str) -> bool:
    """Whether OTEL_TRACES_SAMPLER wants a trace that begins with a run."""
    decision = _provider().sampler.should_sample(None, int(trace_id, 16), "invoke_workflow")
    return bool(decision.decision.is_sampled())


@once
def _provider() -> TracerProvider:
    return TracerProvider(resource=resource(), shutdown_on_exit=True)


@once
def _telling() -> TracerProvider:
    provider = _provider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=PATIENCE)))
    return provider


def _begin(scope: str, name: str, came: tracing.Trace | None, kind: SpanKind, told: dict[str, Any]) -> Any:
    """A span that begins now, under the place that it came from."""
    context = None
    if came is not None:
        far = _context(came.trace_id, came.span_id, came.state, remote=True, flags=came.flags)
        context = set_span_in_context(NonRecordingSpan(far))
    tracer = _telling().get_tracer(scope, "1", schema_url=SCHEMA)
    return tracer.start_span(name, context=context, kind=kind, attributes=told)


def _place(span: Any) -> tracing.Trace:
    own = span.get_span_context()
    return tracing.Trace(
        f"{own.trace_id:032x}", f"{own.span_id:016x}", int(own.trace_flags) & 1, own.trace_state.to_header()
    )


class Served:
    """The span of one HTTP request. ``place`` is where what it starts belongs."""

    def __init__(self, method: str, path: str, came: tracing.Trace | None) -> None:
        told = {"http.request.method": method, "url.path": path[:200]}
        self._span = _begin("sayso.web", method, came, SpanKind.SERVER, told)
        self.place = _place(self._span)

    def end(self, method: str, route: str, status: int, request_id: str, tenant: str) -> None:
        """Tell it."""
        if self._span.is_recording():
            self._span.update_name(f"{method} {route}" if route else method)
            told: dict[str, Any] = {"http.response.status_code": status, "sayso.request.id": request_id}
            if route:
                told["http.route"] = route
            if tenant:
                told["sayso.tenant"] = tenant
            if status >= 500:
                told["error.type"] = str(status)
                self._span.set_status(Status(StatusCode.ERROR))
            self._span.set_attributes(told)
        self._span.end()


class Hop:
    """The span of one message on its way: ``operation`` is send or process. ``place`` is where what comes of it belongs."""

    def __init__(self, operation: str, queue: str, came: tracing.Trace, message_id: str, run_id: str) -> None:
        told = {
            "messaging.system": "redis",
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": queue,
            "messaging.message.id": message_id,
            "sayso.run.id": run_id,
        }
        kind = SpanKind.PRODUCER if operation == "send" else SpanKind.CONSUMER
        self._span = _begin("sayso.queue", f"{operation} {queue}", came, kind, told)
        self.place = _place(self._span)

    def end(self, error: str = "") -> None:
        """Tell it; ``error`` is the conventions' error.type."""
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


# Metrics, from what has been told.


class Instruments:
    """Histograms of what runs did, filled when their spans have been taken: each step counts once."""

    def __init__(self, readers: Iterable[Any] | None = None) -> None:
        given = [PeriodicExportingMetricReader(OTLPMetricExporter(timeout=PATIENCE))] if readers is None else readers
        self._provider = MeterProvider(metric_readers=list(given), resource=resource(), shutdown_on_exit=True)
        meter = self._provider.get_meter("sayso", "1", schema_url=SCHEMA)

        def histogram(name: str, unit: str, about: str, bounds: Sequence[float]) -> Any:
            return meter.create_histogram(name, unit, about, explicit_bucket_boundaries_advisory=list(bounds))

        self._tokens = histogram(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", TOKENS
        )
        self._duration = histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration.", SECONDS)
        self._first = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Time to receive the first chunk.", SECONDS
        )
        self._wait = histogram("sayso.approval.wait", "s", "From a request to its decision.", WAITS)
        self._ended = meter.create_counter("sayso.runs.ended", "{run}", "Runs that have ended.")

    def take(self, tree: Tree) -> None:
        """Count what was told."""
        for span in tree.spans:
            said = span.attributes
            seconds = (span.end - span.start).total_seconds()
            operation = said.get("gen_ai.operation.name")
            error = {"error.type": span.error} if span.error else {}
            if operation == "chat":
                labels = {name: said[name] for name in _LABELS if name in said}
                self._duration.record(seconds, {**labels, **error})
                for kind in ("input", "output"):
                    if (many := said.get(f"gen_ai.usage.{kind}_tokens")) is not None:
                        self._tokens.record(many, {**labels, "gen_ai.token.type": kind})
                if (first := said.get("gen_ai.response.time_to_first_chunk")) is not None:
                    self._first.record(first, labels)
            elif operation == "invoke_workflow":
                self._ended.add(1, {name: said[name] for name in _OF_RUNS})
            elif span.name == "sayso.approval":
                self._wait.record(seconds, {name: said[name] for name in _OF_WAITS if name in said})

    def close(self) -> None:
        """Send the last of them."""
        self._provider.shutdown()


_OF_RUNS = ("sayso.tenant", "sayso.run.status", "sayso.stop_reason")
_OF_WAITS = ("sayso.tenant", "sayso.approval.kind", "sayso.approval.status", "sayso.approval.verdict")
_LABELS = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", "server.address",
    "server.port", "sayso.tenant",
)  # fmt: skip


def instruments() -> Instruments | None:
    """Those of this process; None where metrics go nowhere."""
    if os.environ.get("OTEL_METRICS_EXPORTER", "").strip().lower() == "none":
        return None
    return Instruments() if any(os.environ.get(name, "").strip() for name in _METRICS) else None
