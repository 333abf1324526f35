"""What an apply has come to so far; see applying.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from console.tenants.access import Actor
from console.workflows.changes import Change
from console.workflows.errors import Invalid, Refused
from console.workflows.files import Documents, Fault
from console.workflows.models import Revision


@dataclass
class Work:
    """One apply: who does it, from what, and what came of it so far. ``notes`` are for people, and change nothing;
    ``waiting`` are revisions that were made, and must pass their smoke tests before new runs take them."""

    actor: Actor
    documents: Documents
    reason: str
    faults: list[Fault]
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    waiting: list[Revision] = field(default_factory=list)

    @contextmanager
    def at(self, file: str, path: str = "$") -> Iterator[None]:
        """What an action refuses is a fault of this place; actions refuse before they write anything."""
        try:
            yield
        except Refused as refusal:
            errors = [finding for finding in refusal.findings if finding.level == "error"]
            self.faults += [Fault(file, path + finding.path.removeprefix("$"), finding.message) for finding in errors]
        except Invalid as refusal:
            where = path if path != "$" else {"slug": "", "reason": "--reason"}.get(refusal.field, f"$.{refusal.field}")
            self.faults.append(Fault(file, where, refusal.message))
