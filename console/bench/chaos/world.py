"""The world outside: a server of its own process whose tools do things and count them, and whose model answers.

Tools are at ``/tools/{name}``, the model at ``/v1``; ``/deeds`` says what was done. A deed is what the arguments call
one: done twice it is a fault of the product, whoever asked for it. An idempotent tool does nothing under a key that it
has seen. How a call goes (slow, refused before, failed or cut off after the deed) depends on the seed, the deed and the
number of the call; what the model says, on the messages alone. Standard library, uvicorn and the demo's model only.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import uvicorn

from console.demo import model
from console.demo.personas import Answer
from console.demo.reading import Conversation, read

Json = Any
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

IDEMPOTENT = "chaos_post"  # the tool that does nothing under a key that it has seen
READING = "chaos_look"
CLOSING = "CASE CLOSED"
SLOWEST = 1.5  # seconds that a tool may take

# How calls of a tool go, in a hundred; the rest goes well.
_FAULTS = {"slow": 10, "refused": 3, "failed": 3, "cut off": 3}
_MODEL_FAULTS = {"failed": 0.015, "busy": 0.01, "cut off": 0.01}

_TICKET = re.compile(r"\bT-(\d+)\b")
_TOOL = re.compile(r"Your tool is (\w+)")
_NAME = re.compile(r"You are (\w+)")


@dataclass
class Deed:
    """What became of one deed: how often it was asked for, and how often it was done."""

    tool: str = ""
    calls: int = 0
    under_way: int = 0
    done: int = 0
    keys: list[str] = field(default_factory=list)  # under which it was done
    amounts: list[Json] = field(default_factory=list)  # with which it was done


class World:
    """The ASGI application."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.deeds: dict[str, Deed] = {}
        self.receipts: dict[tuple[str, str], Json] = {}  # of an idempotent tool, by (deed, key)
        self.stalled_until = 0.0
        self.model_calls = 0
        self.reads = 0
        self._random = random.Random(seed)  # noqa: S311  # mishaps, not secrets

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"].rstrip("/")
        if path == "/healthz":
            return await _reply(send, 200, {"status": "ok"})
        if path == "/deeds":
            deeds = {name: asdict(deed) for name, deed in self.deeds.items()}
            return await _reply(send, 200, {"deeds": deeds, "model_calls": self.model_calls, "reads": self.reads})
        body = await _body(receive)
        if path == "/stall":
            self.stalled_until = time.monotonic() + float(body["seconds"])
            return await _reply(send, 200, {})
        if path == "/v1/chat/completions":
            return await self._model(body, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if path.startswith("/tools/"):
            return await self._tool(path.removeprefix("/tools/"), body, headers.get("idempotency-key", ""), send)
        return await _reply(send, 404, {"error": "there is nothing here"})

    async def _tool(self, tool: str, body: Json, key: str, send: Send) -> None:
        if tool == READING:
            self.reads += 1
            await asyncio.sleep(0.01)
            return await _reply(send, 200, {"ticket": body.get("ticket"), "customer": "Ingrid Olsen", "open": True})
        name = str(body["deed"])
        deed = self.deeds.setdefault(name, Deed(tool))
        deed.calls += 1
        deed.under_way += 1
        try:
            fault = fault_of(self.seed, name, deed.calls)
            if fault == "refused":
                return await _reply(send, 503, {"error": "out of order, nothing was done"})
            await asyncio.sleep(SLOWEST if fault == "slow" else 0.02)
            receipt = self.receipts.get((name, key)) if tool == IDEMPOTENT else None
            if receipt is None:
                deed.done += 1
                deed.keys.append(key)
                deed.amounts.append(body.get("amount"))
                receipt = self.receipts[name, key] = {"receipt": f"R-{name}", "amount": body.get("amount")}
        finally:
            deed.under_way -= 1
        if fault == "failed":
            return await _reply(send, 500, {"error": "something broke after it was done"})
        if fault == "cut off":
            return await _cut_off(send)
        return await _reply(send, 200, receipt)

    async def _model(self, body: Json, send: Send) -> None:
        self.model_calls += 1
        await asyncio.sleep(max(0.0, self.stalled_until - time.monotonic()) + self._random.uniform(0.01, 0.08))
        drawn = self._random.random()
        for fault, share in _MODEL_FAULTS.items():
            drawn -= share
            if drawn < 0 and fault == "failed":
                return await _reply(send, 500, {"error": {"message": "the model broke", "type": "server_error"}})
            if drawn < 0 and fault == "busy":
                error = {"error": {"message": "too many requests", "type": "rate_limit_exceeded"}}
                return await _reply(send, 429, error, {"retry-after": "1"})
            if drawn < 0:
                return await _cut_off(send)
        said = completion(body)
        if not body.get("stream"):
            return await _reply(send, 200, model.as_object(said))
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for chunk in model.as_chunks(said, bool((body.get("stream_options") or {}).get("include_usage"))):
            data = f"data: {json.dumps(chunk)}\n\n".encode()
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def fault_of(seed: int, deed: str, call: int) -> str:
    """How this call of a tool goes: a name of _FAULTS, or "" for well."""
    drawn = random.Random(f"{seed}/{deed}/{call}").randrange(100)  # noqa: S311
    for fault, share in _FAULTS.items():
        drawn -= share
        if drawn < 0:
            return fault
    return ""


def completion(body: Json) -> model.Completion:
    """The model's answer, a function of the messages alone."""
    said = answer(read(body["messages"], body.get("tools") or []))
    text = json.dumps([body["messages"], body.get("tools")], sort_keys=True)
    usage = {"prompt_tokens": len(text) // 4, "completion_tokens": 20, "total_tokens": len(text) // 4 + 20}
    return model.Completion("chatcmpl-" + hashlib.sha256(text.encode()).hexdigest()[:24], body["model"], said, usage)


def answer(conversation: Conversation) -> Answer:
    """An agent with a tool calls it once, for the deed that is its own in this ticket; then, or without one, it speaks."""
    found = _TICKET.search(conversation.heard)
    ticket = found.group(1) if found else "0"
    named, tool = _NAME.search(conversation.system), _TOOL.search(conversation.system)
    name = named.group(1) if named else "nobody"
    if tool and not conversation.called and conversation.offers(tool.group(1)):
        arguments = {"ticket": ticket} if tool.group(1) == READING else deed_of(ticket, name)
        return Answer("", ((tool.group(1), json.dumps(arguments)),))
    ending = f" {CLOSING}" if "You close the case" in conversation.system else ""
    return Answer(f"{name} has done its part of T-{ticket}.{ending}")


def deed_of(ticket: str, agent: str) -> dict[str, Json]:
    """The arguments of an agent's deed in a ticket; every ninth is large."""
    number = int(ticket)
    return {"deed": f"{ticket}:{agent}", "amount": float(number % 400 + (2000 if number % 9 == 0 else 1))}


async def _body(receive: Receive) -> Json:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return json.loads(b"".join(parts) or b"{}")


async def _reply(send: Send, status: int, value: Json, more: dict[str, str] | None = None) -> None:
    body = json.dumps(value).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **(more or {})}
    pairs = [(name.encode(), text.encode()) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


async def _cut_off(send: Send) -> None:
    """Hang up in the middle of an answer: a return before the body's end makes uvicorn close the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"re', "more_body": True})


def main() -> None:
    """Serve on the loopback until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    uvicorn.run(World(given.seed), host="127.0.0.1", port=given.port, log_level="critical", access_log=False,
                timeout_graceful_shutdown=1, backlog=2048)  # fmt: skip


if __name__ == "__main__":
    main()
