"""The model behind the demo's history: the demo model itself, asked in this process, at a pace and with the bad days that
the story gives it.

It is reached through the real client (retries, errors and usage are the product's own), over no socket.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from autogen_core.models import ChatCompletionClient

from console.agents import clients
from console.agents.breakers import Breaker, Breakers
from console.demo.model import Completion, Receive, Refused, Send, Server, as_chunks, as_object, complete
from console.demo.story import REFERENCE, Case

FALLEN = {"down": 500, "refused": 401, "busy": 429}  # what a call gets where the story says so


class Provider(Server):
    """The demo model's server. ``cases`` by their reference, which is in every prompt of their run."""

    def __init__(self, cases: Mapping[str, Case], chance: random.Random) -> None:
        super().__init__(0.0)
        self._cases = cases
        self._chance = chance
        self.mended: set[str] = set()  # references of runs that are tried again, and find it well
        self._asked: dict[str, int] = {}

    async def _complete(self, body: dict[str, Any], latency: float, receive: Receive, send: Send) -> None:
        text = json.dumps(body["messages"])
        found = next((self._cases[ref] for ref in re.findall(REFERENCE, text) if ref in self._cases), None)
        completion = complete(body)
        pace = 1.0 if found is None else found.pace
        thinking = 0.12 + self._chance.lognormvariate(-1.6, 0.6) + completion.usage["completion_tokens"] * 0.002
        await asyncio.sleep(min(thinking * pace, 7.0))
        if found is not None and found.reference not in self.mended:
            self._fall(found, body, text)
        if body.get("stream"):
            chunks = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(completion)]
            await _answer(send, "text/event-stream", "".join([*chunks, "data: [DONE]\n\n"]))
        else:
            await _answer(send, "application/json", json.dumps(as_object(completion)))

    def _fall(self, case: Case, body: Mapping[str, Any], text: str) -> None:
        """Raise what the story says, where it says so."""
        if case.fault not in FALLEN:
            return
        if case.fault_at and case.fault_at not in text:
            return
        if case.fault_model and body["model"] != case.fault_model:
            return
        asked = self._asked[case.reference] = self._asked.get(case.reference, 0) + 1
        if case.fault == "busy" and asked > case.fault_times:
            return
        status = FALLEN[case.fault]
        what = {500: "the server had an error", 401: "this key is not valid", 429: "too many requests"}[status]
        raise Refused(status, "server_error", what)


def _chunks(completion: Completion) -> Iterator[dict[str, Any]]:
    """A stream of one chunk with all that is said, since nobody watches it come word by word, and of its end."""
    first, *_, last, usage = as_chunks(completion, True)
    said: dict[str, Any] = {"role": "assistant", "content": completion.answer.text or None}
    calls = [{"index": index, **call} for index, call in enumerate(completion.tool_calls())]
    first["choices"][0]["delta"] = {**said, "tool_calls": calls} if calls else said
    yield from (first, last, usage)


async def _answer(send: Send, kind: str, text: str) -> None:
    headers = [(b"content-type", kind.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


class Lending(clients.Clients):
    """The clients of the process that makes the history: all of them ask one provider."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=provider))  # type: ignore[arg-type]
        self._made: dict[str, ChatCompletionClient] = {}

    def get(
        self,
        *,
        api_key: str,
        base_url: str | None,
        config: Mapping[str, Any],
        provider: str = "",
        options: Mapping[str, str] | None = None,
    ) -> ChatCompletionClient:
        wanted = {name: each for name, each in config.items() if name in clients.CREATE_ARGUMENTS and each is not None}
        place = json.dumps([api_key, wanted], sort_keys=True)
        if place not in self._made:
            self._made[place] = contextvars.Context().run(
                clients.make, api_key, "http://model.invalid/v1", wanted, provider, options or {}, self._http
            )
        return self._made[place]


class Patient(Breakers):
    """No provider is left alone here: runs that are weeks apart in the story are made in the same minute."""

    def get(self, *key: str) -> Breaker:
        return Breaker(lambda: 0.0)
