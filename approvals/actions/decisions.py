"""How a request is decided. Every path that decides, whatever page or call it starts from, ends in ``decide``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from approvals import agenda, audience, in_doubt, policy, rule_sets
from approvals.actions import claims, concluding
from approvals.actions.lifecycle import end_locked
from approvals.actions.requests import (
    contents,
    facts_of,
    iso,
    lock_run_of,
    request_of,
    require_open,
    standing_votes,
    tell,
    vote_contents,
)
from approvals.arguments import first_fault
from approvals.errors import AlreadyVoted, Changed, Invalid, TooLate
from approvals.models import ApprovalRequest, RequestStatus, Vote
from approvals.notices import events, outbox
from approvals.words import Words, read
from console import prepared, tracing
from console.audit import log
from console.durable.digest import digest as digest_of
from console.durable.steps import Ask, Decision, Verdict
from console.runs import actions as runs
from console.runs.models import Run
from console.tenants import crypto, groups
from console.tenants.access import Actor
from console.workflows.models import Revision

Json = Any


@dataclass(frozen=True, slots=True)
class Proposal:
    """What approving means right now: the model's own proposal, or the edit that stands in its place."""

    digest: str
    arguments: Json = None
    answer: str | None = None
    edited_by: str = ""


def proposal(
    request: ApprovalRequest, votes: Sequence[Vote] | None = None, shown: Mapping[str, Json] | None = None
) -> Proposal:
    """What is on the table of a request; ``votes`` and ``shown`` (its contents) spare a query and an unsealing."""
    for vote in reversed(standing_votes(request) if votes is None else votes):
        if vote.verdict == "edit":
            said = vote_contents(vote)
            return Proposal(vote.digest, said.get("arguments"), said.get("answer"), vote.voter_name)
    return Proposal(request.digest, (contents(request) if shown is None else shown).get("arguments"))


@transaction.atomic
def decide(
    actor: Actor,
    request_id: UUID | str,
    verdict: str,
    reason: str = "",
    arguments: Json = None,
    answer: str | None = None,
    result: Json = None,
    digest: str | None = None,
    despite_evidence: bool = False,
) -> ApprovalRequest:
    """Say ``verdict`` to a request, for ``actor``. Returns the request as it stands afterwards.

    The last vote that the quorum needs decides it and makes the run ready. An edit voids the votes before it and is
    judged by the rules again; one reject, answer or terminate decides alone; escalate leaves the request pending.
    ``digest`` is that of the arguments that were looked at: if others are on the table by now, nothing is approved.
    ``despite_evidence``: they have read that a call in doubt was done, and say all the same that it was not.

    Raises access.NotFound, access.Forbidden (see audience.require), TooLate, AlreadyVoted, Changed, Claimed, Invalid.
    """
    run = lock_run_of(actor, request_id)
    request = request_of(actor, request_id)  # after the lock: what it says then holds
    audience.require_reviewer(actor)
    request.workflow = run.workflow  # joined there already, and shown next
    now = timezone.now()
    require_open(request, now)
    words = read(request.kind, verdict, reason, arguments, answer, result, request.verdicts)
    audience.require_of(actor, request, words.verdict, now)
    against = in_doubt.contradicted(request, words.answer)
    if against and not despite_evidence:
        raise Invalid("despite_evidence", against)
    votes = standing_votes(request) if request.approvers > 1 else []  # one vote that counts decides, and ends it
    table = proposal(request, votes)
    if digest is not None and digest != table.digest:
        by = f" by {table.edited_by}" if table.edited_by else ""
        raise Changed(request, f"What is proposed was changed{by} since you looked at it.")
    if words.verdict == "escalate":
        return _escalate(actor, request, run, words)
    words = replace(words, digest=table.digest)
    if words.verdict == "edit":
        words, request = _edit(actor, request, run, words)
    votes = _vote(actor, request, votes, words)
    claims.drop(request)
    instead_of = groups.standing_in(actor, request.group) if request.group else []
    if words.verdict in ("approve", "edit"):
        if len({vote.voter_id for vote in votes}) < request.approvers:
            log.record(
                actor,
                "request.voted",
                "request",
                request.pk,
                verdict=words.verdict,
                run=str(run.pk),
                **_for(instead_of),
            )
            tell(request, run, votes)
            return request
        words = _agreed(words, votes)
    _win(actor, request, run, words, votes, {**_for(instead_of), **({"despite_evidence": against} if against else {})})
    return request


def decisions_for(run_id: UUID, asks: Sequence[Ask]) -> list[tuple[Ask, Decision]]:
    """Those of ``asks`` that have been decided, in the order in which they were. Call inside a scope."""
    wanted = {(ask.scope, ask.n): ask for ask in asks}
    return [(wanted[place], decision) for place, decision in decided(run_id, wanted).items()]


def decided(run_id: UUID, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], Decision]:
    """The decisions about requests of a run by their (scope, n), in the order in which they were made; those that are
    not decided are left out. Call inside a scope."""
    if not places:
        return {}
    with prepared.cursor() as cursor:  # by hand: a worker asks at each resume, and the ORM takes longer than Postgres
        cursor.execute(_DECIDED, [run_id, [scope for scope, _ in places], [n for _, n in places]])
        return {(row[0], row[1]): _decision(row) for row in cursor.fetchall()}


_DECIDED = """
    SELECT scope, n, tenant_id, id, verdict, decided_by_name, decided_at, digest, sealed_decision
    FROM approvals_approvalrequest
    WHERE run_id = %s AND status IN ('decided', 'expired')
      AND (scope, n) IN (SELECT * FROM unnest(%s::text[], %s::int[]))
    ORDER BY decided_at, id
"""


def _decision(row: tuple[Any, ...]) -> Decision:
    _, _, tenant_id, request_id, verdict, by, at, digest, sealed = row
    said: dict[str, Json] = {} if sealed is None else crypto.unseal_json(tenant_id, "decision", sealed)
    return Decision(
        verdict=verdict,
        reason=said.get("reason") or "",
        arguments=said.get("arguments"),
        answer=said.get("answer"),
        result=said.get("result"),
        by=by,
        request=str(request_id),
        at=iso(at) or "",
        digest=said.get("digest") or digest,
    )


def _edit(actor: Actor, request: ApprovalRequest, run: Run, words: Words) -> tuple[Words, ApprovalRequest]:
    """An edit is checked like a proposal of the team: by the tool's schema, then by the rules. Quorum only rises."""
    if request.kind != "tool":
        return replace(words, digest=digest_of(words.answer)), _second(request)
    shown = contents(request)
    fault = first_fault(shown.get("schema"), words.arguments)
    if fault:
        raise Invalid(fault.field, fault.message)
    edited = {**shown, "arguments": words.arguments}
    edited.pop("fault", None)
    ask = Ask(request.scope, request.n, request.kind, request.digest, edited, request.agent, request.tool)
    verdict: Verdict = policy.judge(ask, run.body, facts_of(run), _today(run), rule_sets.current(run.tenant_id))
    if verdict.effect == "deny":
        raise Invalid("arguments", verdict.reason)
    if verdict.effect == "require":
        _demand(actor, request, verdict)
    return replace(words, digest=digest_of(words.arguments)), _second(request)


def _demand(actor: Actor, request: ApprovalRequest, verdict: Verdict) -> None:
    """What the rule that the edited call meets asks besides: more people, others, and no edit at all. Raises Invalid."""
    detail = verdict.detail if isinstance(verdict.detail, Mapping) else {}
    rule = detail.get("rule") or {}
    name, group = rule.get("name", ""), detail.get("group") or ""
    if name == (request.rule or {}).get("name"):
        return  # the rule that asked already: what it demands was frozen then
    allowed = detail.get("verdicts") or []
    if allowed and "edit" not in allowed:
        raise Invalid("arguments", f"meet the rule “{name}” so, which does not allow an edit")
    if group and group not in groups.of(actor):
        raise Invalid("arguments", f"meet the rule “{name}” so, which asks for {group}, and you are not in that group")
    if detail.get("approvers", 1) > request.approvers or (group and group != request.group):
        _raise(request, rule=detail.get("rule"), reason=verdict.reason)
    if detail.get("approvers", 1) > request.approvers:
        _raise(request, approvers=detail["approvers"])
    if group and group != request.group:
        _raise(request, group=group)
    if detail.get("second_for_edit") and not request.second_for_edit:
        _raise(request, second_for_edit=True)


def _second(request: ApprovalRequest) -> ApprovalRequest:
    """An edit that its editor alone may not approve takes two."""
    if request.second_for_edit and request.approvers < 2:
        _raise(request, approvers=2)
    return request


def _raise(request: ApprovalRequest, **demands: Json) -> None:
    ApprovalRequest.objects.filter(pk=request.pk, tenant=request.tenant_id).update(**demands)
    for name, value in demands.items():
        setattr(request, name, value)


def _today(run: Run) -> Mapping[str, Json] | None:
    """The body of the revision that new runs take, where the run has another: what it denies is denied to an edit too."""
    current = run.workflow.current_id
    if current in (None, run.revision_id):
        return None
    body: Mapping[str, Json] = Revision.objects.values_list("body", flat=True).get(pk=current, tenant=run.tenant_id)
    return body


def _vote(actor: Actor, request: ApprovalRequest, votes: Sequence[Vote], words: Words) -> list[Vote]:
    """Write a vote; returns those that count from now on."""
    own = [vote for vote in votes if vote.voter_id == actor.id]
    if own and words.verdict == "approve":
        did = "edited" if own[-1].verdict == "edit" else "approved"
        raise AlreadyVoted(
            request,
            f"You {did} this at {own[-1].at:%H:%M:%S UTC on %Y-%m-%d}. "
            f"It takes {request.approvers} people, so the next has to be somebody else.",
        )
    void = votes if words.verdict == "edit" else own
    if void:
        Vote.objects.filter(tenant=request.tenant_id, pk__in=[vote.pk for vote in void]).update(voided=True)
    vote = Vote(
        tenant_id=request.tenant_id,
        request=request,
        voter_id=actor.id,
        voter_name=actor.name,
        verdict=words.verdict,
        digest=words.digest,
        sealed=crypto.seal_json(request.tenant_id, "vote", words.contents()),
        at=timezone.now(),
    )
    keep_vote(vote)
    return [*(each for each in votes if each not in void), vote]


def keep_vote(vote: Vote) -> None:
    """Write a new vote."""
    values = [vote.pk, vote.tenant_id, vote.request_id, vote.voter_id, vote.voter_name, vote.verdict, vote.digest]
    with prepared.cursor() as cursor:
        cursor.execute(_VOTE, [*values, vote.sealed, vote.at])
    vote._state.adding, vote._state.db = False, DEFAULT_DB_ALIAS


_VOTE = """
    INSERT INTO approvals_vote (id, tenant_id, request_id, voter_id, voter_name, verdict, digest, sealed, voided, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, false, %s)
"""


def _agreed(words: Words, votes: Sequence[Vote]) -> Words:
    """The decision of a full quorum: the edit that stands, if one does, whoever spoke last."""
    reasons = [vote_contents(vote).get("reason") or "" for vote in votes]
    reason = "\n".join(dict.fromkeys(text for text in reasons if text))
    for vote in votes:
        if vote.verdict == "edit":
            said = vote_contents(vote)
            return Words("edit", reason, said.get("arguments"), said.get("answer"), None, vote.digest)
    return replace(words, reason=reason)


def _for(absent: Sequence[str]) -> dict[str, Json]:
    """For whom somebody decided who stands in, for the record."""
    return {"stands_in_for": list(absent)} if absent else {}


def _win(
    actor: Actor,
    request: ApprovalRequest,
    run: Run,
    words: Words,
    votes: Sequence[Vote],
    beside: Mapping[str, Json],
) -> None:
    """Settle the request for good and make its run ready, or end it. ``beside``: what the audit keeps with it."""
    settle(request, RequestStatus.DECIDED, words, timezone.now(), actor.id, actor.name)
    log.record(
        actor,
        "request.decided",
        "request",
        request.pk,
        verdict=words.verdict,
        digest=words.digest,
        run=str(run.pk),
        kind=request.kind,
        tool=request.tool,
        **({"answer": words.answer} if request.kind == "in_doubt" else {}),
        **beside,
    )
    outbox.note(request, run, events.DECIDED, by=actor.name)
    if run.probe:
        concluding.decided(actor, request, run, words)  # there is no team to wake or to end
    elif words.verdict == "terminate":
        because = f": {words.reason}" if words.reason else "."
        end_locked(run, "cancelled", "terminated", f"{actor.name} terminated the run{because}")
    else:
        runs.wake(run.pk)
    tell(request, run, votes)


def settle(
    request: ApprovalRequest, status: str, words: Words, now: datetime, by_id: UUID | None, by_name: str
) -> None:
    """Only pending moves: one conditional UPDATE, and whoever comes second hears TooLate."""
    sealed = crypto.seal_json(request.tenant_id, "decision", {**words.contents(), "digest": words.digest})
    outcome = {
        "status": status,
        "decided_at": now,
        "verdict": words.verdict,
        "decided_by_id": by_id,
        "decided_by_name": by_name,
        "decided_trace": tracing.parent(),
        "sealed_decision": sealed,
        "agenda": [],
        "next_at": None,
    }
    with prepared.cursor() as cursor:
        said = [str(status), now, words.verdict, by_id, by_name, outcome["decided_trace"], sealed]
        cursor.execute(_SETTLE, [*said, request.tenant_id, request.pk])
        won = cursor.rowcount
    if not won:
        request.refresh_from_db()
        raise TooLate(request)
    for name, value in outcome.items():
        setattr(request, name, value)


_SETTLE = """
    UPDATE approvals_approvalrequest SET status = %s, decided_at = %s, verdict = %s, decided_by_id = %s,
        decided_by_name = %s, decided_trace = %s, sealed_decision = %s, agenda = '[]'::jsonb, next_at = NULL
    WHERE tenant_id = %s AND id = %s AND status = 'pending'
"""


def _escalate(actor: Actor, request: ApprovalRequest, run: Run, words: Words) -> ApprovalRequest:
    """To the next group of its chain, before its time; without a chain it is marked, once, for somebody else."""
    ahead = next((entry for entry in request.agenda if entry["do"] == "escalate"), None)
    if ahead is None and request.escalated_at is not None:
        raise AlreadyVoted(request, f"This was already escalated at {request.escalated_at:%H:%M:%S UTC on %Y-%m-%d}.")
    pass_on(request, ahead, timezone.now())
    Vote.objects.create(  # it counts for nothing, so it is void; the words are for whoever decides in the end
        tenant_id=request.tenant_id,
        request=request,
        voter_id=actor.id,
        voter_name=actor.name,
        verdict=words.verdict,
        sealed=crypto.seal_json(request.tenant_id, "vote", words.contents()),
        voided=True,
    )
    log.record(actor, "request.escalated", "request", request.pk, run=str(run.pk), group=request.group)
    if not (run.probe and concluding.escalated(actor, request, run)):
        outbox.note(request, run, events.ESCALATED, by=actor.name)
    tell(request, run)
    return request


def pass_on(request: ApprovalRequest, entry: Mapping[str, Json] | None, now: datetime) -> None:
    """Escalate a pending request whose run is locked: to the group of an ``entry`` of its agenda, which is then done.
    Whoever had it in hand lets go."""
    request.escalated_at = request.escalated_at or now
    if entry is not None:
        request.group = entry["group"]
        request.agenda = [each for each in request.agenda if each != entry]
        request.next_at = agenda.when(request.agenda[0]) if request.agenda else None
    claims.drop(request)
    request.save(update_fields=["escalated_at", "group", "agenda", "next_at"])
