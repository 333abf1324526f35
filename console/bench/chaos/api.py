"""How the bench's people call the API: as a careful client does, again under the same key until there is an answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx

Json = Any

PATIENCE = 300.0  # seconds in which a call has to come to an answer


class GaveUp(Exception):
    """No answer in PATIENCE seconds, or nobody waits for one any more."""


class Complaints:
    """What the API must not do, counted: it makes the bench fail."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def add(self, what: str) -> None:
        """Once more."""
        self.found[what[:300]] += 1


class Client:
    """One token's way to the API. Used by one thread."""

    def __init__(self, url: str, token: str, complaints: Complaints, stopped: Callable[[], bool]) -> None:
        self._complaints = complaints
        self._stopped = stopped
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )
        self.outages = 0  # answers that said to come back later
        self.repeated = 0  # calls whose answer was the first one's, once more

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Json:
        """What is there. Raises GaveUp."""
        return self._ask("GET", path, params=parameters)[1]

    def post(self, path: str, body: Json = None) -> tuple[int, Json]:
        """The status and the answer of a call that is made once, however often it is sent. Raises GaveUp."""
        return self._ask("POST", path, json=body if body is not None else {}, headers={"Idempotency-Key": str(uuid4())})

    def _ask(self, method: str, path: str, **given: Any) -> tuple[int, Json]:
        deadline = time.monotonic() + PATIENCE
        while True:
            wait = 0.3
            try:
                answer = self._http.request(method, f"/api/v1{path}", **given)
            except httpx.HTTPError:
                pass  # the web process died, or hangs: once more
            else:
                if answer.headers.get("Idempotency-Replayed"):
                    self.repeated += 1
                if answer.status_code < 500 and answer.status_code != 429 and not _in_progress(answer):
                    return answer.status_code, answer.json()
                self.outages += 1
                wait = self._patience_for(answer, method, path)
            if self._stopped() or time.monotonic() > deadline:
                raise GaveUp(f"{method} {path}")
            time.sleep(wait)

    def _patience_for(self, answer: httpx.Response, method: str, path: str) -> float:
        """Seconds to wait before the next try. An outage has to be told as one."""
        kind = answer.headers.get("content-type", "")
        if answer.status_code >= 500 and (answer.status_code != 503 or "problem+json" not in kind):
            self._complaints.add(
                f"{method} {_shape(path)} answered HTTP {answer.status_code} ({kind}): {answer.text[:120]}"
            )
        after = answer.headers.get("Retry-After", "")
        if not after.isdigit():
            self._complaints.add(f"{method} {_shape(path)} answered HTTP {answer.status_code} without Retry-After")
            return 0.5
        return min(float(after), 5.0)


def _in_progress(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and "Retry-After" in answer.headers


def _shape(path: str) -> str:
    """A path without its ids."""
    return "/".join("*" if len(part) > 30 else part for part in path.split("/"))
