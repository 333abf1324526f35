"""Everything a person needs to decide one request, in the words of the page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone

from approvals import (
    audience,
    changed,
    evidence,
    fields,
    handling,
    in_doubt,
    listing,
    mails,
    precedents,
    reading,
    shapes,
    showing,
)
from approvals.actions import comments
from approvals.actions.requests import vote_contents
from approvals.arguments import first_fault
from approvals.legible import exact, oddities, plain
from approvals.models import ApprovalRequest, Sighting, Vote
from approvals.probes import telling
from approvals.rules import duration as rule_duration
from console.runs import told
from console.runs.feed import run_topic
from console.runs.models import FeedEvent, Run
from console.templatetags.sayso import duration
from console.tenants import access, display
from console.tenants.access import Actor

Json = Any
UNPARSABLE = "_unparsable"  # a call whose arguments were not JSON carries the model's text under this name
CONVERSATION = 10  # messages shown
_BREAKS = re.compile(r" (?:to|for|in|on|at|of|with|from|by|because|so that) |[:;,?!](?: |$)| ?\(")
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def card(actor: Actor, row: ApprovalRequest, typed: Mapping[str, str] | None = None, edit: str = "") -> dict[str, Any]:
    """What templates/approvals/_card.html draws. ``typed`` is a form that was refused, ``edit`` is "", "1" or "json"."""
    setting = display.of(actor)
    see = showing.for_request(actor, row.status, setting)
    shown = showing.request(reading.many([row])[0], see)
    row.title = shown["title"]
    content, arguments = shown["content"], shown["arguments"]
    said = list(Vote.objects.filter(tenant=row.tenant_id, request=row).order_by("at", "id"))
    votes = [vote for vote in said if vote.verdict != "escalate"]
    standing = {vote.voter_id: vote for vote in votes if not vote.voided}
    item = listing.item(row, len(standing))
    original = _text(content)
    edited = changed.edited(row, shown, votes, original) if see.plain else None
    text = edited.text if edited is not None and edited.text else original
    faults = _faults(content, arguments) if row.kind == "tool" and see.plain else []
    verdicts = [one for one in shown["verdicts"] if one != "approve" or not (faults or actor.id in standing)]
    explained = [one for one in shown["verdicts"] if one != "approve" or not faults]  # to those who never decide
    hand = handling.of(actor, row)
    if hand["own"]:
        verdicts = [one for one in verdicts if one not in audience.AGREES]
    edit = edit if "edit" in verdicts and hand["may"] else ""
    run, proposing = _so_far(actor, row)
    result = {
        "item": item,
        "revision": row.run.revision.number,
        "run": row.run,
        "description": _sentence(content.get("description")),
        "safety": content.get("safety") or "",
        "why": row.reason or "A person decides here.",
        "votes": votes if row.approvers > 1 or any(vote.voided for vote in votes) else [],
        "quorum": _quorum(actor, row, standing),
        "escalated": _escalated(row, said),
        "faults": faults,
        "rows": _rows(actor, row, arguments, content),
        "exact": _exact(arguments),
        "edited": edited,
        "like": showing.precedents(precedents.of(actor, row), setting),
        "proposing": proposing,
        "raw": arguments.get(UNPARSABLE, arguments) if isinstance(arguments, dict) else arguments,
        "text": text,
        "said": shapes.folded(text, oddities(text)),
        "evidence": exact(content["evidence"]) if content.get("evidence") else "",
        "known": in_doubt.known(row) if row.kind == "in_doubt" and see.plain else None,
        "digest": shown["digest"],
        "decision": _decision(shown),
        "conversation": evidence.retell(
            [{**each, "content": see.of(each.get("content"))} for each in conversation(actor, row)]
        )
        if see.shown
        else [],
        "display": see,
        "setting": setting,
        "next": _next(row, len(standing), verdicts if actor.role == "reviewer" else explained),
        "on_expiry": _on_expiry(row),
        "times": handling.times(row),
        "place": handling.place(row),
        "verdicts": verdicts,
        "approve": approve_label(row, len(standing), edited.by if edited is not None else ""),
        "may_decide": hand["may"] and bool(verdicts),
        "why_not": hand["why_not"],
        "hand": hand,
        "comments": comments.of(row),
        "seen": [one for one in Sighting.objects.filter(tenant=row.tenant_id, request=row).order_by("shown_at")[:8]],
        "edit": edit,
        "typed": typed or {},
        "probe": telling.told(row),
        **run,
        "waiting_s": _waited(row.run),
    }
    if edit and row.kind == "tool":
        result["fields"] = (
            fields.fields_of(content.get("schema"), _readable(arguments), typed) if edit != "json" else []
        )
        result["json"] = (typed or {}).get("arguments") or exact(result["raw"])
    return result


def mark(card: dict[str, Any], field: str, message: str) -> None:
    """Put a refusal beside the control it speaks of."""
    for one in card.get("fields") or []:
        if field == one.name or field.startswith((f"{one.name}.", f"{one.name}[")):
            one.error = message


def _escalated(row: ApprovalRequest, said: Sequence[Vote]) -> str:
    """Who passed it on, and with what words; time does so too."""
    if row.escalated_at is None:
        return ""
    for vote in said:
        if vote.verdict == "escalate":
            reason = vote_contents(vote).get("reason")
            return f"{vote.voter_name} escalated it: {reason}" if reason else f"{vote.voter_name} escalated it."
    return "Nobody answered in time, so it was escalated."


def approve_label(row: ApprovalRequest, votes: int, edited_by: str = "") -> str:
    """What approving does, as the button says it: "Approve and refund €1,250.00". The title says what the model
    proposed, so where ``edited_by`` put something else in its place the button does not repeat it."""
    if votes + 1 < row.approvers:
        return f"Approve as {ORDINALS.get(votes + 1, str(votes + 1))} of {row.approvers}"
    if edited_by:
        return "Approve as edited"
    if row.kind == "message":
        return "Approve the message"
    if row.kind == "final":
        return "Approve this answer"
    title = row.title.strip()
    cut = _BREAKS.split(title, maxsplit=1)[0].strip()
    if not cut or "(" in title[:40] and " " not in title.split("(")[0]:
        return f"Approve and call {row.tool}"
    if len(cut) > 34:
        cut = cut[:33].rsplit(" ", 1)[0] + "…"
    return f"Approve and {cut[0].lower()}{cut[1:]}"


def conversation(actor: Actor, row: ApprovalRequest) -> list[dict[str, Json]]:
    """The last messages of the run up to the decision, oldest first."""
    rows = access.all(FeedEvent, actor).filter(topic=run_topic(row.run_id), kind="message")
    found = []
    for event in told.messages(rows, CONVERSATION, until=row.decided_at):
        message = event.payload
        usage = message.get("models_usage") or {}
        tokens = int(usage.get("prompt_tokens") or 0) + int(usage.get("completion_tokens") or 0)
        found.append({**message, "at": message.get("at") or event.at, "tokens": tokens})
    return found


def _rows(actor: Actor, row: ApprovalRequest, arguments: Json, content: dict[str, Json]) -> list[shapes.Row]:
    if not isinstance(arguments, dict) or UNPARSABLE in arguments:
        return []
    asked = content.get("arguments")
    names = fields.order(content.get("schema"), [*arguments, *(asked if isinstance(asked, dict) else ())])
    usual = evidence.home_domains(actor) if mails.mail_of(arguments) else ()
    return shapes.rows(arguments, content, row.title, names, usual)


def _exact(arguments: Json) -> str:
    """The arguments as JSON; what was no JSON, as the model wrote it."""
    wrote = arguments.get(UNPARSABLE) if isinstance(arguments, dict) else None
    return plain(wrote) if isinstance(wrote, str) else exact(arguments)


def _faults(content: dict[str, Json], arguments: Json) -> list[str]:
    if isinstance(arguments, dict) and UNPARSABLE in arguments:
        return ["They are not JSON. What the model wrote is shown below as it came."]
    fault = first_fault(content.get("schema"), arguments)
    if fault is None:
        return []
    return [f"{fault.field}: {fault.message}" if fault.field != "arguments" else fault.message]


def _readable(arguments: Json) -> Json:
    """Arguments to make a form of; none where they were not even JSON."""
    return None if isinstance(arguments, dict) and UNPARSABLE in arguments else arguments


def _text(content: dict[str, Json]) -> str:
    for name in ("question", "content", "result", "message", "value"):
        value = content.get(name)
        if value:
            return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return ""


def _decision(shown: dict[str, Json]) -> dict[str, Json] | None:
    decision: dict[str, Json] | None = shown["decision"]
    if decision is None:
        return None
    changed = decision["verdict"] == "edit" and decision["arguments"] is not None
    answer = decision["answer"] or ""
    return {**decision, "changed": changed, "answer": answer}


def _quorum(actor: Actor, row: ApprovalRequest, standing: dict[Any, Vote]) -> str:
    if row.status != "pending" or row.approvers < 2:
        return ""
    if actor.id in standing:
        left = row.approvers - len(standing)
        return f"You have had your say; {'one more person' if left == 1 else f'{left} more people'} must agree."
    if actor.role != "reviewer" or audience.own(actor, row):
        return f"{len(standing)} of {row.approvers} have approved."
    place = ORDINALS.get(len(standing) + 1, f"number {len(standing) + 1}")
    return f"You would be the {place} of {row.approvers}."


def _next(row: ApprovalRequest, votes: int, verdicts: list[str]) -> list[tuple[str, str]]:
    agent = row.agent or "the team"
    found = {name: (verb, text.format(agent=agent, tool=row.tool)) for name, (verb, text) in _THEN[row.kind].items()}
    if row.second_for_edit and row.approvers < 2 and "edit" in found:
        found["edit"] = ("Edit", f"{found['edit'][1][:-1]}; somebody else has to approve your change.")
    ahead = next((entry["group"] for entry in row.agenda if entry["do"] == "escalate"), "")
    if ahead and "escalate" in found:
        found["escalate"] = ("Escalate", f"{ahead} decides instead, at once.")
    if votes + 1 < row.approvers and "approve" in found:
        found["approve"] = (
            "Approve",
            f"it counts as {votes + 1} of {row.approvers}; nothing happens until the others agree.",
        )
    return [words for verdict, words in found.items() if verdict in verdicts]


_ALWAYS = {
    "escalate": ("Escalate", "it stays open and is marked for somebody else."),
    "terminate": ("Stop run", "the run ends here; what was done stays done."),
}
_THEN: dict[str, dict[str, tuple[str, str]]] = {
    "tool": {
        "approve": ("Approve", "{tool} is called at once with exactly these arguments, and {agent} goes on."),
        "edit": ("Edit", "you change the arguments, the rules judge them again, and the model is told."),
        "reject": ("Reject", "nothing is called; {agent} is told your reason and tries another way."),
        **_ALWAYS,
    },
    "message": {
        "approve": ("Approve", "the others read it, and the team goes on."),
        "edit": ("Edit", "the others read your wording instead."),
        "reject": ("Reject", "nobody reads it; {agent} is told your reason and tries again."),
        **_ALWAYS,
    },
    "final": {
        "approve": ("Approve", "it becomes the result, and the run completes."),
        "edit": ("Edit", "your wording becomes the result."),
        "reject": ("Reject", "the team is told your reason and works on."),
        **_ALWAYS,
    },
    "question": {"respond": ("Answer", "{agent} reads it at once and goes on."), **_ALWAYS},
    "in_doubt": {
        "respond": (
            "Say whether it happened",
            "if it did, the outcome you state is recorded and nothing is called again; if not, {tool} is called now.",
        ),
        **_ALWAYS,
    },
}


def _on_expiry(row: ApprovalRequest) -> str:
    agent = row.agent or "the team"
    return {
        "reject": f"it is rejected, and {agent} is told that nobody answered.",
        "terminate": "the run ends as expired.",
        "escalate": "it is escalated and stays open.",
        "approve": f"{row.tool} is called: it does no more than read, and the rule says so.",
    }.get(row.on_expiry, f"it is rejected, and {agent} is told that nobody answered.")


def _so_far(actor: Actor, row: ApprovalRequest) -> tuple[dict[str, Any], evidence.Proposing | None]:
    """What the run took until here (tokens, US dollars, seconds), and what proposing it took."""
    guise = telling.guise(row)
    if guise is not None:
        said = {"tokens": guise.tokens, "cost": guise.cost, "machine_s": guise.machine_s}
        return said, evidence.Proposing(guise.model, guise.proposing_tokens, guise.proposing_cost)
    run = row.run
    said = {"tokens": run.input_tokens + run.output_tokens, "cost": run.cost, "machine_s": run.model_s + run.tool_s}
    return said, evidence.proposing(actor, row)


def _waited(run: Run) -> float:
    return run.waiting_s + ((timezone.now() - run.waiting_since).total_seconds() if run.waiting_since else 0.0)


def _sentence(text: Json) -> str:
    """The first sentence of a tool's description, with its full stop."""
    first = str(text or "").strip().split("\n", 1)[0]
    return first if not first or first[-1] in ".!?" else f"{first}."


def in_words(iso: str) -> str:
    """``4 h`` for PT4H."""
    return duration(rule_duration(iso).total_seconds())
