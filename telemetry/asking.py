"""What an address of the insights asks for: a stretch of time, a workflow, what cost is split by.

Nonsense is named on the page, and the usual stands in for it: a shared address never ends in a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from telemetry.query import BadQuery, Window

PRESETS: dict[str, tuple[str, timedelta]] = {
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
}
USUAL = "30d"
NAMES = ("last", "from", "to", "workflow", "by")


@dataclass(slots=True)
class Asked:
    """What is to be shown. ``faults`` are what could not be read, each a sentence; the usual stands in for it."""

    window: Window
    last: str  # one of PRESETS, or empty: from and to
    workflow: str
    by: str
    typed: dict[str, str]
    faults: list[str] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """Whether what is shown goes on growing."""
        return bool(self.last)

    def address(self, **changes: str) -> str:
        """The query of the same question with ``changes``: what is shared is what is seen."""
        now = {"last": self.last, "workflow": self.workflow, "by": self.by}
        if not self.last:
            now |= {"from": self.typed["from"], "to": self.typed["to"]}
        now |= changes
        if changes.get("last"):
            now |= {"from": "", "to": ""}
        return "?" + urlencode({name: value for name, value in now.items() if value})

    @property
    def words(self) -> str:
        """The time in words: ``last 30 days`` or ``1 Mar to 3 Mar 2026``."""
        if self.last:
            return f"last {PRESETS[self.last][0]}"
        end = self.window.end - timedelta(microseconds=1)
        return f"{self.window.start:%-d %b} to {end:%-d %b %Y}"


def read(values: Mapping[str, str], now: datetime, splits: tuple[str, ...]) -> Asked:
    """What ``values`` ask for; ``splits`` are what cost may be split by, the first of them the usual."""
    typed = {name: values.get(name, "").replace("\x00", "").strip()[:200] for name in NAMES}
    faults: list[str] = []
    last, by = typed["last"] or USUAL, typed["by"] or splits[0]
    if last not in PRESETS:
        faults.append(f"“last” must be one of {', '.join(PRESETS)}: the last {PRESETS[USUAL][0]} are shown.")
        last = USUAL
    if by not in splits:
        faults.append(f"“by” must be one of {', '.join(splits)}: it is split by {splits[0]}.")
        by = splits[0]
    window = Window.last(PRESETS[last][1], now)
    if typed["from"] or typed["to"]:
        try:
            end = _moment("to", typed["to"]) if typed["to"] else now
            start = _moment("from", typed["from"]) if typed["from"] else end - PRESETS[last][1]
            window, last = Window.of(start, end, now), ""
        except BadQuery as fault:
            faults.append(f"“{fault.field}” {fault.message}: the last {PRESETS[last][0]} are shown.")
    return Asked(window, last, typed["workflow"], by, typed, faults)


def _moment(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadQuery(name, "must be a date or a time such as 2026-03-01 or 2026-03-01T14:00") from error
