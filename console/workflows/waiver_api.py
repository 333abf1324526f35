"""Waivers and behaviour contracts over HTTP: who agreed that nobody reviews, and what a team may do, version by version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict

from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import contracts, waived, waivers
from console.workflows.models import BehaviourContract, Waiver, Workflow
from console.workflows.oversight import says_never

Json = Any
router = Router(tags=["oversight"])

LISTED = 100


class WaiverIn(Schema):
    """``stage``: an agent's name; left out, it is the whole workflow. ``expires_at``: ISO 8601, at most 366 days ahead."""

    model_config = ConfigDict(extra="forbid")

    stage: Json = ""
    risk_assessment: Json = None
    expires_at: Json = None


class RevokeIn(Schema):
    model_config = ConfigDict(extra="forbid")

    why: str = ""


class WaiverOut(Schema):
    """``state``: proposed, in_force, expired (after consent), lapsed (without), revoked (after consent) or declined
    (without). ``revision`` is the one that it was written for. ``holds`` is whether NEVER is in force by it for the current
    revision; ``beyond`` is what that one may do more than was assessed, for which it does not hold."""

    id: str
    stage: str
    state: str
    holds: bool
    beyond: list[str]
    revision: int
    risk_assessment: str
    expires_at: datetime
    proposed_by: str
    proposed_at: datetime
    consented_by: str
    consented_at: datetime | None
    revoked_by: str
    revoked_at: datetime | None
    revoked_why: str


class WaiversOut(Schema):
    items: list[WaiverOut]
    next: str | None


class VersionOut(Schema):
    number: int
    text: str
    sha256: str
    revision: int
    since: datetime
    because: str


class BehaviourOut(Schema):
    """What the team may do without a person, in one paragraph, since when and because of what. ``sha256`` is of ``text``
    as UTF-8. ``number`` is 0 where no version is kept yet. ``versions`` are all of them, the newest first."""

    number: int
    text: str
    sha256: str
    revision: int | None
    since: datetime | None
    because: str
    versions: list[VersionOut]


@router.get(
    "/workflows/{slug}/waivers", response=WaiversOut, summary="Who let NEVER hold, where and until when; newest first"
)
def list_waivers(request: HttpRequest, slug: str) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    rows = access.all(Waiver.objects.select_related("revision"), actor).filter(workflow=workflow)
    return {"items": _waivers_out(workflow, list(rows.order_by("-proposed_at")[:LISTED])), "next": None}


@router.post(
    "/workflows/{slug}/waivers",
    response={201: WaiverOut},
    summary="Propose that nobody reviews a team, or a stage of it",
)
def propose(request: HttpRequest, slug: str, body: WaiverIn) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, slug)
    made = waivers.propose(actor, workflow, body.stage, body.risk_assessment, body.expires_at)
    return Status(201, _waivers_out(workflow, [made])[0])


@router.post(
    "/workflows/{slug}/waivers/{id}/consent", response=WaiverOut, summary="Consent to it, as a second admin: it holds"
)
def consent(request: HttpRequest, slug: str, id: str) -> Any:
    actor = actor_of(request)
    return _waivers_out(_workflow(actor, slug), [waivers.consent(actor, _waiver(actor, slug, id))])[0]


@router.delete("/workflows/{slug}/waivers/{id}", response=WaiverOut, summary="Revoke it, or decline it, and say why")
def revoke(request: HttpRequest, slug: str, id: str, body: RevokeIn) -> Any:
    actor = actor_of(request)
    return _waivers_out(_workflow(actor, slug), [waivers.revoke(actor, _waiver(actor, slug, id), body.why)])[0]


@router.get(
    "/workflows/{slug}/behaviour",
    response=BehaviourOut,
    summary="What the team may do without a person, and since when",
)
def behaviour(request: HttpRequest, slug: str) -> Any:
    workflow = _workflow(actor_of(request), slug)
    kept = [_version_out(each) for each in contracts.versions(workflow)]
    if kept:
        return {**kept[0], "versions": kept}
    text = contracts.text_of(workflow)
    unkept = {"number": 0, "text": text, "sha256": contracts.digest(text), "since": None, "because": "", "versions": []}
    return {**unkept, "revision": workflow.current.number if workflow.current else None}


def _workflow(actor: Actor, slug: str) -> Workflow:
    return access.get(Workflow.objects.select_related("current"), actor, slug=slug)


def _waiver(actor: Actor, slug: str, key: str) -> Waiver:
    rows = Waiver.objects.select_related("workflow", "revision")
    return access.get(rows, actor, pk=key, workflow=_workflow(actor, slug))


def _waivers_out(workflow: Workflow, rows: list[Waiver]) -> list[dict[str, Json]]:
    never = set(says_never(workflow.current.body)) if workflow.current else set()
    past = waived.outgrown(workflow) if any(waived.state(each) == "in_force" for each in rows) else {}
    return [_waiver_out(each, past.get(each.pk, []), never) for each in rows]


def _waiver_out(waiver: Waiver, beyond: list[str], never: set[str]) -> dict[str, Json]:
    asked = bool(never) if not waiver.stage else waiver.stage in never
    return {
        "holds": waived.state(waiver) == "in_force" and asked and not beyond,
        "beyond": beyond,
        "id": str(waiver.id),
        "stage": waiver.stage,
        "state": waived.state(waiver),
        "revision": waiver.revision.number,
        "risk_assessment": waiver.risk_assessment,
        "expires_at": waiver.expires_at,
        "proposed_by": waiver.proposed_by_name,
        "proposed_at": waiver.proposed_at,
        "consented_by": waiver.consented_by_name,
        "consented_at": waiver.consented_at,
        "revoked_by": waiver.revoked_by_name,
        "revoked_at": waiver.revoked_at,
        "revoked_why": waiver.revoked_why,
    }


def _version_out(kept: BehaviourContract) -> dict[str, Json]:
    return {
        "number": kept.number,
        "text": kept.text,
        "sha256": kept.sha256,
        "revision": kept.revision.number,
        "since": kept.at,
        "because": kept.because,
    }
