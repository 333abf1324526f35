"""What time will do to a request, written down when it is made: reminders, escalations, and the end. Pure.

An agenda is a list in order of time:

    [{"at": "2026-11-21T12:00:00+00:00", "do": "remind", "part": 50},
     {"at": "...", "do": "escalate", "group": "heads"},
     {"at": "...", "do": "expire"}]

What is written is kept: a change of a rule or a calendar moves no promise that a card has made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from approvals.calendars import Hours, after
from approvals.rules import duration

Json = Any
REMIND_AT = (50, 90)  # per cent of the time until it falls due
_ORDER = {"remind": 0, "escalate": 1, "expire": 2}  # at the same moment


@dataclass(frozen=True, slots=True)
class Plan:
    """When a request falls due (None: never), and its agenda."""

    due_at: datetime | None
    agenda: list[dict[str, Json]]

    @property
    def next_at(self) -> datetime | None:
        """When the first entry is due."""
        return when(self.agenda[0]) if self.agenda else None


def plan(made: datetime, detail: Mapping[str, Json], hours: Hours | None = None) -> Plan:
    """The plan of a request made at ``made`` under a verdict's ``detail`` (expires_in, escalation, hours).

    ``hours`` is the tenant's calendar; it counts where the rule says "business".
    """
    clock = hours if detail.get("hours") == "business" else None
    entries: list[dict[str, Json]] = []
    due = None
    if detail.get("expires_in"):
        span = duration(detail["expires_in"])
        due = after(made, span, clock)
        entries.append(_entry(due, "expire"))
        entries += [_entry(after(made, span * part / 100, clock), "remind", part=part) for part in REMIND_AT]
    for step in detail.get("escalation") or []:
        at = after(made, duration(step["after"]), clock)
        if due is None or at < due:
            entries.append(_entry(at, "escalate", group=step["group"]))
    return Plan(due, sorted(entries, key=lambda entry: (entry["at"], _ORDER[entry["do"]])))


def split(
    agenda: Sequence[Mapping[str, Json]], now: datetime
) -> tuple[list[Mapping[str, Json]], list[Mapping[str, Json]]]:
    """What is due by ``now``, and what is left."""
    due = [entry for entry in agenda if when(entry) <= now]
    return due, list(agenda[len(due) :])


def when(entry: Mapping[str, Json]) -> datetime:
    """The time of an entry."""
    return datetime.fromisoformat(entry["at"])


def _entry(at: datetime, do: str, **more: Json) -> dict[str, Json]:
    return {"at": at.astimezone(UTC).isoformat(timespec="microseconds"), "do": do, **more}
