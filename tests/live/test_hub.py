"""The hub: order, gaps, joins, slow readers, with a feed in memory and sockets that can be made to block."""

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
from websockets.protocol import State
from websockets.server import ServerProtocol

from console.live.frames import Event
from console.live.hub import TOO_FAR, Hub, topic_of
from console.live.protocol import text_frame
from console.live.sockets import Socket
from console.runs import feed

TOPIC, TENANT = "run:1", "t"


def event(seq, kind="note", topic=TOPIC, **payload):
    return Event(topic, seq, kind, "2026-01-01T00:00:00+00:00", payload)


class MemoryFeed:
    """The feed table, in memory."""

    def __init__(self):
        self.events = []
        self.reads = 0

    def add(self, *events):
        self.events.extend(events)

    async def after(self, topic, tenant, seq, limit):
        self.reads += 1
        await asyncio.sleep(0)
        return [e for e in self.events if e.topic == topic and e.seq > seq][:limit]

    async def last(self, topics):
        return {name: max((e.seq for e in self.events if e.topic == name), default=0) for name, _ in topics}


class Peer:
    """A connected browser: keeps what it got, and can stop reading."""

    def __init__(self):
        self.got = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message):
        await self.open.wait()
        self.got.append(message["text"])

    @property
    def seqs(self):
        return [json.loads(text)["seq"] for text in self.got if json.loads(text)["kind"] != "chunk"]


def hub_with(feed):
    return Hub(feed, redis=lambda: pytest.fail("no Redis in these tests"))


async def joined(hub, peer, after=0, as_json=True):
    socket = Socket(peer.send, as_json=as_json)
    await hub.join(socket, TOPIC, TENANT, after)
    return socket


def hint(seq, topic=TOPIC, text='{"n": 1}'):
    return feed.frame(topic, seq, "note", datetime(2026, 1, 1, tzinfo=UTC), text).encode()


def test_a_hint_says_its_topic_first():
    for topic in (TOPIC, feed.run_topic(uuid4()), feed.queue_topic(uuid4())):
        assert topic_of(hint(7, topic)) == topic == json.loads(hint(7, topic))["topic"]
    assert json.loads(hint(None))["seq"] is None
    for other in (b"", b"{}", b'{"seq": 1, "topic": "run:1"}', b'{"topic": "run:1'):
        assert topic_of(other) is None


def test_hints_that_nobody_here_listens_to_are_not_read(caplog):
    async def main():
        peer = Peer()
        hub = hub_with(MemoryFeed())
        await joined(hub, peer)
        await hub._take_raw(hint(1))
        await hub._take_raw(hint(1, "run:2", "no JSON"))  # dropped unread
        await hub._take_raw(hint(2))
        assert peer.seqs == [1, 2] and caplog.records == []
        await hub._take_raw(hint(3, text="no JSON"))
        await hub._take_raw(b"no hint")
        assert [record.getMessage()[:24] for record in caplog.records] == ["dropped a malformed hint"] * 2

    asyncio.run(main())


def test_whoever_watches_all_runs_has_every_hint_read():
    async def main():
        taken = []
        hub = hub_with(MemoryFeed())
        hub.firehose = SimpleNamespace(watched=True, take=taken.append)
        await hub._take_raw(hint(1, "run:2"))
        assert [each.topic for each in taken] == ["run:2"]

    asyncio.run(main())


def test_events_arrive_once_and_in_order():
    async def main():
        feed, peer = MemoryFeed(), Peer()
        hub = hub_with(feed)
        await joined(hub, peer)
        for seq in (1, 2, 3):
            feed.add(event(seq))
            await hub.take(event(seq))
            await hub.take(event(seq))  # a hint delivered twice
        assert peer.seqs == [1, 2, 3]
        assert feed.reads == 0  # hints carried everything

    asyncio.run(main())


def test_a_missed_hint_is_read_from_the_feed():
    async def main():
        feed, peer = MemoryFeed(), Peer()
        hub = hub_with(feed)
        await joined(hub, peer)
        feed.add(event(1), event(2), event(3))
        await hub.take(event(3))
        assert peer.seqs == [1, 2, 3]
        await hub.take(event(2))
        assert peer.seqs == [1, 2, 3]

    asyncio.run(main())


def test_repair_finds_what_no_hint_brought():
    async def main():
        feed, peer = MemoryFeed(), Peer()
        hub = hub_with(feed)
        await joined(hub, peer)
        feed.add(event(1), event(2))
        await hub.repair()
        assert peer.seqs == [1, 2]

    asyncio.run(main())


def test_joining_after_a_number_catches_up_and_misses_nothing_that_comes_meanwhile():
    async def main():
        feed, peer = MemoryFeed(), Peer()
        feed.add(*(event(n) for n in range(1, 1201)))  # more than two pages
        hub = hub_with(feed)
        join = asyncio.create_task(joined(hub, peer, after=5))
        await asyncio.sleep(0)
        feed.add(event(1201))
        await hub.take(event(1201))
        await join
        assert peer.seqs == list(range(6, 1202))

    asyncio.run(main())


def test_a_slow_reader_does_not_hold_up_the_others_and_catches_up():
    async def main():
        feed, slow, quick = MemoryFeed(), Peer(), Peer()
        hub = hub_with(feed)
        slow_socket = await joined(hub, slow)
        await joined(hub, quick)
        slow.open.clear()
        for seq in range(1, 400):  # more than the ring holds
            feed.add(event(seq))
            await hub.take(event(seq))
        assert quick.seqs == list(range(1, 400))
        assert slow.seqs == [] and slow_socket.state == "lagging"
        slow.open.set()
        await slow_socket.task
        assert slow.seqs == list(range(1, 400)) and slow_socket.state == "live"
        feed.add(event(400))
        await hub.take(event(400))
        assert slow.seqs[-1] == 400

    asyncio.run(main())


def test_a_lagging_reader_skips_text_that_only_streams():
    async def main():
        feed, slow = MemoryFeed(), Peer()
        hub = hub_with(feed)
        socket = await joined(hub, slow)
        slow.open.clear()
        feed.add(event(1))
        await hub.take(event(1))
        for n in range(50):
            await hub.take(event(None, "chunk", scope="a/model", n=0, attempt=1, text="x" * n))
        slow.open.set()
        await socket.task
        assert slow.got == [slow.got[0]] and slow.seqs == [1]

    asyncio.run(main())


def test_a_socket_whose_peer_is_gone_is_closed_and_the_rest_go_on():
    async def main():
        feed, quick = MemoryFeed(), Peer()
        hub = hub_with(feed)

        async def broken(message):
            raise ConnectionResetError

        gone = Socket(broken, as_json=True)
        await hub.join(gone, TOPIC, TENANT, 0)
        await joined(hub, quick)
        feed.add(event(1))
        await hub.take(event(1))
        assert gone.state == "closed" and quick.seqs == [1]

    asyncio.run(main())


def test_a_page_that_missed_too_much_is_told_to_load_itself_again():
    async def main():
        feed, peer = MemoryFeed(), Peer()
        feed.add(*(event(n) for n in range(1, TOO_FAR + 10)))
        hub = hub_with(feed)
        socket = await joined(hub, peer, after=0, as_json=False)
        assert len(peer.got) == 1 and "data-reset" in peer.got[0]
        assert socket.state == "live"

    asyncio.run(main())


def test_topics_nobody_listens_to_cost_nothing():
    async def main():
        feed, peer = MemoryFeed(), Peer()
        hub = hub_with(feed)
        socket = await joined(hub, peer)
        feed.add(event(1, topic="run:other"))
        await hub.take(event(1, topic="run:other"))
        assert feed.reads == 0
        hub.leave(socket, TOPIC)
        assert hub.sockets == 0
        await hub.take(event(1))
        assert peer.got == []

    asyncio.run(main())


class Wire(Peer):
    """A server's connection that takes ready frames, while its buffer has room."""

    def __init__(self):
        super().__init__()
        self.frames = []

    def put(self, frame):
        if not self.open.is_set():
            return False
        self.frames.append(frame)
        return True


def test_a_frame_is_made_once_and_written_past_the_servers_send_while_there_is_room():
    async def main():
        feed, one, two = MemoryFeed(), Wire(), Wire()
        hub = hub_with(feed)
        await joined(hub, one)
        socket = await joined(hub, two)
        feed.add(event(1))
        await hub.take(event(1))
        assert one.frames == two.frames and one.frames[0] is two.frames[0] and one.got == []
        two.open.clear()
        feed.add(event(2))
        await hub.take(event(2))
        assert socket.state == "lagging" and len(one.frames) == 2 and len(two.frames) == 1
        two.open.set()
        await socket.task
        assert two.seqs == [2] and socket.state == "live"

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_ready_frame_is_what_the_library_would_have_made(size):
    text = "ä" * (size // 2) + "x" * (size % 2)
    server = ServerProtocol()
    server.state = State.OPEN
    server.send_text(text.encode())
    assert text_frame(text) == b"".join(server.data_to_send())
