"""What people say about a request without deciding it."""

from __future__ import annotations

import re
from uuid import UUID

from django.db import transaction

from approvals.actions.requests import lock_run_of, tell
from approvals.errors import Invalid
from approvals.models import ApprovalRequest, Comment
from console.audit import log
from console.tenants import access, crypto
from console.tenants.access import Actor
from console.tenants.models import Membership

MAX = 4_000  # characters
_MENTION = re.compile(r"(?<![\w@])@([\w.+-]{1,150})")


@transaction.atomic
def comment(actor: Actor, request_id: UUID | str, text: str) -> Comment:
    """Say something about a request, pending or not. Every member may. ``@name`` mentions a member.

    Raises access.NotFound, access.Forbidden, Invalid.
    """
    run = lock_run_of(actor, request_id)
    request = access.get(ApprovalRequest, actor, pk=request_id)
    if actor.id is None:
        raise access.Forbidden("Only people and their tokens comment.")
    text = text.strip() if isinstance(text, str) else ""
    if not 0 < len(text) <= MAX or "\x00" in text:
        raise Invalid("text", f"must be 1 to {MAX:,} characters")
    request.workflow = run.workflow
    found = Comment.objects.create(
        tenant=actor.tenant,
        request=request,
        author_id=actor.id,
        author_name=actor.name[:200],
        sealed=crypto.seal_json(actor.tenant.pk, "comment", {"text": text, "mentions": _mentioned(actor, text)}),
    )
    log.record(actor, "request.commented", "request", request.pk, run=str(run.pk))
    tell(request, run)
    return found


def of(request: ApprovalRequest) -> list[dict[str, object]]:
    """The comments of a request, oldest first: by, at, text, mentions (names)."""
    rows = Comment.objects.filter(tenant=request.tenant_id, request=request).order_by("at", "id")[:200]
    return [
        {"by": row.author_name, "at": row.at, **crypto.unseal_json(row.tenant_id, "comment", row.sealed)}
        for row in rows
    ]


def _mentioned(actor: Actor, text: str) -> list[str]:
    wanted = list(dict.fromkeys(_MENTION.findall(text)))[:20]
    if not wanted:
        return []
    members = Membership.objects.filter(tenant=actor.tenant, active=True, user__username__in=wanted)
    return sorted(members.values_list("user__username", flat=True))
