"""How the rules in a revision's body are checked. Approvals stands above this package and says so when Django starts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol
from uuid import UUID

from console.agents.documents import Finding
from console.tenants import groups


class Fault(Protocol):
    """What is wrong with a rule: ``path`` starts below the list, such as ``[0].when``."""

    @property
    def path(self) -> str: ...
    @property
    def message(self) -> str: ...


class Check(Protocol):
    """What approvals knows about rules. ``notes`` and ``groups`` are asked about rules without faults only."""

    def faults(self, rules: Any) -> Iterable[Fault]: ...

    def notes(self, rules: Any) -> Iterable[Fault]:
        """What is allowed, and most likely not meant."""

    def groups(self, rules: Any) -> Iterable[tuple[str, str]]:
        """(path, group) of each group that is named."""


_check: Check | None = None


def use(check: Check) -> None:
    """Check rules with ``check`` from now on."""
    global _check
    _check = check


def faults(rules: Any) -> list[tuple[str, str]]:
    """(path below the list, message) for each fault. Raises RuntimeError when nobody said how to check."""
    return [(fault.path, fault.message) for fault in _checker().faults(rules)]


def findings(tenant_id: UUID, rules: Any, path: str = "$.rules") -> list[Finding]:
    """What else is to be said about ``rules`` without faults that are to hold in a tenant: groups that are not there
    (errors), groups without anybody in them, and what is most likely not meant. Call inside a scope."""
    check = _checker()
    found = [Finding(path + note.path, note.message, "info") for note in check.notes(rules)]
    named = list(check.groups(rules))
    if not named:
        return found
    known = groups.names(tenant_id)
    there = ", ".join(known[:20]) if known else "there is none yet"
    missing = "there is no group {!r}: make the group under People, or name one of: {}"
    found += [
        Finding(path + place, missing.format(group, there), "error") for place, group in named if group not in known
    ]
    empty = groups.empty(tenant_id, {group for _, group in named if group in known})
    message = "nobody in the group {!r} is a reviewer, so nobody of it can decide: add one under People"
    found += [Finding(path + place, message.format(group), "info") for place, group in named if group in empty]
    return found


def _checker() -> Check:
    if _check is None:
        raise RuntimeError("nobody has said how rules are checked; approvals does when Django starts")
    return _check
