"""What screens hear while a run is at work: text as it streams, each message once, and nothing after the end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from console.durable.loop import Loop
from console.durable.steps import Kind, Status, Step
from console.hosting import watching
from console.hosting.watching import Watcher


class Paper:
    """Stands for the journal: what it was told."""

    def __init__(self) -> None:
        self.run_id = uuid4()
        self.told: list[tuple[str, dict[str, Any], int | None]] = []

    def tell(self, kind: str, payload: dict[str, Any], index: int | None = None) -> None:
        self.told.append((kind, payload, index))


def watch(told: int = -1) -> tuple[Watcher, Paper, list[dict[str, Any]]]:
    paper, frames = Paper(), []
    return Watcher(paper, lambda topic, kind, payload: frames.append(payload), told), paper, frames  # type: ignore[arg-type]


def run(coroutine: Any) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(coroutine)


def step(**fields: Any) -> Step:
    return Step(
        "a/model", 1, Kind.MODEL, fields.pop("seq", 1), "d", {}, datetime(2026, 1, 1, tzinfo=UTC), agent="a", **fields
    )


def test_the_first_piece_is_shown_at_once_and_the_rest_in_frames() -> None:
    async def stream() -> None:
        watcher, _, frames = watch()
        for piece in ("one ", "two ", "three ", "four "):
            watcher.chunk("a/model", 1, 1, piece)
        assert [frame["text"] for frame in frames] == ["one "]
        while len(frames) < 2:
            await asyncio.sleep(watching.FRAME / 5)
        assert frames[1]["text"] == "one two three four " and frames[1]["attempt"] == 1
        watcher.close()

    run(stream())


def test_a_new_attempt_replaces_the_text() -> None:
    async def stream() -> None:
        watcher, _, frames = watch()
        watcher.chunk("a/model", 1, 1, "half an ans")
        watcher.chunk("a/model", 1, 2, "a whole answer")
        while len(frames) < 2:
            await asyncio.sleep(watching.FRAME / 5)
        assert (frames[1]["attempt"], frames[1]["text"]) == (2, "a whole answer")
        watcher.close()

    run(stream())


def test_text_of_a_settled_step_is_not_shown_any_more() -> None:
    async def stream() -> None:
        watcher, paper, frames = watch()
        watcher.chunk("a/model", 1, 1, "one ")
        watcher.chunk("a/model", 1, 1, "two")
        watcher.step_settled(step(status=Status.DONE, settled=1))
        await asyncio.sleep(2 * watching.FRAME)
        assert len(frames) == 1
        assert [kind for kind, _, _ in paper.told] == ["step"] and paper.told[0][1]["status"] == "done"

    run(stream())


def test_a_message_that_the_feed_has_is_not_told_again() -> None:
    watcher, paper, _ = watch(told=1)
    for index in (0, 1, 2, 2, 3):
        watcher.message({"index": index, "content": str(index)})
    assert [index for _, _, index in paper.told] == [2, 3]


def test_a_call_that_only_reads_is_told_when_it_is_recorded() -> None:
    watcher, paper, _ = watch()
    watcher.step_opened(step(seq=0))
    assert paper.told == []
    watcher.step_opened(step(seq=3))
    assert (paper.told[0][1]["status"], paper.told[0][2]) == ("intent", 3)
