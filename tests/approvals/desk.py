"""A workflow with runs to decide about: what the tests of approvals start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from approvals import actions
from approvals.models import ApprovalRequest
from console.durable.digest import digest
from console.durable.steps import Ask
from console.runs import actions as runs
from console.runs.models import Run
from console.workflows.models import Revision, Workflow
from tests.world import House

SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "amount": {"type": "number", "exclusiveMinimum": 0},
        "customer": {"type": "string"},
    },
    "required": ["order", "amount"],
    "additionalProperties": False,
}
RULES: list[dict[str, Any]] = [
    {"name": "never above 5,000", "match": {"tool": "issue_*"}, "when": "arguments.amount > 5000.0", "effect": "deny"},
    {
        "name": "large refunds",
        "match": {"tool": "issue_*"},
        "when": "arguments.amount > 1000.0",
        "effect": "require",
        "approvers": 2,
        "group": "finance",
        "expires_in": "PT4H",
        "on_expiry": "reject",
    },
]
BODY = {"team": {}, "rules": RULES}


def refund(amount: float = 40.0, *, n: int = 0, scope: str = "payer/tools", **request: Any) -> Ask:
    """A call of issue_refund that has reached its gate."""
    arguments = {"order": "A-17", "amount": amount}
    shown = {
        "title": f"Refund {amount} for order A-17",
        "arguments": arguments,
        "schema": SCHEMA,
        "description": "Pays money back.",
        "safety": "neither",
        "risk": "high",
        "approval": "require",
        **request,
    }
    return Ask(scope, n, "tool", digest(shown["arguments"]), shown, agent="payer", tool="issue_refund")


def asking(kind: str, *, n: int = 0, **request: Any) -> Ask:
    """A gate of another kind."""
    return Ask(f"payer/{kind}", n, kind, digest(request), request, agent="payer", tool="issue_refund")


@dataclass
class Desk:
    """A tenant's workflow, and shortcuts to what happens in it. Everything is committed on its own."""

    house: House
    workflow: Workflow
    body: dict[str, Any] = field(default_factory=dict)

    def start(self, input: Any = "Refund order A-17") -> Run:
        """A run, waiting for a worker."""
        with self.house.scope():
            workflow = Workflow.objects.select_related("current").get(pk=self.workflow.pk)
            return runs.start(self.house.operator.actor, workflow, input)

    def waiting(self, *asks: Ask) -> tuple[Run, list[ApprovalRequest]]:
        """A run that was claimed, reached the given gates and parked, as a worker does it."""
        run = self.start()
        with self.house.scope():
            claim = runs.claim(run.pk, "test")
            assert claim is not None
            requests = [self.announce(run, ask) for ask in asks]
            assert runs.park(run.pk, claim.token, claim.wake)
        return self.now(run), requests

    def announce(self, run: Run, ask: Ask) -> ApprovalRequest:
        """Judge and announce, inside a scope."""
        judged = Ask(
            ask.scope, ask.n, ask.kind, ask.digest, ask.request, ask.agent, ask.tool, actions.judge(self.now(run), ask)
        )
        request = actions.announce(run.pk, judged)
        assert request is not None
        return request

    def now(self, run: Run | UUID) -> Run:
        """The run as it is now."""
        with self.house.scope():
            return Run.objects.select_related("workflow", "revision", "tenant").get(
                pk=run if isinstance(run, UUID) else run.pk
            )

    def request(self, request: ApprovalRequest | UUID | str) -> ApprovalRequest:
        """The request as it is now."""
        with self.house.scope():
            return ApprovalRequest.objects.get(pk=request.pk if isinstance(request, ApprovalRequest) else request)

    def late(self, request: ApprovalRequest | UUID, entries: int = 99) -> int:
        """Let the time of the first ``entries`` on a request's agenda be over; how many requests that changed."""
        gone = (timezone.now() - timedelta(seconds=1)).isoformat()
        key = request.pk if isinstance(request, ApprovalRequest) else request
        with self.house.scope():
            row = ApprovalRequest.objects.get(pk=key)
            if not row.agenda:
                return 0
            row.agenda = [{**each, "at": gone} if n < entries else each for n, each in enumerate(row.agenda)]
            row.next_at = gone
            row.due_at = gone if row.due_at and entries >= len(row.agenda) else row.due_at
            row.save(update_fields=["agenda", "next_at", "due_at"])
        return 1

    def decide(self, who: Any, request: ApprovalRequest, verdict: str, **words: Any) -> ApprovalRequest:
        """What ``who`` (a member of tests.world) says, in a transaction of its own."""
        with self.house.scope():
            return actions.decide(who.actor, request.pk, verdict, **words)

    def decisions(self, run: Run, asks: Sequence[Ask]) -> list[Any]:
        """What the engine would hear."""
        with self.house.scope():
            return [decision for _, decision in actions.decisions_for(run.pk, asks)]


def make_desk(house: House, body: dict[str, Any] | None = None, slug: str = "refund-desk") -> Desk:
    """A workflow with one revision, written past the checks of documents: the team is never run here."""
    body = BODY if body is None else body
    with house.scope():
        workflow = Workflow.objects.create(tenant=house.tenant, slug=slug, name="Refund desk")
        revision = Revision.objects.create(tenant=house.tenant, workflow=workflow, number=1, body=body)
        workflow.current = revision
        workflow.save(update_fields=["current"])
    return Desk(house, workflow, body)
