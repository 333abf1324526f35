"""Which workflows name a group: tenants stands below this package and cannot look, so we say so when Django starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from console.tenants.models import Tenant
from console.workflows.models import Rollout, Workflow

Json = Any


def named(tenant: Tenant, group: str) -> list[str]:
    """Where what new runs take names the group, each a sentence: "revision 3 of refund-desk names it in ...".

    Older revisions do not count: nobody could ever delete a group then. The runs that still have them are asked about
    by those who keep their requests.
    """
    workflows = Workflow.objects.filter(tenant_id=tenant.id, current__isnull=False).select_related("current")
    tried = Rollout.objects.filter(tenant_id=tenant.id, status="running").select_related("workflow", "revision")
    found = [(each.slug, each.current) for each in workflows]
    found += [(each.workflow.slug, each.revision) for each in tried]
    sentences = []
    for slug, revision in sorted(found, key=lambda each: (each[0], each[1].number)):
        rules = revision.body.get("rules") if isinstance(revision.body, dict) else None
        for rule in rules if isinstance(rules, list) else []:
            if group in _groups(rule):
                sentences.append(f"revision {revision.number} of {slug} names it in the rule “{rule.get('name', '')}”")
    return sentences


def _groups(rule: Json) -> Iterator[Json]:
    """The groups that a rule names: whom it asks, and to whom it escalates."""
    if not isinstance(rule, dict):
        return
    yield rule.get("group")
    chain = rule.get("escalation")
    for link in chain if isinstance(chain, list) else []:
        if isinstance(link, dict):
            yield link.get("group")
