"""What an address of the insights asks for, read forgivingly: what the API refuses is named on a page, and the usual shown.

A shared address never ends in a fault. The words are those of the API: see asking.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from telemetry import asking
from telemetry.query import BadQuery, Window

PRESETS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days", "90d": "90 days"}
USUAL = "30d"
NAMES = ("range", "from", "to", "workflow", "by")


@dataclass(slots=True)
class Asked:
    """What is to be shown. ``faults`` are what could not be read, each a sentence; the usual stands in for it."""

    window: Window
    range: str  # such as 30d, or empty: from and to
    workflow: str
    by: str
    typed: dict[str, str]
    faults: list[str] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """Whether what is shown goes on growing."""
        return bool(self.range)

    def address(self, **changes: str) -> str:
        """The query of the same question with ``changes``: what is shared is what is seen."""
        now = {"range": self.range, "workflow": self.workflow, "by": self.by}
        if not self.range:
            now |= {"from": self.typed["from"], "to": self.typed["to"]}
        now |= changes
        if changes.get("range"):
            now |= {"from": "", "to": ""}
        return "?" + urlencode({name: value for name, value in now.items() if value})

    @property
    def words(self) -> str:
        """The time in words: ``last 30 days`` or ``1 Mar to 3 Mar 2026``."""
        if self.range:
            return f"last {_words(self.range)}"
        end = self.window.end - timedelta(microseconds=1)
        return f"{self.window.start:%-d %b} to {end:%-d %b %Y}"


def read(values: Mapping[str, str], now: datetime, splits: tuple[str, ...]) -> Asked:
    """What ``values`` ask for; ``splits`` are what cost may be split by, the first of them the usual."""
    typed = {name: values.get(name, "").replace("\x00", "").strip()[:200] for name in NAMES}
    faults: list[str] = []
    by = typed["by"] or splits[0]
    if by not in splits:
        faults.append(f"“by” must be one of {', '.join(splits)}: it is split by {splits[0]}.")
        by = splits[0]
    length = "" if typed["from"] or typed["to"] else typed["range"] or USUAL
    try:
        window = asking.window({"from": typed["from"], "to": typed["to"], "range": length}, now)
    except BadQuery as fault:
        faults.append(f"“{fault.field}” {fault.message}. The last {PRESETS[USUAL]} are shown.")
        length = USUAL
        window = asking.window({"range": length}, now)
    return Asked(window, length, typed["workflow"], by, typed, faults)


def _words(length: str) -> str:
    return PRESETS.get(length) or f"{length[:-1]} {'hours' if length.endswith('h') else 'days'}"
