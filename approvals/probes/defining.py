"""What a probe is: said once by an admin, and checked as if it were planted at once."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.actions.requests import hours_of
from approvals.errors import Invalid
from approvals.probes import planting, schedule
from approvals.probes.judging import CATCHES
from approvals.probes.models import Probe
from approvals.words import allowed_by
from console.audit import log
from console.tenants import access, crypto
from console.tenants.access import Actor
from console.workflows.models import Workflow

Json = Any
MOST_PER_WEEK = 3  # of one probe
LONGEST = 4_000  # characters of a text
LARGEST = 64 * 1024  # bytes of arguments as JSON
_chance = random.SystemRandom()


@transaction.atomic
def define(actor: Actor, said: Mapping[str, Json], chance: random.Random = _chance) -> Probe:
    """Keep a probe. ``said``: workflow (slug), name, tool, agent?, arguments, task?, why, catches, edit_field?, rule?,
    per_week? (0: planted by hand alone).

    Raises access.Forbidden, and Invalid naming the field. Nothing is planted by it.
    """
    access.require(actor, "admin")
    name, why = _text(said, "name", 100, needed=True), _text(said, "why", LONGEST, needed=True)
    rule, agent = _text(said, "rule", 100), _text(said, "agent", 200)
    workflow = _workflow(actor, said)
    task = _text(said, "task", LONGEST) or f"{workflow.name}: {name}"
    arguments = _arguments(said.get("arguments"))
    made = planting.draft(actor, workflow, _text(said, "tool", 200, needed=True), agent, arguments, task)
    planting.require_rule(rule, made.detail)
    catches, field = _catches(said, arguments, made)
    per_week = said.get("per_week") or 0
    if isinstance(per_week, bool) or not isinstance(per_week, int) or not 0 <= per_week <= MOST_PER_WEEK:
        raise Invalid("per_week", f"must be a whole number from 0 to {MOST_PER_WEEK}")
    if Probe.objects.filter(tenant=actor.tenant, workflow=workflow, name=name, withdrawn_at=None).exists():
        raise Invalid("name", "is that of another probe of this workflow")
    now = timezone.now()
    probe = Probe.objects.create(
        tenant=actor.tenant,
        workflow=workflow,
        name=name,
        tool=made.ask.tool,
        agent=made.ask.agent,
        rule_name=rule,
        sealed=crypto.seal_json(actor.tenant.id, "probe", {"arguments": arguments, "task": task, "why": why}),
        catches=catches,
        edit_field=field,
        per_week=per_week,
        next_at=schedule.next_time(now, per_week, hours_of(actor.tenant.id), chance) if per_week else None,
        author_name=actor.name[:200],
    )
    log.record(
        actor, "probe.defined", "probe", probe.pk,
        workflow=workflow.slug, tool=probe.tool, catches=catches, edit_field=field, per_week=per_week,
    )  # fmt: skip
    return probe


def contents(probe: Probe) -> dict[str, Json]:
    """arguments, task and why."""
    found: dict[str, Json] = crypto.unseal_json(probe.tenant_id, "probe", bytes(probe.sealed))
    return found


def _workflow(actor: Actor, said: Mapping[str, Json]) -> Workflow:
    slug = _text(said, "workflow", 200, needed=True)
    found = access.all(Workflow.objects.select_related("current"), actor).filter(slug=slug).first()
    if found is None:
        raise Invalid("workflow", "must be the name in the address of one of your workflows")
    return found


def _catches(said: Mapping[str, Json], arguments: Json, made: planting.Draft) -> tuple[list[str], str]:
    given = said.get("catches")
    if not isinstance(given, list | tuple) or any(each not in CATCHES for each in given):
        raise Invalid("catches", f"must be a list of {', '.join(CATCHES)}")
    catches, field = [each for each in CATCHES if each in given], _text(said, "edit_field", 200)
    if field and field.partition(".")[0] not in arguments:
        raise Invalid("edit_field", "must be one of the arguments")
    if not catches and not field:
        raise Invalid(
            "catches", "must name at least one verdict, or edit_field the argument that an edit has to change"
        )
    allowed = allowed_by("tool", made.detail.get("verdicts") or [])
    if not set(allowed) & {*catches, *(["edit"] if field else [])}:
        raise Invalid("catches", f"cannot happen: the rule that it meets allows {', '.join(allowed)}")
    return catches, field


def _arguments(given: Json) -> dict[str, Json]:
    if not isinstance(given, dict):
        raise Invalid("arguments", "must be an object with the tool's arguments by name")
    try:
        text = json.dumps(given)
    except (RecursionError, ValueError):
        raise Invalid("arguments", "are nested too deeply") from None
    if len(text) > LARGEST:
        raise Invalid("arguments", f"must be at most {LARGEST // 1024} kB as JSON")
    if "\\u0000" in text:
        raise Invalid("arguments", "must not hold a NUL character")
    return given


def _text(said: Mapping[str, Json], name: str, most: int, needed: bool = False) -> str:
    given = said.get(name)
    text = given.strip() if isinstance(given, str) else ""
    if (given is not None and not isinstance(given, str)) or "\x00" in text:
        raise Invalid(name, "must be a text without NUL characters")
    if needed and not text:
        raise Invalid(name, "is needed")
    if len(text) > most:
        raise Invalid(name, f"must be at most {most:,} characters")
    return text
