"""Behaviour contracts: what a team may do without a person, as one paragraph, with a number for each time it changed.

Whatever changes what a team may do calls ``keep`` in its own transaction; a new version is written only when the paragraph
says something else than before. Call inside a tenant_scope.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import limits, registry, waived
from console.workflows.behaviour import WORDING, paragraph
from console.workflows.models import BehaviourContract, Revision, Workflow
from console.workflows.oversight import says_never

Json = Any
LIMIT = 100  # workflows whose contracts one sweep writes anew


_rules: Callable[[UUID], Sequence[Mapping[str, Json]]] | None = None


def use(rules: Callable[[UUID], Sequence[Mapping[str, Json]]]) -> None:
    """Ask ``rules`` from now on which rules a tenant has of its own: approvals keeps them, and stands above."""
    global _rules
    _rules = rules


def keep(workflow: Workflow, because: str) -> BehaviourContract | None:
    """Write down what the workflow's team may do from now on; None when it is what was written down before.

    ``because`` is a sentence that says what changed it, with who did. Locks the workflow's row.
    """
    own = Workflow.objects.filter(pk=workflow.pk, tenant_id=workflow.tenant_id)
    locked = own.select_related("current").select_for_update(of=("self",), no_key=True).get()
    text = text_of(locked)
    if not text or locked.current is None:
        return None
    sha256 = digest(text)
    last = versions(locked).first()
    if last is not None and last.sha256 == sha256:
        if locked.wording != WORDING:
            own.update(wording=WORDING)
        return None
    number = last.number + 1 if last else 1
    kept = BehaviourContract.objects.create(
        tenant_id=locked.tenant_id,
        workflow=locked,
        number=number,
        text=text,
        sha256=sha256,
        revision=locked.current,
        because=because if len(because) <= 500 else f"{because[:499]}…",
        at=waived.now(),
    )
    own.update(contract=number, wording=WORDING)
    workflow.contract = number
    return kept


def keep_all(tenant_id: UUID, because: str) -> int:
    """The same for every workflow of a tenant, where what changed is the tenant's; how many say something new."""
    rows = Workflow.objects.filter(tenant_id=tenant_id, current__isnull=False).order_by("pk")
    return sum(keep(workflow, because) is not None for workflow in rows)


def catch_up() -> int:
    """The contracts of workflows that are older than contracts are, or than their words; how many. Call outside any scope."""
    with system_scope("sweeping: behaviour contracts in older words"):
        rows = Workflow.objects.filter(wording__lt=WORDING, current__isnull=False)
        found = list(rows.values_list("pk", "tenant_id", "contract")[:LIMIT])
    for pk, tenant_id, number in found:
        with tenant_scope(tenant_id):
            workflow = Workflow.objects.filter(pk=pk).first()
            if workflow is not None:
                keep(workflow, _AGAIN if number else "Sayso began to write down what teams may do.")
    return len(found)


_AGAIN = "Sayso says the same in other words since it was updated."


def text_of(workflow: Workflow, revision: Revision | None = None) -> str:
    """The paragraph that is true now of a revision, or of the one which new runs take; empty while there is none."""
    revision = revision or workflow.current
    if revision is None:
        return ""
    body, own = revision.body, limits.of_tenant(workflow.tenant_id)
    held, past = waived.holding(workflow, body, own) if says_never(body) else ([], [])
    return paragraph(
        body,
        registry.of(workflow.tenant_id),
        oversight=waived.effective(workflow, body, own),
        limits=limits.effective(own, workflow.limits, body.get("limits") or {}),
        waivers=held,
        outgrown=past,
        rules=_rules(workflow.tenant_id) if _rules else (),
    )


def digest(text: str) -> str:
    """SHA-256 of a contract's text as UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def versions(workflow: Workflow) -> Any:
    """A workflow's contracts, the newest first."""
    rows = BehaviourContract.objects.filter(tenant_id=workflow.tenant_id, workflow=workflow)
    return rows.select_related("revision").defer("revision__body").order_by("-number")
