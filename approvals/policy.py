"""Whether a gate stops for a person. Pure: no database, no clock.

What the policy reads from a tool's ``ask.request`` (all else in it is for the person who decides):

    arguments  what would be executed; schema: JSON schema of the arguments
    safety     read_only, idempotent or neither; missing counts as neither
    approval   allow or require, as the catalogue says; anything else counts as require
    risk       low, medium or high; shown
    fault      why the arguments could not even be read as JSON, if so
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


def judge(ask: Ask, body: Mapping[str, Json], facts: Facts, today: Mapping[str, Json] | None = None) -> Verdict:
    """What the revision ``body`` says about ``ask``: allow, deny or require, with what a request has to freeze.

    ``today`` is the body of the workflow's current revision where the run has an older one: of it only a denial counts.

    ``detail``: rule (frozen or None), approvers, group, expires_in (ISO 8601 or None), on_expiry, risk.
    """
    if ask.kind != "tool":
        return _require(ask, _NOT_A_CALL.get(ask.kind, "A person decides here.").format(agent=ask.agent or "The team"))
    request = _effective(ask)
    barred = _match(ask, request, today, facts) if today is not None else None
    if barred is not None and barred.effect == "deny":
        return Verdict("deny", _sentence(barred), _detail(ask, barred.rule))
    match = _match(ask, request, body, facts)
    if match is not None and match.effect == "deny":
        return Verdict("deny", _sentence(match), _detail(ask, match.rule))
    if match is not None and match.effect == "require":
        return _require(ask, _sentence(match), match.rule)
    fault = call_fault(request)
    if fault:
        return _require(ask, f"The arguments of this call do not fit the tool: {fault}.", match.rule if match else None)
    if mode_of(body, ask.agent) == "ALWAYS" and request.get("safety") != "read_only":
        return _require(ask, f"Oversight is ALWAYS here, and {ask.tool} is more than reading.")
    if match is not None:
        return Verdict("allow", _sentence(match), _detail(ask, match.rule))
    if request.get("approval") == "allow":
        return Verdict("allow", f"{ask.tool} may run without a person.", _detail(ask, None))
    if request.get("approval") == "require":
        return _require(ask, f"{ask.tool} asks a person every time.")
    return _require(ask, f"Nothing says that {ask.tool} may run by itself, so a person decides.")


def _match(ask: Ask, request: Mapping[str, Json], body: Mapping[str, Json], facts: Facts) -> rules.Match | None:
    """The rule of ``body`` that speaks about the call."""
    return rules.first_match(
        body.get("rules"),
        tool=ask.tool,
        alias=str(request.get("tool") or ""),
        agent=ask.agent,
        arguments=request.get("arguments"),
        facts={"run": dict(facts.run), "tenant": dict(facts.tenant)},
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
    "in_doubt": "The worker was lost during this call: nobody knows whether it happened.",
}


def _require(ask: Ask, reason: str, rule: rules.Rule | None = None) -> Verdict:
    return Verdict("require", reason, _detail(ask, rule))


def _detail(ask: Ask, rule: rules.Rule | None) -> dict[str, Json]:
    risk = ask.request.get("risk") if isinstance(ask.request, Mapping) else None
    asks = rule is not None and rule.effect == "require"
    return {
        "rule": rule.frozen() if rule else None,
        "approvers": rule.approvers if rule else 1,
        "group": rule.group if rule else "",
        "expires_in": rule.expires_in if rule and asks else None,
        "on_expiry": rule.on_expiry if rule and asks and rule.expires_in else "",
        "risk": risk if risk in ("low", "medium", "high") else "",
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
