"""What the processes say, line by line, with the time and who said it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from datetime import UTC, datetime

_COLOURS = {"postgres": 34, "valkey": 31, "web": 32, "beat": 35, "model": 36}


class Log:
    """Prints prefixed lines; held back until :meth:`open`, so that what a newcomer needs is printed first."""

    def __init__(self) -> None:
        self.opened = False
        self.kept: deque[str] = deque(maxlen=400)
        self.colour = sys.stdout.isatty()
        self.json = (os.environ.get("SAYSO_LOG_FORMAT") or os.environ.get("SAYSO_LOG", "text")) == "json"

    def line(self, name: str, text: str) -> None:
        """One line from ``name``. Where processes write JSON, so does this: it says which of them it was."""
        if self.json:
            self.keep(_as_json(name, text))
            return
        now = datetime.now().astimezone()  # for the person at the terminal: local time
        prefix = f"{now:%H:%M:%S} {name:<9}|"
        if self.colour:
            prefix = f"\x1b[{_COLOURS.get(name.rstrip('0123456789'), 33)}m{prefix}\x1b[0m"
        self.keep(f"{prefix} {text}")

    def keep(self, line: str) -> None:
        """Print a line, or hold it back until :meth:`open`."""
        if self.opened:
            self.write(line)
        else:
            self.kept.append(line)

    def open(self, *, replay: bool) -> None:
        """Print from now on; with ``replay`` also what was held back (for when starting failed)."""
        self.opened = True
        while replay and self.kept:
            self.write(self.kept.popleft())
        self.kept.clear()

    def write(self, text: str) -> None:
        """Plain text to standard output. A reader that went away stops the printing, not the instance."""
        try:
            print(text, flush=True)
        except (BrokenPipeError, ValueError, OSError):
            self.opened = False

    async def follow(self, name: str, stream: asyncio.StreamReader) -> None:
        """Print ``stream`` until it ends. Lines longer than the reader's limit are printed in pieces."""
        while True:
            try:
                raw = await stream.readline()
            except ValueError:  # over the limit: the reader has dropped it
                raw = b"(a very long line)\n"
            if not raw:
                return
            self.line(name, raw.decode(errors="replace").rstrip())


def _as_json(name: str, text: str) -> str:
    """A process's line as a JSON object that names it; its own words where it wrote none."""
    if text.startswith("{") and text.endswith("}"):
        return f'{{"process": {json.dumps(name)}, {text[1:]}' if text != "{}" else json.dumps({"process": name})
    return json.dumps({"process": name, "event": text, "timestamp": datetime.now(UTC).isoformat()})
