"""Record the golden journals of teams that are missing. Run by hand, once for each schema version:

.venv/bin/python -m tests.agents.golden.write
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django

Json = Any
STORIES: dict[str, tuple[str, str, dict[str, Json]]] = {  # name: workflow, task, what differs in the body
    "refund-desk": ("refund-desk", "I want a refund of 80 EUR but lost the order number", {}),
    "refund-desk-always": (
        "refund-desk",
        "Refund order A-1001, 250 EUR, it arrived broken",
        {"oversight": {"mode": "ALWAYS", "max_reviews": 3}},
    ),
    "support-triage": ("support-triage", "I was charged twice on invoice INV-2041", {}),
    "change-advisory": ("change-advisory", "Open port 8443 for checkout-api and restart it", {}),
}


def words(ask: Any, asked: int) -> tuple[str, dict[str, Json]]:
    """What the person says: each sort of answer once, in the order in which they are asked."""
    if ask.kind == "question":
        return "respond", {"answer": "It is A-1003"}
    if ask.kind == "tool" and ask.tool == "issue_refund":
        return "edit", {"arguments": {**ask.request["arguments"], "amount": 75.0}, "reason": "used"}
    if ask.kind == "tool" and ask.tool == "restart_service":
        return "reject", {"reason": "Not on a Friday."}
    if ask.kind == "final" and asked == 0:
        return "reject", {"reason": "Too short."}
    if ask.kind == "message" and asked == 1:
        return "edit", {"answer": f"{ask.request.get('content')} (checked)"}
    return "approve", {}


def record(name: str, url: str) -> dict[str, Json]:
    """Play a story to its end; its journal, and what came of it."""
    from console.demo.documents import WORKFLOWS
    from console.durable import SCHEMA_VERSION, Finished, Suspended
    from tests.demo.test_workflows import Desk
    from tests.durable.golden.form import to_json

    slug, task, differs = STORIES[name]
    body = next(workflow.body for workflow in WORKFLOWS if workflow.slug == slug)
    desk = Desk(url, {**body, **differs}, task)
    asked = 0
    while True:
        outcome = desk.advance()
        if isinstance(outcome, Finished):
            break
        assert isinstance(outcome, Suspended), outcome
        ask = min(outcome.parked, key=lambda ask: ask.scope)  # one at a time: before each, the run was parked
        verdict, said = words(ask, asked)
        desk.decide(ask, verdict, **said)
        asked += 1
    return {
        "schema": SCHEMA_VERSION, "autogen": version("autogen-agentchat"), "body": desk.body, "task": task,
        "began": desk.began.isoformat(), "value": outcome.value, "messages": desk.messages,
        "steps": [to_json(step) for step in desk.store.snapshot()],
    }  # fmt: skip


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    from console.durable import SCHEMA_VERSION
    from tests.demo.server import serving

    with serving() as address, tempfile.TemporaryDirectory() as data:
        os.environ["SAYSO_DATA"] = data
        for name in STORIES:
            path = Path(__file__).parent / f"v{SCHEMA_VERSION}_{name}.json"
            if not path.exists():
                path.write_text(json.dumps(record(name, f"{address}/v1"), indent=1) + "\n")
                print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
