"""The tenant in which benchmarks run, apart from everybody else's."""

from __future__ import annotations

import socket
from typing import Any

from console.tenants import access, actions
from console.tenants.access import Actor
from console.tenants.models import ServiceAccount, Tenant
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows.models import Workflow


def bench_actor(default_url: str = "", busy_url: str = "") -> Actor:
    """The system acting in the tenant ``bench``, made where missing; its credentials point to these models."""
    with system_scope("bench"):
        tenant = Tenant.objects.filter(slug="bench").first() or actions.create_tenant("bench", "Benchmarks", by="bench")
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


def workflow_of(actor: Actor, slug: str, body: dict[str, Any]) -> Workflow:
    """A workflow whose current revision has this body."""
    with tenant_scope(actor.tenant):
        workflow = access.all(Workflow, actor).filter(slug=slug).first()
        workflow = workflow or workflows.create_workflow(actor, slug, slug)
        workflows.create_revision(actor, workflow, body)
        return access.get(Workflow.objects.select_related("current"), actor, slug=slug)


def free_port() -> int:
    """A port on which nobody listens right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
