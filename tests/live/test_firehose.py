"""The feed of all runs of a tenant: what is shown, what is counted, who hears it, with runs in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from console.live.facts import Filters, RunFacts, Unclear
from console.live.firehose import KEPT, LINGER, MOST, PENDING, Firehose, Watcher
from console.live.frames import Event
from console.live.sockets import Socket

RUNS = {
    "a": RunFacts("north", "refunds", "Refund order 7"),
    "b": RunFacts("north", "triage", "Ärger mit dem Paket"),
    "z": RunFacts("fab", "refunds", "Theirs"),
}
AT = "2026-01-01T00:00:00+00:00"


def step(run: str = "a", **facts: Any) -> Event:
    payload = {"kind": "tool", "name": "lookup_order", "agent": "payer", "status": "done", "secret": "42", **facts}
    return Event(f"run:{run}", 5, "step", AT, payload)


def status(run: str = "a", **facts: Any) -> Event:
    return Event(f"run:{run}", 6, "status", AT, {"status": "failed", "stop_reason": "timeout", **facts})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Peer:
    """A page that listens: keeps its frames, and can stop reading."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message: dict[str, Any]) -> None:
        await self.open.wait()
        self.frames.append(json.loads(message["text"]))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [each for frame in self.frames if frame["kind"] == "events" for each in frame["data"]["events"]]


class Stage:
    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[list[str]] = []
        self.hose = Firehose(self.lookup, self.blot, self.clock)

    async def lookup(self, ids: list[str]) -> dict[str, RunFacts]:
        self.asked.append(sorted(ids))
        return {each: RUNS[each] for each in ids if each in RUNS}

    async def blot(self, setting: str, titles: list[str]) -> dict[str, str]:
        if setting == "broken":
            raise RuntimeError
        return {title: title.replace(setting, "[gone]") for title in titles}

    async def watch(
        self, tenant: str = "north", after: int | None = None, epoch: str = "", untitled: bool = False, blots: str = "",
        **filters: str,
    ) -> Any:  # fmt: skip
        peer = Peer()
        watcher = Watcher(Socket(peer.send, as_json=True), tenant, Filters.of(filters, ("timeout",)))
        watcher.filters = replace(watcher.filters, untitled=untitled, blots=blots)
        await self.hose.join(watcher, after, epoch)
        return peer, watcher

    async def happen(self, *events: Event) -> None:
        for event in events:
            self.hose.take(event)
        await self.hose.flush()


def staged(play: Any) -> None:
    async def main() -> None:
        await play(Stage())

    asyncio.run(main())


def test_an_event_is_told_in_facts_and_without_its_contents() -> None:
    async def play(stage: Stage) -> None:
        peer, _ = await stage.watch()
        ended = {"started_at": AT, "ended_at": "2026-01-01T00:00:02+00:00", "cost": "0.01"}
        message = {"index": 0, "type": "TextMessage", "source": "writer", "content": "a secret"}
        await stage.happen(step(kind="model", name="gpt", **ended), Event("run:b", 1, "message", AT, message), status())
        one, two, three = peer.events
        assert one["workflow"] == "refunds" and one["title"] == "Refund order 7" and one["what"] == "model"
        assert (one["took"], one["cost"]) == (2.0, "0.01")
        assert (two["kind"], two["name"], two["agent"]) == ("message", "TextMessage", "writer")
        assert (three["status"], three["reason"]) == ("failed", "timeout")
        assert "secret" not in json.dumps(peer.frames)
        assert [each["seq"] for each in peer.events] == [1, 2, 3] and peer.frames[-1]["seq"] == 3

    staged(play)


def test_titles_are_shown_as_their_listener_may_see_them() -> None:
    async def play(stage: Stage) -> None:
        plain, _ = await stage.watch()
        masked, _ = await stage.watch(blots="order 7")
        hidden, _ = await stage.watch(untitled=True)
        broken, _ = await stage.watch(blots="broken")
        found, _ = await stage.watch(blots="order 7", text="refund")
        guessed, _ = await stage.watch(blots="order 7", text="order 7")
        await stage.happen(step("a"), step("z"))
        told = [[each["title"] for each in peer.events] for peer in (plain, masked, hidden, broken, found, guessed)]
        assert told == [
            ["Refund order 7"], ["Refund [gone]"], ["Title hidden"], ["Title hidden"], ["Refund [gone]"], [],
        ]  # fmt: skip
        late, _ = await stage.watch(after=0, epoch=stage.hose.epoch, blots="Refund")
        assert [each["title"] for each in late.events] == ["[gone] order 7"]

    staged(play)


def test_nobody_hears_of_another_tenant_nor_learns_how_much_happens_there() -> None:
    async def play(stage: Stage) -> None:
        ours, _ = await stage.watch("north")
        theirs, _ = await stage.watch("fab")
        await stage.happen(step("a"), step("z"), step("z"), step("unknown"))
        assert [each["run"] for each in ours.events] == ["a"] and ours.frames[-1]["seq"] == 1
        assert [each["run"] for each in theirs.events] == ["z", "z"]

    staged(play)


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ({}, 5),
        ({"workflow": "triage"}, 1),
        ({"kind": "step"}, 3),
        ({"kind": "tool"}, 2),
        ({"kind": "model"}, 1),
        ({"kind": "status"}, 1),
        ({"agent": "PAYER"}, 3),
        ({"status": "trouble"}, 2),
        ({"status": "timeout"}, 1),
        ({"status": "in_doubt"}, 1),
        ({"text": "ärger"}, 1),
        ({"text": "order 7", "kind": "tool"}, 2),
    ],
)
def test_filters_are_the_servers(filters: dict[str, str], shown: int) -> None:
    async def play(stage: Stage) -> None:
        peer, _ = await stage.watch(**filters)
        said = Event("run:b", 1, "message", AT, {"type": "TextMessage", "source": "writer"})
        await stage.happen(step(), step(status="in_doubt"), step(kind="model"), said, status())
        assert len(peer.events) == shown == peer.frames[-1]["data"]["matched"]
        assert peer.frames[-1]["data"]["seen"] == 5

    staged(play)


@pytest.mark.parametrize("given", [{"kind": "chunk"}, {"status": "so so"}, {"agent": "a\x00b"}, {"text": "x" * 201}])
def test_a_filter_that_means_nothing_is_refused_by_its_name(given: dict[str, str]) -> None:
    with pytest.raises(Unclear, match=next(iter(given))):
        Filters.of(given, ("timeout",))


def test_a_flood_becomes_one_bounded_frame_that_keeps_what_matters_and_counts_the_rest() -> None:
    async def play(stage: Stage) -> None:
        peer, _ = await stage.watch()
        flood = [step(n=n) for n in range(400)]
        await stage.happen(status(), *flood[:200], step(status="failed"), *flood[200:])
        data = peer.frames[-1]["data"]
        assert len(peer.frames) == 2 and len(data["events"]) == MOST
        assert {"status", "step"} == {each["kind"] for each in data["events"]}
        assert sum(each["status"] == "failed" for each in data["events"]) == 2
        assert [each["seq"] for each in data["events"]] == sorted(each["seq"] for each in data["events"])
        assert data["left_out"] == {"step": 402 - MOST} and data["matched"] == data["seen"] == 402

    staged(play)


def test_what_is_too_much_even_to_be_taken_is_counted_and_takes_no_room() -> None:
    async def play(stage: Stage) -> None:
        peer, _ = await stage.watch()
        await stage.happen(step())
        await stage.happen(*(step() for _ in range(PENDING + 70)))
        frame = peer.frames[-1]
        assert frame["data"]["first"] == 72 and frame["seq"] == PENDING + 71  # 2 to 71 only counted
        stream = stage.hose._streams["north"]
        assert len(stream.ring) == KEPT and not stage.hose._pending

    staged(play)


def test_a_slow_reader_holds_up_nobody_and_sees_by_the_numbers_what_it_missed() -> None:
    async def play(stage: Stage) -> None:
        slow, watcher = await stage.watch()
        quick, _ = await stage.watch()
        slow.open.clear()
        for _ in range(5):
            await stage.happen(step())
        assert len(quick.events) == 5 and watcher.socket.state == "lagging"
        assert (stage.hose.lagging, stage.hose.sockets) == (1, 2)
        slow.open.set()
        await watcher.socket.task  # type: ignore[misc]
        assert watcher.socket.state == "live" and stage.hose.lagging == 0
        await stage.happen(step())
        first, second = (frame for frame in slow.frames if frame["kind"] == "events")
        assert (first["seq"], second["data"]["first"], second["seq"]) == (1, 6, 6)

    staged(play)


def test_who_comes_back_is_sent_what_is_still_kept_and_only_of_the_same_process() -> None:
    async def play(stage: Stage) -> None:
        _, gone = await stage.watch()
        await stage.happen(*(step(n=n) for n in range(10)))
        stage.hose.leave(gone)
        await stage.happen(step(), step())
        back, _ = await stage.watch(after=9, epoch=stage.hose.epoch)
        assert [frame["seq"] for frame in back.frames] == [9, 12]
        assert [each["seq"] for each in back.events] == [10, 11, 12]
        for after, epoch in ((9, "another"), (4711, stage.hose.epoch)):
            other, _ = await stage.watch(after=after, epoch=epoch)
            assert [frame["kind"] for frame in other.frames] == ["hello"] and other.frames[0]["seq"] == 12

    staged(play)


def test_a_tenant_that_nobody_watches_any_more_is_forgotten_and_costs_nothing() -> None:
    async def play(stage: Stage) -> None:
        stage.hose.take(step())
        assert not stage.hose.watched
        _, watcher = await stage.watch()
        stage.hose.leave(watcher)
        stage.clock.now = LINGER + 1
        await stage.happen(step())
        assert not stage.hose.watched and stage.hose.sockets == 0 and stage.asked == []

    staged(play)


def test_runs_are_looked_up_once_and_a_failure_skips_only_what_it_was_about() -> None:
    async def play(stage: Stage) -> None:
        peer, _ = await stage.watch()
        await stage.happen(step("a"), step("a"), step("b"))
        await stage.happen(step("a"))
        assert stage.asked == [["a", "b"]] and len(peer.events) == 4

    staged(play)


def test_streamed_text_and_the_queues_own_events_are_no_part_of_it() -> None:
    async def play(stage: Stage) -> None:
        peer, _ = await stage.watch()
        await stage.happen(Event("run:a", None, "chunk", AT, {"text": "x"}), Event("queue:north", 3, "request", AT, {}))
        assert peer.events == []

    staged(play)
