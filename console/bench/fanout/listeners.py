"""The other process: ``python -m console.bench.fanout.listeners``. Many websockets on raw sockets and one epoll.

It must cost little beside the server that it measures: a frame is not parsed as JSON, only its number and its time are
looked for. Times are CLOCK_MONOTONIC, which the processes of a machine share.

Reads one JSON object from its standard input (host, port, path, tokens, sockets, messages, seconds), prints ``ready`` when
all are connected, and at the end one object: see ``listen``.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import socket
import sys
import time
from array import array
from dataclasses import dataclass
from typing import Any

from console import startup

AT_ONCE = 100  # handshakes under way
NUMBER, MOMENT = b'"seq": ', b'"sent": '
CHUNK = 262_144  # bytes read at once


class Broken(RuntimeError):
    """The server did not do what was expected of it."""


@dataclass(slots=True)
class Listener:
    """One socket: the number of its last message, and the beginning of the next."""

    door: socket.socket
    last: int = 0
    heard: int = 0
    rest: bytes = b""


@dataclass(slots=True)
class Heard:
    """What all of them heard. Times in seconds."""

    taken: array[float]
    gaps: int = 0  # messages that came out of their turn, or after one that did not come


def connect(host: str, port: int, path: str, tokens: list[str], count: int) -> list[Listener]:
    """So many open websockets. Raises Broken where one is refused."""
    made: list[Listener] = []
    token = itertools.cycle(tokens)
    while len(made) < count:
        batch = [socket.create_connection((host, port), timeout=60) for _ in range(min(AT_ONCE, count - len(made)))]
        for door in batch:
            door.sendall(_request(host, port, path, next(token)))
        for door in batch:
            answer = b""
            while b"\r\n\r\n" not in answer:
                more = door.recv(4096)
                if not more:
                    raise Broken(f"the server hung up: {answer[:300]!r}")
                answer += more
            head, _, rest = answer.partition(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise Broken(f"the server refused a websocket: {head[:300]!r}")
            door.setblocking(False)
            made.append(Listener(door, rest=rest))
    return made


def _request(host: str, port: int, path: str, token: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: Bearer {token}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def listen(listeners: list[Listener], messages: int, seconds: float) -> Heard:
    """Hear until each has had so many messages, or the time is over."""
    heard = Heard(array("d"))
    poll = select.epoll()
    by_number = {each.door.fileno(): each for each in listeners}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    for each in listeners:  # what came together with the handshake's answer
        _take(each, b"", heard)
    left = len(listeners)
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        for number, _ in poll.poll(0.2, 512):
            each = by_number[number]
            try:
                data = each.door.recv(CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                poll.unregister(number)
                left -= 1
                continue
            before = each.heard
            _take(each, data, heard)
            if before < messages <= each.heard:
                left -= 1
    poll.close()
    return heard


def _take(each: Listener, data: bytes, heard: Heard) -> None:
    """Look at each whole frame in what a socket got."""
    data = each.rest + data
    start = 0
    while len(data) >= start + 4:
        length, head = data[start + 1], 2
        if length == 126:
            length, head = int.from_bytes(data[start + 2 : start + 4], "big"), 4
        elif length == 127:
            if len(data) < start + 10:
                break
            length, head = int.from_bytes(data[start + 2 : start + 10], "big"), 10
        end = start + head + length
        if len(data) < end:
            break
        _message(each, data, start + head, end, heard)
        start = end
    each.rest = data[start:]


def _message(each: Listener, data: bytes, start: int, end: int, heard: Heard) -> None:
    place = data.find(MOMENT, start, end)
    if place < 0:
        return  # the first object, which says where the topic stands
    begin = place + len(MOMENT)
    sent = int(data[begin : data.index(b",", begin, end)])
    begin = data.index(NUMBER, start, end) + len(NUMBER)
    number = int(data[begin : data.index(b",", begin, end)])
    heard.taken.append(time.monotonic() - sent / 1e9)
    heard.gaps += bool(each.last) and number != each.last + 1
    each.last = number
    each.heard += 1


def main() -> None:
    """Connect, say so, hear, and print: deliveries, gaps, sockets that are complete, CPU seconds, and times in ms."""
    startup.raise_files()
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    listeners = connect(asked["host"], asked["port"], asked["path"], asked["tokens"], asked["sockets"])
    print("ready", flush=True)
    began = time.process_time()
    heard = listen(listeners, asked["messages"], asked["seconds"])
    spent = time.process_time() - began
    ordered = sorted(heard.taken)

    def at(percent: float) -> float:
        place = min(len(ordered) - 1, int(len(ordered) * percent / 100)) if ordered else 0
        return round(ordered[place] * 1000, 2) if ordered else 0.0

    found = {
        "deliveries": len(ordered),
        "gaps": heard.gaps,
        "complete": sum(each.heard >= asked["messages"] for each in listeners),
        "cpu_s": round(spent, 2),
        "ms": {"p50": at(50), "p95": at(95), "p99": at(99), "max": at(100)},
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
