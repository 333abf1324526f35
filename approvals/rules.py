"""Rules: where an admin says what may run by itself, what never may, and what a person must see first.

A rule of a revision's body:

    {"name": "large refunds", "match": {"tool": "issue_*", "agent": "*"}, "when": "arguments.amount > 1000.0",
     "effect": "require", "approvers": 2, "group": "finance", "expires_in": "PT4H", "on_expiry": "reject"}

Rules speak of tool calls. They are asked in order and the first that matches wins. A rule that cannot be asked (it
does not parse, a name in it is missing, it answers something other than true or false) is a match that requires a
person: an error never lets anything through.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import translate
from functools import lru_cache
from typing import Any

import cel
from django.utils.dateparse import parse_duration

Json = Any

EFFECTS = ("allow", "deny", "require")
ON_EXPIRY = ("reject", "terminate", "escalate")
MAX_APPROVERS = 20
MAX_RULES = 200
MAX_WHEN = 1000  # characters; also bounds how long an evaluation can take
MAX_EXPIRY = timedelta(days=366)
_KEYS = {"name", "match", "when", "effect", "approvers", "group", "expires_in", "on_expiry"}
_ISO = re.compile(r"P(?=.)(\d{1,6}W|(\d{1,6}D)?(T(?=.)(\d{1,6}H)?(\d{1,6}M)?(\d{1,6}S)?)?)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a rule, and where: ``path`` starts at the list of rules, such as ``[0].when``."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, read. ``expires_in`` stays ISO 8601: it is shown and frozen as it was written."""

    name: str
    effect: str
    tool: str = "*"
    agent: str = "*"
    when: str = ""
    approvers: int = 1
    group: str = ""
    expires_in: str | None = None
    on_expiry: str = "reject"

    def frozen(self) -> dict[str, Json]:
        """What a request keeps of the rule that asked for it."""
        return {
            "name": self.name,
            "match": {"tool": self.tool, "agent": self.agent},
            "when": self.when,
            "effect": self.effect,
            "approvers": self.approvers,
            "group": self.group,
            "expires_in": self.expires_in,
            "on_expiry": self.on_expiry,
        }


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that speaks, and the error that made it speak if there was one."""

    rule: Rule
    error: str = ""

    @property
    def effect(self) -> str:
        """allow, deny or require; a rule with an error requires."""
        return "require" if self.error else self.rule.effect


def duration(text: str) -> timedelta:
    """The ISO 8601 duration ``text`` (weeks, days, hours, minutes, seconds). Raises ValueError."""
    if not isinstance(text, str) or not _ISO.fullmatch(text):
        raise ValueError("must be an ISO 8601 duration such as PT4H or P2D")
    if text.endswith("W"):
        found: timedelta | None = timedelta(weeks=int(text[1:-1]))
    else:
        found = parse_duration(text)
    if found is None or not timedelta() < found <= MAX_EXPIRY:
        raise ValueError("must be longer than nothing and at most 366 days")
    return found


def check(rules: Json) -> list[Fault]:
    """Everything that is wrong with the ``rules`` of a revision's body; empty when all can be used."""
    if rules is None:
        return []
    if not isinstance(rules, list):
        return [Fault("", "must be a list of rules")]
    if len(rules) > MAX_RULES:
        return [Fault("", f"at most {MAX_RULES} rules, got {len(rules)}")]
    faults = []
    names: set[str] = set()
    for index, raw in enumerate(rules):
        for fault in _faults(raw):
            faults.append(Fault(f"[{index}]{fault.path}", fault.message))
        name = raw.get("name") if isinstance(raw, dict) else None
        if isinstance(name, str):
            if name in names:
                faults.append(Fault(f"[{index}].name", f"another rule is already named {name!r}"))
            names.add(name)
    return faults


def first_match(
    rules: Json, *, tool: str, agent: str, arguments: Json, facts: Mapping[str, Json], alias: str = ""
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
    context = _Context({"arguments": arguments, "tool": tool, "agent": agent, "run": {}, "tenant": {}, **facts})
    return _first(_prepare(rules), (tool, alias or tool), agent, context)


def _first(prepared: Sequence[_Prepared], names: tuple[str, str], agent: str, context: _Context) -> Match | None:
    for index, each in enumerate(prepared):
        match = each.ask(names, agent, context)
        if match is None:
            continue
        if match.error:
            # What a later rule would have demanded still counts: an error may not lower the number of approvers.
            rest = _first(prepared[index + 1 :], names, agent, context)
            if rest is not None and rest.effect == "require" and rest.rule.approvers > match.rule.approvers:
                return Match(rest.rule, match.error)
        return match
    return None


class _Context:
    """What conditions see, handed over to CEL once for all rules, and only when a rule has a condition."""

    __slots__ = ("_given", "_made")

    def __init__(self, given: dict[str, Json]) -> None:
        self._given = given
        self._made: cel.Context | None = None

    def values(self) -> cel.Context:
        if self._made is None:
            self._made = cel.Context(self._given)
        return self._made


class _Prepared:
    """A rule of a list, read, checked and compiled once."""

    __slots__ = ("agent", "fault", "program", "rule", "tool")

    def __init__(self, raw: Json, index: int) -> None:
        faults = list(_faults(raw))
        self.fault = f"{faults[0].path.lstrip('.') or 'the rule'}: {faults[0].message}" if faults else ""
        self.rule = _salvage(raw, index) if faults else read(raw)
        self.tool = re.compile(translate(self.rule.tool)).match
        self.agent = re.compile(translate(self.rule.agent)).match
        self.program = None if faults or not self.rule.when else compiled(self.rule.when)

    def ask(self, names: tuple[str, str], agent: str, context: _Context) -> Match | None:
        rule = self.rule
        if self.fault:
            return Match(rule, self.fault)
        name, alias = names
        if not (self.tool(name) or (rule.effect != "allow" and self.tool(alias))) or not self.agent(agent):
            return None
        if self.program is None:
            return Match(rule)
        try:
            answer = self.program.execute(context.values())
        except Exception as error:  # the library raises a dozen types; whatever it is, a person decides
            return Match(rule, f"`{rule.when}` could not be evaluated: {_first_line(error)}")
        if answer is True:
            return Match(rule)
        return None if answer is False else Match(rule, f"`{rule.when}` answered neither true nor false")


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


def read(raw: Mapping[str, Json]) -> Rule:
    """The rule of a checked document."""
    match = raw.get("match") or {}
    return Rule(
        name=raw["name"],
        effect=raw["effect"],
        tool=match.get("tool", "*"),
        agent=match.get("agent", "*"),
        when=raw.get("when") or "",
        approvers=raw.get("approvers", 1),
        group=raw.get("group") or "",
        expires_in=raw.get("expires_in"),
        on_expiry=raw.get("on_expiry") or "reject",
    )


@lru_cache(maxsize=4096)
def compiled(when: str) -> cel.Program:
    """The condition, parsed once per process. Raises ValueError when it does not parse."""
    return cel.compile(when)


def _salvage(raw: Json, index: int) -> Rule:
    """As much of a broken rule as can be shown: its name and, where they are usable, its approvers."""
    named = raw if isinstance(raw, dict) else {}
    name = named.get("name")
    approvers = named.get("approvers")
    usable = isinstance(approvers, int) and not isinstance(approvers, bool) and 1 <= approvers <= MAX_APPROVERS
    return Rule(
        name=name if isinstance(name, str) and name else f"rule {index + 1}",
        effect="require",
        approvers=approvers if usable and approvers is not None else 1,
    )


def _faults(raw: Json) -> Iterator[Fault]:
    if not isinstance(raw, dict):
        yield Fault("", "must be an object")
        return
    for key in sorted(raw.keys() - _KEYS, key=str):
        yield Fault(f".{key}", "is not a part of a rule")
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 100:
        yield Fault(".name", "must be a text of 1 to 100 characters")
    if raw.get("effect") not in EFFECTS:
        yield Fault(".effect", "must be allow, deny or require")
    yield from _match_faults(raw.get("match"))
    yield from _when_faults(raw.get("when"))
    approvers = raw.get("approvers", 1)
    if not isinstance(approvers, int) or isinstance(approvers, bool) or not 1 <= approvers <= MAX_APPROVERS:
        yield Fault(".approvers", f"must be a whole number from 1 to {MAX_APPROVERS}")
    group = raw.get("group")
    if group is not None and (not isinstance(group, str) or len(group) > 100):
        yield Fault(".group", "must be a text of at most 100 characters")
    if raw.get("expires_in") is not None:
        try:
            duration(raw["expires_in"])
        except ValueError as error:
            yield Fault(".expires_in", str(error))
    if raw.get("on_expiry") is not None and raw["on_expiry"] not in ON_EXPIRY:
        yield Fault(".on_expiry", "must be reject, terminate or escalate")


def _match_faults(match: Json) -> Iterator[Fault]:
    if match is None:
        return
    if not isinstance(match, dict):
        yield Fault(".match", "must be an object with tool and agent")
        return
    for key in sorted(match.keys() - {"tool", "agent"}, key=str):
        yield Fault(f".match.{key}", "rules match on tool and agent")
    for key in ("tool", "agent"):
        pattern = match.get(key, "*")
        if not isinstance(pattern, str) or not pattern or len(pattern) > 200:
            yield Fault(f".match.{key}", "must be a name or a pattern such as issue_*")


def _when_faults(when: Json) -> Iterator[Fault]:
    if when is None or when == "":
        return
    if not isinstance(when, str) or len(when) > MAX_WHEN:
        yield Fault(".when", f"must be a condition of at most {MAX_WHEN} characters")
        return
    try:
        compiled(when)
    except Exception as error:  # as above: any failure to parse is the author's to mend
        yield Fault(".when", _first_line(error))


def _first_line(error: Exception) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    line = str(text).strip().splitlines()[0] if str(text).strip() else type(error).__name__
    return f"{line} is missing" if isinstance(error, KeyError) else line[:300]
