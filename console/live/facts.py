"""What may be shown of an event beside its run: facts, no contents; and which of them somebody wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from .frames import Event

KINDS = {
    "status": "Runs: began, waits, ended",
    "request": "Requests",
    "step": "Steps, all of them",
    "model": "Steps: model calls",
    "tool": "Steps: actions",
    "message": "Messages",
}
STATUSES = (
    "trouble", "intent", "done", "failed", "in_doubt", "queued", "running", "waiting", "completed", "cancelled",
    "pending", "decided", "expired", "moot",
)  # fmt: skip
TROUBLE = ("failed", "in_doubt", "expired")
UNTITLED = "Title hidden"  # of a run whose title is not for this listener
LONGEST = 200  # characters of a filter, and of a name that is shown


class Unclear(ValueError):
    """A filter that means nothing; the text names it and what it may be."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What an event does not say about its run."""

    tenant: str
    workflow: str  # its slug
    title: str


@dataclass(frozen=True, slots=True)
class Facts:
    """One event, as it is shown. ``kind`` is message, step, status or request; ``what`` a step's or a request's kind.

    ``cost`` is in US dollars, as text; ``took`` in seconds; ``reason`` is why a run ended.
    """

    seq: int
    run: str
    workflow: str
    title: str
    kind: str
    what: str
    name: str
    agent: str
    status: str
    reason: str
    cost: str
    took: float | None
    at: str

    @property
    def notable(self) -> bool:
        """Whether it is shown when not all can be."""
        return self.kind in ("status", "request") or self.status in TROUBLE

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Filters:
    """What somebody wants to see; an empty one lets everything through. ``status`` is a stop reason, too."""

    workflow: str = ""
    kind: str = ""
    agent: str = ""
    status: str = ""
    text: str = ""
    untitled: bool = False  # runs' titles are not for this listener, so they are not looked in either
    blots: str = ""  # the setting, as JSON, by which something is blotted out of titles

    @classmethod
    def of(cls, given: Mapping[str, str], reasons: tuple[str, ...] = ()) -> Filters:
        """From a query. Raises Unclear for a kind or status that there is not, or one that is too long."""
        found: dict[str, Any] = {
            name: str(given.get(name, "")).strip() for name in ("workflow", "kind", "agent", "status", "text")
        }
        for name, value in found.items():
            if len(value) > LONGEST or "\x00" in value:
                raise Unclear(f"{name}: at most {LONGEST} characters, none of them NUL.")
        if found["kind"] and found["kind"] not in KINDS:
            raise Unclear(f"kind: one of {', '.join(KINDS)}.")
        if found["status"] and found["status"] not in (*STATUSES, *reasons):
            raise Unclear(f"status: one of {', '.join((*STATUSES, *reasons))}.")
        found["text"], found["agent"] = found["text"].casefold(), found["agent"].casefold()
        return cls(**found)

    def let(self, facts: Facts) -> bool:
        """Whether this is to be shown."""
        if self.workflow and facts.workflow != self.workflow:
            return False
        if self.kind and self.kind != facts.kind and (facts.kind != "step" or self.kind != facts.what):
            return False
        if self.agent and self.agent not in facts.agent.casefold():
            return False
        if self.status == "trouble":
            if facts.status not in TROUBLE:
                return False
        elif self.status and self.status not in (facts.status, facts.reason):
            return False
        return not self.text or (not self.untitled and self.text in facts.title.casefold())


def facts_of(event: Event, run: RunFacts, seq: int) -> Facts:
    """The facts of an event of a run's topic. Whatever is not as expected is left out, not guessed."""
    said = event.payload
    kind = "step" if event.kind == "late" else event.kind
    named: dict[str, Any] = {"what": "", "name": "", "agent": "", "status": "", "reason": ""}
    cost: Any = None
    took: float | None = None
    if kind == "step":
        named |= {name: said.get(name) for name in ("name", "agent", "status")} | {"what": said.get("kind")}
        if said.get("kind") == "model":
            cost = said.get("cost")
        took = _between(said.get("started_at"), said.get("ended_at"))
    elif kind == "message":
        named |= {"name": said.get("type"), "agent": said.get("source")}
    elif kind == "status":
        named |= {"status": said.get("status"), "reason": said.get("stop_reason")}
        if said.get("ended_at"):
            cost = said.get("cost")
            took = _between(said.get("started_at"), said.get("ended_at"))
    elif kind == "request":
        named |= {"name": said.get("tool"), "agent": said.get("agent"), "status": said.get("status")}
        named |= {"what": said.get("kind"), "reason": said.get("verdict") or ""}
    plain = {name: str(value or "")[:LONGEST] for name, value in named.items()}
    return Facts(
        seq=seq, run=event.topic.partition(":")[2], workflow=run.workflow, title=run.title, kind=kind,
        cost="" if cost is None else str(cost), took=took, at=event.at, **plain,
    )  # fmt: skip


def _between(start: Any, end: Any) -> float | None:
    """Seconds between two times as the feed has them; None where one is missing."""
    try:
        return round(max((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 0.0), 3)
    except (TypeError, ValueError):
        return None
