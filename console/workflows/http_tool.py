"""HTTP tools: the arguments go out as the JSON body of a POST, with the idempotency key; what comes back is the result.

Connecting has a limit of its own, far below the call's. Of the answer no more is read, or unpacked, than is kept.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from django.conf import settings

from console.agents import whence
from console.agents.pacing import retry_after
from console.agents.results import RESULT_LIMIT
from console.agents.tools import Failed, NoAnswer, Unavailable
from console.workflows import egress

__all__ = ["Failed", "call", "check", "close"]

Json = Any
CONNECTING = 5.0  # seconds

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


async def check(url: str) -> None:
    """Raises Unavailable when this address must not be called. The name service is asked off the loop."""
    try:
        async with asyncio.timeout(CONNECTING):
            fault = await asyncio.to_thread(egress.fault, url, settings.SAYSO_EGRESS_ALLOW)
    except TimeoutError as error:
        raise Unavailable("the name service does not answer", cause="connect_timeout") from error
    if fault:
        raise Unavailable(fault, cause="not_allowed", again=False)


async def call(url: str, headers: Mapping[str, str], arguments: Json, key: str, seconds: float) -> Json:
    """POST ``arguments`` to ``url``. Raises Failed, Unavailable and NoAnswer. Redirects are not followed."""
    await check(url)
    sent = {"Idempotency-Key": quote(key), "Accept-Encoding": "identity", **whence.headers(), **headers}
    timeout = httpx.Timeout(seconds, connect=min(CONNECTING, seconds), pool=min(CONNECTING, seconds))
    try:
        async with _client().stream("POST", url, json=arguments, headers=sent, timeout=timeout) as response:
            body = await _read(response)
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Unavailable(f"it cannot be reached ({type(error).__name__})", cause="connect_timeout") from error
    except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
        raise Unavailable(f"it cannot be reached ({type(error).__name__})", cause="connection") from error
    except httpx.HTTPError as error:
        cause = "timeout" if isinstance(error, httpx.TimeoutException) else "no_answer"
        said = f"no answer came ({type(error).__name__}); it may have done it all the same"
        raise NoAnswer(said, cause=cause) from error
    _judge(response, _said(body))
    return _said(body)


def quote(key: str) -> str:
    """An idempotency key as a header can carry it: ASCII without control characters."""
    return key if key.isascii() and key.isprintable() else key.encode("unicode_escape").decode()


def _judge(response: httpx.Response, said: Json) -> None:
    """Raises what an answer that is no success means.

    Only what says by itself that nothing was accepted counts as not done: asked too often, or out of order for a time
    that it names. A gateway's word about what is behind it does not.
    """
    code = response.status_code
    if 200 <= code < 300:
        return
    wait = retry_after(response.headers, datetime.now(UTC))
    if code == 429 or (code == 503 and wait is not None):
        raise Unavailable(f"it answered HTTP {code}: {_short(said)}", cause=f"http_{code}", wait=wait)
    if code in (303, 408) or code >= 500:  # 303: the answer is elsewhere, which says nothing of what was done
        answered = f"it answered HTTP {code}, and may have done it all the same: {_short(said)}"
        raise NoAnswer(answered, cause=f"http_{code}", wait=wait)
    raise Failed(f"it answered HTTP {code}: {_short(said)}")


async def _read(response: httpx.Response) -> bytes:
    """The body, or its beginning when it is longer than anybody will get to read. Raises httpx.DecodingError."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "deflate"):
        raise httpx.DecodingError(f"the answer is packed as {packing[:40]}")
    unpack = None if packing in ("identity", "") else zlib.decompressobj(47 if packing == "gzip" else 15)
    found = bytearray()
    async for chunk in response.aiter_raw(64 * 1024):
        try:
            found += chunk if unpack is None else unpack.decompress(chunk, 2 * RESULT_LIMIT)
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error
        if len(found) > RESULT_LIMIT:
            break
    return bytes(found[: 2 * RESULT_LIMIT])


def _said(body: bytes) -> Json:
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _short(said: Json) -> str:
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return text[:500]


async def close() -> None:
    """Close the running loop's client."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


def _client() -> httpx.AsyncClient:
    """One for each event loop: making one reads all certificates. Made in an empty context, since runs share it."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        client = _clients[loop] = contextvars.Context().run(lambda: httpx.AsyncClient(trust_env=False))
    return client
