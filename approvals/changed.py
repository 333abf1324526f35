"""The difference between what the model proposed and what a person made of it, while it waits and after the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from approvals import differences, fields
from approvals.actions.requests import vote_contents
from approvals.differences import Change, Drawn
from approvals.models import ApprovalRequest, Vote
from approvals.shapes import amount_of

Json = Any


@dataclass(slots=True)
class Edited:
    """``by`` and ``at`` of the edit; ``changes`` of arguments, or ``words`` or ``drawn`` of a text, and the ``text`` now."""

    by: str
    at: datetime | None
    changes: list[Change] = field(default_factory=list)
    words: SafeString | str = ""
    drawn: Drawn | None = None
    text: str = ""


def edited(row: ApprovalRequest, shown: dict[str, Json], votes: Sequence[Vote], original: str) -> Edited | None:
    """What a person changed, or None. ``shown`` is reading.many's; ``votes`` those that stand, oldest first; ``original``
    the text that the model wrote, where the request is about one."""
    edit = next((vote for vote in reversed(votes) if vote.verdict == "edit" and not vote.voided), None)
    decision = shown["decision"]
    if edit is None and (decision is None or decision["verdict"] != "edit"):
        return None
    by, at = (edit.voter_name, edit.at) if edit is not None else (decision["by"], decision["at"])
    said = vote_contents(edit) if edit is not None else decision
    made = Edited(by, at)
    if row.kind in ("tool", "in_doubt"):
        content, now = shown["content"], said.get("arguments")
        asked = content.get("arguments")
        names = fields.order(content.get("schema"), [*_names(asked), *_names(now)])
        made.changes = differences.changes(asked, now, names, amount_of(content, row.title))
        return made
    made.text = str(said.get("answer") or "")
    if min(original.count("\n"), made.text.count("\n")) >= 8:
        made.drawn = differences.lines(original, made.text)
    else:
        made.words = differences.words(original, made.text)
    return made


def _names(arguments: Json) -> list[str]:
    return [*arguments] if isinstance(arguments, dict) else []
