"""What of a run's feed reaches a listener who may not see all of it as it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from console.live.frames import Event, frame, streams
from console.live.seen import Seen
from console.tenants.display import HIDDEN, Display
from console.tenants.masks import Masker

RUN = "7a4e5bd4-2f3c-4a0e-9a39-0f6fd1b7d3f1"
SAID = {"source": "payer", "type": "TextMessage", "index": 3, "content": "Write to me@x.example"}
STATUS = {"status": "running", "model_s": 1, "tool_s": 0, "waiting_s": 0, "cost": "0", "stop_reason": ""}
STEP = {"scope": "payer/model", "n": 1, "seq": 4, "kind": "model", "status": "done", "name": "m", "attempts": 1}


def heard(
    shown: bool,
    kind: str,
    payload: dict[str, Any],
    *,
    as_json: bool = False,
    topic: str = f"run:{RUN}",
    after: int | None = None,
) -> str:
    """The text that is sent for an event, the ninth."""
    made = frame(Event(topic, 9, kind, "2026-01-01T00:00:00+00:00", payload))
    return through(shown, made.json if as_json else made.html, after)


def through(shown: bool, message: dict[str, str], after: int | None = None) -> str:
    sent: list[dict[str, Any]] = []

    async def send(each: dict[str, Any]) -> None:
        sent.append(each)

    masks = ["email"] if shown else []
    asyncio.run(Seen(send, RUN, lambda: Display(shown, Masker(masks), "admins"), after)(message))  # type: ignore[arg-type]
    [one] = sent
    return str(one["text"])


def test_a_page_fetches_what_its_viewer_may_see() -> None:
    for shown in (True, False):
        text = heard(shown, "message", SAID)
        assert f'hx-get="/runs/{RUN}/messages/3/"' in text and "me@x.example" not in text and 'data-seq="9"' in text


def test_facts_go_through_as_they_are() -> None:
    for kind, payload in (("step", STEP), ("status", STATUS)):
        made = frame(Event(f"run:{RUN}", 9, kind, "", payload))
        assert through(False, made.html) == made.html["text"], kind


def test_what_is_being_written_and_what_is_asked_is_held_back() -> None:
    assert "me@x" not in through(True, streams([{"scope": "a", "n": 1, "attempt": 1, "text": "me@x.example"}]))
    asked = {"id": RUN, "title": "Pay me@x.example", "status": "pending", "kind": "tool"}
    text = heard(True, "request", asked)
    assert "me@x" not in text and "data-reset" in text and 'data-seq="9"' in text


def test_a_program_gets_the_event_without_its_contents() -> None:
    masked = json.loads(heard(True, "message", SAID, as_json=True))
    assert masked["data"]["content"] == "Write to [e-mail address hidden]" and masked["seq"] == 9
    hidden = json.loads(heard(False, "message", SAID, as_json=True))["data"]
    assert hidden["content"] is None and hidden["hidden"].startswith(HIDDEN) and hidden["source"] == "payer"
    assert json.loads(heard(False, "step", STEP, as_json=True))["data"] == STEP


def test_who_decides_sees_what_waits_and_nothing_of_what_is_over() -> None:
    asked = {"id": RUN, "title": "Pay me@x.example", "run_title": "me@x.example", "kind": "tool", "workflow": "desk"}
    mentioned = {"mention": {"comment": 1, "by": "Raj", "whom": [RUN]}}
    for status, after, seen in (
        ("pending", 8, True),
        ("pending", 9, False),  # said before they listened: it may be over by now
        ("pending", None, False),  # to somebody who does not decide
        ("decided", 8, False),
        ("expired", 8, False),
    ):
        for more in ({}, mentioned):
            said = {**asked, "status": status, **more}
            for shown in (True, False):
                program = heard(shown, "request", said, as_json=True, topic="queue:t", after=after)
                page = heard(shown, "request", said, topic="queue:t", after=after)
                assert ("me@x" in program, "me@x" in page) == (seen, seen), (status, after, shown, more)
                assert 'data-seq="9"' in page
