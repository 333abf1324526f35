"""Sessions with MCP servers. Imported when one is needed: the mcp package takes a second and a half to import.

A call says where it stands in its run's trace: ``traceparent`` and ``tracestate`` in the ``_meta`` of its parameters, which
every transport carries, and over HTTP in the headers of its requests, too.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import get_default_environment, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import McpError
from mcp.types import CallToolResult, TextContent

from console.agents import whence
from console.agents.tools import NoAnswer, Unavailable
from console.workflows import http_tool
from console.workflows.mcp_server import STARTING, Place, command_fault

Json = Any
T = TypeVar("T")

MOST = 8 * 1024 * 1024  # bytes of an answer over HTTP
LISTENING = 300.0  # seconds that a server's stream may be silent; a call's own limit comes before that


async def tools(place: Place) -> list[dict[str, Json]]:
    """See mcp_server.tools."""

    async def ask(session: ClientSession) -> list[dict[str, Json]]:
        listed = await session.list_tools()
        return [{"name": t.name, "description": t.description or t.name, "schema": t.inputSchema} for t in listed.tools]

    return await _with(place, STARTING, ask)


async def call(place: Place, name: str, arguments: Json, key: str, seconds: float) -> Json:
    """See mcp_server.call."""
    sent = False
    meta = {"sayso/idempotency-key": key, **whence.trace()}

    async def ask(session: ClientSession) -> CallToolResult:
        nonlocal sent
        sent = True
        return await session.call_tool(name, arguments, read_timeout_seconds=timedelta(seconds=seconds), meta=meta)

    try:
        result = await _with(place, seconds + STARTING, ask)
    except Unavailable as error:
        if sent:
            raise NoAnswer(f"{error}; it may have done it all the same") from error
        raise
    said = _said(result)
    if result.isError:
        raise http_tool.Failed(said if isinstance(said, str) else str(said))
    return said


async def _with(place: Place, seconds: float, ask: Callable[[ClientSession], Coroutine[Any, Any, T]]) -> T:
    """What ``ask`` gets from a session with the server. Whatever goes wrong on the way is Unavailable."""
    try:
        async with asyncio.timeout(seconds), _streams(place) as (reading, writing):
            async with ClientSession(reading, writing) as session:
                await session.initialize()
                return await ask(session)
    except Unavailable:
        raise
    except TimeoutError as error:
        raise Unavailable(f"the server did not answer within {seconds:.0f} s") from error
    except McpError as error:
        raise Unavailable(f"the server said: {error}") from error
    except BaseExceptionGroup as group:
        found = _first(group)
        if isinstance(found, Unavailable):
            raise found from group
        if isinstance(found, asyncio.CancelledError):
            raise found from group
        raise Unavailable(f"the server cannot be reached: {type(found).__name__}: {found}") from group
    except (OSError, httpx.HTTPError, ValueError, RuntimeError) as error:
        raise Unavailable(f"the server cannot be reached: {type(error).__name__}: {error}") from error


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


@asynccontextmanager
async def _streams(place: Place) -> AsyncIterator[tuple[Any, Any]]:
    if place.url:
        await http_tool.check(place.url)
        timeout = httpx.Timeout(STARTING, read=LISTENING)
        # One session for one call: all of its requests are the step's.
        headers = {"Accept-Encoding": "identity", **whence.headers(), **place.secrets}
        async with httpx.AsyncClient(headers=headers, timeout=timeout, transport=Bounded()) as client:
            async with streamable_http_client(place.url, http_client=client) as (reading, writing, _):
                yield reading, writing
        return
    fault = command_fault(place.command)
    if fault:
        raise Unavailable(fault)
    words = shlex.split(place.command)
    environment = {**get_default_environment(), **place.secrets}
    with open(os.devnull, "w") as nowhere:
        parameters = StdioServerParameters(command=words[0], args=words[1:], env=environment)
        async with stdio_client(parameters, errlog=nowhere) as (reading, writing):
            yield reading, writing


class Bounded(httpx.AsyncHTTPTransport):
    """Reads of no answer more than ``MOST``: the mcp package would hold all of it in memory."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, with a body that ends in an error where it is too long."""
        response = await super().handle_async_request(request)
        response.stream = _Counted(response.stream)  # type: ignore[arg-type]  # asynchronous, as the transport is
        return response


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MOST:
                raise httpx.ReadError(f"the answer is longer than {MOST} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _said(result: CallToolResult) -> Json:
    if result.structuredContent is not None:
        return result.structuredContent
    texts = [part.text if isinstance(part, TextContent) else f"[{part.type}]" for part in result.content]
    return "\n".join(texts)
