"""The baseline: ``python -m console.bench.fanout.stock --port N``, a web process that fans out as Channels' manual does.

Its consumers are stock ``AsyncWebsocketConsumer``s in one group. It is spared what the product does besides: nobody is
asked who they are, nothing is numbered or repaired, and the group's layer is Channels' own in memory, so that no message
goes to Redis and back for each socket. Hints of the feed reach it as they reach the product.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

import django  # noqa: E402

django.setup()

import uvicorn  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from django.conf import settings  # noqa: E402
from redis.asyncio import Redis  # noqa: E402

from console import startup  # noqa: E402
from console.runs.feed import CHANNEL  # noqa: E402
from console.up.listen import listener  # noqa: E402

GROUP = "fanout"


class Consumer(AsyncWebsocketConsumer):
    """One socket of the group."""

    channel_layer_alias = "default"

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def fanout_message(self, event: dict[str, Any]) -> None:
        """What ``group_send`` brings."""
        await self.send(text_data=event["text"])


async def _listen(layer: Any) -> None:
    client = Redis.from_url(settings.REDIS_URL, socket_timeout=None)
    async with client.pubsub() as subscription:
        await subscription.subscribe(CHANNEL)
        async for message in subscription.listen():
            if message["type"] == "message":
                hint = json.loads(message["data"])
                if "sent" not in hint["payload"]:
                    continue
                text = json.dumps({"seq": hint["seq"], "kind": hint["kind"], "at": hint["at"], "data": hint["payload"]})
                await layer.group_send(GROUP, {"type": "fanout.message", "text": text})


async def _serve(port: int) -> None:
    socket_app = Consumer.as_asgi()
    listening: list[asyncio.Task[None]] = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            if not listening:
                listening.append(asyncio.create_task(_listen(get_channel_layer())))
            await socket_app(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(
        application, lifespan="off", ws="websockets-sansio", ws_per_message_deflate=False, log_config=None,
        access_log=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    startup.settle()
    await uvicorn.Server(config).serve(sockets=[listener("127.0.0.1", port)])


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    startup.raise_files()
    asyncio.run(_serve(port))


if __name__ == "__main__":
    main()
