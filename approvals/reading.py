"""Requests as they are shown, their sealed parts opened. Two queries for a whole list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from approvals.actions.decisions import proposal
from approvals.actions.requests import contents, decision_contents, vote_contents
from approvals.models import ApprovalRequest, RequestStatus, Vote
from approvals.words import allowed_by

Json = Any


def many(requests: Sequence[ApprovalRequest]) -> list[dict[str, Json]]:
    """Each request with what is on its table, its votes and its decision. Their workflows should be joined already."""
    votes: dict[UUID, list[Vote]] = defaultdict(list)
    if requests:
        rows = Vote.objects.filter(
            tenant=requests[0].tenant_id, request__in=[each.pk for each in requests], voided=False
        )
        for vote in rows.order_by("at", "id"):
            votes[vote.request_id].append(vote)
    return [_one(each, votes[each.pk]) for each in requests]


def decision(request: ApprovalRequest) -> dict[str, Json] | None:
    """The decision that won, or None: verdict, by, at, reason, arguments, answer, result, digest."""
    if not request.verdict:
        return None
    said = decision_contents(request)
    return {
        "verdict": request.verdict,
        "by": request.decided_by_name,
        "at": request.decided_at,
        "reason": said.get("reason") or "",
        "arguments": said.get("arguments"),
        "answer": said.get("answer"),
        "result": said.get("result"),
        "digest": said.get("digest") or request.digest,
    }


def _one(request: ApprovalRequest, votes: Sequence[Vote]) -> dict[str, Json]:
    content = contents(request)
    table = proposal(request, votes, content)
    pending = request.status == RequestStatus.PENDING
    return {
        "id": str(request.pk),
        "run": str(request.run_id),
        "workflow": request.workflow.slug,
        "kind": request.kind,
        "title": request.title,
        "agent": request.agent,
        "tool": request.tool,
        "risk": request.risk,
        "arguments": table.arguments,
        "proposed": content.get("arguments"),
        "digest": table.digest,
        "content": content,
        "status": request.status,
        "probe": request.probe and not pending,
        "verdicts": [
            each
            for each in allowed_by(request.kind, request.verdicts)
            if pending and not (each == "escalate" and request.escalated_at and not _chain(request))
        ],
        "votes": [
            {
                "by": vote.voter_name,
                "verdict": vote.verdict,
                "reason": vote_contents(vote).get("reason") or "",
                "digest": vote.digest,
                "at": vote.at,
            }
            for vote in votes
        ],
        "approvers": request.approvers,
        "group": request.group,
        "blocks": request.blocks,
        "second_for_edit": request.second_for_edit,
        "agenda": request.agenda,
        "claimed_by": request.claimed_by_name if pending else "",
        "claimed_until": request.claimed_until if pending else None,
        "standing": str(request.standing_id) if request.standing_id else None,
        "reason": request.reason,
        "rule": request.rule,
        "scope": request.scope,
        "index": request.n,
        "created_at": request.created_at,
        "due_at": request.due_at,
        "on_expiry": request.on_expiry,
        "escalated_at": request.escalated_at,
        "decision": decision(request),
    }


def _chain(request: ApprovalRequest) -> bool:
    """Whether there is somebody left to escalate to."""
    return any(entry["do"] == "escalate" for entry in request.agenda)
