"""How the rules in a revision's body are checked. Approvals stands above this package and says so when Django starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Fault(Protocol):
    """What is wrong with a rule: ``path`` starts below the list, such as ``[0].when``."""

    @property
    def path(self) -> str: ...
    @property
    def message(self) -> str: ...


_check: Callable[[Any], Iterable[Fault]] | None = None


def use(check: Callable[[Any], Iterable[Fault]]) -> None:
    """Check rules with ``check`` from now on."""
    global _check
    _check = check


def faults(rules: Any) -> list[tuple[str, str]]:
    """(path below the list, message) for each fault. Raises RuntimeError when nobody said how to check."""
    if _check is None:
        raise RuntimeError("nobody has said how rules are checked; approvals does when Django starts")
    return [(fault.path, fault.message) for fault in _check(rules)]
