"""The first lines that ``up`` prints: where to go, who to be, and what to click."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RULE = "-" * 78


def text(url: str, data: Path, demo: dict[str, Any] | None, workers: int, queues: Mapping[str, int]) -> str:
    """The banner; ``demo`` is what ``manage.py demo --json`` prints, None without a demo."""
    lines = [RULE, f"  Sayso is up:  {url}", ""]
    if demo:
        lines += [f"  {'tenant':<12}{'role':<12}{'user name':<26}password"]
        for tenant in demo["tenants"]:
            lines += [
                f"  {tenant['slug']:<12}{user['role']:<12}{user['username']:<26}{user['password']}"
                for user in tenant["users"]
            ]
        first = demo["tenants"][0]
        operator, reviewer = (_named(first, role) for role in ("operator", "reviewer"))
        lines += [
            "",
            "  Click first:",
            f"    1. Log in as {operator}, choose Runs, then Start a run, and pick {first['workflows'][0]}.",
            f"    2. In a second (private) window log in as {reviewer}: the request appears in the queue.",
            "    3. Approve it, and watch the run carry on.",
        ]
    else:
        lines += [
            "  No demo. Make a tenant and its first admin:",
            "    python3 manage.py add_member NAME --role admin --tenant SLUG --tenant-name 'Your Company' "
            f"--data {shlex.quote(str(data))}",
        ]
    dedicated = "".join(f" + {count} for {queue}" for queue, count in queues.items())
    lines += ["", f"  Data: {data}   Workers: {workers}{dedicated}   Stop: Ctrl-C", RULE]
    return "\n".join(lines)


def _named(tenant: dict[str, Any], role: str) -> str:
    return next((user["username"] for user in tenant["users"] if user["role"] == role), role)
