"""What rows of the feed say. What a run tells within a moment is one row; the events in it have consecutive numbers.

The journal holds the facts of steps, so an event of a step is kept as its number alone. A hint to screens that are open
carries the facts as they were; a page that reads a gap gets them as they are now, which is what it would come to in the
end. Events from before this was so hold their facts themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from console.durable.steps import Safety, Status, Step
from console.runs import record
from console.runs.models import FeedEvent
from console.tenants import crypto

MESSAGE, STEP = "message", "step"
REFERENCE = b""  # in the place of sealed facts: those of the step that the event's index names
MANY, LARGE = 50, 16_000  # events in a row, and characters of them: whoever wants one of them opens all

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its number in its topic, and what it says. ``index``: of a message its place, of a step its seq."""

    topic: str
    seq: int
    kind: str
    index: int | None
    at: datetime
    payload: Any


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that has no number yet; ``text`` is its payload as JSON."""

    kind: str
    index: int | None
    at: datetime
    text: str

    @property
    def refers(self) -> bool:
        """Whether the journal says what it says."""
        return self.kind == STEP and self.index is not None


def rows_of(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    """Events of one topic, parted into those that share a row."""
    start, size = 0, 0
    for place, draft in enumerate(drafts):
        own = 0 if draft.refers else len(draft.text)
        if place > start and (place - start == MANY or size + own > LARGE):
            yield drafts[start:place]
            start, size = place, 0
        size += own
    if drafts:
        yield drafts[start:]


def heading(drafts: Sequence[Draft]) -> tuple[str, int | None]:
    """Kind and index of a row: of its last message, where there is one, by which messages are found."""
    last = next((draft for draft in reversed(drafts) if draft.kind == MESSAGE), drafts[0])
    return last.kind, last.index if len(drafts) == 1 or last.kind == MESSAGE else None


def seal(tenant_id: UUID, drafts: Sequence[Draft]) -> bytes:
    """What a row says, as it is kept: one event's payload, or a list of ``[kind, index, ms after the first, payload]``."""
    first = drafts[0]
    if len(drafts) == 1:
        return REFERENCE if first.refers else crypto.seal(tenant_id, "feed", first.text.encode())
    parts = (
        f"[{json.dumps(each.kind)},{json.dumps(each.index)},{(each.at - first.at) // _MS}"
        f"{'' if each.refers else ',' + each.text}]"
        for each in drafts
    )
    return crypto.seal(tenant_id, "feed", f"[{','.join(parts)}]".encode())


def step_payload(step: Step) -> dict[str, Any]:
    """The facts of a step as the feed carries them."""
    return {
        "seq": step.seq,
        "scope": step.scope,
        "n": step.n,
        "kind": str(step.kind),
        "name": step.name,
        "agent": step.agent,
        "status": str(step.status),
        "settled": step.settled,
        "safety": str(step.safety) if step.safety is not Safety.READ_ONLY else "",
        "attempts": len(step.attempts) + (1 if step.status is Status.INTENT else 0) or 1,
        "usage": step.usage,
        "cost": step.cost,
        "inherited": step.inherited,
        "started_at": step.started_at.isoformat(),
        "ended_at": step.ended_at.isoformat() if step.ended_at else None,
    }


def events(rows: Sequence[FeedEvent]) -> list[Event]:
    """What rows say, event by event, in their order. One query more where steps of runs are among them. Call inside a
    scope. Raises crypto.SealError."""
    found = [event for row in rows for event in _opened(row)]
    wanted = [_key(event) for event in found if event.payload is _REFERS]
    steps = {key: step_payload(step) for key, step in record.facts_of(wanted).items()} if wanted else {}
    return [
        # A step is never deleted before its run's feed; should one be, its event still has its place.
        replace(event, payload=steps.get(_key(event), {"seq": event.index})) if event.payload is _REFERS else event
        for event in found
    ]


def messages(rows: QuerySet[FeedEvent], last: int | None = None, until: datetime | None = None) -> list[Event]:
    """The ``last`` messages of a run, or all, oldest first; none from after ``until``. ``rows``: those of messages."""
    if until is not None:
        rows = rows.filter(at__lte=until)
    found: list[Event] = []
    for row in reversed(rows.order_by("-seq")[: None if last is None else last + 1]):
        found += (event for event in _opened(row) if event.kind == MESSAGE and (until is None or event.at <= until))
    return found if last is None else found[-last:]


_REFERS = object()


def _opened(row: FeedEvent) -> Iterator[Event]:
    sealed = bytes(row.sealed)
    said: Any = _REFERS if sealed == REFERENCE else crypto.unseal_json(row.tenant_id, "feed", sealed)
    if row.many == 1:
        yield Event(row.topic, row.seq, row.kind, row.index, row.at, said)
        return
    for seq, (kind, index, after, *payload) in enumerate(said, row.seq - row.many + 1):
        yield Event(row.topic, seq, kind, index, row.at + after * _MS, payload[0] if payload else _REFERS)


def _key(event: Event) -> tuple[str, int]:
    return event.topic.partition(":")[2], event.index or 0
