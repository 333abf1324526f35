"""What an apply has come to so far; see applying.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from console.agents.leaks import MESSAGE, leaks
from console.tenants import actions as tenants
from console.tenants.access import Actor
from console.workflows.changes import Change
from console.workflows.errors import Invalid, Refused
from console.workflows.files import Documents, Fault
from console.workflows.models import Revision

_KINDS = {str: "text", dict: "an object", list: "a list", int: "a whole number"}
# What somebody may look for in a file, and why it is in none.
_NEVER = {
    "waivers": "is in no file: that NEVER holds takes two admins, who propose it and consent to it under Oversight",
}


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
        except (Invalid, tenants.Invalid) as refusal:
            where = path if path != "$" else {"slug": "", "reason": "--reason"}.get(refusal.field, f"$.{refusal.field}")
            self.faults.append(Fault(file, where, refusal.message))

    def mistyped(self, file: str, document: Mapping[str, object], known: Mapping[str, type]) -> bool:
        """Whether a file has keys that are not known, or values of the wrong kind; each is a fault."""
        faults = [
            Fault(file, f"$.{key}", _NEVER.get(key, f"is not known here; there are {', '.join(known)}"))
            if key not in known
            else Fault(file, f"$.{key}", f"must be {_KINDS[known[key]]}")
            for key, value in document.items()
            if key not in known or not isinstance(value, known[key])
        ]
        self.faults += faults
        return bool(faults)

    def exposed(self, file: str, document: Mapping[str, object]) -> bool:
        """Whether a file holds what looks like a key or a password; each is a fault."""
        faults = [Fault(file, path, MESSAGE) for path in leaks(document, "$")]
        self.faults += faults
        return bool(faults)
