"""Rules: where an admin says what may run by itself, what never may, and what a person must see first.

What a rule says is in rule_document.py. Rules speak of tool calls. They are asked in order and the first that matches
wins. A rule that cannot be asked (it does not parse, a name in it is missing, it answers something other than true or
false, it would take too long) is a match that requires a person: an error never lets anything through.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from approvals.conditions import Context, compiled
from approvals.rule_document import (
    EFFECTS,
    MAX_APPROVERS,
    MAX_RULES,
    ON_EXPIRY,
    RISKS,
    VERDICTS,
    Fault,
    Rule,
    check,
    duration,
    faults,
    first_line,
    read,
    salvage,
)

__all__ = [
    "EFFECTS",
    "MAX_APPROVERS",
    "MAX_RULES",
    "ON_EXPIRY",
    "RISKS",
    "VERDICTS",
    "Fault",
    "Match",
    "Rule",
    "check",
    "duration",
    "first_match",
    "read",
]

Json = Any


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that speaks, and the error that made it speak if there was one."""

    rule: Rule
    error: str = ""

    @property
    def effect(self) -> str:
        """allow, deny or require; a rule with an error requires."""
        return "require" if self.error else self.rule.effect


@dataclass(frozen=True, slots=True)
class _Call:
    """What patterns are held against. ``names`` are the catalogue's name of the tool and the document's."""

    names: tuple[str, str]
    agent: str
    risk: str
    topic_source: Json
    classification: Json


def first_match(
    rules: Json,
    *,
    tool: str,
    agent: str,
    arguments: Json,
    facts: Mapping[str, Json],
    alias: str = "",
    risk: str = "",
    safety: str = "",
) -> Match | None:
    """The rule that decides about a call of ``tool`` by ``agent`` with ``arguments``, or None.

    ``tool`` is the catalogue's name. ``alias``, what the team's document calls it, is matched too, except by rules that
    allow: a name that the document's author chose can tighten but never loosen. ``facts`` holds ``run`` and ``tenant``
    as conditions see them. Never raises for a bad rule: see the module.
    """
    if not rules:
        return None
    if not isinstance(rules, list):
        return Match(Rule("rules", "require"), "the rules are not a list")
    risk = risk if risk in RISKS else "unknown"
    run = facts.get("run") or {}
    call = _Call((tool, alias or tool), agent, risk, run.get("topic_source") or "", run.get("classification") or "")
    seen = {"arguments": arguments, "tool": tool, "agent": agent, "risk": risk, "safety": safety or "neither"}
    return _first(_prepare(rules), call, Context({**seen, "run": {}, "tenant": {}, **facts}))


def _first(prepared: Sequence[_Prepared], call: _Call, context: Context) -> Match | None:
    """The first match. Where it is one by an error, what a later rule would have demanded still counts: an error may not
    lower the number of approvers."""
    broken: Match | None = None
    for each in prepared:
        match = each.ask(call, context)
        if match is None:
            continue
        if broken is None:
            if not match.error:
                return match
            broken = match
        elif match.effect == "require" and match.rule.approvers > broken.rule.approvers:
            broken = Match(match.rule, broken.error)
        if not match.error:
            return broken
    return broken


class _Prepared:
    """A rule of a list, read, checked and compiled once."""

    __slots__ = ("agent", "classification", "condition", "fault", "risk", "rule", "tool", "topic_source")

    def __init__(self, raw: Json, index: int) -> None:
        found = next(faults(raw), None)
        self.fault = f"{found.path.lstrip('.') or 'the rule'}: {found.message}" if found else ""
        self.rule = salvage(raw, index) if found else read(raw)
        self.tool = re.compile(translate(self.rule.tool)).match
        self.agent = None if self.rule.agent == "*" else re.compile(translate(self.rule.agent)).match
        self.risk = frozenset(self.rule.risk)
        self.topic_source = _pattern(self.rule.topic_source)
        self.classification = _pattern(self.rule.classification)
        self.condition = None if found or not self.rule.when else compiled(self.rule.when)

    def ask(self, call: _Call, context: Context) -> Match | None:
        rule = self.rule
        if self.fault:
            return Match(rule, self.fault)
        name, alias = call.names
        if not self.tool(name) and (rule.effect == "allow" or alias is name or not self.tool(alias)):
            return None
        if self.agent is not None and not self.agent(call.agent):
            return None
        if self.risk and call.risk not in self.risk:
            return None
        for what, pattern in (("topic_source", self.topic_source), ("classification", self.classification)):
            if pattern is None:
                continue
            said = getattr(call, what)
            if not isinstance(said, str):
                return Match(rule, f"the run's {what} is no text")
            if not pattern.match(said):
                return None
        if self.condition is None:
            return Match(rule)
        try:
            answer = context.ask(self.condition)
        except Exception as error:  # the library raises a dozen types; whatever it is, a person decides
            return Match(rule, f"`{rule.when}` could not be evaluated: {first_line(error)}")
        if answer is True:
            return Match(rule)
        return None if answer is False else Match(rule, f"`{rule.when}` answered neither true nor false")


def _pattern(text: str) -> re.Pattern[str] | None:
    """What a pattern compiles to; None for one that everything matches."""
    return None if text == "*" else re.compile(translate(text))


# Lists of rules that were prepared lately, by identity: a revision's body never changes, and workers keep it.
_prepared: OrderedDict[int, tuple[Json, list[_Prepared]]] = OrderedDict()
_PREPARED_MAX = 256
_lock = threading.Lock()


def _prepare(rules: list[Json]) -> list[_Prepared]:
    with _lock:
        known = _prepared.get(id(rules))
        if known is not None and known[0] is rules:
            _prepared.move_to_end(id(rules))
            return known[1]
    made = [_Prepared(raw, index) for index, raw in enumerate(rules)]
    with _lock:
        _prepared[id(rules)] = (rules, made)
        while len(_prepared) > _PREPARED_MAX:
            _prepared.popitem(last=False)
    return made
