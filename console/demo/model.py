"""The demo model: a small OpenAI-compatible server, so that the demo needs no key and no network.

``python -m console.demo.model --port P`` serves ``POST /v1/chat/completions`` (tools, streaming, usage),
``GET /v1/models`` and ``GET /healthz``; under ``/latency-<ms>/v1`` the same with another latency. What it answers is
personas.answer, a pure function of the messages and tools; what can go wrong with a model is provoked by words in the
input (FAULTS). It imports no Django and keeps no state.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from console.demo.personas import Answer, answer
from console.demo.reading import Conversation, read

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "o4-mini")
LIMIT = 4_000_000  # bytes of a request body
FAULTS = {
    "simulate 401": "every call is refused: invalid API key",
    "simulate 429": "every call is refused: rate limit, Retry-After 1 s",
    "simulate busy": "calls are refused with 429 in every other second: a patient client gets through",
    "simulate 500": "every call ends in a server error",
    "simulate nonsense": "an answer that is no chat completion",
    "simulate half-closed": "the answer breaks off in the middle",
    "simulate nothing": "the connection stays open and nothing is ever said",
    "simulate empty": "an answer without a word in it",
    "simulate slow": "every call takes five seconds",
    "simulate bad arguments": "the agent that acts calls its tool with arguments that are not JSON",
    "simulate schema fault": "the agent that acts calls its tool with arguments that do not fit the schema",
    "simulate unknown tool": "the agent that acts calls a tool that nobody offered",
    "simulate no usage": "answers do not say how many tokens they took",
    "simulate odd usage": "answers say that they took a negative number of tokens",
}
BLOCK = 16  # tokens that are cached together
REASONING = 48  # tokens that a reasoning model thinks before it calls a tool
BAD_KEYS = ("bad", "invalid", "revoked", "wrong")  # a key that begins so is refused with 401

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """A request that gets an error: (status, type, message, headers)."""

    def __init__(self, status: int, kind: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.headers = status, kind, message, headers


@dataclass(frozen=True)
class Completion:
    """An answer with its identity and its price in tokens."""

    id: str
    model: str
    answer: Answer
    usage: dict[str, Any]

    @property
    def finish(self) -> str:
        return "tool_calls" if self.answer.calls else "stop"

    def tool_calls(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"call_{self.id[9:21]}{index}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for index, (name, arguments) in enumerate(self.answer.calls)
        ]


def tokens(text: str) -> int:
    """About as many tokens as a real tokenizer would count: four characters to a token, at least one a word."""
    return max(len(text) // 4, len(re.findall(r"\w+|[^\w\s]", text)))


def complete(body: dict[str, Any]) -> Completion:
    """The completion for a request body, always the same one. Raises Refused (400) for a malformed body."""
    messages, tools = body.get("messages"), body.get("tools") or []
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "invalid_request_error", "messages: a list with at least one message is needed")
    if not isinstance(body.get("model"), str):
        raise Refused(400, "invalid_request_error", "model: a name is needed")
    try:
        conversation = read(messages, [] if body.get("tool_choice") == "none" else tools)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(400, "invalid_request_error", f"messages or tools: {error}") from error
    fault = fault_of(conversation)
    said = Answer() if fault == "simulate empty" else _shaped(body, conversation, answer(conversation))
    words = "".join(line.text for line in conversation.lines)
    prompt = tokens(words) + 4 * len(messages) + (tokens(json.dumps(tools)) if tools else 0)
    written = tokens(said.text) + sum(tokens(name + arguments) + 4 for name, arguments in said.calls)
    digest = hashlib.sha256(json.dumps([messages, tools], sort_keys=True).encode()).hexdigest()
    thought = REASONING * len(said.calls) if _reasons(body["model"]) else 0
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": written + thought,
        "total_tokens": prompt + written + thought,
        "prompt_tokens_details": {"cached_tokens": _cached(messages, prompt)},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    if fault == "simulate odd usage":
        usage = {"prompt_tokens": -prompt, "completion_tokens": "many", "total_tokens": None}
    elif fault == "simulate no usage":
        usage = {}
    return Completion("chatcmpl-" + digest[:24], body["model"], said, usage)


def _cached(messages: list[Any], prompt: int) -> int:
    """Tokens of the prompt that were asked before: without memory, all but the newest message, where anything was said.

    In whole blocks, as providers keep them; theirs are of 128 tokens, and the demo's conversations are shorter.
    """
    said = any(isinstance(message, dict) and message.get("role") in ("assistant", "tool") for message in messages)
    if not said:
        return 0
    newest = tokens(json.dumps(messages[-1])) + 4
    return max(prompt - newest, 0) // BLOCK * BLOCK


def _reasons(model: str) -> bool:
    return model.startswith(("o1", "o3", "o4", "gpt-5"))


def fault_of(conversation: Conversation) -> str:
    """The fault the input asks for, "" when it asks for none.

    ``simulate 500 at payer`` strikes only where the system message speaks of the payer (and not at a selector).
    """
    task = (conversation.task or conversation.system).lower()
    if not conversation.said:  # a selector reads the conversation from its prompt
        task = conversation.system.lower()
    for fault in FAULTS:
        start = task.find(fault)
        if start < 0:
            continue
        place = re.match(r" at (?:the )?([\w-]+)", task[start + len(fault) :])
        if not place:
            return fault
        first_sentence = conversation.system.lower().split(".")[0]
        return fault if conversation.said and place.group(1) in first_sentence else ""
    return ""


def _shaped(body: dict[str, Any], conversation: Conversation, said: Answer) -> Answer:
    """The text as JSON where the request demands JSON."""
    demanded = body.get("response_format") or {}
    if said.calls or demanded.get("type") not in ("json_object", "json_schema"):
        return said
    if "simulate schema fault" in conversation.task.lower():
        return Answer('{"unexpected": "nothing of what the schema asks for"}')
    schema = (demanded.get("json_schema") or {}).get("schema")
    return Answer(json.dumps(_instance(schema, schema, said.text) if schema else {"answer": said.text}))


def _instance(schema: dict[str, Any], root: dict[str, Any], text: str) -> Any:
    """The plainest value that fits a JSON schema, with the text where a string is wanted."""
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _instance(found, root, text)
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return _instance(schema[choice][0], root, text)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _instance(field, root, text) for name, field in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [_instance(schema.get("items") or {"type": "string"}, root, text)] * int(schema.get("minItems", 0))
    return {"string": text, "integer": 1, "number": 1.0, "boolean": True}.get(kind)


def as_object(completion: Completion) -> dict[str, Any]:
    """The completion as one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.answer.text or None}
    if completion.answer.calls:
        message["tool_calls"] = completion.tool_calls()
    choice = {"index": 0, "message": message, "finish_reason": completion.finish, "logprobs": None}
    return {**_head(completion, "chat.completion"), "choices": [choice], "usage": completion.usage or None}


def as_chunks(completion: Completion, include_usage: bool) -> Iterator[dict[str, Any]]:
    """The completion as the chunks of a stream."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        return {**_head(completion, "chat.completion.chunk"), "choices": choices}

    yield chunk({"role": "assistant", "content": None if completion.answer.calls else ""})
    for piece in re.findall(r"(?:\S+\s*){1,3}", completion.answer.text):
        yield chunk({"content": piece})
    for index, call in enumerate(completion.tool_calls()):
        yield chunk({"tool_calls": [{"index": index, **call, "function": {**call["function"], "arguments": ""}}]})
        for piece in re.findall(r".{1,24}", call["function"]["arguments"], re.DOTALL):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, completion.finish)
    if include_usage and completion.usage:
        yield {**_head(completion, "chat.completion.chunk"), "choices": [], "usage": completion.usage}


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    return {"id": completion.id, "object": kind, "created": int(time.time()), "model": completion.model}


class Server:
    """The ASGI application. ``latency`` in seconds passes before an answer begins."""

    def __init__(self, latency: float = 0.15) -> None:
        self.latency = latency

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._route(scope, receive, send)
        except Refused as refusal:
            error = {"message": refusal.message, "type": refusal.kind, "param": None, "code": refusal.kind}
            headers = {name.replace("_", "-"): value for name, value in refusal.headers.items()}
            await _reply(send, refusal.status, {"error": error}, headers)

    async def _route(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path, method, latency = scope["path"].rstrip("/"), scope["method"], self.latency
        own = re.fullmatch(r"/latency-(\d{1,5})(/v1/.*)", path)
        if own:
            latency, path = int(own.group(1)) / 1000, own.group(2)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if path == "/healthz":
            return await _reply(send, 200, {"status": "ok"})
        if path not in ("/v1/models", "/v1/chat/completions"):
            raise Refused(404, "invalid_request_error", f"there is nothing at {scope['path']}")
        if method != ("GET" if path == "/v1/models" else "POST"):
            raise Refused(405, "invalid_request_error", f"{method} is not for {path}")
        key = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not key or key.lower().startswith(BAD_KEYS):
            raise Refused(401, "invalid_api_key", "a bearer key is needed" if not key else "this key is not valid")
        if path == "/v1/models":
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "sayso-demo"} for name in MODELS]
            return await _reply(send, 200, {"object": "list", "data": models})
        body = await _json_body(receive)
        await self._complete(body, latency, receive, send)

    async def _complete(self, body: dict[str, Any], latency: float, receive: Receive, send: Send) -> None:
        completion = complete(body)
        fault = fault_of(read(body["messages"], []))
        await asyncio.sleep(5.0 if fault == "simulate slow" else latency)
        if fault == "simulate 401":
            raise Refused(401, "invalid_api_key", "this key is not valid (simulated)")
        if fault == "simulate 429" or (fault == "simulate busy" and int(time.time()) % 2):
            raise Refused(429, "rate_limit_exceeded", "too many requests (simulated)", retry_after="1")
        if fault == "simulate 500":
            raise Refused(500, "server_error", "the server had an error (simulated)")
        if fault == "simulate nothing":
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if fault == "simulate nonsense":
            return await _reply(send, 200, {"colourless": ["green", "ideas", "sleep", "furiously"]})
        stream = bool(body.get("stream"))
        if not stream and fault != "simulate half-closed":
            return await _reply(send, 200, as_object(completion))
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        await _start(send, 200, b"text/event-stream" if stream else b"application/json", {})
        if fault == "simulate half-closed":
            # Returning before the body's end makes the server close the connection in the middle of it.
            half = json.dumps(next(as_chunks(completion, False)) if stream else as_object(completion))
            await send(
                {
                    "type": "http.response.body",
                    "body": f'data: {half}\n\ndata: {{"id'.encode() if stream else half[:40].encode(),
                    "more_body": True,
                }
            )
            return
        for chunk in as_chunks(completion, include_usage):
            await send(
                {"type": "http.response.body", "body": f"data: {json.dumps(chunk)}\n\n".encode(), "more_body": True}
            )
            if latency:
                await asyncio.sleep(latency / 6)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def _json_body(receive: Receive) -> dict[str, Any]:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "invalid_request_error", "the request broke off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LIMIT:
            raise Refused(413, "invalid_request_error", f"a request may have {LIMIT} bytes")
        if not message.get("more_body"):
            break
    try:
        body = json.loads(b"".join(parts))
    except ValueError as error:
        raise Refused(400, "invalid_request_error", f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "invalid_request_error", "the body is not a JSON object")
    return body


async def _start(send: Send, status: int, content_type: bytes, headers: dict[str, str]) -> None:
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), *extra]})


async def _reply(send: Send, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    body = json.dumps(value).encode()
    await _start(send, status, b"application/json", {"content-length": str(len(body)), **(headers or {})})
    await send({"type": "http.response.body", "body": body})


def serve(host: str, port: int, latency: float) -> None:
    """Serve until SIGTERM or SIGINT."""
    # A connection cut on purpose is no news; uvicorn would log it as an error of the application.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: "without completing response" not in record.getMessage()
    )
    uvicorn.run(
        Server(latency), host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=2
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the server, for this module's command line and for ``manage.py demo_model``."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument(
        "--latency",
        type=float,
        default=float(os.environ.get("SAYSO_DEMO_LATENCY_MS", "150")),
        help="milliseconds before an answer begins (default: 150, or SAYSO_DEMO_LATENCY_MS)",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    options = parser.parse_args()
    serve(options.host, options.port, options.latency / 1000)
