"""The ASGI application: HTTP to Django, behind a small gate; websockets to ``console.live``."""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
os.environ.setdefault("SAYSO_DB_POOL", "8")

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import re_path  # noqa: E402

django_application = get_asgi_application()

# After Django is set up: consumers import models.
from console.live.routing import DirectSend, NoSuchSocket, websocket_urlpatterns  # noqa: E402
from console.startup import Lifespan  # noqa: E402

HTTP_AT_ONCE = 8  # Django makes a thread per request; more than this many only wait for each other and starve sockets


class Gate:
    """Lets ``limit`` HTTP requests into ``app`` at once; the rest wait their turn on the event loop, without a thread."""

    def __init__(self, app: Any, limit: int) -> None:
        self.app = app
        self.semaphore = asyncio.Semaphore(limit)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        async with self.semaphore:
            await self.app(scope, receive, send)


lifespan = Lifespan()
application = DirectSend(
    ProtocolTypeRouter(
        {
            "http": Gate(django_application, HTTP_AT_ONCE),
            "websocket": URLRouter([*websocket_urlpatterns, re_path(r"", NoSuchSocket())]),
            "lifespan": lifespan,
        }
    )
)
lifespan.closing = [application.hub.stop]
