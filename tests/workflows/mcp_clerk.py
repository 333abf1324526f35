"""A small MCP server for tests: it writes down what it was asked to do.

``mcp_clerk.py BOOK`` speaks over standard input and output; ``mcp_clerk.py BOOK FD`` over HTTP, on
a socket that listens already, to whoever has the key.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("clerk")
ledger = Path(sys.argv[1])


@server.tool()
def write_down(text: str) -> str:
    """Write a line into the book."""
    with ledger.open("a") as book:
        book.write(text + "\n")
    return f"Written: {text}"


@server.tool()
def read_book() -> str:
    """Read the book."""
    return ledger.read_text() if ledger.exists() else ""


@server.tool()
def whence(ctx: Context[Any, Any, Any]) -> str:
    """Where the call comes from: what its parameters say of it, and over HTTP its headers."""
    meta = ctx.request_context.meta
    said = (meta.model_extra or {}) if meta is not None else {}
    request = ctx.request_context.request
    header = request.headers.get("traceparent", "") if request is not None else ""
    return f"{said.get('traceparent', '')} {said.get('sayso/idempotency-key', '')} {header}".strip()


@server.tool()
def tear() -> str:
    """Fail."""
    raise ValueError("The page is torn.")


@server.tool()
def vanish(text: str) -> str:
    """Do it, and be gone before anybody hears of it."""
    write_down(text)
    os._exit(1)


@server.tool()
def secrets() -> str:
    """What of our environment it was given."""
    return ",".join(sorted(name for name in os.environ if name.startswith("SAYSO") or name == "BOOK_KEY"))


def only_with_the_key(app: Any) -> Any:
    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (b"authorization", b"Bearer hush") not in scope["headers"]:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"no key"})
            return
        await app(scope, receive, send)

    return guarded


if __name__ == "__main__":
    if len(sys.argv) > 2:
        config = uvicorn.Config(only_with_the_key(server.streamable_http_app()), log_level="critical")
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
    else:
        server.run()
