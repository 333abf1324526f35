"""Model conversations as JSON: what goes into the journal, and what comes out of it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from autogen_core import FunctionCall
from autogen_core.models import (
    AssistantMessage,
    CreateResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    RequestUsage,
    SystemMessage,
    UserMessage,
)
from autogen_core.tools import Tool, ToolSchema

from console.agents import usage
from console.agents.tools import UNPARSABLE, writable
from console.durable.steps import Json


def plain_message(message: LLMMessage) -> dict[str, Any]:
    """A model message as JSON; by hand where it is simple, because it is done for each message of each run."""
    content = message.content
    if isinstance(message, SystemMessage):
        return {"type": "SystemMessage", "content": content}
    if isinstance(message, UserMessage) and isinstance(content, str):
        return {"type": "UserMessage", "source": message.source, "content": content}
    if isinstance(message, AssistantMessage):
        told: Json = content if isinstance(content, str) else [plain_call(call) for call in message.content]
        plain = {"type": "AssistantMessage", "source": message.source, "content": told}
        return {**plain, "thought": message.thought} if message.thought else plain
    if isinstance(message, FunctionExecutionResultMessage):
        results = [
            {"name": r.name, "call_id": r.call_id, "content": r.content, "is_error": r.is_error}
            for r in message.content
        ]
        return {"type": "FunctionExecutionResultMessage", "content": results}
    return message.model_dump(mode="json")


def plain_call(call: Any) -> dict[str, str]:
    """A tool call as JSON."""
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def encode(message: LLMMessage | dict[str, Any]) -> dict[str, Any]:
    """A message for the journal; what is JSON already stays as it is."""
    return message if isinstance(message, dict) else plain_message(message)


def paragraphs(messages: Sequence[LLMMessage]) -> list[dict[str, Any]]:
    """Messages taken apart at their empty lines, each part marked ``"part": true``.

    A selector gets the whole conversation as one text, each time anew. In parts, only what is new of it is stored.
    """
    found: list[dict[str, Any]] = []
    for message in messages:
        plain = plain_message(message)
        parts = plain["content"].split("\n\n") if isinstance(plain["content"], str) else []
        found += [{**plain, "content": part, "part": True} for part in parts] if len(parts) > 1 else [plain]
    return found


class Schemas:
    """The schemas of the tools that a model is offered, computed once for as long as the same tools are offered."""

    def __init__(self) -> None:
        self._tools: list[Tool | ToolSchema] = []
        self._schemas: list[ToolSchema] = []
        self.handoffs: frozenset[str] = frozenset()  # the tools that the agent runs by itself
        self.length = 0  # of their schemas, in characters

    def of(self, tools: Sequence[Tool | ToolSchema]) -> list[ToolSchema]:
        """The schemas, the same list as last time if the tools are the same."""
        if len(tools) != len(self._tools) or any(a is not b for a, b in zip(tools, self._tools, strict=True)):
            self._tools = list(tools)
            self._schemas = [tool if isinstance(tool, dict) else tool.schema for tool in tools]
            self.handoffs = frozenset(tool.name for tool in tools if not isinstance(tool, dict))
            self.length = sum(len(str(schema)) for schema in self._schemas)
        return self._schemas


class Lengths:
    """How long conversations are that a model is asked with; a message that was in the one before is not read again."""

    def __init__(self) -> None:
        self._messages: list[LLMMessage] = []
        self._sums = [0]  # _sums[i] is the length of the first i messages

    def of(self, messages: Sequence[LLMMessage]) -> int:
        """Characters, with sixteen for each message's frame."""
        keep = 0
        for old, new in zip(self._messages, messages, strict=False):
            if old is not new:
                break
            keep += 1
        del self._messages[keep:], self._sums[keep + 1 :]
        for message in messages[keep:]:
            self._messages.append(message)
            self._sums.append(self._sums[-1] + len(str(message.content)) + 16)
        return self._sums[-1]


def plain_result(result: CreateResult) -> dict[str, Any]:
    """A model's answer as JSON, without its usage."""
    content: Json = [plain_call(c) for c in result.content] if isinstance(result.content, list) else result.content
    plain: dict[str, Any] = {"content": content, "finish_reason": result.finish_reason}
    if isinstance(content, str):
        plain["content"] = writable(content)
    return {**plain, "thought": writable(result.thought)} if result.thought else plain


def full_result(value: Json, handoffs: frozenset[str]) -> CreateResult:
    """The answer for the agent. ``handoffs`` are the names of tools that the agent runs by itself.

    AssistantAgent reads a call's arguments itself: what is not JSON it turns into an error that nobody sees, and
    some of it makes it wait for ever. So such arguments become an object that carries the text, for a person.
    """
    content = value["content"]
    if not isinstance(content, str):
        content = [
            FunctionCall(id=c["id"], name=c["name"], arguments=readable(c["arguments"], c["name"] in handoffs))
            for c in content
        ]
    asked, answered = usage.tokens(value["usage"])
    return CreateResult.model_construct(
        finish_reason=value["finish_reason"],
        content=content,
        usage=RequestUsage(prompt_tokens=asked, completion_tokens=answered),
        cached=False,
        logprobs=None,
        thought=value.get("thought"),
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def readable(arguments: str, handoff: bool) -> str:
    """The arguments, or an object that carries them as text when they cannot be read or kept."""
    try:
        value = json.loads(arguments, parse_constant=_no_constant)
        # What cannot be encoded (half a surrogate pair) or stored (NUL) is as good as unreadable.
        if b"\0" in json.dumps(value, ensure_ascii=False).encode().replace(b"\\u0000", b"\0"):
            raise ValueError("NUL")
    except (ValueError, RecursionError):
        return "{}" if handoff else json.dumps({UNPARSABLE: arguments})
    if handoff and not isinstance(value, dict):
        return "{}"
    return arguments
