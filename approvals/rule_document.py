"""A rule as it is written down: what may stand in it, what is wrong with it, and the rule that is read from it.

    {"name": "large refunds",
     "match": {"tool": "issue_*", "agent": "*", "risk": ["high", "unknown"], "topic_source": "EU-*", "classification": "*"},
     "when": "arguments.amount > 1000.0", "effect": "require", "approvers": 2, "group": "finance",
     "expires_in": "PT4H", "on_expiry": "reject", "escalation": [{"after": "PT1H", "group": "leads"}],
     "verdicts": ["approve", "edit", "reject"], "second_for_edit": true, "standing": false, "hours": "business"}

Only ``name`` and ``effect`` have to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.dateparse import parse_duration

from approvals.conditions import MAX_WHEN, compiled

Json = Any

EFFECTS = ("allow", "deny", "require")
ON_EXPIRY = ("reject", "terminate", "escalate", "approve")
VERDICTS = ("approve", "edit", "reject", "escalate", "terminate")
RISKS = ("low", "medium", "high", "unknown")
PATTERNS = ("tool", "agent", "topic_source", "classification")
MAX_APPROVERS = 20
MAX_RULES = 200
MAX_ESCALATION = 5
MAX_EXPIRY = timedelta(days=366)
_KEYS = (
    "name", "match", "when", "effect", "approvers", "group", "expires_in", "on_expiry", "escalation", "verdicts",
    "second_for_edit", "standing", "hours",
)  # fmt: skip
_ISO = re.compile(r"P(?=.)(\d{1,6}W|(\d{1,6}D)?(T(?=.)(\d{1,6}H)?(\d{1,6}M)?(\d{1,6}S)?)?)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a rule, and where: ``path`` starts at the list of rules, such as ``[0].when``."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, read. ``expires_in`` and ``after`` stay ISO 8601: they are shown and frozen as they were written."""

    name: str
    effect: str
    tool: str = "*"
    agent: str = "*"
    when: str = ""
    approvers: int = 1
    group: str = ""
    expires_in: str | None = None
    on_expiry: str = "reject"
    risk: tuple[str, ...] = ()  # empty: whatever the risk
    topic_source: str = "*"
    classification: str = "*"
    escalation: tuple[tuple[str, str], ...] = ()  # (after, group), soonest first
    verdicts: tuple[str, ...] = ()  # empty: all that the kind of request takes
    second_for_edit: bool = False
    standing: bool = True
    hours: str = ""  # business: durations count the tenant's business hours

    def frozen(self) -> dict[str, Json]:
        """What a request keeps of the rule that asked for it."""
        match: dict[str, Json] = {"tool": self.tool, "agent": self.agent}
        if self.risk:
            match["risk"] = list(self.risk)
        match |= {key: getattr(self, key) for key in ("topic_source", "classification") if getattr(self, key) != "*"}
        return {
            "name": self.name,
            "match": match,
            "when": self.when,
            "effect": self.effect,
            "approvers": self.approvers,
            "group": self.group,
            "expires_in": self.expires_in,
            "on_expiry": self.on_expiry,
            "escalation": [{"after": after, "group": group} for after, group in self.escalation],
            "verdicts": list(self.verdicts),
            "second_for_edit": self.second_for_edit,
            "standing": self.standing,
            "hours": self.hours,
        }


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


def read(raw: Mapping[str, Json]) -> Rule:
    """The rule of a checked document."""
    match = raw.get("match") or {}
    risk = match.get("risk") or ()
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
        risk=(risk,) if isinstance(risk, str) else tuple(risk),
        topic_source=match.get("topic_source", "*"),
        classification=match.get("classification", "*"),
        escalation=tuple((step["after"], step["group"]) for step in raw.get("escalation") or ()),
        verdicts=tuple(raw.get("verdicts") or ()),
        second_for_edit=bool(raw.get("second_for_edit")),
        standing=raw.get("standing") is not False,
        hours=raw.get("hours") or "",
    )


def salvage(raw: Json, index: int) -> Rule:
    """As much of a broken rule as can be used: its name, and every demand on people that is right by itself.

    What cannot be read is taken as the stricter: no standing approvals under a broken rule.
    """
    named = raw if isinstance(raw, dict) else {}
    name = named.get("name")
    group = named.get("group")
    good = {
        key: named[key]
        for key in ("approvers", "verdicts", "second_for_edit")
        if named.get(key) is not None and not list(_CHECKS[key](named[key]))
    }
    return Rule(
        name=name if isinstance(name, str) and name else f"rule {index + 1}",
        effect="require",
        approvers=good.get("approvers", 1),
        group=group if isinstance(group, str) and not list(_group_faults(group)) else "",
        verdicts=tuple(good.get("verdicts", ())),
        second_for_edit=good.get("second_for_edit", False),
        standing=False,
    )


def check(rules: Json) -> list[Fault]:
    """Everything that is wrong with the ``rules`` of a revision's body; empty when all can be used."""
    if rules is None:
        return []
    if not isinstance(rules, list):
        return [Fault("", "must be a list of rules")]
    if len(rules) > MAX_RULES:
        return [Fault("", f"at most {MAX_RULES} rules, got {len(rules)}")]
    found = []
    names: set[str] = set()
    for index, raw in enumerate(rules):
        found += [Fault(f"[{index}]{fault.path}", fault.message) for fault in faults(raw)]
        name = raw.get("name") if isinstance(raw, dict) else None
        if isinstance(name, str):
            if name in names:
                found.append(Fault(f"[{index}].name", f"another rule is already named {name!r}"))
            names.add(name)
    return found


def notes(rules: Json) -> list[Fault]:
    """What is allowed, and most likely not meant as it is written. ``rules`` are checked."""
    found = []
    for index, raw in enumerate(rules or ()):
        rule = read(raw)
        if rule.on_expiry == "approve":
            said = "approves only calls of tools that are read_only by then; any other is rejected"
            found.append(Fault(f"[{index}].on_expiry", said))
        if rule.on_expiry != "reject" and not rule.expires_in:
            found.append(Fault(f"[{index}].on_expiry", "never happens: the rule has no expires_in"))
        if rule.effect != "require" and (rule.group or rule.escalation or rule.approvers > 1):
            said = f"asks nobody: its effect is {rule.effect}"
            found.append(Fault(f"[{index}].effect", said))
    return found


def groups(rules: Json) -> list[tuple[str, str]]:
    """(path, group) of each group that checked ``rules`` name."""
    found = []
    for index, raw in enumerate(rules or ()):
        rule = read(raw)
        if rule.group:
            found.append((f"[{index}].group", rule.group))
        found += [(f"[{index}].escalation[{at}].group", group) for at, (_, group) in enumerate(rule.escalation)]
    return found


def faults(raw: Json) -> Iterator[Fault]:
    """What is wrong with one rule; paths start within it, such as ``.when``."""
    if not isinstance(raw, dict):
        yield Fault("", "must be an object")
        return
    for key in sorted(raw.keys() - set(_KEYS), key=str):
        yield Fault(f".{key}", f"is not a part of a rule; there are {', '.join(_KEYS)}")
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 100 or "\x00" in name:
        yield Fault(".name", "must be a text of 1 to 100 characters")
    if raw.get("effect") not in EFFECTS:
        yield Fault(".effect", "must be allow, deny or require")
    for key, fault_of in _CHECKS.items():
        if raw.get(key) is not None:
            yield from (Fault(f".{key}{fault.path}", fault.message) for fault in fault_of(raw[key]))
    yield from _order_faults(raw)


def _match_faults(match: Json) -> Iterator[Fault]:
    if not isinstance(match, dict):
        yield Fault("", "must be an object with tool, agent, risk, topic_source and classification")
        return
    for key in sorted(match.keys() - {*PATTERNS, "risk"}, key=str):
        yield Fault(f".{key}", "rules match on tool, agent, risk, topic_source and classification")
    for key in PATTERNS:
        pattern = match.get(key, "*")
        # The source and the classification may well be empty; a tool and an agent always have a name.
        least = 1 if key in ("tool", "agent") else 0
        if not isinstance(pattern, str) or not least <= len(pattern) <= 200 or "\x00" in pattern:
            yield Fault(f".{key}", "must be a name or a pattern such as issue_*")
    if "risk" in match:
        risk = match["risk"]
        listed = [risk] if isinstance(risk, str) else risk
        if not isinstance(listed, list) or not listed or any(each not in RISKS for each in listed):
            yield Fault(".risk", "must be low, medium, high or unknown, or a list of them")


def _when_faults(when: Json) -> Iterator[Fault]:
    if when == "":
        return
    if not isinstance(when, str) or len(when) > MAX_WHEN:
        yield Fault("", f"must be a condition of at most {MAX_WHEN} characters")
        return
    try:
        compiled(when)
    except Exception as error:  # any failure to parse is the author's to mend
        yield Fault("", first_line(error))


def _approvers_faults(approvers: Json) -> Iterator[Fault]:
    if not isinstance(approvers, int) or isinstance(approvers, bool) or not 1 <= approvers <= MAX_APPROVERS:
        yield Fault("", f"must be a whole number from 1 to {MAX_APPROVERS}")


def _group_faults(group: Json) -> Iterator[Fault]:
    if not isinstance(group, str) or len(group) > 100 or "\x00" in group:
        yield Fault("", "must be a text of at most 100 characters")


def _duration_faults(text: Json) -> Iterator[Fault]:
    try:
        duration(text)
    except ValueError as error:
        yield Fault("", str(error))


def _expiry_faults(outcome: Json) -> Iterator[Fault]:
    if outcome not in ON_EXPIRY:
        yield Fault("", "must be reject, terminate, escalate, or approve (for read-only tools)")


def _escalation_faults(steps: Json) -> Iterator[Fault]:
    if not isinstance(steps, list) or len(steps) > MAX_ESCALATION:
        yield Fault("", f"must be a list of at most {MAX_ESCALATION} objects with after and group")
        return
    before = timedelta()
    for index, step in enumerate(steps):
        here = f"[{index}]"
        if not isinstance(step, dict) or step.keys() != {"after", "group"}:
            yield Fault(here, "must be an object with after and group, and nothing else")
            continue
        group = step["group"]
        if not isinstance(group, str) or not group.strip() or len(group) > 100 or "\x00" in group:
            yield Fault(f"{here}.group", "must name the group that is asked then")
        try:
            after = duration(step["after"])
        except ValueError as error:
            yield Fault(f"{here}.after", str(error))
            continue
        if after <= before:
            yield Fault(f"{here}.after", "must be later than the step before it: each counts from the request on")
        before = max(before, after)


def _verdict_faults(verdicts: Json) -> Iterator[Fault]:
    known = isinstance(verdicts, list) and all(isinstance(each, str) and each in VERDICTS for each in verdicts)
    if not known or len(set(verdicts)) != len(verdicts):
        yield Fault("", f"must be a list of some of {', '.join(VERDICTS)}")
    elif "reject" not in verdicts or not {"approve", "edit"} & set(verdicts):
        yield Fault("", "must have reject in it, and approve or edit: a person has to be able to say no, and yes")


def _truth_faults(value: Json) -> Iterator[Fault]:
    if not isinstance(value, bool):
        yield Fault("", "must be true or false")


def _hours_faults(hours: Json) -> Iterator[Fault]:
    if hours not in ("", "business"):
        yield Fault("", "must be business, or be left out")


_CHECKS = {
    "match": _match_faults,
    "when": _when_faults,
    "approvers": _approvers_faults,
    "group": _group_faults,
    "expires_in": _duration_faults,
    "on_expiry": _expiry_faults,
    "escalation": _escalation_faults,
    "verdicts": _verdict_faults,
    "second_for_edit": _truth_faults,
    "standing": _truth_faults,
    "hours": _hours_faults,
}


def _order_faults(raw: Mapping[str, Json]) -> Iterator[Fault]:
    """The last step of an escalation comes before the request expires."""
    steps, end = raw.get("escalation"), raw.get("expires_in")
    if not steps or end is None or list(_escalation_faults(steps)) or list(_duration_faults(end)):
        return
    for index, step in enumerate(steps):
        if duration(step["after"]) >= duration(end):
            yield Fault(f".escalation[{index}].after", f"must be shorter than expires_in, which is {end}")


def first_line(error: Exception) -> str:
    """What an error of the library says, in one line."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    line = str(text).strip().splitlines()[0] if str(text).strip() else type(error).__name__
    return f"{line} is missing" if isinstance(error, KeyError) else line[:300]
