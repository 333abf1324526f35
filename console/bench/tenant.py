"""The tenant in which benchmarks run, apart from everybody else's."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from approvals import actions as approvals
from console.bench import leavings
from console.demo.documents import WORKFLOWS
from console.durable.digest import digest
from console.durable.steps import Ask
from console.runs import actions as runs
from console.runs.models import Run
from console.tenants import access, actions
from console.tenants.access import Actor
from console.tenants.models import Membership, ServiceAccount, User
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows import waived
from console.workflows.models import Waiver, Workflow

NOBODY = "bench-nobody"  # a queue without a worker


def bench_actor(default_url: str = "", busy_url: str = "") -> Actor:
    """The system acting in the tenant ``bench``, made where missing; its credentials point to these models."""
    with system_scope("bench"):
        tenant = leavings.mine() or actions.create_tenant(leavings.SLUG, leavings.NAME, by="bench")
    actor = access.system_actor(tenant, "bench")
    with tenant_scope(tenant):
        for name, url in (("default", default_url), ("busy", busy_url)):
            actions.put_credential(actor, name, provider="bench", base_url=url, api_key="demo-bench")
    return actor


def reviewer_token(actor: Actor) -> str:
    """A new token with which requests of the tenant may be decided."""
    with tenant_scope(actor.tenant):
        service = access.all(ServiceAccount, actor).filter(name="bench").first()
        service = service or actions.add_service_account(actor, "bench")
        return actions.create_token(actor, service=service, role="reviewer", name="bench")[1]


def reviewer_tokens(actor: Actor, count: int) -> list[str]:
    """New tokens of so many service accounts, each of which may decide."""
    tokens = []
    with tenant_scope(actor.tenant):
        for number in range(count):
            service = access.all(ServiceAccount, actor).filter(name=f"bench-{number}").first()
            service = service or actions.add_service_account(actor, f"bench-{number}")
            tokens.append(actions.create_token(actor, service=service, role="reviewer", name="bench")[1])
    return tokens


def reviewer(actor: Actor) -> Actor:
    """A member of the tenant who may decide."""
    with system_scope("bench"):
        user = User.objects.filter(username="bench-reviewer").first() or User.objects.create(username="bench-reviewer")
    with tenant_scope(actor.tenant):
        if not access.all(Membership, actor).filter(user=user, active=True).exists():
            actions.add_member(actor, user, "reviewer")
    return Actor(actor.tenant, "reviewer", "user", user.pk, user.name)


def waiting_requests(actor: Actor, count: int) -> list[UUID]:
    """Requests of so many runs, each for one person. The runs are in a queue that no worker listens to."""
    made = []
    for number in range(count):
        with tenant_scope(actor.tenant):
            workflow = access.all(Workflow, actor).select_related("current").filter(slug="bench-queue").first()
            if workflow is None:
                workflow = workflows.create_workflow(actor, "bench-queue", "bench-queue")
                workflows.create_revision(actor, workflow, WORKFLOWS[1].body)
                workflows.put_queue(actor, NOBODY, workflow)
            run = runs.start(actor, workflow, f"Refund {number}")
            made.append(request_of(run, number))
    return made


def request_of(run: Run, number: int) -> UUID:
    """A request of a run, as a worker announces it. Call inside the tenant's scope."""
    arguments = {"order": f"A-{number}", "amount": float(number % 1000)}
    shown = {"title": f"Refund {number} for order A-{number}", "arguments": arguments, "safety": "neither"}
    ask = Ask("bench/tools", 0, "tool", digest(arguments), shown, agent="payer", tool="issue_refund")
    judged = approvals.judge(run, ask)
    request = approvals.announce(run.pk, replace(ask, verdict=judged))
    if request is None:
        raise RuntimeError("a run ended before its request was made")
    return request.pk


def workflow_of(actor: Actor, slug: str, body: dict[str, Any]) -> Workflow:
    """A workflow whose current revision has this body."""
    with tenant_scope(actor.tenant):
        workflow = access.all(Workflow, actor).filter(slug=slug).first()
        workflow = workflow or workflows.create_workflow(actor, slug, slug)
        workflows.create_revision(actor, workflow, body)
        workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
        kept = workflow.current.body if workflow.current else {}
        if waived.of_now(workflow, kept) != (kept.get("oversight") or {}):
            _waive(workflow)
        return workflow


def _waive(workflow: Workflow) -> None:
    """Let NEVER hold here, where nobody is an admin: nothing but measuring happens in this tenant."""
    now = waived.now()
    assert workflow.current is not None  # noqa: S101 - it has just been made
    Waiver.objects.create(
        tenant_id=workflow.tenant_id,
        workflow=workflow,
        revision=workflow.current,
        risk_assessment="A benchmark: its tools do nothing, its models are scripted, and nobody reads its results.",
        expires_at=now + timedelta(days=1),
        proposed_by_id=uuid4(),
        proposed_by_name="bench",
        proposed_at=now,
        consented_by_id=uuid4(),
        consented_by_name="bench",
        consented_at=now,
    )


def free_port() -> int:
    """A port on which nobody listens right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
