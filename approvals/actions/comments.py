"""What people say about a request without deciding it."""

from __future__ import annotations

import re
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Lower

from approvals.actions.requests import lock_run_of, tell
from approvals.errors import Invalid
from approvals.models import ApprovalRequest, Comment, Mention
from approvals.notices import events, outbox
from console.audit import log
from console.tenants import access, crypto
from console.tenants.access import Actor
from console.tenants.models import Membership, User

MAX = 4_000  # characters
MOST = 20  # people that one comment mentions
_MENTION = re.compile(r"(?<![\w.+@-])@(\w[\w.+@-]{0,149})")


@transaction.atomic
def comment(actor: Actor, request_id: UUID | str, text: str) -> Comment:
    """Say something about a request, pending or not. Every member may. ``@name`` mentions a member, who is told of
    it in the ways that they chose; a name that is nobody's is kept as unknown.

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
    named, unknown = _mentioned(actor, text)
    said = {"text": text, "mentions": [user.username for user in named], "unknown": unknown}
    found = Comment.objects.create(
        tenant=actor.tenant,
        request=request,
        author_id=actor.id,
        author_name=actor.name[:200],
        sealed=crypto.seal_json(actor.tenant.pk, "comment", said),
    )
    whom = [user.pk for user in named if user.pk != actor.id]
    log.record(
        actor, "request.commented", "request", request.pk, run=str(run.pk),
        **({"mentioned": [str(each) for each in whom]} if whom else {}),
    )  # fmt: skip
    if whom:
        Mention.objects.bulk_create(
            [Mention(tenant=actor.tenant, request=request, user_id=each) for each in whom], ignore_conflicts=True
        )
        outbox.note(request, run, events.MENTIONED, by=actor.name, whom=[str(each) for each in whom])
    tell(request, run, mention={"comment": str(found.pk), "by": actor.name, "whom": whom} if whom else None)
    return found


def of(request: ApprovalRequest) -> list[dict[str, object]]:
    """The comments of a request, oldest first: by, at, text, mentions (names of members), unknown (names of nobody)."""
    rows = Comment.objects.filter(tenant=request.tenant_id, request=request).order_by("at", "id")[:200]
    return [
        {"by": row.author_name, "at": row.at, "unknown": []} | crypto.unseal_json(row.tenant_id, "comment", row.sealed)
        for row in rows
    ]


def _mentioned(actor: Actor, text: str) -> tuple[list[User], list[str]]:
    """The members whom a text names, and the names that are nobody's here. Names are told apart without their case, as
    they are when they are given; what may belong to the sentence, as the dot at its end, is tried without, too."""
    wanted = list(dict.fromkeys(_MENTION.findall(text)))[:MOST]
    tried = {each: _readings(each) for each in wanted}
    lowered = {reading for each in tried.values() for reading in each}
    if not lowered:
        return [], []
    members = Membership.objects.filter(tenant=actor.tenant, active=True, user__is_active=True)
    rows = members.annotate(name=Lower("user__username")).filter(name__in=lowered).select_related("user")
    known = {row.user.username.lower(): row.user for row in rows}
    found: dict[str, User] = {}
    unknown: dict[str, None] = {}
    for each, readings in tried.items():
        user = next((known[reading] for reading in readings if reading in known), None)
        if user is not None:
            found[user.username] = user
        else:
            unknown[each.rstrip(_TAIL)] = None
    return [found[name] for name in sorted(found)], list(unknown)


def _readings(token: str) -> list[str]:
    """What name was meant, the longest first: "rita@example.com." may be rita@example.com, or rita."""
    return list(dict.fromkeys(each.lower() for each in (token, token.rstrip(_TAIL), token.partition("@")[0]) if each))


_TAIL = ".+-@"
