"""The websockets, ``/ws/queue/``, ``/ws/runs/{id}/`` and ``/ws/feed/``: who may listen, and joining them to the hub."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.db import connections

from console.runs.models import Run
from console.tenants import access, display, scopes, sockets
from console.tenants.access import Actor
from console.tenants.models import Role
from console.workflows.reasons import StopReason

from .facts import Filters, Unclear
from .firehose import Watcher
from .frames import hello
from .hub import Hub
from .rounds import AGAIN, FAILED, REVOKED, Rounds
from .seen import Seen
from .sockets import Send, Socket

log = logging.getLogger("sayso.live")

# Authentication of sockets has threads of its own: a thousand tabs that reconnect must not starve the pages.
_auth = ThreadPoolExecutor(max_workers=4, thread_name_prefix="socket-auth")
MALFORMED = 4400


class FeedConsumer(AsyncConsumer):
    """Joins one socket to one topic. It gets no channel of its own: the hub writes to the server's ``send``."""

    channel_layer_alias = "none"  # no such layer, so Channels starts no second task for it
    hub: ClassVar[Hub]
    rounds: ClassVar[Rounds] = Rounds()
    socket: Socket | None = None
    joining: asyncio.Task[None] | None = None
    name = ""
    tenant: UUID

    def topic(self, actor: Actor) -> str:
        """The topic this socket listens to. Raises access.NotFound. Runs in a thread."""
        raise NotImplementedError

    def asked(self, query: dict[str, str]) -> None:
        """Take what else the address says. Raises Unclear."""

    async def open(self, actor: Actor, query: dict[str, str], after_text: str) -> int:
        """Accept, and make the socket; returns after which number it is to hear."""
        # Read before the handshake is answered: who is told that they listen misses nothing from then on.
        after = int(after_text) if after_text else await self.hub.head(self.name, str(actor.tenant.id))
        await self.base_send({"type": "websocket.accept"})
        self.socket = Socket(self._send_of(actor), as_json=query.get("format", "") == "json")
        if self.socket.as_json and not after_text:
            await self.base_send(hello(after))
        return after

    async def join(self, actor: Actor, socket: Socket, after: int) -> None:
        """Join the socket to what it listens to."""
        await self.hub.join(socket, self.name, str(actor.tenant.id), after)

    def leave(self, socket: Socket) -> None:
        """Undo ``join``."""
        self.hub.leave(socket, self.name)

    def changed(self, actor: Actor) -> bool:
        """Whether the socket should be opened anew: what its listener may see is not what it was."""
        return False

    def seen_as(self) -> str:
        """Under which setting of what is shown the socket was opened."""
        return ""

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        parsed = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        query = {name: values[0] for name, values in parsed.items()}
        after_text = query.get("after", "")
        if after_text and not (after_text.isascii() and after_text.isdigit() and len(after_text) <= 18):
            await self._refuse(400, "after: give the sequence number of the last event you have, from 0.")
            return
        try:
            self.asked(query)
        except Unclear as fault:
            await self._refuse(400, str(fault))
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
        after = await self.open(actor, query, after_text)
        assert self.socket is not None  # noqa: S101 - open has made it
        self.tenant = actor.tenant.id
        self.joining = asyncio.create_task(self._begin(actor, self.socket, after))
        self.rounds.add(self._who(), self)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Nothing is taken from a socket: decisions go through forms and the API."""

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        if self.joining is not None:
            self.joining.cancel()
        if self.socket is not None:
            self.rounds.remove(self._who(), self)
            self.leave(self.socket)
        raise StopConsumer

    async def ending(self) -> dict[str, Any] | None:
        """What this socket is to be closed with, because its listener may not listen any more, or sees other things now."""
        try:
            still, _ = await self._in_thread(self._admit)
        except access.NotFound:
            return REVOKED
        if still is None or still.tenant.id != self.tenant:
            return REVOKED
        return AGAIN if self.changed(still) else None

    async def _begin(self, actor: Actor, socket: Socket, after: int) -> None:
        """Join; from then on the hub writes, and the rounds look whether it may."""
        try:
            await self.join(actor, socket, after)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a live socket failed; the page connects again")
            await self.base_send(FAILED)

    def _who(self) -> Hashable:
        """What decides whether it may listen: the feed, and who says that they are whom."""
        headers = dict(self.scope.get("headers", ()))
        return self.name, headers.get(b"authorization"), headers.get(b"cookie"), self.seen_as()

    def _send_of(self, actor: Actor) -> Send:
        """What frames are written to."""
        send: Send = self.scope["sayso.send"]
        return send

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


class ShownConsumer(FeedConsumer):
    """A feed with contents of runs: what the organisation hides from the listener is held back."""

    head = 0

    async def open(self, actor: Actor, query: dict[str, str], after_text: str) -> int:
        if after_text and self.decides(actor) and not display.made(actor, self.now).plain:
            self.head = await self.hub.head(self.name, str(actor.tenant.id))
        return await super().open(actor, query, after_text)

    def _send_of(self, actor: Actor) -> Send:
        self.then, kept = self.now, self.now
        send = super()._send_of(actor)
        if display.made(actor, kept).plain:
            return send
        run = str(self.scope["url_route"]["kwargs"].get("run_id", ""))
        return Seen(send, run, lambda: display.made(actor, kept), self.head if self.decides(actor) else None)

    def decides(self, actor: Actor) -> bool:
        """Whether the setting does not hold here for what this listener is to decide."""
        return False

    def changed(self, actor: Actor) -> bool:
        return self.now != self.then

    def seen_as(self) -> str:
        return json.dumps(self.then, sort_keys=True)


class QueueConsumer(ShownConsumer):
    """The approval queue of the listener's tenant. Reviewers, who decide, see what waits as it is."""

    def topic(self, actor: Actor) -> str:
        self.now = display.kept(actor)
        return f"queue:{actor.tenant.id}"

    def decides(self, actor: Actor) -> bool:
        return actor.role == Role.REVIEWER


class RunConsumer(ShownConsumer):
    """The feed of one run."""

    def topic(self, actor: Actor) -> str:
        run_id: UUID = self.scope["url_route"]["kwargs"]["run_id"]
        access.get(Run, actor, id=run_id)
        self.now = display.kept(actor)
        return f"run:{run_id}"


class FirehoseConsumer(FeedConsumer):
    """Every event of the tenant's runs, batched; JSON alone. See console.live.firehose."""

    NEW = -1  # no number to go on from
    watcher: Watcher | None = None

    def asked(self, query: dict[str, str]) -> None:
        self.filters = Filters.of(query, tuple(StopReason))
        self.epoch = query.get("epoch", "")

    def topic(self, actor: Actor) -> str:
        self.now = display.kept(actor)
        return f"feed:{actor.tenant.id}"

    def changed(self, actor: Actor) -> bool:
        return self.now != self.then

    def seen_as(self) -> str:
        return json.dumps(self.then, sort_keys=True)

    async def open(self, actor: Actor, query: dict[str, str], after_text: str) -> int:
        await self.base_send({"type": "websocket.accept"})
        self.then = self.now
        shown = display.made(actor, self.now)
        blots = json.dumps(self.now, sort_keys=True) if shown.shown and not shown.plain else ""
        self.filters = replace(self.filters, untitled=not shown.shown, blots=blots)
        self.socket = Socket(self.scope["sayso.send"], as_json=True)
        return int(after_text) if after_text else self.NEW

    async def join(self, actor: Actor, socket: Socket, after: int) -> None:
        assert self.hub.firehose is not None  # noqa: S101 - make_hub gives it one
        self.watcher = Watcher(socket, str(actor.tenant.id), self.filters)
        await self.hub.firehose.join(self.watcher, None if after == self.NEW else after, self.epoch)

    def leave(self, socket: Socket) -> None:
        if self.watcher is not None and self.hub.firehose is not None:
            self.hub.firehose.leave(self.watcher)


def _same_origin(scope: dict[str, Any]) -> bool:
    """A browser's socket carries its cookie wherever it was opened from, so its Origin must be this host."""
    headers = dict(scope.get("headers", []))
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin or b"authorization" in headers:
        return True
    return urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1")
