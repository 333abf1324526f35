"""Putting a probe into the queue: by an admin, or by the schedule. Bounded, so that nobody's day is made of probes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from approvals import policy, rule_sets
from approvals.actions import announcing, concluding
from approvals.actions.requests import facts_of, hours_of, lock_run, tell
from approvals.errors import Conflict, Invalid
from approvals.models import ApprovalRequest, RequestStatus
from approvals.notices import events, outbox
from approvals.probes import schedule
from approvals.probes.models import Outcome, Planting, Probe
from console.agents.tools import ToolSpec
from console.audit import log
from console.durable.digest import digest
from console.durable.run import REVIEW
from console.durable.steps import Ask, Verdict
from console.runs import decoys
from console.runs.models import Run, Step
from console.tenants import access, crypto, groups
from console.tenants.access import Actor
from console.tenants.models import Membership, Tenant
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import registry
from console.workflows.behaviour import tools_of
from console.workflows.models import Workflow

errors = structlog.get_logger(__name__)
Json = Any
PER_WEEK = 10  # plantings of a tenant in any seven days
PER_REVIEWER = 3  # plantings in any seven days for each reviewer who can decide them


@dataclass(frozen=True, slots=True)
class Draft:
    """A planted call before it is written: the run behind it, and the gate with the rules' verdict."""

    run: Run
    ask: Ask
    alias: str  # the team's own name of the tool
    task: str

    @property
    def detail(self) -> Mapping[str, Json]:
        """What the verdict demands; see policy.judge."""
        verdict = self.ask.verdict
        return verdict.detail if verdict is not None and isinstance(verdict.detail, Mapping) else {}


def draft(actor: Actor, workflow: Workflow, tool: str, agent: str, arguments: Json, task: str) -> Draft:
    """The call as the team's current revision would make it, judged by the rules of today. Nothing is written.

    Raises Invalid (workflow, tool, agent, arguments): a probe must fit its tool, and come before a person.
    """
    if workflow.current is None:
        raise Invalid("workflow", f"{workflow.slug} has no revision yet, so it has no tools")
    alias, holder, spec = _tool(actor, workflow, tool, agent)
    if not isinstance(arguments, dict):
        raise Invalid("arguments", "must be an object with the tool's arguments by name")
    fault = spec.fault(arguments)
    if fault:
        raise Invalid("arguments", f"do not fit {spec.name}: {fault}")
    run = decoys.draft(actor.tenant, workflow, workflow.current, task)
    shown = spec.shown(alias, arguments, policy.mode_of(run.body, holder), spec.fault(arguments))
    ask = Ask(f"{holder}/{alias}{REVIEW}", 0, "tool", digest(arguments), shown, holder, spec.name)
    verdict: Verdict = policy.judge(ask, run.body, facts_of(run), None, rule_sets.current(actor.tenant.id))
    if verdict.effect != "require":
        raise Invalid("arguments", f"would come before nobody: {verdict.reason}")
    return Draft(run, replace(ask, verdict=verdict), alias, task)


def _tool(actor: Actor, workflow: Workflow, tool: str, agent: str) -> tuple[str, str, ToolSpec]:
    """The team's name of a tool, the agent that holds it, and the version that the revision pins."""
    body: dict[str, Json] = workflow.current.body if workflow.current else {}
    held = [(str(who), config) for who, config in tools_of(body.get("team")) if tool in _names(config)]
    if not held:
        raise Invalid("tool", f"must be a tool of revision {workflow.current.number if workflow.current else ''}")
    mine = [(who, config) for who, config in held if agent in ("", who)]
    if not mine:
        raise Invalid("agent", f"must be one that holds the tool: {', '.join(sorted({who for who, _ in held}))}")
    who, config = mine[0]
    spec = registry.as_pinned(registry.of(actor.tenant.id), body).get(str(config.get("catalogue")))
    if spec is None:
        raise Invalid("tool", "is not in the catalogue any more")
    return str(config.get("name")), who, spec


def _names(config: Mapping[str, Json]) -> tuple[Json, Json]:
    return config.get("name"), config.get("catalogue")


@transaction.atomic
def plant(actor: Actor, probe_id: UUID | str) -> Planting:
    """Put a probe into the queue now. Raises access.NotFound, access.Forbidden, Conflict, Invalid."""
    access.require(actor, "admin")
    probe = access.get(Probe, actor, for_update=True, pk=probe_id)
    if probe.withdrawn_at is not None:
        raise Conflict(f"{probe.withdrawn_by_name} withdrew this probe. Define another to go on.")
    return _plant(actor, probe)


def _plant(actor: Actor, probe: Probe) -> Planting:
    # One after another in a tenant, so that the bounds hold exactly.
    workflow = Workflow.objects.select_related("current").get(pk=probe.workflow_id, tenant=actor.tenant.id)
    Tenant.objects.select_for_update(no_key=True).get(pk=actor.tenant.pk)
    if Planting.objects.filter(tenant=actor.tenant, probe=probe, outcome=Outcome.PLANTED).exists():
        raise Conflict("This probe is in the queue already. Wait for its decision, or withdraw it.")
    said = crypto.unseal_json(probe.tenant_id, "probe", bytes(probe.sealed))
    made = draft(actor, workflow, probe.tool, probe.agent, said["arguments"], said["task"])
    require_rule(probe.rule_name, made.detail)
    _within_bounds(actor, str(made.detail.get("group") or ""))
    run, ask, now = made.run, made.ask, timezone.now()
    decoys.put(run, made.task, ask.agent, made.alias, said["arguments"])
    request = announcing.write(run, ask, now)
    planting = Planting.objects.create(
        tenant=actor.tenant,
        probe=probe,
        request=request,
        sealed_guise=crypto.seal_json(actor.tenant.id, "probe.guise", _guise(actor, run, ask.agent)),
        planted_at=now,
        planted_by_name=actor.name[:200],
    )
    log.record(actor, "probe.planted", "probe", probe.pk, request=str(request.pk), workflow=workflow.slug)
    tell(request, run, ())
    outbox.note(request, run, events.CREATED)
    return planting


def require_rule(wanted: str, detail: Mapping[str, Json]) -> None:
    """Raise Invalid unless the call meets the rule that it was made for."""
    met = str((detail.get("rule") or {}).get("name") or "")
    if wanted and wanted != met:
        raise Invalid("rule", f"“{wanted}” is not what this call meets; {f'“{met}” is' if met else 'no rule is'}")


def _within_bounds(actor: Actor, group: str) -> None:
    """Raise Conflict where more would be too much, or where nobody could decide it."""
    if group:
        able = len(groups.reviewers(actor.tenant.id, group))
    else:
        able = Membership.objects.filter(tenant=actor.tenant, active=True, role="reviewer").count()
    if not able:
        raise Conflict(f"No reviewer {f'is in {group}' if group else 'is here'}, so nobody could decide it.")
    lately = Planting.objects.filter(tenant=actor.tenant, planted_at__gt=timezone.now() - schedule.WEEK)
    if lately.count() >= PER_WEEK:
        raise Conflict(f"{PER_WEEK} probes were planted in the last seven days, which is the most there may be.")
    if lately.filter(request__group=group).count() >= PER_REVIEWER * able:
        people = "the one person" if able == 1 else f"the {able} people"
        raise Conflict(
            f"{PER_REVIEWER * able} probes were planted in the last seven days for {people} who can decide this: "
            f"{PER_REVIEWER} for each is the most."
        )


def _guise(actor: Actor, run: Run, agent: str) -> dict[str, Json]:
    """What the card says of the run: as the workflow's latest real one had it. Kept here, and never on the run, where it
    would count as work that was done."""
    real = access.all(Run, actor).filter(workflow=run.workflow_id, probe=False, smoke_test=None)
    last = real.order_by("-created_at").only("input_tokens", "output_tokens", "cost", "model_s", "tool_s").first()
    if last is None:
        return {}
    steps = access.all(Step, actor).filter(run=last, kind="model", agent=agent).order_by("-seq")
    step = steps.only("name", "usage", "cost").first()
    usage = step.usage if step is not None and isinstance(step.usage, dict) else {}
    return {
        "tokens": last.input_tokens + last.output_tokens,
        "cost": str(last.cost),
        "machine_s": last.model_s + last.tool_s,
        "model": step.name if step is not None else "",
        "proposing_tokens": int(usage.get("input_tokens") or 0) + int(usage.get("output_tokens") or 0),
        "proposing_cost": str(step.cost) if step is not None and step.cost is not None else None,
    }


@transaction.atomic
def withdraw(actor: Actor, probe_id: UUID | str) -> Probe:
    """Plant it no more, and take it out of the queue where it waits. Raises NotFound, Forbidden, Conflict."""
    access.require(actor, "admin")
    probe = access.get(Probe, actor, pk=probe_id)
    # Runs before rows of ours, as everywhere: a decision that comes at the same time locks its run first.
    waiting = Planting.objects.filter(tenant=actor.tenant, probe=probe, outcome=Outcome.PLANTED)
    found = [(each.request.run_id, each.request_id) for each in waiting.select_related("request")]
    for run_id, request_id in sorted(found, key=str):
        run = lock_run(run_id, actor.tenant.id)
        request = ApprovalRequest.objects.get(pk=request_id, tenant=actor.tenant)
        if request.status == RequestStatus.PENDING:
            concluding.withdrawn(actor, request, run)
    probe = access.get(Probe, actor, for_update=True, pk=probe_id)
    if probe.withdrawn_at is not None:
        raise Conflict(f"{probe.withdrawn_by_name} withdrew this probe already.")
    over: dict[str, Json] = {"withdrawn_at": timezone.now(), "withdrawn_by_name": actor.name[:200], "next_at": None}
    for name, value in over.items():
        setattr(probe, name, value)
    probe.save(update_fields=list(over))
    log.record(actor, "probe.withdrawn", "probe", probe.pk)
    return probe


def plant_due(chance: random.Random, limit: int = 50) -> int:
    """Plant what the schedules say, each in a transaction of its own; returns how many were looked at.

    One that cannot be planted (the bounds, a tool that is gone) is left out this time, which the record says. Call
    outside any scope.
    """
    with system_scope("sweeping: probes that are due"):
        due = Probe.objects.filter(next_at__lte=timezone.now(), withdrawn_at=None).order_by("next_at")
        found = list(due.values_list("tenant_id", "pk")[:limit])
    for tenant_id, probe_id in found:
        try:
            with tenant_scope(tenant_id), transaction.atomic():
                _due(probe_id, chance)
        except Exception:
            errors.exception("probe_not_planted", probe=str(probe_id))
    return len(found)


def _due(probe_id: UUID, chance: random.Random) -> None:
    now = timezone.now()
    probe = Probe.objects.select_for_update(of=("self",)).select_related("tenant").get(pk=probe_id)
    if probe.next_at is None or probe.next_at > now:
        return  # somebody was first
    actor = access.system_actor(probe.tenant, "The schedule")
    probe.next_at = schedule.next_time(now, max(1, probe.per_week), hours_of(probe.tenant_id), chance)
    probe.save(update_fields=["next_at"])
    try:
        with transaction.atomic():
            _plant(actor, probe)
    except (Conflict, Invalid) as refusal:
        log.record(actor, "probe.skipped", "probe", probe.pk, why=str(refusal))


def left_this_week(actor: Actor) -> int:
    """How many more may be planted in the tenant now."""
    since = timezone.now() - timedelta(days=7)
    return max(0, PER_WEEK - Planting.objects.filter(tenant=actor.tenant, planted_at__gt=since).count())
