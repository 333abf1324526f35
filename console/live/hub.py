"""The fan-out: one per web process, one Redis subscription, one shared message per event.

Truth is the feed table; what Redis carries is a hint with the payload in it. The hub sends a hint on when it is the
next of its topic, drops what it already sent, and reads a gap from Postgres. A socket is joining (its past is being
read), live (it gets each event as it comes) or lagging (its buffer is full: it is skipped, and reads what it missed
from Postgres once it drains).

Sockets are written with ``put``, where the server has it (console.live.protocol): one frame, made once for all of them.
Else, and when the transport's buffer is full, through the server's own ``send``, stepped by hand: it finishes at once
unless the buffer is full, so an event costs no task and no queue per socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from .firehose import Firehose
from .frames import Event, Frame, frame, reset, streams
from .protocol import text_frame
from .sockets import Socket

log = logging.getLogger("sayso.live")

CHANNEL = "sayso:feed"
RING = 256  # frames kept per topic, so that most joins end without a second read
PAGE = 500  # events read at once while catching up
TOO_FAR = 2_000  # an HTML page further behind than this loads itself again
YIELD_EVERY = 100  # sockets written before other work gets a turn
REPAIR_EVERY = 2.0  # seconds between looks at Postgres for hints that never came
STREAM_KINDS = ("chunk",)
_HEAD = b'{"topic": "'


class Feed(Protocol):
    """What the hub reads from Postgres."""

    async def after(self, topic: str, tenant: str, seq: int, limit: int) -> list[Event]: ...
    async def last(self, topics: list[tuple[str, str]]) -> dict[str, int]: ...


@dataclass(eq=False, slots=True)
class Topic:
    """What the hub knows of a topic that somebody listens to."""

    name: str
    tenant: str
    last: int
    ring: deque[Frame] = field(default_factory=lambda: deque(maxlen=RING))
    sockets: set[Socket] = field(default_factory=set)
    streaming: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # one event at a time, in order


class Hub:
    """Sends each event of the feed to the sockets that listen to its topic.

    Args:
        feed: reads events from Postgres.
        redis: makes the client of the one subscription; called again after a connection is lost.
        firehose: is told of every run's events, where somebody watches all runs of a tenant.
        beat: says now and again that this hub is there, and who listens to it.
    """

    def __init__(
        self,
        feed: Feed,
        redis: Callable[[], Redis],
        firehose: Firehose | None = None,
        beat: Callable[[Hub], Awaitable[None]] | None = None,
    ) -> None:
        self.firehose = firehose
        self._beat = beat
        self._feed = feed
        self._redis = redis
        self._topics: dict[str, Topic] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to listen. Idempotent."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._repair_for_ever())]
            if self.firehose is not None:
                self._tasks.append(asyncio.create_task(self.firehose.flow()))

    async def stop(self) -> None:
        """Stop listening; sockets are closed by the server."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def sockets(self) -> int:
        """How many sockets are connected to this process."""
        watching = self.firehose.sockets if self.firehose is not None else 0
        return sum(len(topic.sockets) for topic in self._topics.values()) + watching

    @property
    def lagging(self) -> int:
        """How many of them read more slowly than they are written to, just now."""
        watching = self.firehose.lagging if self.firehose is not None else 0
        return sum(socket.state == "lagging" for topic in self._topics.values() for socket in topic.sockets) + watching

    async def head(self, name: str, tenant: str) -> int:
        """The sequence number of the last event of a topic; 0 before the first."""
        return (await self._feed.last([(name, tenant)])).get(name, 0)

    async def join(self, socket: Socket, name: str, tenant: str, after: int) -> None:
        """Connect a socket to a topic: everything after ``after`` is sent first, then events as they come.

        Returns once the socket is live.
        """
        topic = self._topics.get(name)
        if topic is None:
            last = await self.head(name, tenant)
            topic = self._topics.setdefault(name, Topic(name, tenant, last))
        topic.sockets.add(socket)
        socket.last = after
        if topic.last - socket.last > TOO_FAR and not socket.as_json:
            await socket.send(reset())
            socket.last = topic.last
        await self._catch_up(topic, socket)
        if topic.streaming and not socket.as_json:
            self._write(topic, socket, streams(topic.streaming.values()))

    def leave(self, socket: Socket, name: str) -> None:
        """Forget a socket."""
        socket.state = "closed"
        if socket.task is not None:
            socket.task.cancel()
        topic = self._topics.get(name)
        if topic is not None:
            topic.sockets.discard(socket)
            if not topic.sockets:
                del self._topics[name]

    async def take(self, event: Event) -> None:
        """One hint from Redis. Events of topics that nobody here listens to are dropped."""
        if self.firehose is not None and self.firehose.watched:
            self.firehose.take(event)
        topic = self._topics.get(event.topic)
        if topic is None:
            return
        if event.seq is None:
            await self._take_ephemeral(topic, event)
            return
        async with topic.lock:
            if event.seq <= topic.last:
                return
            if event.seq > topic.last + 1:
                await self._read_gap(topic)
            else:
                await self._send_on(topic, event, event.seq)

    async def repair(self) -> None:
        """Read what hints did not bring, for every topic that somebody listens to."""
        heads = await self._feed.last([(topic.name, topic.tenant) for topic in self._topics.values()])
        for name, last in heads.items():
            topic = self._topics.get(name)
            if topic is not None and last > topic.last:
                async with topic.lock:
                    await self._read_gap(topic)

    async def _read_gap(self, topic: Topic) -> None:
        while events := await self._feed.after(topic.name, topic.tenant, topic.last, PAGE):
            for event in events:
                await self._send_on(topic, event, event.seq or 0)
            if len(events) < PAGE:
                return

    async def _send_on(self, topic: Topic, event: Event, seq: int) -> None:
        made = frame(event)
        topic.ring.append(made)
        topic.last = seq
        if _ends_stream(topic, event):
            await self._to_all(topic, streams(topic.streaming.values()), None)
        await self._to_all(topic, made.html, made.json, seq=seq)

    async def _take_ephemeral(self, topic: Topic, event: Event) -> None:
        """Text while it streams: the page shows the latest state of all streams, a program gets each piece."""
        if event.kind in STREAM_KINDS:
            topic.streaming[f"{event.payload.get('scope')}#{event.payload.get('n')}"] = dict(event.payload)
        pages = any(not socket.as_json for socket in topic.sockets)
        made = frame(event) if any(socket.as_json for socket in topic.sockets) else None
        await self._to_all(topic, streams(topic.streaming.values()) if pages else None, made.json if made else None)

    async def _to_all(
        self,
        topic: Topic,
        html: dict[str, str] | None,
        as_json: dict[str, str] | None,
        *,
        seq: int | None = None,
    ) -> None:
        """Write a message to every live socket of a topic; None for a format that does not get it."""
        written = 0
        pages, programs = (text_frame(message["text"]) if message else b"" for message in (html, as_json))
        for socket in list(topic.sockets):
            if socket.state != "live" or (seq is not None and seq <= socket.last):
                continue
            message = as_json if socket.as_json else html
            if message is None:
                continue
            if socket.put is None or not socket.put(programs if socket.as_json else pages):
                self._write(topic, socket, message)
            if seq is not None:
                socket.last = seq
            written += 1
            if written % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _write(self, topic: Topic, socket: Socket, message: dict[str, Any]) -> None:
        """Write by the server's send. A socket whose buffer is full is lagging until that has finished."""
        rest = socket.step(message)
        if rest is not None:
            socket.state = "lagging"
            socket.task = asyncio.get_running_loop().create_task(self._drain(topic, socket, rest))

    async def _drain(self, topic: Topic, socket: Socket, rest: Awaitable[None]) -> None:
        try:
            await rest
            await self._catch_up(topic, socket)
        except asyncio.CancelledError:
            raise
        except Exception:
            socket.state = "closed"

    async def _catch_up(self, topic: Topic, socket: Socket) -> None:
        """Send a socket what it has not had, and make it live; between the last look and that there is no await."""
        while socket.state != "closed":
            missing = [made for made in topic.ring if made.seq is not None and made.seq > socket.last]
            in_ring = bool(missing) and missing[0].seq == socket.last + 1
            if socket.last >= topic.last:
                socket.state = "live"
                return
            if in_ring:
                batch = missing
            else:
                events = await self._feed.after(topic.name, topic.tenant, socket.last, PAGE)
                if not events:
                    socket.last = max(socket.last, topic.last)
                    continue
                batch = [frame(event) for event in events]
            for made in batch:
                await socket.send(made.json if socket.as_json else made.html)
                socket.last = made.seq or socket.last

    async def _listen(self) -> None:
        """Hold the subscription; after a loss, connect again and repair every topic."""
        delay = 0.1
        while True:
            client = self._redis()
            try:
                async with client.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    await self.repair()
                    delay = 0.1
                    async for message in subscription.listen():
                        if message["type"] == "message":
                            await self._take_raw(message["data"])
            except (RedisError, OSError) as error:
                log.warning("the live feed lost Redis and reads from Postgres until it is back: %s", error)
            finally:
                await client.aclose()
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    async def _take_raw(self, data: bytes) -> None:
        topic = topic_of(data)
        if topic is not None and topic not in self._topics and not (self.firehose and self.firehose.watched):
            return  # each web process hears all that all runs tell; nearly all of it nobody here listens to
        try:
            hint = json.loads(data)
            event = Event(hint["topic"], hint["seq"], hint["kind"], hint["at"], hint["payload"])
        except (ValueError, KeyError, TypeError):
            log.warning("dropped a malformed hint of %d bytes; repair reads the event itself", len(data))
            return
        try:
            await self.take(event)
        except Exception:
            log.exception("an event of %s could not be sent; repair will try again", event.topic)

    async def _repair_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPAIR_EVERY)
            try:
                if self._beat is not None:
                    await self._beat(self)
            except (RedisError, OSError) as error:
                log.debug("no heartbeat: %s", error)
            try:
                if self._topics:
                    await self.repair()
            except Exception:
                log.exception("the live feed could not be repaired; trying again in %s s", REPAIR_EVERY)


def topic_of(hint: bytes) -> str | None:
    """The topic of a hint, read off its beginning; None where that is not as ``console.runs.feed.frame`` writes it."""
    end = hint.find(b'"', len(_HEAD)) if hint.startswith(_HEAD) else -1
    return None if end < 0 else hint[len(_HEAD) : end].decode("utf-8", "replace")


def _ends_stream(topic: Topic, event: Event) -> bool:
    """Whether this event makes a streamed text final: its step settled, or the run ended."""
    if not topic.streaming:
        return False
    if event.kind == "step":
        return topic.streaming.pop(f"{event.payload.get('scope')}#{event.payload.get('n')}", None) is not None
    if event.kind == "status" and event.payload.get("status") != "running":
        topic.streaming.clear()
        return True
    return False
