"""The hub's way to Postgres: events after a sequence number, and where topics stand. Reads in threads of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connections
from redis.asyncio import Redis

from console.runs import feed
from console.runs.models import FeedTopic, Run
from console.tenants import scopes
from console.tenants.masks import Masker

from .facts import RunFacts
from .firehose import Firehose
from .frames import Event
from .hub import Hub

T = TypeVar("T")
WEB_HEARTBEATS = "sayso:web:"  # keys that live web processes keep from expiring
WEB_TTL = 10  # seconds
_readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="live-feed")


class PostgresFeed:
    """The feed table, as the hub needs it."""

    async def after(self, topic: str, tenant: str, seq: int, limit: int) -> list[Event]:
        """At most ``limit`` events of a topic after ``seq``, in order."""

        def read() -> list[Event]:
            with scopes.tenant_scope(UUID(tenant)):
                events = feed.events(topic, seq, limit)
                return [Event(each.topic, each.seq, each.kind, each.at.isoformat(), each.payload) for each in events]

        return await _in_thread(read)

    async def last(self, topics: list[tuple[str, str]]) -> dict[str, int]:
        """The last sequence number of each topic that has one."""
        if not topics:
            return {}
        names = [name for name, _ in topics]

        def read() -> dict[str, int]:
            with scopes.system_scope("live feed: where topics stand"):
                return dict(FeedTopic.objects.filter(name__in=names).values_list("name", "last_seq"))

        return await _in_thread(read)


def make_hub() -> Hub:
    """The hub of this process."""
    return Hub(PostgresFeed(), _redis, Firehose(runs, blotted), _beat)


async def _beat(hub: Hub) -> None:
    """Say how many listen to this process, for the page of operations."""
    said = json.dumps({"sockets": hub.sockets, "lagging": hub.lagging, "at": time.time()})
    key = f"{WEB_HEARTBEATS}{socket.gethostname()}:{os.getpid()}"
    await asyncio.to_thread(feed.redis_client().set, key, said, ex=WEB_TTL)


async def runs(ids: list[str]) -> dict[str, RunFacts]:
    """Of which tenant and workflow these runs are; those that are gone are left out."""

    def read() -> dict[str, RunFacts]:
        with scopes.system_scope("live feed: whose runs these are"):
            rows = Run.objects.filter(id__in=ids).values_list("id", "tenant_id", "workflow__slug", "title")
            return {str(key): RunFacts(str(tenant), slug, title) for key, tenant, slug, title in rows}

    return await _in_thread(read)


async def blotted(setting: str, titles: list[str]) -> dict[str, str]:
    """Titles as they are shown under a setting of the organisation (JSON). A pattern of its own may take its time."""
    kept = json.loads(setting)

    def look() -> dict[str, str]:
        masker = Masker(kept["masks"], kept["patterns"])
        return {title: masker.text(title) for title in titles}

    return await asyncio.to_thread(look)


def _redis() -> Redis:
    # No read timeout: a quiet feed is not a dead one. The keepalive notices a peer that is gone.
    return Redis.from_url(settings.REDIS_URL, socket_timeout=None, health_check_interval=15)


async def _in_thread(work: Callable[[], T]) -> T:
    def call() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_readers, call)
