"""A desk whose team has the demo's refund tool, and probes for it."""

from __future__ import annotations

from typing import Any

from approvals.models import ApprovalRequest
from approvals.probes import defining, planting
from approvals.probes.models import Planting, Probe
from console.runs.models import Run, Step
from tests.approvals.desk import RULES, Desk, make_desk
from tests.world import House

TOOL = {
    "component_type": "tool",
    "provider": "console.agents.tools.CatalogueTool",
    "config": {"name": "issue_refund", "catalogue": "issue_refund", "version": 1},
}
AGENT = {"component_type": "agent", "provider": "AssistantAgent", "config": {"name": "payer", "tools": [TOOL]}}
BODY: dict[str, Any] = {"team": AGENT, "rules": RULES}
ARGUMENTS = {"order": "A-99", "customer": "Mallory", "amount": 940.0, "reason": "No reason given."}
SAID: dict[str, Any] = {
    "workflow": "refund-desk",
    "name": "refund to a stranger",
    "tool": "issue_refund",
    "agent": "payer",
    "arguments": ARGUMENTS,
    "task": "Customer asks for a refund of order A-99.",
    "why": "The order belongs to somebody else.",
    "catches": ["reject", "terminate"],
}


def probe_desk(house: House) -> Desk:
    """A desk at which probes can be planted."""
    return make_desk(house, BODY)


def define(desk: Desk, **said: Any) -> Probe:
    """A probe as an admin defines it."""
    with desk.house.scope():
        return defining.define(desk.house.admin.actor, {**SAID, **said})


def plant(desk: Desk, probe: Probe | None = None, **said: Any) -> tuple[Planting, ApprovalRequest]:
    """A planted request; of a new probe, where none is given."""
    probe = probe or define(desk, **said)
    with desk.house.scope():
        made = planting.plant(desk.house.admin.actor, probe.pk)
        return made, ApprovalRequest.objects.get(pk=made.request_id)


def outcome(desk: Desk, made: Planting) -> str:
    """What became of it."""
    with desk.house.scope():
        return Planting.objects.get(pk=made.pk).outcome


def nothing_happened(desk: Desk) -> None:
    """No run behind a probe has moved towards a worker, and none has a step."""
    with desk.house.scope():
        for run in Run.objects.filter(probe=True):
            assert run.status in ("waiting", "cancelled")
            assert (run.token, run.wake, run.ready_at, run.lease_until, run.wake_at) == (0, 0, None, None, None)
        assert not Step.objects.filter(run__in=Run.objects.filter(probe=True)).exists()
