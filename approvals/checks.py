"""What workflows ask about rules; see console.workflows.rules_check."""

from __future__ import annotations

from typing import Any

from approvals import rule_document
from approvals.rule_document import Fault


class RulesCheck:
    """Rules as workflows check them."""

    def faults(self, rules: Any) -> list[Fault]:
        return rule_document.check(rules)

    def notes(self, rules: Any) -> list[Fault]:
        return rule_document.notes(rules)

    def groups(self, rules: Any) -> list[tuple[str, str]]:
        return rule_document.groups(rules)
