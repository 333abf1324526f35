"""A small MCP server for tests, over standard input and output: it writes down what it was asked to do."""

import os
import sys
from pathlib import Path

from mcp.server.fastmcp import FastMCP

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


if __name__ == "__main__":
    server.run()
