"""What of a request reaches a viewer, under the organisation's setting of what is shown (console/tenants/display.py).

A reviewer sees a request that waits in full, whatever the setting: an approval binds the exact arguments that were
shown, and nobody can answer for what they were not shown. To everybody else, and once it is over to reviewers too, a
request is contents of its run like any other. What people said about it (votes, reasons, comments) is theirs, and shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from approvals.models import RequestStatus
from approvals.precedents import Precedents
from console.templatetags.sayso import KIND_WORDS
from console.tenants import display
from console.tenants.access import Actor
from console.tenants.display import Display
from console.tenants.masks import Masker
from console.tenants.models import Role

Json = Any
_CONTENTS = ("arguments", "proposed", "content", "known")  # of reading.many
_DECIDED = ("arguments", "answer", "result")  # of its decision


def for_request(actor: Actor, status: str, shown: Display) -> Display:
    """How a request of that status is shown to the actor, to whom runs are ``shown`` so."""
    return Display(True, Masker()) if status == RequestStatus.PENDING and actor.role == Role.REVIEWER else shown


def title(shown: Display, kind: str, text: str) -> str:
    """What a request is about."""
    return shown.title(text) if shown.shown else f"{KIND_WORDS.get(kind, kind).capitalize()}: {display.TITLE}"


def items(actor: Actor, rows: Sequence[dict[str, Json]], shown: Display | None = None) -> list[dict[str, Json]]:
    """Rows of listing.items as the actor may see them."""
    shown = display.of(actor) if shown is None else shown
    return [
        {**row, "title": title(for_request(actor, row["status"], shown), row["kind"], row["title"])} for row in rows
    ]


def requests(actor: Actor, rows: Iterable[dict[str, Json]]) -> list[dict[str, Json]]:
    """Requests of reading.many as the actor may see them."""
    shown = display.of(actor)
    return [request(row, for_request(actor, row["status"], shown)) for row in rows]


def request(row: dict[str, Json], shown: Display) -> dict[str, Json]:
    """One request of reading.many, as it is shown so."""
    if shown.plain:
        return row
    seen = {**row, "title": title(shown, row["kind"], row["title"])}
    for name in _CONTENTS:
        if name in row:
            seen[name] = shown.of(row[name]) if shown.shown else ({} if name == "content" else None)
    if row["decision"] is not None:
        hidden = {name: shown.of(row["decision"][name]) if shown.shown else None for name in _DECIDED}
        seen["decision"] = {**row["decision"], **hidden}
    return {**seen, "hidden": "" if shown.shown else shown.sentence}


def precedents(like: Precedents, shown: Display) -> Precedents:
    """What like requests got: those are over."""
    return replace(like, last=tuple(replace(one, title=shown.title(one.title)) for one in like.last))
