"""What changes workflows. Each deed writes its audit row in the same transaction. Call inside a tenant_scope."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Max

from console.agents.documents import Finding
from console.audit import log as audit
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Credential
from console.workflows import body as bodies
from console.workflows.errors import Invalid, Refused
from console.workflows.models import Revision, Workflow

__all__ = ["Invalid", "Refused", "create_revision", "create_workflow"]

_SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?$")


def create_workflow(actor: Actor, slug: str, name: str, *, description: str = "") -> Workflow:
    """Make a workflow without a revision. Raises Forbidden (admins configure) and Invalid."""
    access.require(actor, "admin")
    if not isinstance(slug, str) or not _SLUG.match(slug):
        raise Invalid("slug", "must be 1 to 80 small letters, digits and hyphens, such as refund-desk")
    name = name.strip() if isinstance(name, str) else ""
    if not name or len(name) > 200 or "\x00" in name + description:
        raise Invalid("name", "must be 1 to 200 characters")
    workflow, made = Workflow.objects.get_or_create(
        tenant=actor.tenant, slug=slug, defaults={"name": name, "description": description}
    )
    if not made:
        raise Invalid("slug", f"there is a workflow {slug} already")
    audit.record(actor, "workflow.created", "workflow", workflow.id, slug=slug)
    return workflow


def create_revision(actor: Actor, workflow: Workflow, body: Any) -> tuple[Revision, list[Finding]]:
    """Make the next revision, which new runs take; runs that have begun keep theirs. Returns it with its findings.

    Raises Forbidden (admins configure) and Refused, with every fault of the body at once.
    """
    access.require(actor, "admin")
    kept, findings = bodies.examine(body)
    if kept is None:
        raise Refused(findings)
    findings = [*findings, *_missing_credentials(actor, kept)]
    locked = access.get(Workflow, actor, for_update=True, pk=workflow.pk)
    last = Revision.objects.filter(tenant=actor.tenant, workflow=locked).aggregate(last=Max("number"))["last"] or 0
    revision = Revision.objects.create(
        tenant=actor.tenant, workflow=locked, number=last + 1, body=kept, author_name=actor.name[:200]
    )
    locked.current = revision
    locked.save(update_fields=["current"])
    workflow.current = revision
    audit.record(
        actor,
        "workflow.revised",
        "workflow",
        workflow.id,
        slug=workflow.slug,
        number=revision.number,
        revision=str(revision.id),
    )
    return revision, findings


def _missing_credentials(actor: Actor, body: Any) -> list[Finding]:
    """Credentials may come after the revision that names them; until they do, its runs stop at the first model call."""
    wanted = bodies.credentials(body)
    there = set(access.all(Credential, actor).filter(name__in=wanted.values()).values_list("name", flat=True))
    message = "There is no credential {!r} yet: add it under Credentials, or name another one."
    return [Finding(path, message.format(name), "info") for path, name in wanted.items() if name not in there]
