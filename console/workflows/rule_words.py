"""Rules in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.dateparse import parse_duration

Json = Any


def rule_sentences(rule: Mapping[str, Json]) -> str:
    """A checked rule of a list, in plain words: whom it speaks of, what happens then, and what if nobody answers."""
    match = rule.get("match") or {}
    tool, agent = match.get("tool", "*"), match.get("agent", "*")
    what = "any tool" if tool == "*" else f"{tool}"
    risk = match.get("risk") or []
    risks = [risk] if isinstance(risk, str) else list(risk)
    if risks:
        what += f" of {_joined(risks, 'or')} risk"
    if agent != "*":
        what += f" by {agent}"
    if match.get("topic_source", "*") != "*":
        what += f" in runs from {match['topic_source'] or 'no topic source'}"
    if match.get("classification", "*") != "*":
        what += f" in runs classified {match['classification'] or 'not at all'}"
    when = f" when {rule['when']}" if rule.get("when") else ""
    if rule.get("effect") == "allow":
        return f"{what} may run without a person{when}."
    if rule.get("effect") == "deny":
        return f"{what} is refused{when}."
    approvers = rule.get("approvers") or 1
    people = "a person" if approvers == 1 else f"{approvers} people"
    group = f" of {rule['group']}" if rule.get("group") else ""
    return " ".join([f"{what} asks {people}{group}{when}.", *_demands(rule), *_time(rule)])


def _demands(rule: Mapping[str, Json]) -> Iterator[str]:
    verdicts = rule.get("verdicts") or []
    if verdicts:
        yield f"They may {_joined([_VERDICTS.get(each, each) for each in verdicts], 'or')}."
    if rule.get("second_for_edit"):
        yield "An edit takes a second person."
    if rule.get("standing") is False:
        yield "No standing approval covers it."


def _time(rule: Mapping[str, Json]) -> Iterator[str]:
    steps = [f"after {_span(step['after'])} {step['group']} decides instead" for step in rule.get("escalation") or []]
    if rule.get("expires_in"):
        steps.append(f"after {_span(rule['expires_in'])} {_EXPIRY[rule.get('on_expiry') or 'reject']}")
    if steps:
        hours = " Business hours count." if rule.get("hours") == "business" else ""
        yield f"Without an answer, {_joined(steps, 'and')}.{hours}"


_VERDICTS = {"edit": "edit it", "terminate": "end the run"}
_EXPIRY = {
    "reject": "it is rejected",
    "terminate": "the run ends",
    "escalate": "it is escalated",
    "approve": "it goes ahead if it only reads, and is rejected if it does more",
}


def _span(text: str) -> str:
    """An ISO 8601 duration in words."""
    if text.endswith("W"):
        return _count(int(text[1:-1]), "week")
    found = parse_duration(text)
    if found is None:
        return text
    hours, rest = divmod(found.seconds, 3600)
    parts = ((found.days, "day"), (hours, "hour"), (rest // 60, "minute"), (rest % 60, "second"))
    return " ".join(_count(number, unit) for number, unit in parts if number) or text


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _joined(names: Sequence[str], last: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
