"""Runs for tests: committed rows of a tenant of their own, because workers and people use connections of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from console.runs import actions
from console.runs.models import Run
from console.tenants import crypto
from console.tenants.access import Actor
from console.tenants.models import Membership, Tenant, User
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows.models import Revision, Workflow


@dataclass
class House:
    """A tenant with an operator and a workflow."""

    tenant: Tenant
    operator: Actor
    admin: Actor
    workflow: Workflow

    def start(self, input: Any = "Refund order 7", **kwargs: Any) -> Run:
        with tenant_scope(self.tenant):
            return actions.start(self.operator, self.workflow, input, **kwargs)

    def revise(self, body: dict[str, Any]) -> Revision:
        with tenant_scope(self.tenant):
            number = Revision.objects.filter(workflow=self.workflow).count() + 1
            revision = Revision.objects.create(tenant=self.tenant, workflow=self.workflow, number=number, body=body)
            self.workflow.current = revision
            self.workflow.save(update_fields=["current"])
            return revision

    def run(self, run: Run) -> Run:
        """As it is now."""
        with tenant_scope(self.tenant):
            return Run.objects.select_related("workflow", "revision", "tenant").get(pk=run.pk)


def join(tenant: Tenant, name: str = "Rita Reviewer") -> Actor:
    """A person who is a reviewer of the tenant: whoever decides is asked about in the database."""
    first, _, last = name.partition(" ")
    with system_scope("a test's reviewer"):
        user = User.objects.create(username=f"u-{uuid4().hex[:8]}", first_name=first, last_name=last)
        Membership.objects.create(tenant=tenant, user=user, role="reviewer")
    return Actor(tenant=tenant, role="reviewer", kind="user", id=user.pk, name=name)


def make_house() -> House:
    """Write a tenant with a workflow that has one (empty) revision."""
    with system_scope("a test's tenant"):
        tenant = Tenant.objects.create(slug=f"t-{uuid4().hex[:8]}", name="Test")
        crypto.create_key(tenant.id)
        workflow = Workflow.objects.create(tenant=tenant, slug="desk", name="Desk")
    house = House(
        tenant,
        Actor(tenant=tenant, role="operator", kind="user", id=uuid4(), name="Olga Operator"),
        Actor(tenant=tenant, role="admin", kind="user", id=uuid4(), name="Ada Admin"),
        workflow,
    )
    house.revise({"team": {}})
    return house


@pytest.fixture
def house(transactional_db: None) -> House:
    """A tenant whose rows are committed."""
    return make_house()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The wake-ups that were sent, instead of sending them: (run, resume)."""
    sent: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "console.runs.wakeups.send", lambda run_id, *, resume, queue="": sent.append((str(run_id), resume)) or True
    )
    return sent


@pytest.fixture(autouse=True)
def _no_broker(sent: list[tuple[str, bool]]) -> None:
    """No test of this package sends a wake-up that nobody receives."""
