"""HTTP tools: the arguments go out as the JSON body of a POST, with the idempotency key; what comes back is the result."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from django.conf import settings

from console.agents.tools import RESULT_LIMIT, NoAnswer, Unavailable
from console.workflows import egress

Json = Any

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


class Failed(Exception):
    """The tool answered that it cannot do this."""


async def check(url: str) -> None:
    """Raises Unavailable when this address must not be called. The name service is asked off the loop."""
    fault = await asyncio.to_thread(egress.fault, url, settings.SAYSO_EGRESS_ALLOW)
    if fault:
        raise Unavailable(fault)


async def call(url: str, headers: Mapping[str, str], arguments: Json, key: str, seconds: float) -> Json:
    """POST ``arguments`` to ``url``. Raises Failed, Unavailable and NoAnswer. Redirects are not followed."""
    await check(url)
    sent = {"Idempotency-Key": key, **headers}
    try:
        async with _client().stream("POST", url, json=arguments, headers=sent, timeout=seconds) as response:
            body = await _read(response)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
        raise Unavailable(f"it cannot be reached ({type(error).__name__})") from error
    except httpx.HTTPError as error:
        raise NoAnswer(f"no answer came ({type(error).__name__}); it may have done it all the same") from error
    said = _said(body)
    if response.status_code == 429 or response.status_code in (502, 503):
        raise Unavailable(f"it answered HTTP {response.status_code}: {_short(said)}")
    if response.status_code >= 500:
        raise NoAnswer(f"it answered HTTP {response.status_code}, and may have done it all the same: {_short(said)}")
    if not 200 <= response.status_code < 300:
        raise Failed(f"it answered HTTP {response.status_code}: {_short(said)}")
    return said


async def _read(response: httpx.Response) -> bytes:
    """The body, or its beginning when it is longer than anybody will get to read."""
    found = bytearray()
    async for chunk in response.aiter_bytes():
        found += chunk
        if len(found) > RESULT_LIMIT:
            break
    return bytes(found)


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
