"""What changes rules: a tenant's own, and those of a workflow. Call inside a tenant_scope."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max

from approvals import rule_document
from approvals.models import RuleSet
from console.agents.documents import Finding
from console.agents.shapes import shape_fault
from console.audit import log
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Tenant
from console.workflows import actions, contracts, rules_check
from console.workflows.errors import Invalid, Refused
from console.workflows.models import Revision, Workflow

Json = Any


def checked(rules: Json) -> list[Json]:
    """``rules`` when nothing is wrong with them by themselves. Raises Refused with a path for each fault."""
    shape = shape_fault(rules)
    if shape is not None:
        raise Refused([Finding(f"$.rules{shape[0]}", shape[1])])
    found = [Finding(f"$.rules{fault.path}", fault.message) for fault in rule_document.check(rules)]
    if not isinstance(rules, list):
        found = [Finding("$.rules", "must be a list of rules")]
    if found:
        raise Refused(found)
    listed: list[Json] = rules
    return listed


@transaction.atomic
def put_rules(actor: Actor, rules: Json, reason: Json = "", *, of: int | None = None) -> tuple[RuleSet, list[Finding]]:
    """Make the next version of the tenant's own rules, which holds from the next call of any run on. ``of`` is the number
    of the version that was looked at (0: none): if another holds by now, nothing is made.

    Returns it with what else is to be said. Raises Forbidden (admins configure), Invalid, and Refused.
    """
    access.require(actor, "admin")
    if not isinstance(reason, str) or len(reason) > 500 or "\x00" in reason:
        raise Invalid("reason", "must be at most 500 characters")
    listed = checked(rules)
    findings = rules_check.findings(actor.tenant.id, listed)
    if any(each.level == "error" for each in findings):
        raise Refused(findings)
    # One after the other: numbers are dense, and each is somebody's.
    Tenant.objects.select_for_update(no_key=True).get(pk=actor.tenant.pk)
    last = access.all(RuleSet, actor).aggregate(last=Max("number"))["last"] or 0
    if of is not None and of != last:
        raise Invalid("version", f"{of} is not the current one any more: {last} is, so look again")
    made = RuleSet.objects.create(
        tenant=actor.tenant, number=last + 1, rules=listed, author_name=actor.name[:200], reason=reason.strip()
    )
    log.record(
        actor, "tenant.rules", "tenant", actor.tenant.id, number=made.number, reason=made.reason,
        names=[rule["name"] for rule in listed],
    )  # fmt: skip
    contracts.keep_all(actor.tenant.id, f"{actor.name} made version {made.number} of the organisation's rules.")
    return made, findings


@transaction.atomic
def revise_rules(
    actor: Actor, workflow: Workflow, rules: Json, reason: Json = "", *, of: int | None = None
) -> tuple[Revision, list[Finding]]:
    """Make the workflow's next revision: the current one with these rules. ``of`` is the number of the revision that
    was looked at: if new runs take another by now, nothing is made.

    Raises Forbidden, Invalid, and Refused.
    """
    access.require(actor, "admin")
    locked = access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)
    if locked.current is None:
        raise Invalid("workflow", "has no revision yet: import its team first")
    if of is not None and of != locked.current.number:
        raise Invalid("revision", f"{of} is not the current one any more: {locked.current.number} is, so look again")
    body = {**locked.current.body, "rules": checked(rules)}
    return actions.create_revision(actor, workflow, body, reason=reason)
