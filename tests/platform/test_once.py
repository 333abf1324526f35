"""What a process has one of is made once, however many threads ask first."""

from __future__ import annotations

import threading

import pytest

from console import health, outage
from console.once import once
from console.runs import feed
from console.tenants import limits


def test_threads_that_ask_at_once_get_the_same() -> None:
    made = []
    inside = threading.Barrier(2)

    @once
    def thing() -> object:
        try:
            inside.wait(0.2)  # a second maker would come here, too
        except threading.BrokenBarrierError:
            pass
        made.append(object())
        return made[-1]

    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(thing())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and found == made * 8


def test_what_cannot_be_made_is_tried_again() -> None:
    tries = []

    @once
    def thing() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not yet")
        return 7

    with pytest.raises(OSError, match="not yet"):
        thing()
    assert (thing(), thing(), len(tries)) == (7, 7, 2)


def test_every_redis_client_of_the_process_is_one() -> None:
    for client in (limits._client, health._redis, feed.redis_client, outage._client):
        assert client() is client()
