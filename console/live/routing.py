"""The websocket routes, and the two wrappers that put the hub at their disposal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.urls import path

from .consumers import FeedConsumer, FirehoseConsumer, QueueConsumer, RunConsumer
from .store import make_hub

Scope = dict[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

websocket_urlpatterns = [
    path("ws/queue/", QueueConsumer.as_asgi()),
    path("ws/feed/", FirehoseConsumer.as_asgi()),
    path("ws/runs/<uuid:run_id>/", RunConsumer.as_asgi()),
]


class NoSuchSocket:
    """Answers 404 for a websocket path that is none of ours, instead of an error in the log."""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if "websocket.http.response" in scope.get("extensions", {}):
            await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"There is no such feed here."})
        else:
            await send({"type": "websocket.close", "code": 4404})


class DirectSend:
    """The outermost ASGI wrapper: hands the server's own ``send`` to consumers, and starts the hub with the first.

    The hub belongs to the event loop that serves, so it begins with the first websocket on it rather than at import.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.hub = make_hub()
        FeedConsumer.hub = self.hub

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            scope["sayso.send"] = send
            await self.hub.start()
        await self.application(scope, receive, send)
