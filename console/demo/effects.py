"""What the demo's tools do to the world: a line in a file, outside of everything that Sayso keeps.

Each effect appends one JSON line to ``effects.jsonl`` in the instance's data directory. The file is the demo's bank and
its data centre: whoever doubts that an effect happened once counts lines there.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def path() -> Path:
    """The file: ``effects.jsonl`` under ``SAYSO_DATA`` (default ``.sayso``)."""
    return Path(os.environ.get("SAYSO_DATA") or ".sayso") / "effects.jsonl"


def record(tool: str, key: str, arguments: dict[str, Any]) -> None:
    """Append one effect. One write to a file opened for appending: lines of several processes never mix."""
    at = datetime.now(UTC).isoformat()
    line = json.dumps({"at": at, "tool": tool, "key": key, "arguments": arguments}) + "\n"
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def recorded() -> list[dict[str, Any]]:
    """Every effect so far, oldest first."""
    try:
        return [json.loads(line) for line in path().read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
