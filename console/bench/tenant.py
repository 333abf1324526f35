"""The tenant in which benchmarks run, apart from everybody else's."""

from __future__ import annotations

from typing import Any

from console.tenants import access, actions
from console.tenants.access import Actor
from console.tenants.models import Credential, Tenant
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows.models import Workflow


def bench_actor(base_url: str = "") -> Actor:
    """The system acting in the tenant ``bench``, made where missing, its credential pointing to ``base_url``."""
    with system_scope("bench"):
        tenant = Tenant.objects.filter(slug="bench").first() or actions.create_tenant("bench", "Benchmarks", by="bench")
    actor = access.system_actor(tenant, "bench")
    with tenant_scope(tenant):
        known = access.all(Credential, actor).filter(name="default").first()
        if known is None or known.base_url != base_url:
            actions.put_credential(actor, "default", provider="bench", base_url=base_url, api_key="demo-bench")
    return actor


def workflow_of(actor: Actor, slug: str, body: dict[str, Any]) -> Workflow:
    """A workflow whose current revision has this body."""
    with tenant_scope(actor.tenant):
        workflow = access.all(Workflow, actor).filter(slug=slug).first()
        workflow = workflow or workflows.create_workflow(actor, slug, slug)
        workflows.create_revision(actor, workflow, body)
        return access.get(Workflow.objects.select_related("current"), actor, slug=slug)
