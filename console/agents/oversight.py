"""Who watches which stage, and how a reviewer's words reach a team without steering its termination conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    BaseTextChatMessage,
    CodeExecutionEvent,
    TextMessage,
    ToolCallExecutionEvent,
)

from console.durable.steps import Decision

MODES = ("ALWAYS", "TERMINATE", "NEVER")
POLICY = "policy"  # who decides where nobody did: a request that expired
NOTE = {"sayso": "reviewer"}  # metadata of a message that is a reviewer's note, and not part of the team's talk

_OPEN, _CLOSE = "<reviewer>", "</reviewer>"
_WORDS = re.compile(re.escape(_OPEN) + ".*?" + re.escape(_CLOSE), re.DOTALL)

AnyMessage = BaseAgentEvent | BaseChatMessage


@dataclass(frozen=True)
class Oversight:
    """A revision's oversight: the workflow's mode, the stages that differ, and how often a result may be rejected."""

    mode: str = "NEVER"
    stages: Mapping[str, str] = field(default_factory=dict)
    max_reviews: int = 3

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Oversight:
        """Read a revision's body; TERMINATE is the safe default. ValueError names what makes no sense."""
        given = body.get("oversight") or {}
        mode, stages = given.get("mode", "TERMINATE"), given.get("stages") or {}
        for value in (mode, *stages.values()):
            if value not in MODES:
                raise ValueError(f"{value!r} is not an oversight mode; it is one of {', '.join(MODES)}")
        reviews = given.get("max_reviews", 3)
        if not isinstance(reviews, int) or isinstance(reviews, bool) or reviews < 0:
            raise ValueError(f"max_reviews must be a number from 0 up, not {reviews!r}")
        return cls(mode, dict(stages), reviews)

    def of_stage(self, agent: str) -> str:
        """The mode under which an agent works."""
        return self.stages.get(agent, self.mode)

    def reviews_messages(self, agent: str) -> bool:
        """Whether a person sees this agent's messages before the others do.

        A workflow's TERMINATE reviews the result only; a stage's TERMINATE the last message of the stage's turn.
        """
        return self.of_stage(agent) == "ALWAYS" or self.stages.get(agent) == "TERMINATE"

    @property
    def reviews_result(self) -> bool:
        """Whether a person sees the result before it counts."""
        return self.mode == "TERMINATE"


def quote(words: str) -> str:
    """A person's words, marked so that the model knows whose they are and no termination condition reads them."""
    while _OPEN in words or _CLOSE in words:  # what is left of one may make another
        words = words.replace(_CLOSE, "").replace(_OPEN, "")
    return f"{_OPEN}{words.strip()}{_CLOSE}"


def unquoted(text: str) -> str:
    """The text without what people said in it."""
    return _WORDS.sub("", text) if _OPEN in text else text


def note(source: str, text: str) -> TextMessage:
    """A message from a reviewer to an agent or team."""
    return TextMessage(source=source, content=text, metadata=dict(NOTE))


def rejection(what: str, decision: Decision) -> str:
    """What a team is told about ``what`` (its result, a message) that may not stand: who says so, and why."""
    why = f"The reason: {quote(decision.reason)}" if decision.reason else "No reason was given."
    if decision.verdict == "deny":
        return f"A rule does not allow {what}. {why}"
    if decision.by == POLICY:
        return f"Nobody accepted {what} in time. {why}"
    return f"A person rejected {what}. {why}"


def without_reviewers(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The team's own talk: notes of reviewers left out, their quoted words taken out of the rest."""
    return [_clean(message) for message in messages if message.metadata.get("sayso") != NOTE["sayso"]]


def _clean(message: AnyMessage) -> AnyMessage:
    if isinstance(message, BaseTextChatMessage) and _OPEN in message.content:
        return message.model_copy(update={"content": unquoted(message.content)})
    if isinstance(message, ToolCallExecutionEvent) and any(_OPEN in result.content for result in message.content):
        results = [result.model_copy(update={"content": unquoted(result.content)}) for result in message.content]
        return message.model_copy(update={"content": results})
    if isinstance(message, CodeExecutionEvent) and _OPEN in message.result.output:
        return message.model_copy(update={"result": replace(message.result, output=unquoted(message.result.output))})
    return message
