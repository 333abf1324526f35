"""An OTLP collector on the loopback, which keeps what it was sent; and a bank that an HTTP tool pays at."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """``answer`` is the HTTP status that it gives from now on."""

    url: str = ""
    answer: int = 200
    spans: list[Any] = field(default_factory=list)
    sends: int = 0
    resources: list[dict[str, str]] = field(default_factory=list)
    schemas: set[str] = field(default_factory=set)

    def take(self, body: bytes) -> int:
        self.sends += 1
        if self.answer == 200:
            told = ExportTraceServiceRequest()
            told.ParseFromString(body)
            for each in told.resource_spans:
                self.resources.append({one.key: one.value.string_value for one in each.resource.attributes})
                for scope in each.scope_spans:
                    self.schemas.add(scope.schema_url)
                    self.spans.extend(scope.spans)
        return self.answer

    def named(self, name: str) -> Any:
        """The one span of that name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


def said(span: Any) -> dict[str, Any]:
    """A span's attributes, or an event's, or a link's."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@dataclass
class Bank:
    url: str = ""
    seen: list[tuple[dict[str, str], Any]] = field(default_factory=list)


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that is there."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            self.send_response(collector.take(body) if self.path == "/v1/traces" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    with _serving(Handler) as url:
        collector.url = url
        yield collector


@contextmanager
def banking() -> Iterator[Bank]:
    """A bank that pays whatever it is asked to, and keeps the headers."""
    bank = Bank()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bank.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"refund": "RF-1", **body, "currency": "EUR"}).encode())

        def log_message(self, *args: Any) -> None: ...

    with _serving(Handler) as url:
        bank.url = f"{url}/pay"
        yield bank
