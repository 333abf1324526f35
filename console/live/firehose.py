"""Every event of a tenant's runs as it happens, for those who watch all of them at once.

What is shown are facts (which run, what, by whom, how it went), never contents. It is for the eye, and so it is a hint
like all of the feed: nothing is kept but the last events, and what was not shown is counted rather than caught up with.
Each event of a tenant takes the next number of this process, whatever anybody filters; a number that a reader misses is
an event that was skipped. ``epoch`` tells one process's numbers from another's.

However many events there are, a socket gets at most ten frames a second with at most MOST events in each: in a fuller
one, what people look for first (a status, a request, a failure) is kept, and then the newest. Filters work here, so what
is filtered out costs no traffic; sockets with the same filters share a frame.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from .facts import UNTITLED, Facts, Filters, RunFacts, facts_of
from .frames import Event
from .protocol import text_frame
from .sockets import Socket

log = logging.getLogger("sayso.live")

EVERY = 0.1  # seconds between two frames
MOST = 12  # events in a frame: more than anybody can read, and what a slow computer can draw
KEPT = 300  # the last events of a tenant, for who comes back
PENDING = 5_000  # events taken between two frames; what comes beyond is counted only
KNOWN = 10_000  # runs whose facts are remembered
LINGER = 30.0  # seconds for which a tenant's numbers go on when nobody watches
ASKED = 500  # runs looked up at once
RUN = "run:"

Lookup = Callable[[list[str]], Awaitable[Mapping[str, RunFacts]]]
Blot = Callable[[str, list[str]], Awaitable[Mapping[str, str]]]


@dataclass(eq=False, slots=True)
class Watcher:
    """A socket, and what it wants to see."""

    socket: Socket
    tenant: str
    filters: Filters


@dataclass(eq=False, slots=True)
class Stream:
    """What is known of a tenant that somebody watches, or has watched a moment ago."""

    last: int = 0
    unsaid: int = 0  # events that only counted, since the last frame
    ring: deque[Facts] = field(default_factory=lambda: deque(maxlen=KEPT))
    watchers: set[Watcher] = field(default_factory=set)
    left: float = 0.0  # when the last watcher left, by the steady clock


class Firehose:
    """Batches the events of all runs for those who watch them.

    Args:
        lookup: says of which tenant and workflow runs are; unknown ones are left out. Its failure skips their events.
        blot: says how titles are shown under a setting (Filters.blots).
        now: the steady clock, seconds.
    """

    def __init__(self, lookup: Lookup, blot: Blot, now: Callable[[], float] = time.monotonic) -> None:
        self.epoch = uuid4().hex[:12]
        self._lookup = lookup
        self._blot = blot
        self._now = now
        self._runs: OrderedDict[str, RunFacts] = OrderedDict()
        self._blotted: OrderedDict[tuple[str, str], str] = OrderedDict()  # by setting and title
        self._pending: list[Event] = []
        self._streams: dict[str, Stream] = {}

    @property
    def watched(self) -> bool:
        """Whether there is anybody for whom events are to be taken."""
        return bool(self._streams)

    @property
    def sockets(self) -> int:
        """How many watch."""
        return sum(len(stream.watchers) for stream in self._streams.values())

    @property
    def lagging(self) -> int:
        """How many of them read more slowly than they are written to, just now."""
        return sum(each.socket.state == "lagging" for stream in self._streams.values() for each in stream.watchers)

    def take(self, event: Event) -> None:
        """An event, of whatever topic and tenant. Cheap; the rest happens in ``flush``."""
        if event.seq is None or not event.topic.startswith(RUN):
            return
        if len(self._pending) < PENDING:
            self._pending.append(event)
            return
        run = self._runs.get(event.topic[len(RUN) :])
        stream = self._streams.get(run.tenant) if run is not None else None
        if stream is not None:
            stream.last += 1
            stream.unsaid += 1

    async def join(self, watcher: Watcher, after: int | None = None, epoch: str = "") -> None:
        """Begin to watch: first where the numbers stand; then, of what came ``after``, what is still kept."""
        stream = self._streams.setdefault(watcher.tenant, Stream())
        stream.watchers.add(watcher)
        if watcher.filters.blots:
            await self._look_through(watcher.filters.blots, (each.title for each in stream.ring))
        known = after is not None and epoch == self.epoch and after <= stream.last
        start = after if known and after is not None else stream.last
        said = {"epoch": self.epoch, "frames_a_second": round(1 / EVERY), "events_a_frame": MOST}
        await watcher.socket.send(_text("hello", start, said))
        if start < stream.last:
            kept = [each for each in stream.ring if each.seq > start]
            first = kept[0].seq if kept else stream.last + 1
            await watcher.socket.send(self._frame(kept, watcher.filters, first, stream.last, most=KEPT))
        # What came while these were sent is skipped, and the next frame's first number says so.
        if watcher.socket.state == "joining":
            watcher.socket.state = "live"

    def leave(self, watcher: Watcher) -> None:
        """Forget a socket."""
        watcher.socket.state = "closed"
        if watcher.socket.task is not None:
            watcher.socket.task.cancel()
        stream = self._streams.get(watcher.tenant)
        if stream is not None:
            stream.watchers.discard(watcher)
            stream.left = self._now()

    async def flow(self) -> None:
        """Send a frame now and again, for ever."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.flush()
            except Exception:
                log.exception("events of all runs could not be sent on; the next frame follows")

    async def flush(self) -> None:
        """Send what was taken since the last time."""
        events, self._pending = self._pending, []
        for tenant, old in list(self._streams.items()):
            if not old.watchers and self._now() - old.left > LINGER:
                del self._streams[tenant]
        if events and self._streams:
            await self._learn({event.topic[len(RUN) :] for event in events})
        for tenant, stream in list(self._streams.items()):
            for blots in {watcher.filters.blots for watcher in stream.watchers if watcher.filters.blots}:
                runs = map(self._run_of, events)
                await self._look_through(blots, (run.title for run in runs if run is not None and run.tenant == tenant))
        fresh: dict[str, list[Facts]] = {}
        for event in events:
            run = self._run_of(event)
            found = self._streams.get(run.tenant) if run is not None else None
            if run is None or found is None:
                continue
            found.last += 1
            made = facts_of(event, run, found.last)
            found.ring.append(made)
            fresh.setdefault(run.tenant, []).append(made)
        for tenant, each in list(self._streams.items()):
            if tenant in fresh or each.unsaid:
                each.unsaid = 0
                await self._send(each, fresh.get(tenant, []))

    async def _learn(self, ids: Iterable[str]) -> None:
        """Look up the runs that are not known; a run never changes its tenant, nor its workflow."""
        unknown = [each for each in ids if each not in self._runs]
        for start in range(0, len(unknown), ASKED):
            for name, facts in (await self._lookup(unknown[start : start + ASKED])).items():
                self._runs[name] = facts
        while len(self._runs) > KNOWN:
            self._runs.popitem(last=False)

    def _run_of(self, event: Event) -> RunFacts | None:
        return self._runs.get(event.topic[len(RUN) :])

    async def _look_through(self, blots: str, titles: Iterable[str]) -> None:
        """Know how these titles are shown under a setting, before a frame is made, which takes no time for it."""
        unknown = [title for title in dict.fromkeys(titles) if (blots, title) not in self._blotted]
        if unknown:
            try:
                found = await self._blot(blots, unknown)
            except Exception:  # everybody else's events go on
                log.exception("titles could not be looked through; they are hidden")
                return
            self._blotted.update({(blots, title): said for title, said in found.items()})
        while len(self._blotted) > KNOWN:
            self._blotted.popitem(last=False)

    def _title(self, filters: Filters, title: str) -> str:
        return UNTITLED if filters.untitled else self._blotted.get((filters.blots, title), UNTITLED)

    async def _send(self, stream: Stream, events: list[Facts]) -> None:
        frames: dict[Filters, tuple[dict[str, Any], bytes]] = {}
        first = events[0].seq if events else stream.last + 1
        for watcher in list(stream.watchers):
            socket = watcher.socket
            if socket.state != "live":
                continue  # it is joining or lagging: the number of the next frame shows what it missed
            if watcher.filters not in frames:
                message = self._frame(events, watcher.filters, first, stream.last)
                frames[watcher.filters] = (message, text_frame(message["text"]))
            message, frame = frames[watcher.filters]
            if socket.put is not None and socket.put(frame):
                continue
            rest = socket.step(message)
            if rest is not None:
                socket.state = "lagging"
                socket.task = asyncio.get_running_loop().create_task(_drain(socket, rest))

    def _frame(self, events: list[Facts], filters: Filters, first: int, last: int, most: int = MOST) -> dict[str, Any]:
        """The frame of these events. They are numbered from ``first``: what a reader has not had before it was skipped."""
        if filters.untitled or filters.blots:
            events = [replace(each, title=self._title(filters, each.title)) for each in events]
        matched = [each for each in events if filters.let(each)]
        shown = _pick(matched, most)
        left_out: dict[str, int] = {}
        if len(shown) < len(matched):
            numbers = {each.seq for each in shown}
            for each in matched:
                if each.seq not in numbers:
                    left_out[each.kind] = left_out.get(each.kind, 0) + 1
        data = {
            "first": first,
            "seen": len(events),
            "matched": len(matched),
            "left_out": left_out,
            "events": [each.told() for each in shown],
        }
        return _text("events", last, data)


def _pick(events: list[Facts], most: int) -> list[Facts]:
    """At most so many, in their order: first what people look for first, then the newest."""
    if len(events) <= most:
        return events
    ordered = sorted(events, key=lambda each: (each.notable, each.seq), reverse=True)[:most]
    return sorted(ordered, key=lambda each: each.seq)


async def _drain(socket: Socket, rest: Awaitable[None]) -> None:
    try:
        await rest
        socket.state = "live"
    except asyncio.CancelledError:
        raise
    except Exception:
        socket.state = "closed"


def _text(kind: str, seq: int, data: dict[str, Any]) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    return {"type": "websocket.send", "text": json.dumps({"seq": seq, "kind": kind, "at": at, "data": data})}
