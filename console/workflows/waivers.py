"""NEVER, and what it takes: a revision may say that nobody reviews a team, and a waiver lets it hold for a while.

    proposed --consent--> in force --> expired, by its date alone
        '-------revoke------'

An admin writes the risk assessment and the date, another admin consents. It holds for what was
assessed and for less: a revision whose team may do more (assessed.py) takes another. Wherever no waiver holds, NEVER means
TERMINATE: waived.py says so for a run that starts now, and the run keeps what it was told. Each deed writes its audit
row in the same transaction. Call inside a tenant_scope.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from console.audit import log as audit
from console.tenants import access
from console.tenants.access import Actor, Forbidden
from console.tenants.models import Membership
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import assessed, contracts, limits, registry, waived
from console.workflows.errors import Conflict, Invalid
from console.workflows.models import Waiver, Workflow
from console.workflows.oversight import lacking, says_never, where

Json = Any
SHORTEST, LONGEST = 40, 20_000  # characters of a risk assessment
FURTHEST = timedelta(days=366)
LIMIT = 200  # waivers whose end one sweep tells


def propose(actor: Actor, workflow: Workflow, stage: Any, risk_assessment: Any, expires_at: Any) -> Waiver:
    """Ask for another admin's consent that ``stage`` (an agent, or "" for the whole workflow) works without a review.

    ``expires_at`` is a datetime, or ISO 8601 text; without a zone it is UTC. Raises Forbidden (admins, in person),
    Invalid with the field that is wrong, and Conflict when such a proposal waits for consent already.
    """
    _in_person(actor)
    locked = _locked(actor, workflow)
    stage = _stage(stage)
    text = _assessment(risk_assessment)
    until = _until(expires_at)
    revision = locked.current
    if revision is None:
        raise Invalid("workflow", f"{locked.slug} has no revision yet: there is nothing to waive")
    _worth_it(locked, stage)
    if any(one.stage == stage for one in waived.of(locked) if waived.state(one) == "proposed"):
        raise Conflict(f"A proposal for {where(stage)} waits for consent already; revoke it to write another.")
    waiver = Waiver.objects.create(
        tenant=actor.tenant,
        workflow=locked,
        revision=revision,
        stage=stage,
        risk_assessment=text,
        assessed=_assessed(locked, stage),
        expires_at=until,
        proposed_by_id=actor.id,
        proposed_by_name=actor.name[:200],
        proposed_at=waived.now(),
    )
    _record(actor, "waiver.proposed", waiver, locked, revision=revision.number)
    return waiver


def consent(actor: Actor, waiver: Waiver) -> Waiver:
    """Let a proposal hold. Raises Forbidden (another admin than its proposer, in person), Conflict when it has been
    decided, is over, or is of a team that may do more by now, and Invalid when there is nothing to waive any more."""
    _in_person(actor)
    locked = _locked(actor, waiver.workflow)
    found = access.get(Waiver, actor, for_update=True, pk=waiver.pk, workflow=locked)
    if found.proposed_by_id == actor.id:
        raise Forbidden("You proposed this yourself. NEVER takes the consent of a second admin.")
    if waived.state(found) != "proposed":
        raise Conflict(f"This cannot be consented to: it {_BECAME[waived.state(found)].format(it=found)}.")
    _worth_it(locked, found.stage)
    more = assessed.beyond(found.assessed, _assessed(locked, found.stage)) if found.assessed else []
    if more:
        raise Conflict(
            f"The team goes beyond what {found.proposed_by_name} assessed: {'; '.join(more)}. Decline this, and have "
            "another written."
        )
    found.consented_by_id, found.consented_by_name = actor.id, actor.name[:200]
    found.consented_at = waived.now()
    found.save(update_fields=["consented_by_id", "consented_by_name", "consented_at"])
    _record(actor, "waiver.consented", found, locked, proposed_by=found.proposed_by_name)
    contracts.keep(locked, f"{actor.name} consented to NEVER for {where(found.stage)}.")
    return found


def revoke(actor: Actor, waiver: Waiver, why: Any) -> Waiver:
    """Take a waiver back, or turn a proposal down; runs that start from now on are reviewed. Any admin may.

    Raises Forbidden, Invalid for a missing reason, and Conflict when it is over already.
    """
    access.require(actor, "admin")
    why = why.strip() if isinstance(why, str) else ""
    if not why or len(why) > 500 or "\x00" in why:
        raise Invalid("why", "must say in 1 to 500 characters why it is taken back")
    locked = _locked(actor, waiver.workflow)
    found = access.get(Waiver, actor, for_update=True, pk=waiver.pk, workflow=locked)
    was = waived.state(found)
    if was in ("revoked", "declined", "expired", "lapsed"):
        raise Conflict(f"This cannot be revoked: it {_BECAME[was].format(it=found)}.")
    found.revoked_by_id, found.revoked_by_name = actor.id, actor.name[:200]
    found.revoked_at, found.revoked_why = waived.now(), why
    found.save(update_fields=["revoked_by_id", "revoked_by_name", "revoked_at", "revoked_why"])
    _record(actor, "waiver.revoked" if was == "in_force" else "waiver.declined", found, locked, why=why)
    if was == "in_force":
        contracts.keep(locked, f"{actor.name} took NEVER for {where(found.stage)} back: {why}")
    return found


def expire() -> int:
    """Write down, once for each, that a waiver has run out; how many. Call outside any scope.

    Nothing depends on it: a run that starts later compares the time itself.
    """
    with system_scope("sweeping: waivers that have run out"):
        over = Waiver.objects.filter(
            consented_at__isnull=False, revoked_at=None, expiry_told_at=None, expires_at__lte=waived.now()
        )
        found = list(over.order_by("expires_at").values_list("id", "tenant_id")[:LIMIT])
    told = 0
    for waiver_id, tenant_id in found:
        with tenant_scope(tenant_id):
            told += _tell(waiver_id)
    return told


def _tell(waiver_id: Any) -> bool:
    rows = Waiver.objects.select_related("workflow", "tenant").filter(
        pk=waiver_id, revoked_at=None, expiry_told_at=None
    )
    # The workflow's row first, as everybody does who changes a waiver.
    workflow = Workflow.objects.select_for_update(of=("self",)).filter(waivers__in=rows.values("pk")).first()
    waiver = rows.select_for_update(of=("self",)).first()
    if waiver is None or workflow is None:
        return False  # another worker's, or revoked meanwhile
    waiver.expiry_told_at = waived.now()
    waiver.save(update_fields=["expiry_told_at"])
    actor = access.system_actor(waiver.tenant, "The calendar")
    _record(actor, "waiver.expired", waiver, workflow, consented_by=waiver.consented_by_name)
    contracts.keep(workflow, f"NEVER for {where(waiver.stage)} has run out on {waiver.expires_at:%Y-%m-%d}.")
    return True


_BECAME = {
    "in_force": "has the consent of {it.consented_by_name} already",
    "expired": "ran out on {it.expires_at:%Y-%m-%d}",
    "lapsed": "ran out on {it.expires_at:%Y-%m-%d} without consent",
    "revoked": "was revoked by {it.revoked_by_name}",
    "declined": "was declined by {it.revoked_by_name}",
}


def _worth_it(workflow: Workflow, stage: str) -> None:
    """Raise Invalid unless the current revision says NEVER there, with a contract and limits to it."""
    assert workflow.current is not None  # noqa: S101 - a waiver is written for a revision
    body = workflow.current.body
    never = says_never(body)
    if stage not in never:
        field = f"oversight.stages.{stage}" if stage else "oversight.mode"
        there = f" It says so for {_words(never)}." if never else ""
        raise Invalid("stage", f"has nothing to waive: {field} of the current revision is not NEVER.{there}")
    missing = lacking(body, limits.of_tenant(workflow.tenant_id), workflow.limits)
    if missing:
        raise Invalid(*missing[0])


def _assessed(workflow: Workflow, stage: str) -> dict[str, Json]:
    """What there is to assess of the current revision."""
    body = workflow.current.body if workflow.current else {}
    held = limits.effective(limits.of_tenant(workflow.tenant_id), workflow.limits, body.get("limits") or {})
    return assessed.taken(body, stage, registry.of(workflow.tenant_id), held)


def _words(stages: Collection[str]) -> str:
    return ", ".join(where(stage) for stage in stages)


def _in_person(actor: Actor) -> None:
    """Forbidden unless the actor is a member who is an admin now: a program cannot answer for a risk."""
    access.require(actor, "admin")
    members = Membership.objects.filter(tenant_id=actor.tenant.id, user_id=actor.id, role="admin", active=True)
    if actor.id is None or not members.exists():
        raise Forbidden("NEVER takes two admins in person; this is a program, or no admin any more.")


def _locked(actor: Actor, workflow: Workflow) -> Workflow:
    return access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)


def _stage(stage: Any) -> str:
    if stage is None:
        return ""
    if not isinstance(stage, str) or len(stage) > 200 or "\x00" in stage:
        raise Invalid("stage", "must be an agent's name, or left out for the whole workflow")
    return stage.strip()


def _assessment(text: Any) -> str:
    text = text.replace("\r\n", "\n").strip() if isinstance(text, str) else ""
    if not SHORTEST <= len(text) <= LONGEST or "\x00" in text:
        raise Invalid(
            "risk_assessment",
            f"must say in {SHORTEST} to {LONGEST:,} characters what can go wrong without a review, how likely it is, and "
            "what would limit it",
        )
    return text


def _until(given: Any) -> datetime:
    try:
        at = given if isinstance(given, datetime) else datetime.fromisoformat(str(given).strip())
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Invalid("expires_at", "must be a time such as 2027-01-31T12:00:00Z") from None
    now = waived.now()
    if not now < at <= now + FURTHEST:
        raise Invalid("expires_at", f"must be in the future, and at most {FURTHEST.days} days ahead")
    return at


def _record(actor: Actor, action: str, waiver: Waiver, workflow: Workflow, **detail: Any) -> None:
    audit.record(
        actor, action, "workflow", workflow.id,
        slug=workflow.slug, waiver=str(waiver.id), stage=waiver.stage, expires_at=waiver.expires_at.isoformat(), **detail,
    )  # fmt: skip
