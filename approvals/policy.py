"""Whether a gate stops for a person. Pure: no database, no clock.

What the policy reads from a tool's ``ask.request`` (all else in it is for the person who decides):

    arguments  what would be executed; schema: JSON schema of the arguments
    safety     read_only, idempotent or neither; missing counts as neither
    approval   allow or require, as the catalogue says; anything else counts as require
    risk       low, medium or high; shown, and rules match on it
    fault      why the arguments could not even be read as JSON, if so
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from approvals import rules
from approvals.arguments import first_fault
from console.durable.steps import Ask, Verdict

Json = Any

MODES = ("ALWAYS", "TERMINATE", "NEVER")


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions may ask about besides the arguments: ``run`` and ``tenant`` as plain JSON objects."""

    run: Mapping[str, Json] = field(default_factory=dict)
    tenant: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TenantRules:
    """A tenant's own list of rules, which holds for all its workflows beside theirs; ``number`` is its version."""

    number: int
    rules: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the lists say together: the match that decides, whose list it is from, and what both demand of people."""

    match: rules.Match
    of: str = "workflow"  # or tenant
    version: int | None = None
    beside: rules.Rule | None = None  # the other list's, where it requires people, too

    @property
    def effect(self) -> str:
        return self.match.effect


def judge(
    ask: Ask,
    body: Mapping[str, Json],
    facts: Facts,
    today: Mapping[str, Json] | None = None,
    tenant: TenantRules | None = None,
) -> Verdict:
    """What the revision ``body`` and the ``tenant``'s rules say about ``ask``: allow, deny or require, with what a
    request has to freeze.

    ``today`` is the body of the workflow's current revision where the run has an older one: of it only a denial counts.

    ``detail``: rule (frozen or None), of (tenant or workflow; empty without a rule), version (of that list, or None),
    approvers, group, expires_in (ISO 8601 or None), on_expiry, escalation ([{after, group}]), verdicts ([]: all),
    second_for_edit, standing, hours (business or empty), risk.
    """
    if ask.kind != "tool":
        return _require(ask, _NOT_A_CALL.get(ask.kind, "A person decides here.").format(agent=ask.agent or "The team"))
    request = _effective(ask)
    barred = _match(ask, request, today.get("rules"), facts) if today is not None else None
    if barred is not None and barred.effect == "deny":
        spoken: Spoken | None = Spoken(barred)
        return Verdict("deny", _sentence(barred), _detail(ask, spoken))
    spoken = spoken_of(ask, request, body.get("rules"), facts, tenant)
    if spoken is not None and spoken.effect == "deny":
        return Verdict("deny", _sentence(spoken.match), _detail(ask, spoken))
    if spoken is not None and spoken.effect == "require":
        return _require(ask, _sentence(spoken.match), spoken)
    fault = call_fault(request)
    if fault:
        return _require(ask, f"The arguments of this call do not fit the tool: {fault}.", spoken)
    if mode_of(body, ask.agent) == "ALWAYS" and request.get("safety") != "read_only":
        return _require(ask, f"Oversight is ALWAYS here, and {ask.tool} is more than reading.")
    if spoken is not None:
        return Verdict("allow", _sentence(spoken.match), _detail(ask, spoken))
    if request.get("approval") == "allow":
        return Verdict("allow", f"{ask.tool} may run without a person.", _detail(ask, None))
    if request.get("approval") == "require":
        return _require(ask, f"{ask.tool} asks a person every time.")
    return _require(ask, f"Nothing says that {ask.tool} may run by itself, so a person decides.")


def spoken_of(
    ask: Ask, request: Mapping[str, Json], listed: Json, facts: Facts, tenant: TenantRules | None
) -> Spoken | None:
    """Which rule decides about the call, of the workflow's list and the tenant's; None when none matches.

    The stricter holds: deny, then require, then allow. Where both require, the one with more approvers does, and the
    tenant's where they ask for as many.
    """
    own = _match(ask, request, listed, facts)
    version = facts.run.get("revision")
    mine = None if own is None else Spoken(own, "workflow", version if isinstance(version, int) else None)
    found = None if tenant is None else _match(ask, request, tenant.rules, facts)
    theirs = None if found is None or tenant is None else Spoken(found, "tenant", tenant.number)
    if mine is None or theirs is None:
        return mine or theirs
    if mine.effect != theirs.effect:
        return max(mine, theirs, key=lambda each: _STRICTER[each.effect])
    if mine.effect != "require":
        return theirs
    more = mine.match.rule.approvers > theirs.match.rule.approvers
    first, second = (mine, theirs) if more else (theirs, mine)
    return replace(first, beside=second.match.rule)


_STRICTER = {"allow": 0, "require": 1, "deny": 2}


def _match(ask: Ask, request: Mapping[str, Json], listed: Json, facts: Facts) -> rules.Match | None:
    """The rule of a list that speaks about the call."""
    return rules.first_match(
        listed,
        tool=ask.tool,
        alias=str(request.get("tool") or ""),
        agent=ask.agent,
        arguments=request.get("arguments"),
        facts={"run": dict(facts.run), "tenant": dict(facts.tenant)},
        risk=str(request.get("risk") or ""),
        safety=str(request.get("safety") or ""),
    )


def _effective(ask: Ask) -> Mapping[str, Json]:
    """The call as it would be made: with a person's arguments where they edited it before."""
    request = ask.request if isinstance(ask.request, Mapping) else {}
    if ask.decision is None or ask.decision.verdict != "edit":
        return request
    return {**{key: value for key, value in request.items() if key != "fault"}, "arguments": ask.decision.arguments}


def mode_of(body: Mapping[str, Json], agent: str) -> str:
    """The oversight mode that holds for ``agent``: its stage's, or the workflow's, or TERMINATE.

    A mode that is no mode counts as ALWAYS.
    """
    oversight = body.get("oversight") or {}
    mode = (oversight.get("stages") or {}).get(agent) or oversight.get("mode") or "TERMINATE"
    return mode if mode in MODES else "ALWAYS"


def call_fault(request: Mapping[str, Json]) -> str:
    """Why the arguments of a call cannot be executed as they are, or an empty text."""
    if request.get("fault"):
        return str(request["fault"]).rstrip(".")
    found = first_fault(request.get("schema"), request.get("arguments"))
    return f"{found.field}: {found.message}" if found else ""


_NOT_A_CALL = {
    "question": "{agent} asks a person.",
    "final": "The result is reviewed by a person before it counts.",
    "message": "Oversight is ALWAYS: a person reads each message before the others do.",
    "in_doubt": "No outcome of this call was recorded, so nobody knows whether it happened.",
}


def _require(ask: Ask, reason: str, spoken: Spoken | None = None) -> Verdict:
    return Verdict("require", reason, _detail(ask, spoken))


def _detail(ask: Ask, spoken: Spoken | None) -> dict[str, Json]:
    request = ask.request if isinstance(ask.request, Mapping) else {}
    risk = request.get("risk")
    rule = spoken.match.rule if spoken else None
    asks = rule is not None and rule.effect == "require"
    demands = _demands(rule, spoken.beside if spoken else None) if rule is not None and asks else _NONE
    detail = {
        "rule": rule.frozen() if rule else None,
        "of": spoken.of if spoken else "",
        "version": spoken.version if spoken else None,
        "approvers": rule.approvers if rule else 1,
        "group": rule.group if rule else "",
        "risk": risk if risk in ("low", "medium", "high") else "",
        **demands,
    }
    if detail["on_expiry"] == "approve" and request.get("safety") != "read_only":
        detail["on_expiry"] = "reject"  # only what reads may go ahead because nobody answered
    return detail


_NONE: Mapping[str, Json] = {
    "expires_in": None, "on_expiry": "", "escalation": [], "verdicts": [], "second_for_edit": False, "standing": True,
    "hours": "",
}  # fmt: skip


def _demands(rule: rules.Rule, beside: rules.Rule | None) -> dict[str, Json]:
    """What is asked of people. What the rule leaves open, the other list's may demand all the same; with their own
    time limits each, the rule's holds."""
    other = beside or rule
    timed = rule if rule.expires_in or rule.escalation else other
    group = {"group": rule.group or other.group}
    both = [verdict for verdict in rule.verdicts if verdict in other.verdicts]
    narrow = both if rule.verdicts and other.verdicts and {"approve", "edit"} & set(both) else None
    return group | {
        "expires_in": timed.expires_in,
        "on_expiry": timed.on_expiry if timed.expires_in else "",
        "escalation": [{"after": after, "group": group} for after, group in timed.escalation],
        "verdicts": narrow if narrow is not None else list(rule.verdicts or other.verdicts),
        "second_for_edit": rule.second_for_edit or other.second_for_edit,
        "standing": rule.standing and other.standing,
        "hours": timed.hours,
    }


def _sentence(match: rules.Match) -> str:
    rule = match.rule
    if match.error:
        return f"The rule “{rule.name}” has an error, so a person decides: {match.error}."
    because = f" when {rule.when}" if rule.when else ""
    if rule.effect == "deny":
        return f"The rule “{rule.name}” forbids {rule.tool}{because}."
    if rule.effect == "allow":
        return f"The rule “{rule.name}” allows {rule.tool}{because}."
    people = "a person" if rule.approvers == 1 else f"{rule.approvers} people"
    of = f" of {rule.group}" if rule.group else ""
    return f"The rule “{rule.name}” asks for {people}{of}{because}."
