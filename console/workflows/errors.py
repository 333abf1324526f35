"""What the actions of workflows and runs refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Finding(Protocol):
    """What is said about a document; see console.agents.documents."""

    @property
    def path(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def level(self) -> str: ...


class Invalid(ValueError):
    """What was asked for makes no sense; ``field`` says where, ``message`` why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Conflict(Exception):
    """What was asked for is decided already, or over. The text is a sentence for people."""


class Refused(ValueError):
    """A revision's body cannot be used; ``findings`` say why, each with a ``$.`` path."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{each.path}: {each.message}" for each in findings if each.level == "error"))
        self.findings = list(findings)
