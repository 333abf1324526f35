"""What changes workflows. Each deed writes its audit row in the same transaction. Call inside a tenant_scope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import Max

from console import queues
from console.agents.documents import Finding
from console.agents.tools import ToolSpec
from console.audit import log as audit
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Credential, Tenant, TenantLimits
from console.workflows import body as bodies
from console.workflows import contracts, limits, oversight, registry, rollouts, rules_check, smoke, waived
from console.workflows.errors import Conflict, Invalid, Refused
from console.workflows.models import Promotion, Revision, Rollout, Workflow

__all__ = [
    "Invalid",
    "Refused",
    "create_revision",
    "create_workflow",
    "end_rollout",
    "promote",
    "put_limits",
    "put_oversight",
    "put_queue",
    "put_smoke",
    "roll_back",
]

_TAKEN = ("import",)
_SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?$")


def create_workflow(actor: Actor, slug: str, name: str, *, description: str = "") -> Workflow:
    """Make a workflow without a revision. Raises Forbidden (admins configure) and Invalid."""
    access.require(actor, "admin")
    if not isinstance(slug, str) or not _SLUG.match(slug):
        raise Invalid("slug", "must be 1 to 80 small letters, digits and hyphens, such as refund-desk")
    if slug in _TAKEN:
        raise Invalid("slug", f"cannot be {slug}: that is a page of its own")
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


def create_revision(
    actor: Actor,
    workflow: Workflow,
    body: Any,
    *,
    reason: str = "",
    promote: bool = True,
    tools: Mapping[str, ToolSpec] | None = None,
) -> tuple[Revision, list[Finding]]:
    """Make the next revision; runs that have begun keep theirs. Returns it with its findings.

    New runs take it, unless ``promote`` is False, or the workflow wants it to pass its smoke test first: it can be
    promoted later. ``tools`` are those that its team is pinned to; by default, the newest.

    Raises Forbidden (admins configure), Invalid, and Refused, with every fault of the body at once.
    """
    access.require(actor, "admin")
    reason = _reason(reason)
    kept, findings = bodies.examine(body, registry.of(actor.tenant.id).all() if tools is None else tools)
    if kept is None:
        raise Refused(findings)
    upper = (("tenant", limits.of_tenant(actor.tenant.id)), ("workflow", workflow.limits))
    too_high = [Finding(f"$.limits{path}", said) for path, said in limits.above(kept.get("limits") or {}, *upper)]
    if too_high:
        raise Refused(too_high)
    of_rules = rules_check.findings(actor.tenant.id, kept.get("rules"))
    if any(each.level == "error" for each in of_rules):
        raise Refused(of_rules)
    findings = [*findings, *of_rules, *_missing_credentials(actor, kept)]
    locked = access.get(Workflow, actor, for_update=True, pk=workflow.pk)
    last = Revision.objects.filter(tenant=actor.tenant, workflow=locked).aggregate(last=Max("number"))["last"] or 0
    revision = Revision.objects.create(
        tenant=actor.tenant,
        workflow=locked,
        number=last + 1,
        body=kept,
        author_name=actor.name[:200],
        reason=reason,
    )
    audit.record(
        actor,
        "workflow.revised",
        "workflow",
        workflow.id,
        slug=workflow.slug,
        number=revision.number,
        revision=str(revision.id),
        reason=reason,
    )
    findings = [*findings, *oversight.findings(kept, waived.of_now(locked, kept))]
    barrier = smoke.barrier(locked, revision) if promote else ""
    if barrier:
        findings.append(Finding("$", f"New runs do not take revision {revision.number} yet: it {barrier}.", "info"))
    elif promote:
        _take(actor, locked, revision, "made", reason)
        workflow.current, workflow.contract = revision, locked.contract
    return revision, findings


def put_oversight(actor: Actor, workflow: Workflow, wanted: Any, *, of: int, reason: str = "") -> Revision:
    """Make a revision that differs from the current one, number ``of``, in its oversight alone; tools stay pinned.

    Raises Forbidden, Invalid, Refused, and Conflict when new runs take another revision by now.
    """
    access.require(actor, "admin")
    locked = access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)
    if locked.current is None or locked.current.number != of:
        now = f"take revision {locked.current.number}" if locked.current else "take none"
        raise Conflict(f"Somebody was quicker: new runs {now} now. Look at it, and change it again.")
    body = locked.current.body
    if wanted == (body.get("oversight") or {}):
        raise Invalid("oversight", "is what was chosen already: there is nothing to save")
    tools = registry.of(actor.tenant.id)
    kept = {**tools.all(), **registry.as_pinned(tools, body)}
    revision, _ = create_revision(actor, locked, {**body, "oversight": wanted}, reason=reason, tools=kept)
    workflow.current, workflow.contract = locked.current, locked.contract
    return revision


def start_rollout(actor: Actor, workflow: Workflow, wanted: Mapping[str, Any]) -> Rollout:
    """Let a share of new runs, or named topic sources, take a revision. Raises Forbidden, Invalid, NotFound."""
    access.require(actor, "admin")
    locked = access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)
    rollout = rollouts.start(actor, locked, wanted)
    audit.record(
        actor, "canary.started", "workflow", workflow.id,
        slug=workflow.slug, number=rollout.revision.number, share=rollout.share, sources=rollout.sources,
    )  # fmt: skip
    return rollout


def end_rollout(actor: Actor, workflow: Workflow, *, promoted: bool, reason: str, figures: Any = None) -> Rollout:
    """Promote the revision that is being tried, or give it up. Raises Forbidden, and Invalid when none is."""
    access.require(actor, "admin")
    locked = access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)
    rollout = rollouts.end(actor, locked, "promoted" if promoted else "rolled_back", _reason(reason), figures)
    audit.record(
        actor, f"canary.{rollout.status}", "workflow", workflow.id,
        slug=workflow.slug, number=rollout.revision.number, reason=rollout.reason,
    )  # fmt: skip
    if promoted:
        _take(actor, locked, rollout.revision, "promoted", rollout.reason)
        workflow.current = rollout.revision
    return rollout


def put_limits(actor: Actor, value: Any, workflow: Workflow | None = None) -> dict[str, Any]:
    """Set what the tenant's runs, or a workflow's, may take; nothing that is not named stays. Returns it.

    Raises Forbidden, and Refused for what is no limit or, for a workflow, above the tenant's.
    """
    access.require(actor, "admin")
    found = [
        Finding(f"${path}", said)
        for path, said in limits.faults(value, limits.OF_RUN if workflow else limits.OF_TENANT)
    ]
    if not found and workflow:
        found = [
            Finding(f"${path}", said)
            for path, said in limits.above(value, ("tenant", limits.of_tenant(actor.tenant.id)))
        ]
    if found:
        raise Refused(found)
    kept = {name: limit for name, limit in value.items() if limit is not None}
    if workflow:
        locked = access.get(Workflow, actor, for_update=True, pk=workflow.pk)
        before, locked.limits = locked.limits, kept
        locked.save(update_fields=["limits"])
        audit.record(actor, "workflow.limits", "workflow", workflow.id, slug=workflow.slug, before=before, after=kept)
        contracts.keep(locked, f"{actor.name} changed the workflow's limits.")
    else:
        before = limits.of_tenant(actor.tenant.id)
        TenantLimits.objects.update_or_create(
            tenant=actor.tenant, defaults={"limits": kept, "updated_by": actor.name[:200]}
        )
        audit.record(actor, "tenant.limits", "tenant", actor.tenant.id, before=before, after=kept)
        contracts.keep_all(actor.tenant.id, f"{actor.name} changed the organisation's limits.")
    return kept


def put_smoke(actor: Actor, workflow: Workflow, value: Any) -> smoke.Suite:
    """Keep a workflow's smoke tests (see smoke.py). Raises Forbidden (admins configure), and Refused."""
    access.require(actor, "admin")
    found = smoke.faults(value)
    if found:
        raise Refused(found)
    suite = smoke.Suite(bool(value.get("required")), value["cases"])
    locked = access.get(Workflow, actor, for_update=True, pk=workflow.pk)
    smoke.keep(actor, locked, suite)
    names = [case["name"] for case in suite.cases]
    audit.record(
        actor, "workflow.smoke", "workflow", locked.id, slug=locked.slug, required=suite.required, cases=names
    )  # fmt: skip
    return suite


def put_queue(actor: Actor, queue: str, workflow: Workflow | None = None) -> str:
    """Name the queue of the workflow's runs, or of all the tenant's runs whose workflow names none; blank for none.

    Runs that wait go there with their next wake-up. Raises Forbidden (admins configure) and Invalid.
    """
    access.require(actor, "admin")
    said = queues.fault(queue) if queue else None
    if said:
        raise Invalid("queue", said)
    if workflow:
        locked = access.get(Workflow, actor, for_update=True, pk=workflow.pk)
        audit.record(actor, "workflow.queue", "workflow", locked.id, slug=locked.slug, before=locked.queue, after=queue)
        Workflow.objects.filter(tenant=actor.tenant, pk=locked.pk).update(queue=queue)
        workflow.queue = queue
    else:
        tenant = Tenant.objects.select_for_update(no_key=True).get(pk=actor.tenant.pk)
        audit.record(actor, "tenant.queue", "tenant", tenant.id, before=tenant.queue, after=queue)
        Tenant.objects.filter(pk=tenant.pk).update(queue=queue)
        actor.tenant.queue = queue
    return queue


def promote(actor: Actor, workflow: Workflow, number: int, reason: str = "") -> Revision:
    """Have new runs take a revision, newer or older. Raises Forbidden, Invalid, NotFound."""
    access.require(actor, "admin")
    reason = _reason(reason)
    locked = access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)
    revision = access.get(Revision, actor, workflow=locked, number=number)
    if locked.current_id == revision.id:
        raise Invalid("number", f"new runs take revision {number} already")
    barrier = smoke.barrier(locked, revision)
    if barrier:
        raise Invalid("number", f"cannot be {number}: revision {number} {barrier}")
    older = locked.current is not None and locked.current.number > number
    _take(actor, locked, revision, "rolled_back" if older else "promoted", reason)
    workflow.current = revision
    return revision


def roll_back(actor: Actor, workflow: Workflow, reason: str = "") -> Revision:
    """Have new runs take the revision again that they took before the current one. Raises Forbidden, Invalid."""
    access.require(actor, "admin")
    reason = _reason(reason)
    locked = access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)
    taken = access.all(Promotion, actor).filter(workflow=locked, revision=locked.current_id)
    took = taken.exclude(kind="rolled_back").select_related("previous").order_by("-id").first()
    if took is None or took.previous is None:
        raise Invalid("workflow", "there is no revision before this one to go back to")
    _take(actor, locked, took.previous, "rolled_back", reason)
    workflow.current = took.previous
    return took.previous


def _take(actor: Actor, workflow: Workflow, revision: Revision, kind: str, reason: str) -> None:
    """New runs of a locked workflow take the revision from now on."""
    before = workflow.current
    rollouts.overtaken(workflow, revision)
    Promotion.objects.create(
        tenant=actor.tenant,
        workflow=workflow,
        revision=revision,
        previous=before,
        kind=kind,
        reason=reason,
        by_name=actor.name[:200],
    )
    workflow.current = revision
    workflow.save(update_fields=["current"])
    if kind != "made":
        audit.record(
            actor,
            f"workflow.{kind}",
            "workflow",
            workflow.id,
            slug=workflow.slug,
            number=revision.number,
            previous=before.number if before else None,
            reason=reason,
        )
    contracts.keep(workflow, f"{actor.name} {_DID[kind]} revision {revision.number}{f': {reason}' if reason else '.'}")


_DID = {"made": "made", "promoted": "promoted", "rolled_back": "rolled back to"}


def _reason(reason: Any) -> str:
    if not isinstance(reason, str) or len(reason) > 500 or "\x00" in reason:
        raise Invalid("reason", "must be at most 500 characters")
    return reason.strip()


def _missing_credentials(actor: Actor, body: Any) -> list[Finding]:
    """Credentials may come after the revision that names them; until they do, its runs stop at the first model call."""
    wanted = bodies.credentials(body)
    there = set(access.all(Credential, actor).filter(name__in=wanted.values()).values_list("name", flat=True))
    message = "There is no credential {!r} yet: add it under Credentials, or name another one."
    return [Finding(path, message.format(name), "info") for path, name in wanted.items() if name not in there]
