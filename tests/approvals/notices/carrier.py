"""What the tests send with: transports that remember, a clock that is set by hand, and a receiver on the loopback."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from django.utils import timezone

from approvals.notices.answers import Answer
from approvals.notices.sending import Sender

TAKEN = Answer(True, 200, "thanks")


class Carrier:
    """Transports that answer what ``answers`` says, then that they took it; what went through them is in ``sent``."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.answers: list[Answer | Exception] = []
        self.always: dict[str, Answer | Exception] = {}  # by way, before all others

    def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        return self._take("post", {"url": url, "headers": dict(headers), "body": body})

    def mail(self, to: Sequence[str], subject: str, text: str, message_id: str) -> Answer:
        return self._take("mail", {"to": list(to), "subject": subject, "text": text, "id": message_id})

    def chat(self, url: str, title: str, text: str) -> Answer:
        return self._take("chat", {"url": url, "title": title, "text": text})

    def _take(self, way: str, what: dict[str, Any]) -> Answer:
        self.sent.append((way, what))
        answer = self.always.get(way) or (self.answers.pop(0) if self.answers else TAKEN)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Post:
    """A sender with a Carrier and a clock that goes on by hand. It uses the test's own database connection."""

    def __init__(self, transports: Any = None) -> None:
        self.now = timezone.now()
        self.carrier = Carrier() if transports is None else transports
        self.sender = Sender(self.carrier, self.clock, lambda: 0.5, lambda work, *given: work(*given))

    def clock(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def round(self) -> int:
        """Send what is due, as of the later of this clock and the real one, by which things are noted."""
        self.now = max(self.now, timezone.now())
        return self.sender.round()


class Receiver:
    """An HTTP server that keeps what it gets and answers with ``status``."""

    def __init__(self, status: int = 200, body: bytes = b"ok", location: str = "") -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                receiver.got.append((self.path, dict(self.headers.items()), self.rfile.read(length)))
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Silence."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.server.timeout = 5
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hooks/tok_very-secret-path"

    def __enter__(self) -> Receiver:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()
