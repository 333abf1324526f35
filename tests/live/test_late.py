"""What is heard of a call after its run's end reaches the page that shows the run."""

from __future__ import annotations

from datetime import UTC, datetime

from console.durable.steps import Kind, Safety, Status, Step
from console.live.frames import Event, frame
from console.runs.told import step_payload


def test_the_page_of_the_run_is_told_to_look_again() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    step = Step("a/tools", 1, Kind.TOOL, 12, "d", None, at, Status.IN_DOUBT, safety=Safety.NEITHER, name="pay")
    text = frame(Event("run:7", 31, "late", at.isoformat(), step_payload(step))).html["text"]
    assert 'data-upsert="#steps"' in text and 'id="step-12"' in text and 'data-late="31"' in text
