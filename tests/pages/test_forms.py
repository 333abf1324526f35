"""Every field of every form that configures, filled with what nobody meant: a fault is shown, and never a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from console.runs.models import Run
from tests.agents.stage import agent, team
from tests.approvals.desk import Desk
from tests.workflows.waiving import waive
from tests.world import World

TEAM = team("RoundRobinGroupChat", agent("a"))
FORMS: dict[str, dict[str, str]] = {
    "/workflows/refund-desk/canary/": {"do": "start", "revision": "2", "share": "5", "sources": "a", "t:min_runs": "5"},
    "/workflows/refund-desk/promote/": {"number": "2", "reason": "why"},
    "/workflows/refund-desk/name/": {"name": "Refunds", "description": "Pays back."},
    "/workflows/refund-desk/queue/": {"queue": "payments"},
    "/workflows/refund-desk/smoke/": {"do": "keep", "cases": '[{"name": "x", "input": "y"}]', "number": "2"},
    "/workflows/refund-desk/hears/": {"agent": "a", "filters": "[]", "context": "", "buffer_size": "3", "run": "x"},
    "/workflows/refund-desk/oversight/": {
        "revision": "2", "mode": "NEVER", "stage:a": "ALWAYS", "max_reviews": "3", "reason": "why",
    },
    "/workflows/refund-desk/waivers/": {"stage": "a", "risk_assessment": "x" * 60, "expires_at": "2027-01-01"},
    "/workflows/refund-desk/waivers/{waiver}/": {"do": "revoke", "why": "why"},
    "/workflows/import/": {
        "document": json.dumps(TEAM), "step": "save", "name": "New", "workflow": "", "mode": "NEVER", "reason": "why",
        "map:x": "y",
    },
    "/tools/": {
        "name": "sms", "kind": "http", "url": "https://sms.example.com", "effect": "neither", "schema": "{}",
        "headers": "A: b", "description": "d", "owner": "o", "timeout": "PT1S", "risk": "low", "title": "t",
    },
    "/tools/calculator/": {"do": "revoke", "reason": "why"},
    "/limits/": {"max_turns": "5", "max_cost_per_day": "1", "run_timeout": "PT1M"},
    "/limits/refund-desk/": {"max_turns": "5"},
    "/routing/": {"queue": "payments"},
    "/rules/": {
        "do": "save", "of": "0", "rules": "[]", "reason": "why", "weeks": "4", "rate": "45", "run": "",
        "r:name": "new", "r:effect": "require", "r:tool": "*", "r:agent": "*", "r:topic_source": "*", "r:classification": "*",
        "r:when": "true", "r:approvers": "2", "r:group": "g", "r:expires_in": "PT4H", "r:on_expiry": "reject",
        "r:escalation": "PT1H leads", "r:place": "1", "r:at": "", "r:risk": "high", "r:verdicts": "reject",
    },
    "/workflows/refund-desk/rules/": {
        "do": "backtest", "of": "1", "rules": "[]", "weeks": "4", "rate": "45", "run": "", "reason": "why",
        "r:name": "", "r:at": "", "r:place": "",
    },
    "/events/new/": {"type": "t", "id": "i", "source": "s", "data": "d", "as": "text"},
    "/credentials/": {"name": "x", "provider": "openai", "base_url": "", "api_key": "k", "region": "r", "zone": "z"},
    "/runs/{run}/keep/": {"name": "as it was"},
    "/runs/new/": {"workflow": "refund-desk", "input": "x"},
}  # fmt: skip
BAD = ["a\x00b", "9" * 400, "[" * 50_000, '{"a": "\\u0000"}', "NaN", ""]


@pytest.mark.parametrize("path", FORMS)
def test_no_field_of_it_breaks_the_page(desk: Desk, world: World, path: str) -> None:
    run = desk.start()
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(status="completed", stop_reason="completed")
        waiver = waive(desk.workflow).pk
    promote = str("hears" in path or "oversight" in path).lower()  # they are about the current revision
    desk.house.admin.api.post(f"/api/v1/workflows/refund-desk/revisions?promote={promote}", {"team": TEAM})
    client, form = world.northwind.admin.client, FORMS[path]
    client.raise_request_exception = False
    broken: list[Any] = []
    for field in form:
        for bad in BAD:
            answer = client.post(path.format(run=run.pk, waiver=waiver), {**form, field: bad})
            broken += [(field, bad[:20])] if answer.status_code >= 500 else []
    for bad in BAD:
        asked = dict.fromkeys(
            ("revision", "workflow", "agent", "run", "filters", "type", "id", "after", "from", "to"), bad
        )
        # As browsers send it: they leave [ as it is, and to escape half a million of them takes longer than the page.
        query = urlencode(asked, safe="[")
        answer = client.get(f"{path.format(run=run.pk, waiver=waiver)}?{query}")
        broken += [("?", bad[:20])] if answer.status_code >= 500 else []
    assert broken == []
