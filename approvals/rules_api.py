"""A tenant's rules over HTTP, and drafts of rules tried on the past."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict

from approvals import backtest, rule_actions, trials
from approvals.models import RuleSet
from console import paging
from console.runs.models import Run
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows.api import FindingOut
from console.workflows.errors import Invalid
from console.workflows.models import Workflow

Json = Any
router = Router(tags=["rules"])
TRIERS = ("operator", "admin")


class RulesIn(Schema):
    """The whole list, in the order in which it is asked; each rule as in a revision's ``rules``."""

    model_config = ConfigDict(extra="forbid")

    rules: Json
    reason: str = ""


class RulesOut(Schema):
    """``number`` is 0 while the organisation has made no rules."""

    number: int
    rules: list[Json]
    author: str
    reason: str
    at: datetime | None


class RulesMade(Schema):
    number: int
    findings: list[FindingOut]


class VersionsOut(Schema):
    items: list[RulesOut]
    next: str | None


class TryIn(Schema):
    """A draft of a ``workflow``'s rules, or of the organisation's, and the run to try it on. Without ``rules``: those
    that hold now."""

    model_config = ConfigDict(extra="forbid")

    run: str
    workflow: str | None = None
    rules: Json = None


class TriedOut(Schema):
    items: list[dict[str, Json]]


class BacktestIn(Schema):
    """A draft of a ``workflow``'s rules, or of the organisation's, for so many past weeks. ``hourly_rate``: what an hour
    of a reviewer costs."""

    model_config = ConfigDict(extra="forbid")

    weeks: Json = 4
    workflow: str | None = None
    rules: Json = None
    hourly_rate: Json = None


@router.get("/rules", response=RulesOut, summary="The organisation's own rules")
def get_rules(request: HttpRequest) -> Any:
    newest = access.all(RuleSet, actor_of(request)).order_by("-number").first()
    if newest is None:
        return {"number": 0, "rules": [], "author": "", "reason": "", "at": None}
    return _out(newest)


@router.put("/rules", response={201: RulesMade}, summary="Make the next version of the organisation's rules")
def put_rules(request: HttpRequest, body: RulesIn) -> Any:
    made, findings = rule_actions.put_rules(actor_of(request), body.rules, body.reason)
    said = [{"path": each.path, "message": each.message, "level": each.level} for each in findings]
    return Status(201, {"number": made.number, "findings": said})


@router.get("/rules/versions", response=VersionsOut, summary="Every version of the organisation's rules, newest first")
def list_versions(
    request: HttpRequest,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    rows = access.all(RuleSet, actor_of(request)).order_by("-number")
    before = paging.number(cursor)
    found = list((rows.filter(number__lt=min(before, 2**31 - 1)) if before else rows)[: limit + 1])
    after = str(found[limit - 1].number) if len(found) > limit else None
    return {"items": [_out(each) for each in found[:limit]], "next": after}


@router.post("/rules/try", response=TriedOut, summary="What a draft of rules says of each tool call of a past run")
def try_rules(request: HttpRequest, body: TryIn) -> Any:
    actor = actor_of(request)
    run = access.get(Run, actor, pk=body.run)
    workflow = _workflow(actor, body.workflow)
    access.require(actor, *TRIERS)
    if workflow is not None and run.workflow_id != workflow.pk:
        raise Invalid("run", f"is not a run of {workflow.slug}: name one of its runs, or leave workflow out")
    return {
        "items": [trials.tried_out(each) for each in backtest.try_on(trials.draft(actor, workflow, body.rules), run.pk)]
    }


@router.post("/rules/backtest", response=dict[str, Json], summary="What a draft of rules would have done in past weeks")
def backtest_rules(request: HttpRequest, body: BacktestIn) -> Any:
    actor = actor_of(request)
    workflow = _workflow(actor, body.workflow)
    access.require(actor, *TRIERS)
    weeks, rate = trials.weeks(body.weeks), trials.rate(body.hourly_rate)
    draft = trials.draft(actor, workflow, body.rules)
    return trials.result_out(backtest.run(draft, weeks, timezone.now(), rate))


def _workflow(actor: Actor, slug: str | None) -> Workflow | None:
    if slug is None:
        return None
    return access.get(Workflow.objects.select_related("current"), actor, slug=slug)


def _out(row: RuleSet) -> dict[str, Json]:
    return {"number": row.number, "rules": row.rules, "author": row.author_name, "reason": row.reason, "at": row.at}
