"""Smoke tests at work: a run for each kept case of a revision, and what is said about them when all have ended.

    start --> running --look--> passed (and promoted, where that was asked for) or failed

The runs are real ones, with real models, real limits and a real journal; their tools do nothing and nobody is asked (see
console/hosting/rehearsal.py). What the cases are is in console/workflows/smoke.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from console.agents.tools import misfit, validator
from console.audit import log as audit
from console.durable.steps import Kind, Status, Step
from console.runs import actions, record
from console.runs.models import TERMINAL, Run
from console.tenants import access, crypto
from console.tenants.access import Actor
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows import smoke
from console.workflows.errors import Invalid
from console.workflows.models import Revision, SmokeTest, Workflow

log = logging.getLogger(__name__)

Json = Any
SEALED = "smoke.outcomes"
LIMIT = 50  # tests that one look ends


@transaction.atomic
def start(actor: Actor, workflow: Workflow, number: int, *, promote: bool = False) -> SmokeTest:
    """Put a revision through its workflow's cases. ``promote``: new runs take it when it passes. All start, or none.

    Raises NotFound, Forbidden (operators and admins; admins alone promote), AtLimit, and Invalid, also for a case whose
    input the revision does not take.
    """
    access.require(actor, "admin") if promote else access.require(actor, "operator", "admin")
    locked = access.get(Workflow.objects.select_related("current"), actor, for_update=True, pk=workflow.pk)
    revision = access.get(Revision, actor, workflow=locked, number=number)
    suite = smoke.of(locked)
    if not suite.cases:
        raise Invalid("cases", "are missing: the workflow keeps no smoke test yet; an admin can write one")
    if access.all(SmokeTest, actor).filter(revision=revision, status="running").exists():
        raise Invalid("number", f"is being tested: the smoke test of revision {number} is still running")
    test = SmokeTest.objects.create(
        tenant=actor.tenant,
        workflow=locked,
        revision=revision,
        sealed_cases=crypto.seal_json(actor.tenant.id, smoke.SEALED, suite.cases),
        digest=suite.digest,
        promote=promote,
        started_by=actor.name[:200],
    )
    audit.record(
        actor, "smoke.started", "workflow", locked.id,
        slug=locked.slug, number=number, cases=[case["name"] for case in suite.cases], promote=promote,
    )  # fmt: skip
    for place, case in enumerate(suite.cases):
        try:
            actions.start(actor, locked, case["input"], trial=actions.Trial(test, revision, case["name"]))
        except Invalid as fault:
            raise Invalid(f"cases[{place}].{fault.field}", fault.message) from fault
    return test


def look() -> int:
    """Judge the tests whose runs have all ended; how many. Call outside any scope."""
    going = Run.objects.filter(smoke_test=OuterRef("pk")).exclude(status__in=TERMINAL)
    with system_scope("looking at smoke tests"):
        over = SmokeTest.objects.filter(status="running").exclude(Exists(going))
        found = list(over.values_list("id", "tenant_id")[:LIMIT])
    return sum(_end(*one) for one in found)


def _end(test_id: UUID, tenant_id: UUID) -> bool:
    with system_scope("ending a smoke test"):
        tenant = Tenant.objects.get(pk=tenant_id)
    with tenant_scope(tenant):
        rows = SmokeTest.objects.select_related("workflow", "revision").filter(pk=test_id, status="running")
        test = rows.select_for_update(of=("self",), skip_locked=True).first()
        if test is None:
            return False  # another worker's
        runs = {run.smoke_case: run for run in Run.objects.filter(tenant=tenant, smoke_test=test)}
        told = [outcome(runs.get(case["name"]), case, test.revision) for case in smoke.cases(test)]
        test.status = "passed" if all(one["passed"] for one in told) else "failed"
        test.sealed_outcomes = crypto.seal_json(tenant_id, SEALED, told)
        test.ended_at = timezone.now()
        test.save(update_fields=["status", "sealed_outcomes", "ended_at"])
        actor = access.system_actor(tenant, "The smoke test")
        audit.record(
            actor, f"smoke.{test.status}", "workflow", test.workflow_id, slug=test.workflow.slug,
            number=test.revision.number, failed=[one["name"] for one in told if not one["passed"]],
        )  # fmt: skip
        if test.promote and test.status == "passed":
            _promote(actor, test)
        log.info("smoke test of %s, revision %d: %s", test.workflow.slug, test.revision.number, test.status)
        return True


def _promote(actor: Actor, test: SmokeTest) -> None:
    reason = f"Its smoke test has passed, as {test.started_by} wanted."
    try:
        workflows.promote(actor, test.workflow, test.revision.number, reason)
        test.note = "New runs have taken it since."
    except Invalid as fault:  # somebody was first, or the cases are others by now
        test.note = f"It was not promoted: the {fault.field} {fault.message}."[:500]
    test.save(update_fields=["note"])


def outcomes(test: SmokeTest) -> list[dict[str, Json]]:
    """Of each case: ``name``, ``run`` (its id), ``passed`` (None while the test is running), ``faults``, and what
    happened: ``status``, ``stop_reason``, ``tools`` and ``asked``."""
    if test.sealed_outcomes:
        told: list[dict[str, Json]] = crypto.unseal_json(test.tenant_id, SEALED, bytes(test.sealed_outcomes))
        return told
    runs = {run.smoke_case: run for run in Run.objects.filter(tenant_id=test.tenant_id, smoke_test=test)}
    return [_under_way(case, runs.get(case["name"])) for case in smoke.cases(test)]


def _under_way(case: Mapping[str, Json], run: Run | None) -> dict[str, Json]:
    said = {"run": str(run.id) if run else None, "status": str(run.status) if run else "", "stop_reason": ""}
    return {"name": case["name"], "passed": None, "faults": [], "tools": [], "asked": [], **said}


def outcome(run: Run | None, case: Mapping[str, Json], revision: Revision) -> dict[str, Json]:
    """What is to be said about a case whose run has ended, or is gone."""
    if run is None:
        return {**_under_way(case, None), "passed": False, "faults": ["Its run is gone."]}
    steps = record.steps(run.id, payload=False)
    tools, asked = _called(steps), _asked(steps)
    names = smoke.catalogued(revision.body)
    expect = case.get("expect") or {}
    faults = [
        *_ending(run, expect.get("stop_reason") or "completed"),
        *_named("called", expect.get("tools"), tools, names),
        *_named("put to a person", expect.get("asked"), asked, names),
        *_contract(run, expect.get("contract")),
    ]
    said = {"run": str(run.id), "status": str(run.status), "stop_reason": run.stop_reason}
    return {"name": case["name"], "passed": not faults, "faults": faults, "tools": tools, "asked": asked, **said}


def case_of(run: Run, name: str) -> dict[str, Json]:
    """A case that wants of a revision what this run, which has ended, came to. Its tools answer as they did then."""
    steps = record.steps(run.id)
    case: dict[str, Json] = {
        "name": name,
        "input": crypto.unseal_json(run.tenant_id, "run.input", bytes(run.sealed_input)),
        "stubs": {},
        "expect": {"stop_reason": run.stop_reason, "tools": _called(steps), "asked": _asked(steps)},
    }
    for step in steps:
        if step.kind is Kind.TOOL and step.settled is not None and step.error is None:
            case["stubs"].setdefault(step.name, _stub(step))
        said = step.result if isinstance(step.result, dict) and step.kind is not Kind.TOOL else {}
        if step.kind is Kind.QUESTION and said.get("answer"):
            case.setdefault("answer", said["answer"])
        elif step.kind is not Kind.MODEL and said.get("verdict") == "reject":
            case["decide"] = "reject"
    return case


def keep(actor: Actor, run: Run, name: str) -> smoke.Suite:
    """Add ``case_of`` a run to its workflow's smoke tests. Raises Forbidden, Invalid, and Refused for a name that is taken."""
    access.require(actor, "admin")
    if run.status not in TERMINAL or run.smoke_test_id is not None:
        raise Invalid("run", "cannot be kept as a case: that takes one which has ended, and is no test itself")
    locked = access.get(Workflow, actor, for_update=True, pk=run.workflow_id)
    suite = smoke.of(locked)
    value = {**suite.plain(), "cases": [*suite.cases, case_of(run, name)]}
    return workflows.put_smoke(actor, locked, value)


def _stub(step: Step) -> dict[str, Json]:
    if step.status is not Status.FAILED:
        return {"result": step.result}
    return {"fails": str(step.result).removeprefix(f"{step.name} failed: ") or "It failed."}


def _called(steps: Iterable[Step]) -> list[str]:
    """The tools that were called, each once, in the order of their first calls."""
    return list(dict.fromkeys(step.name for step in steps if step.kind is Kind.TOOL))


def _asked(steps: Iterable[Step]) -> list[str]:
    """The tools of which a call waited for a person."""
    reviews = (step for step in steps if step.kind is Kind.REVIEW and step.name)
    return list(dict.fromkeys(step.name for step in reviews if (step.verdict or {}).get("effect") == "require"))


def _ending(run: Run, wanted: str) -> Iterable[str]:
    if run.stop_reason != wanted:
        detail = f" {run.stop_detail}" if run.stop_detail else ""
        yield f"It ended as {run.stop_reason or run.status}, not as {wanted}.{detail}"[:500]


def _named(what: str, wanted: list[str] | None, found: list[str], names: Mapping[str, str]) -> Iterable[str]:
    if wanted is None:
        return
    expected = [names.get(name, name) for name in wanted]
    yield from (f"{name} was not {what}." for name in expected if name not in found)
    yield from (f"{name} was {what}, which was not expected." for name in found if name not in expected)


def _contract(run: Run, schema: Mapping[str, Json] | None) -> Iterable[str]:
    if schema is None or not run.sealed_result:
        return
    result = crypto.unseal_json(run.tenant_id, "run.result", bytes(run.sealed_result))
    fault = misfit(validator(schema), result)
    if fault:
        yield f"The result does not fit: {fault}"
