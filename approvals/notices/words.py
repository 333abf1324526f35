"""What a notice says: a letter for people, and a JSON body for programs. Neither holds the arguments of a call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from approvals.notices import events

_DID = {
    "approve": "approved",
    "edit": "edited and approved",
    "reject": "rejected",
    "respond": "answered",
    "terminate": "answered by stopping the run",
}
_AT_EXPIRY = {"reject": "it is rejected", "terminate": "the run is stopped", "escalate": "it is escalated"}
_KINDS = {
    "message": "A message",
    "question": "A question",
    "final": "A result",
    "in_doubt": "A call of which nobody knows whether it happened",
}
_STANDS = {
    "pending": "It waits for a decision.",
    "decided": "It has been decided.",
    "expired": "It has expired.",
    "moot": "Its run has ended, so nothing is asked any more.",
}
_WHY = {
    "message": "the workflow has a person look at what this agent says",
    "question": "the team needs an answer to go on",
    "final": "the workflow has a person look at its results",
    "in_doubt": "only a person can find out",
}
_DATA = ("id", "run", "workflow", "kind", "agent", "tool", "risk", "status", "verdict", "group", "due_at")
_ALERT_DATA = (
    "alert", "rule", "figure", "unit", "severity", "value", "worst", "low", "high", "since", "ended", "says", "because",
    "workflow", "comes_and_goes", "more",
)  # fmt: skip
_RUN_DATA = ("run", "workflow", "status", "stop_reason")
SUBJECT = 150  # characters


@dataclass(frozen=True, slots=True)
class About:
    """What is told of: ``title`` is empty where it must not be said, ``rule`` where none asked. ``nobody``: the group that
    is asked has no reviewer."""

    event: str
    at: datetime
    facts: Mapping[str, Any]
    title: str = ""
    rule: str = ""
    nobody: bool = False


def url(about: About) -> str:
    """The page that shows it. It decides nothing."""
    base = str(settings.PUBLIC_URL).rstrip("/")
    if "id" in about.facts:
        return f"{base}/queue/{about.facts['id']}/"
    if about.event in events.ALERTS:
        return f"{base}/alerts/{about.facts['alert']}/" if about.facts.get("alert") else f"{base}/alerts/"
    return f"{base}/runs/{about.facts['run']}/" if "run" in about.facts else f"{base}/channels/"


def body(about: About) -> str:
    """The JSON of a webhook, as it is signed and sent."""
    wanted = _DATA if "id" in about.facts else _ALERT_DATA if about.event in events.ALERTS else _RUN_DATA
    data = {name: about.facts.get(name) for name in wanted if name in about.facts}
    data["url"] = url(about)
    if about.title:
        data["title"] = about.title
    at = about.at.isoformat().replace("+00:00", "Z")
    return json.dumps({"type": about.event, "timestamp": at, "data": data}, separators=(",", ":"), ensure_ascii=False)


def letter(about: About) -> tuple[str, str]:
    """Subject and text."""
    if about.event == events.TEST:
        return "Sayso: this is a test", f"An admin of {about.facts.get('tenant', 'Sayso')} sent this test. It works."
    if about.event in events.ALERTS:
        return _alert(about)
    facts = about.facts
    what = harmless(about.title) or _what(facts)
    workflow = harmless(str(facts.get("workflow_name") or facts.get("workflow") or ""))
    said = _said(about, what)
    lines = [said, f"Workflow: {workflow}.{_by(facts)}"]
    if about.event in events.WAITING:
        lines += [_why(about), _whom(facts) + (_NOBODY if about.nobody else ""), _until(facts)]
    if about.event == events.MENTIONED:
        lines.append(_STANDS.get(str(facts.get("status")), ""))
    lines += ["", f"Look at it: {url(about)}"]
    return f"{workflow}: {said}"[:SUBJECT].rstrip("."), "\n".join(lines)


def _alert(about: About) -> tuple[str, str]:
    facts = about.facts
    if facts.get("more"):
        said = f"{harmless(str(facts['says']))} See the page."
        return f"Sayso: {said}"[:SUBJECT], f"{said}\n\nLook at it: {url(about)}"
    rule, since = harmless(str(facts.get("rule") or "")), datetime.fromisoformat(str(facts["since"]))
    lead = {events.ALERT_RAISED: "Alert", events.ALERT_REMINDED: "Still an alert"}.get(about.event, "Over")
    lines = [
        f"{lead}: {rule}.",
        harmless(str(facts.get("says") or "")) + ".",
        harmless(str(facts.get("because") or "")),
    ]
    lines.append(f"Severity: {facts.get('severity')}. Since {since:%H:%M UTC on %-d %b %Y}.")
    if facts.get("comes_and_goes"):
        lines.append("It comes and goes: you are not told again until it stays, or has been calm for some hours.")
    return f"{lead}: {rule}"[:SUBJECT], "\n".join([*filter(None, lines), "", f"Look at it: {url(about)}"])


def harmless(text: str) -> str:
    """``text`` on one line, with nothing in it that a chat or a mail program makes a link, a mention or markup of: what
    agents wrote must not look as if Sayso said it."""
    text = re.sub(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]+", " ", text)
    text = text.translate({ord("<"): "‹", ord(">"): "›", ord("["): "(", ord("]"): ")", ord("`"): "'", ord("*"): "∗"})
    text = text.replace("://", ": //").replace("@", "@\u200b")
    return re.sub(r"\b(www)\.", "\\1 .", text, flags=re.IGNORECASE).strip()


def _what(facts: Mapping[str, Any]) -> str:
    if "id" not in facts:
        return "A run"
    kind = str(facts.get("kind"))
    return _KINDS.get(kind) or (f"A call of {harmless(str(facts['tool']))}" if facts.get("tool") else "A call")


def _said(about: About, what: str) -> str:
    facts, by = about.facts, harmless(str(about.facts.get("by") or ""))
    if about.event == events.CREATED:
        return f"{what} waits for a decision."
    if about.event == events.REMINDED:
        return f"{what} still waits for a decision."
    if about.event == events.ESCALATED:
        return f"{what} was escalated{f' by {by}' if by else ', because nobody answered in time'}."
    if about.event == events.DECIDED:
        did = _DID.get(str(facts.get("verdict")), "decided")
        return f"{what} was {did}{f' by {by}' if by else ''}."
    if about.event == events.MENTIONED:
        return f"{by or 'Somebody'} mentioned you in a comment on {what[0].lower()}{what[1:]}."
    if about.event == events.EXPIRED:
        return f"{what} expired: nobody answered in time."
    reason = str(facts.get("stop_reason") or "").replace("_", " ")
    status = str(facts.get("status") or "over")
    return f"{what} is {status}{f' ({reason})' if reason and reason != status else ''}."


def _by(facts: Mapping[str, Any]) -> str:
    parts = [f" Agent: {harmless(str(facts['agent']))}." if facts.get("agent") else ""]
    parts.append(f" Tool: {harmless(str(facts['tool']))}." if facts.get("tool") else "")
    parts.append(f" Risk: {facts['risk']}." if facts.get("risk") else "")
    return "".join(parts)


def _why(about: About) -> str:
    if about.rule:
        return f"Why: the rule “{harmless(about.rule)}” asks for a person."
    return f"Why: {_WHY.get(str(about.facts.get('kind')), 'the workflow does not let its agents do this alone')}."


def _whom(facts: Mapping[str, Any]) -> str:
    whom = f"the group {harmless(str(facts['group']))}" if facts.get("group") else "any reviewer"
    number = int(facts.get("approvers") or 1)
    return f"For: {whom}.{f' It takes {number} people.' if number > 1 else ''}"


_NOBODY = " No reviewer is in it, so nobody can decide this until an admin adds one under People."


def _until(facts: Mapping[str, Any]) -> str:
    if not facts.get("due_at"):
        return "Until: there is no deadline."
    due = datetime.fromisoformat(str(facts["due_at"]))
    then = _AT_EXPIRY.get(str(facts.get("on_expiry")), "it is rejected")
    return f"Until: {due:%H:%M UTC on %-d %b %Y}; then {then}."
