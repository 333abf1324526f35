"""One word to many like requests. Each is decided by itself, by ``decide``, and answered for by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404

from approvals.actions.decisions import decide
from approvals.actions.requests import lock_runs
from approvals.actions.standing import rule_name
from approvals.errors import Conflict, Invalid
from approvals.models import ApprovalRequest
from console.tenants import access
from console.tenants.access import Actor

MOST = 200
VERDICTS = ("approve", "reject")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one of them: ``problem`` is empty where it was decided, or counted as a vote."""

    id: str
    status: str  # of the request; "" where it could not be read
    problem: str = ""


def decide_many(
    actor: Actor, ids: Sequence[UUID | str], verdict: str, reason: str = "", digests: dict[str, str] | None = None
) -> list[Answer]:
    """Approve or reject like requests: of one kind, workflow, tool and rule. An answer for each, in their order.

    ``digests``: by id, of the arguments that were looked at. Those that cannot be decided keep nobody from deciding the
    others. Raises access.Forbidden, and Invalid before anything is decided: never for edits, never across rules.
    """
    access.require(actor, "reviewer")
    if verdict not in VERDICTS:
        raise Invalid("verdict", f"must be one of {', '.join(VERDICTS)}: anything else is said one by one")
    wanted = _ids(ids)
    if not wanted:
        raise Invalid("ids", "must name at least one request")
    if len(wanted) > MOST:
        raise Invalid("ids", f"must name at most {MOST} requests, got {len(wanted)}")
    rows = {row.pk: row for row in access.all(ApprovalRequest, actor).filter(pk__in=wanted)}
    _alike(list(rows.values()))
    # All runs first, in one order, and only then what their feeds share: two who decide many never wait crosswise.
    lock_runs(actor.tenant.pk, {row.run_id for row in rows.values()})
    return [_decide(actor, rows.get(key), key, verdict, reason, (digests or {}).get(str(key))) for key in wanted]


def likeness(row: ApprovalRequest) -> tuple[str, ...]:
    """Two requests are alike where this is the same."""
    return (row.kind, str(row.workflow_id), row.tool, rule_name(row), row.group, str(row.approvers))


def _alike(rows: Sequence[ApprovalRequest]) -> None:
    if any(row.kind in ("question", "in_doubt") for row in rows):
        raise Invalid("ids", "questions and doubts are answered one by one")
    if len({likeness(row) for row in rows}) > 1:
        raise Invalid("ids", "must be of one workflow, kind, tool and rule: decide those that differ by themselves")


def _decide(
    actor: Actor, row: ApprovalRequest | None, key: UUID, verdict: str, reason: str, digest: str | None
) -> Answer:
    if row is None:
        return Answer(str(key), "", "There is no such request.")
    try:
        with transaction.atomic():
            decided = decide(actor, key, verdict, reason, digest=digest)
    except (Conflict, Invalid, PermissionDenied, Http404) as refusal:
        return Answer(str(key), row.status, str(refusal))
    return Answer(str(key), decided.status)


def _ids(ids: Sequence[UUID | str]) -> list[UUID]:
    if not isinstance(ids, list | tuple):
        raise Invalid("ids", "must be a list of ids")
    try:
        return list(dict.fromkeys(each if isinstance(each, UUID) else UUID(str(each)) for each in ids[: MOST + 1]))
    except ValueError:
        raise Invalid("ids", "must be the ids of requests") from None
