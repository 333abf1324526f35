"""What a workflow is called. Each deed writes its audit row in the same transaction. Call inside a tenant_scope."""

from __future__ import annotations

from console.audit import log as audit
from console.tenants import access
from console.tenants.access import Actor
from console.workflows.errors import Invalid
from console.workflows.models import Workflow

LONGEST = 10_000  # characters of a description


def put_name(actor: Actor, workflow: Workflow, name: str) -> None:
    """Call a workflow something else; its slug stays. Raises Forbidden (admins configure) and Invalid."""
    if not name.strip() or len(name.strip()) > 200 or "\x00" in name:
        raise Invalid("name", "must be 1 to 200 characters")
    _put(actor, workflow, "name", name.strip())


def put_description(actor: Actor, workflow: Workflow, description: str) -> None:
    """Describe a workflow. Raises Forbidden (admins configure) and Invalid."""
    if len(description) > LONGEST or "\x00" in description:
        raise Invalid("description", f"must be at most {LONGEST:,} characters")
    _put(actor, workflow, "description", description)


def _put(actor: Actor, workflow: Workflow, field: str, text: str) -> None:
    access.require(actor, "admin")
    locked = access.get(Workflow, actor, for_update=True, pk=workflow.pk)
    before = getattr(locked, field)
    if before == text:
        return
    setattr(locked, field, text)
    locked.save(update_fields=[field])
    setattr(workflow, field, text)
    audit.record(actor, f"workflow.{field}", "workflow", locked.id, slug=locked.slug, before=before, after=text)
