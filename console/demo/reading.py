"""What the demo model reads out of a conversation: who speaks, what was asked, order numbers, amounts of money.

Standard library only. Nothing here keeps state: the same messages are always read the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ORDER_WORD = re.compile(r"\border\s*(?:no\.?|nr\.?|number|id)?\s*[:#=]?\s*#?((?=[\w-]*\d)\w[\w-]*)", re.IGNORECASE)
_ORDER_CODE = re.compile(r"\b(?!(?:EUR|USD|GBP)\b|(?:EUR|USD|GBP)-?\d)([A-Z]{1,4}-\d{2,}[\w-]*)\b")
_NUMBER = r"\d{1,3}(?:[ '.,]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_MONEY = re.compile(
    rf"(?:€|\$|£|\b(?:EUR|USD|GBP))\s?({_NUMBER})(?![\w-])|(?<![\w-])({_NUMBER})\s?(?:€|\$|£|(?:EUR|USD|GBP|euros?|dollars?|pounds?)\b)",
    re.IGNORECASE,
)
_BARE = re.compile(rf"(?<![\w.,-])({_NUMBER})(?![\w-]|[.,]\d)")
_CUSTOMER = re.compile(r"\b(?:customer:?|for|to|by|from)\s+([A-Z][\w'-]+ [A-Z][\w'-]+)")


@dataclass(frozen=True)
class Line:
    """One message of the request: role, the speaker's name, the text, and the tool calls it carries."""

    role: str
    name: str
    text: str
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """A chat-completions request, read."""

    lines: tuple[Line, ...]
    tools: tuple[Mapping[str, Any], ...] = ()

    @property
    def system(self) -> str:
        return "\n".join(line.text for line in self.lines if line.role in ("system", "developer"))

    @property
    def said(self) -> tuple[Line, ...]:
        """Everything but the system messages."""
        return tuple(line for line in self.lines if line.role not in ("system", "developer"))

    @property
    def task(self) -> str:
        """What the person asked for at the start."""
        return next((line.text for line in self.said if line.role == "user"), "")

    @property
    def last(self) -> Line:
        return self.said[-1] if self.said else Line("user", "", "")

    @property
    def results(self) -> list[str]:
        """The tool results that end the conversation; empty when somebody spoke after them."""
        found: list[str] = []
        for line in reversed(self.said):
            if line.role != "tool":
                break
            found.insert(0, line.text)
        return found

    @property
    def called(self) -> bool:
        """Whether this agent has called a tool (a handoff does not count) before."""
        return any(not name.startswith("transfer_to_") for line in self.said for name in line.calls)

    @property
    def feedback(self) -> str:
        """What others said after this agent's last own text, "" when it has not spoken yet."""
        heard: list[str] = []
        for line in reversed(self.said):
            if line.role == "assistant" and line.text and not line.calls:
                return "\n".join(reversed(heard))
            if line.role == "user":
                heard.append(line.text)
        return ""

    @property
    def heard(self) -> str:
        """All that people and other agents said."""
        return "\n".join(line.text for line in self.said if line.role == "user")

    def offers(self, name: str) -> bool:
        """Whether a tool of this name may be called now."""
        return any(tool["name"] == name for tool in self.tools)


def read(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Conversation:
    """Read the ``messages`` and ``tools`` of a chat-completions request.

    Raises ValueError for what is not a chat-completions message.
    """
    lines = []
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise ValueError("each message needs a role")
        calls = tuple(call["function"]["name"] for call in message.get("tool_calls") or ())
        lines.append(Line(message["role"], str(message.get("name") or ""), _text(message.get("content")), calls))
    offered = tuple(tool["function"] for tool in tools if tool.get("type") == "function")
    return Conversation(tuple(lines), offered)


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    raise ValueError("content is neither text nor a list of parts")


def order_in(text: str) -> str:
    """The order number named in the text, "" when there is none: ``A-1001``, ``order 42``, ``order no. 7``."""
    found = _ORDER_WORD.search(text) or _ORDER_CODE.search(text)
    return found.group(1) if found else ""


def amount_in(text: str, *, bare: bool = True) -> float | None:
    """The first amount of money in the text, in its currency's unit; with ``bare`` also a number without a currency."""
    money = _MONEY.search(text)
    if money:
        return number(money.group(1) or money.group(2))
    if not bare:
        return None
    rest = _ORDER_CODE.sub(" ", _ORDER_WORD.sub(" ", text))
    found = _BARE.search(rest)
    return number(found.group(1)) if found else None


def number(digits: str) -> float:
    """``1,250.00``, ``1.250,00``, ``1'250`` and ``1250`` alike; a mark before three last digits groups thousands."""
    digits = digits.strip().replace(" ", "").replace("'", "")
    decimal = re.search(r"[.,](\d{1,2})$", digits)
    whole = digits[: decimal.start()] if decimal else digits
    return float(re.sub(r"[.,]", "", whole) + ("." + decimal.group(1) if decimal else ""))


def customer_in(text: str) -> str:
    """A customer's first and last name, "" when none is given."""
    found = _CUSTOMER.search(text)
    return found.group(1) if found else ""


def split_result(text: str) -> tuple[dict[str, Any], str]:
    """A tool result as (its JSON object, the words around it). The object is empty when there is none."""
    start = text.find("{")
    while start >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(text[start:])
        except ValueError:
            start = text.find("{", start + 1)
            continue
        if isinstance(value, dict):
            return value, " ".join((text[:start] + " " + text[start + end :]).split())
        break
    return {}, " ".join(text.split())


def money(amount: Any, currency: str = "EUR") -> str:
    """``EUR 1,250.00``."""
    return f"{currency} {float(amount):,.2f}"
