"""A model call as people read it: who said what to whom, what is new since the call before, which tools were offered, and
what was answered. Pure; whatever the journal holds, odd things are shown as they are.

Contents come in as the viewer may see them (console/tenants/display.py), so a text may be blotted out anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from console.runs.reading import Whole
from console.tenants.display import HIDDEN, Display

Json = Any
ROLES = {
    "SystemMessage": "system",
    "UserMessage": "user",
    "AssistantMessage": "assistant",
    "FunctionExecutionResultMessage": "tool",
}
_NAMED = {"messages", "tools", "model"}
_USED = {"input_tokens": "asked", "output_tokens": "answered"}


@dataclass(slots=True)
class Said:
    """One message. ``parts`` are its paragraphs (text, whether it is new); a call or a result is a (name, text) pair."""

    role: str
    source: str = ""
    new: bool = False
    parts: list[tuple[str, bool]] = field(default_factory=list)
    calls: list[tuple[str, Json]] = field(default_factory=list)
    results: list[tuple[str, str, bool]] = field(default_factory=list)  # name, text, whether it failed
    thought: str = ""


@dataclass(slots=True)
class Prompt:
    """What a model was asked. ``before`` was in the scope's previous prompt, ``new`` was not; ``whole`` is False where it
    could not be put together, and then only what is stored is there."""

    model: str
    before: list[Said]
    new: list[Said]
    tools: list[tuple[str, str, Json]]  # name, description, schema
    options: dict[str, Json]
    first: bool
    whole: bool


@dataclass(slots=True)
class Answer:
    """What a model said. ``used`` are tokens by what they were for."""

    text: str
    calls: list[tuple[str, Json]]
    thought: str
    finish: str
    used: list[tuple[str, int]]
    answered_by: str


def prompt(found: Whole, display: Display) -> Prompt | None:
    """The prompt of a step; None where it is none, or hidden."""
    request = display.of(found.request)
    if request == HIDDEN or not isinstance(request, dict):
        return None
    stored, whole = request.get("messages"), True
    if not isinstance(stored, list):
        stored, whole = request.get("add"), False
        request = {**(request.get("rest") or {}), "messages": stored}
    if not isinstance(stored, list):
        return None
    kept = found.kept or 0
    before, new = _messages(stored[:kept], False), _messages(stored[kept:], True)
    if before and new and _goes_on(stored[kept - 1], stored[kept]):  # new paragraphs of one and the same message
        last = before.pop()
        new[0] = Said(new[0].role, new[0].source, True, [*last.parts, *new[0].parts])
    return Prompt(
        model=str(request.get("model") or ""), before=before, new=new, tools=_tools(request.get("tools")),
        options={name: value for name, value in request.items() if name not in _NAMED}, first=kept == 0, whole=whole,
    )  # fmt: skip


def answer(found: Whole, display: Display) -> Answer | None:
    """What a model's step said; None where it said nothing, or it is hidden."""
    result = display.of(found.step.result)
    if result == HIDDEN or not isinstance(result, dict):
        return None
    content, by = result.get("content"), result.get("answered_by")
    return Answer(
        text=content if isinstance(content, str) else "",
        calls=_calls(content),
        thought=str(result.get("thought") or ""),
        finish=str(result.get("finish_reason") or ""),
        used=used(found.step.usage),
        answered_by=f"{by.get('credential')} ({by.get('model')})" if isinstance(by, dict) else "",
    )


def used(usage: Json) -> list[tuple[str, int]]:
    """Tokens by what they were for, as far as the step says."""
    if not isinstance(usage, dict):
        return []
    return [
        (_USED.get(name, name.removesuffix("_tokens").replace("_", " ")), value)
        for name, value in usage.items()
        if isinstance(value, int) and not isinstance(value, bool) and (value or name in _USED)
    ]


def words(content: Json) -> str:
    """What was said, as text to compare: the answer of a model, or any other value."""
    if isinstance(content, str):
        return content
    calls = _calls(content)
    return "\n".join(f"{name}({given})" for name, given in calls) if calls else ""


def spoken(said: Said) -> str:
    """A message as text to compare: who, then what."""
    who = f"{said.role} {said.source}".strip()
    told = [text for text, _ in said.parts]
    told += [f"calls {name}({given})" for name, given in said.calls]
    told += [f"{name}{' failed' if failed else ''}: {text}" for name, text, failed in said.results]
    return f"{who}: " + "\n\n".join(told)


def _messages(stored: Iterable[Json], new: bool) -> list[Said]:
    found: list[Said] = []
    last: Json = None
    for message in stored:
        if found and _goes_on(last, message):
            found[-1].parts.append((_text(message.get("content")), new))
        else:
            found.append(_message(message, new))
        last = message
    return found


def _goes_on(last: Json, message: Json) -> bool:
    """Whether a message is the next paragraph of the one before it; see agents/wire.py."""
    both = isinstance(last, dict) and isinstance(message, dict) and last.get("part") and message.get("part")
    return bool(both) and [last.get(n) for n in ("type", "source")] == [message.get(n) for n in ("type", "source")]


def _message(message: Json, new: bool) -> Said:
    if not isinstance(message, dict):
        return Said("message", new=new, parts=[(_text(message), new)])
    kind, content = str(message.get("type") or ""), message.get("content")
    said = Said(ROLES.get(kind, kind or "message"), str(message.get("source") or ""), new)
    said.thought = str(message.get("thought") or "")
    if kind == "FunctionExecutionResultMessage" and isinstance(content, list):
        said.results = [
            (str(one.get("name") or ""), _text(one.get("content")), bool(one.get("is_error")))
            for one in content
            if isinstance(one, dict)
        ]
    elif found := _calls(content):
        said.calls = found
    elif isinstance(content, list):
        said.parts = [(_text(one), new) for one in content]
    else:
        said.parts = [(_text(content), new)]
    return said


def _calls(content: Json) -> list[tuple[str, Json]]:
    if not isinstance(content, list):
        return []
    return [(str(one["name"]), one.get("arguments")) for one in content if isinstance(one, Mapping) and "name" in one]


def _tools(tools: Json) -> list[tuple[str, str, Json]]:
    found = [one for one in tools if isinstance(one, dict)] if isinstance(tools, list) else []
    return [(str(one.get("name") or "?"), str(one.get("description") or ""), one.get("parameters")) for one in found]


def _text(value: Json) -> str:
    if isinstance(value, dict) and isinstance(value.get("data"), str) and len(value["data"]) > 200:
        return f"[an image, {len(value['data']) * 3 // 4096:,} kB]"
    return value if isinstance(value, str) else "" if value is None else str(value)
