"""Between one rule and the fields of its form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from approvals.rule_document import ON_EXPIRY, RISKS, VERDICTS

Json = Any

TEXTS = (
    "name", "effect", "tool", "agent", "topic_source", "classification", "when", "approvers", "group", "expires_in",
    "on_expiry", "escalation", "place", "at",
)  # fmt: skip
LISTS = ("risk", "verdicts")
TICKS = ("second_for_edit", "no_standing", "business")
EMPTY: Mapping[str, Json] = {
    **dict.fromkeys(TEXTS, ""), **{name: [] for name in LISTS}, **dict.fromkeys(TICKS, False), "effect": "require",
}  # fmt: skip


def typed(post: QueryDict) -> dict[str, Json]:
    """The fields as they were typed. ``at`` is the place of the rule that is being changed; empty for a new one."""
    return {
        **{name: post.get(f"r:{name}", "").strip()[:20_000] for name in TEXTS},
        **{name: post.getlist(f"r:{name}")[:20] for name in LISTS},
        **{name: post.get(f"r:{name}") == "yes" for name in TICKS},
    }


_CHOSEN = ("effect", "on_expiry", "at", "place")  # are there whether somebody chose them or not


def said(fields: Mapping[str, Json]) -> bool:
    """Whether somebody has begun to write a rule."""
    return any(fields[name] for name in (*TEXTS, *LISTS, *TICKS) if name not in _CHOSEN)


def rule(fields: Mapping[str, Json]) -> dict[str, Json]:
    """The rule as a document; what was left empty is left out. What makes no sense stays, and is refused by name."""
    match = {name: fields[name] for name in ("tool", "agent", "topic_source", "classification") if fields[name]}
    if fields["risk"]:
        match["risk"] = fields["risk"]
    found: dict[str, Json] = {"name": fields["name"], "effect": fields["effect"]}
    if match:
        found["match"] = match
    if fields["approvers"]:
        found["approvers"] = _number(fields["approvers"])
    found |= {name: fields[name] for name in ("when", "group", "expires_in") if fields[name]}
    if fields["on_expiry"] and fields["expires_in"]:
        found["on_expiry"] = fields["on_expiry"]
    lines = [line.split(None, 1) for line in fields["escalation"].splitlines() if line.strip()]
    if lines:
        found["escalation"] = [{"after": line[0], "group": line[1].strip() if len(line) > 1 else ""} for line in lines]
    if fields["verdicts"] and set(fields["verdicts"]) != set(VERDICTS):
        found["verdicts"] = fields["verdicts"]
    if fields["second_for_edit"]:
        found["second_for_edit"] = True
    if fields["no_standing"]:
        found["standing"] = False
    if fields["business"]:
        found["hours"] = "business"
    return found


def fields(raw: Mapping[str, Json], at: int) -> dict[str, Json]:
    """The form's fields for a checked rule that stands at a place of the list."""
    match = raw.get("match") or {}
    risk = match.get("risk") or []
    texts = {name: raw.get(name) or "" for name in ("name", "effect", "when", "group", "expires_in", "on_expiry")}
    return {
        **EMPTY,
        **texts,
        **{name: match.get(name, "") for name in ("tool", "agent", "topic_source", "classification")},
        "risk": [risk] if isinstance(risk, str) else risk,
        "approvers": str(raw.get("approvers") or ""),
        "escalation": "\n".join(f"{step['after']} {step['group']}" for step in raw.get("escalation") or []),
        "verdicts": raw.get("verdicts") or [],
        "second_for_edit": bool(raw.get("second_for_edit")),
        "no_standing": raw.get("standing") is False,
        "business": raw.get("hours") == "business",
        "at": str(at),
        "place": str(at + 1),
    }


def errors(faults: list[tuple[str, str]]) -> dict[str, str]:
    """Faults of the rule (paths within it) by the field that they are about; ``rule`` for what has none."""
    found: dict[str, str] = {}
    for path, message in faults:
        name = path.removeprefix(".match").lstrip(".").split(".")[0].split("[")[0]
        name = {"standing": "no_standing", "hours": "business"}.get(name, name)
        known = name in EMPTY
        line = f"It {message}." if known else f"{path.lstrip('.')} {message}."
        found.setdefault(name if known else "rule", line)
    return found


CHOICES = {"risks": RISKS, "verdicts": VERDICTS, "outcomes": ON_EXPIRY}


def _number(text: str) -> Json:
    return int(text) if text.isdecimal() and len(text) < 9 else text
