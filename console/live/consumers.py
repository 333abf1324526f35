"""The two websockets, ``/ws/queue/`` and ``/ws/runs/{id}/``: who may listen, and joining them to the hub."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.db import connections

from console.runs.models import Run
from console.tenants import access, scopes, sockets
from console.tenants.access import Actor

from .frames import hello
from .hub import Hub, Socket

log = logging.getLogger("sayso.live")

# Authentication of sockets has threads of its own: a thousand tabs that reconnect must not starve the pages.
_auth = ThreadPoolExecutor(max_workers=4, thread_name_prefix="socket-auth")
CHECK_EVERY = 15.0  # seconds between looks at whether a listener may still listen
REVOKED = {"type": "websocket.close", "code": 4403, "reason": "access was taken away"}
MALFORMED = 4400


class FeedConsumer(AsyncConsumer):
    """Joins one socket to one topic. It gets no channel of its own: the hub writes to the server's ``send``."""

    channel_layer_alias = "none"  # no such layer, so Channels starts no second task for it
    hub: ClassVar[Hub]

    def topic(self, actor: Actor) -> str:
        """The topic this socket listens to. Raises access.NotFound. Runs in a thread."""
        raise NotImplementedError

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        self.socket: Socket | None = None
        self.name = ""
        self.watch: asyncio.Task[None] | None = None
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        after_text = query.get("after", [""])[0]
        if after_text and not (after_text.isascii() and after_text.isdigit() and len(after_text) <= 18):
            await self._refuse(400, "after: give the sequence number of the last event you have, from 0.")
            return
        if not _same_origin(self.scope):
            await self._refuse(403, "Origin: this page may not listen here; open the console at its own address.")
            return
        try:
            actor, self.name = await self._in_thread(self._admit)
        except access.NotFound:
            await self._refuse(404, "There is no such feed here.")
            return
        if actor is None:
            await self._refuse(401, "Authorization: log in, or send a valid bearer token.")
            return
        # Read before the handshake is answered: who is told that they listen misses nothing from then on.
        after = int(after_text) if after_text else await self.hub.head(self.name, str(actor.tenant.id))
        await self.base_send({"type": "websocket.accept"})
        self.socket = Socket(self.scope["sayso.send"], as_json=query.get("format", [""])[0] == "json")
        if self.socket.as_json and not after_text:
            await self.base_send(hello(after))
        self.watch = asyncio.create_task(self._watch(actor, self.socket, after))

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Nothing is taken from a socket: decisions go through forms and the API."""

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        if self.watch is not None:
            self.watch.cancel()
        if self.socket is not None:
            self.hub.leave(self.socket, self.name)
        raise StopConsumer

    async def _watch(self, actor: Actor, socket: Socket, after: int) -> None:
        """Join, then look now and again whether this listener is still a member."""
        try:
            await self.hub.join(socket, self.name, str(actor.tenant.id), after)
            while True:
                await asyncio.sleep(CHECK_EVERY)
                if socket.state == "closed":
                    return
                still, _ = await self._in_thread(self._admit)
                if still is None or still.tenant.id != actor.tenant.id:
                    await self.base_send(REVOKED)
                    return
        except access.NotFound:
            await self.base_send(REVOKED)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a live socket failed; the page connects again")
            await self.base_send({"type": "websocket.close", "code": 1011})

    def _admit(self) -> tuple[Actor | None, str]:
        try:
            actor = sockets.actor_for_websocket(self.scope)
            if actor is None:
                return None, ""
            with scopes.tenant_scope(actor.tenant):
                return actor, self.topic(actor)
        finally:
            connections.close_all()

    async def _in_thread(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(_auth, work)

    async def _refuse(self, status: int, detail: str) -> None:
        """Answer the handshake with an HTTP status where the server can, else close before accepting."""
        if "websocket.http.response" in self.scope.get("extensions", {}):
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await self.base_send({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await self.base_send({"type": "websocket.http.response.body", "body": detail.encode()})
        else:
            await self.base_send({"type": "websocket.close", "code": MALFORMED})


class QueueConsumer(FeedConsumer):
    """The approval queue of the listener's tenant."""

    def topic(self, actor: Actor) -> str:
        return f"queue:{actor.tenant.id}"


class RunConsumer(FeedConsumer):
    """The feed of one run."""

    def topic(self, actor: Actor) -> str:
        run_id: UUID = self.scope["url_route"]["kwargs"]["run_id"]
        access.get(Run, actor, id=run_id)
        return f"run:{run_id}"


def _same_origin(scope: dict[str, Any]) -> bool:
    """A browser's socket carries its cookie wherever it was opened from, so its Origin must be this host."""
    headers = dict(scope.get("headers", []))
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin or b"authorization" in headers:
        return True
    return urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1")
