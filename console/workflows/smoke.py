"""Smoke tests: kept inputs, each with what a run of it must come to, and which revisions have passed them.

A suite is ``{"required": bool, "cases": [case]}``, and a case::

    {"name": "a small refund",
     "input": "Refund order A-1001, 250 EUR",          # or an object, as the revision's input_schema wants it
     "decide": "approve",                              # or reject: what is said wherever a person would be asked
     "answer": "It is order A-1001.",                  # to a question of the team's
     "stubs": {"issue_refund": {"result": {...}}},     # or {"fails": "why"}: what a tool answers
     "expect": {"stop_reason": "completed",            # all but this are checked only where they are given
                "tools": ["find_order", "issue_refund"],   # that are called: these, and no others
                "asked": ["issue_refund"],             # whose calls wait for a person: these, and no others
                "contract": {...}}}                    # JSON schema of the result

console/runs/smoke.py runs them. ``actions`` writes the audit rows. Call inside a tenant_scope.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jsonschema
from django.db.models import Q
from jsonschema.exceptions import SchemaError

from console.agents.documents import Finding
from console.agents.leaks import MESSAGE, leaks
from console.agents.shapes import shape_fault
from console.durable.digest import digest
from console.tenants import crypto
from console.tenants.access import Actor
from console.workflows import outline
from console.workflows.models import Promotion, Revision, SmokeSuite, SmokeTest, Workflow
from console.workflows.reasons import StopReason

Json = Any

MAX_CASES = 20
MAX_NAME = 80  # characters
DECIDE = ("approve", "reject")
SEALED = "smoke.cases"
_KEYS = ("name", "input", "decide", "answer", "stubs", "expect")
_EXPECT = ("stop_reason", "tools", "asked", "contract")


@dataclass(frozen=True)
class Suite:
    """A workflow's cases, and whether a revision has to pass them before new runs take it."""

    required: bool = False
    cases: list[dict[str, Json]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Of the cases."""
        return digest(self.cases)

    def plain(self) -> dict[str, Json]:
        """As people write it."""
        return {"required": self.required, "cases": self.cases}


def of(workflow: Workflow) -> Suite:
    """The suite that a workflow keeps; an empty one when it keeps none."""
    row = SmokeSuite.objects.filter(tenant_id=workflow.tenant_id, workflow=workflow).first()
    return Suite(row.required, cases(row)) if row else Suite()


def cases(row: SmokeSuite | SmokeTest) -> list[dict[str, Json]]:
    """The cases of a suite, or those that a test was made of, with their keys in the order in which people write them."""
    return [_ordered(case) for case in crypto.unseal_json(row.tenant_id, SEALED, bytes(row.sealed_cases))]


def _ordered(case: Mapping[str, Json]) -> dict[str, Json]:
    found = {key: case[key] for key in _KEYS if key in case}
    if "expect" in found:
        found["expect"] = {key: found["expect"][key] for key in _EXPECT if key in found["expect"]}
    return found


def keep(actor: Actor, workflow: Workflow, suite: Suite) -> None:
    """Write a suite that has no ``faults``."""
    SmokeSuite.objects.update_or_create(
        tenant=actor.tenant,
        workflow=workflow,
        defaults={
            "required": suite.required,
            "sealed_cases": crypto.seal_json(actor.tenant.id, SEALED, suite.cases),
            "digest": suite.digest,
            "updated_by": actor.name[:200],
        },
    )


def barrier(workflow: Workflow, revision: Revision) -> str:
    """Why new runs must not take a revision yet; "" when they may. One that they took before may come back any time."""
    suite = SmokeSuite.objects.filter(tenant_id=workflow.tenant_id, workflow=workflow, required=True)
    wanted = suite.values_list("digest", flat=True).first()
    if wanted is None:
        return ""
    was_live = Q(revision=revision) | Q(previous=revision)
    if Promotion.objects.filter(was_live, tenant_id=workflow.tenant_id, workflow=workflow).exists():
        return ""
    tests = SmokeTest.objects.filter(tenant_id=workflow.tenant_id, revision=revision, digest=wanted)
    found = list(tests.order_by("-started_at").values_list("status", flat=True))
    if "passed" in found:
        return ""
    how = {"running": "which is still running", "failed": "which has failed"}
    return f"has to pass the workflow's smoke test first, {how[found[0]] if found else 'which has not been run'}"


def faults(value: Json) -> list[Finding]:
    """Everything that is wrong with a suite, each with its path."""
    wrong = shape_fault(value)
    if wrong:
        return [Finding("$" + wrong[0], wrong[1])]
    if not isinstance(value, dict) or not isinstance(value.get("cases"), list):
        return [Finding("$.cases", "is missing: a list of cases, each with name, input and expect")]
    found = [
        Finding(f"$.{key}", "is not known here; there are required, cases")
        for key in _strange(value, ("required", "cases"))
    ]
    required = value.get("required", False)
    if not isinstance(required, bool):
        found.append(Finding("$.required", "must be true or false"))
    if required is True and not value["cases"]:
        found.append(Finding("$.cases", "is empty: there would be nothing that a revision could pass"))
    if len(value["cases"]) > MAX_CASES:
        found.append(Finding("$.cases", f"has {len(value['cases'])} cases; at most {MAX_CASES} are run"))
    seen: set[str] = set()
    for place, case in enumerate(value["cases"]):
        found += [Finding(f"$.cases[{place}]{path}", said) for path, said in _case(case, seen)]
    return found + [Finding(path, MESSAGE) for path in leaks(value, "$")]


def _case(case: Json, seen: set[str]) -> Iterator[tuple[str, str]]:
    if not isinstance(case, dict):
        yield "", "must be an object with name, input and expect"
        return
    yield from ((f".{key}", f"is not known here; there are {', '.join(_KEYS)}") for key in _strange(case, _KEYS))
    name = case.get("name")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME or not name.isprintable():
        yield ".name", f"must be text of 1 to {MAX_NAME} characters"
    elif name in seen:
        yield ".name", "is the name of another case, too"
    else:
        seen.add(name)
    given = case.get("input")
    if not (isinstance(given, str) and given.strip()) and not (isinstance(given, dict) and given):
        yield ".input", "is missing: text or a JSON object, as a run is started with"
    if case.get("decide", "approve") not in DECIDE:
        yield ".decide", f"must be one of {', '.join(DECIDE)}"
    if not isinstance(case.get("answer", ""), str):
        yield ".answer", "must be text"
    yield from _stubs(case.get("stubs", {}))
    yield from _expect(case.get("expect", {}))


def _stubs(stubs: Json) -> Iterator[tuple[str, str]]:
    if not isinstance(stubs, dict):
        yield ".stubs", "must be an object from tools to what they answer"
        return
    for tool, stub in stubs.items():
        good = isinstance(stub, dict) and len(stub) == 1
        if not good or not ("result" in stub or (isinstance(stub.get("fails"), str) and stub["fails"].strip())):
            yield f".stubs.{tool}", 'must be {"result": what the tool answers}, or {"fails": why it does not}'


def _expect(expect: Json) -> Iterator[tuple[str, str]]:
    if not isinstance(expect, dict):
        yield ".expect", f"must be an object with any of {', '.join(_EXPECT)}"
        return
    for key in _strange(expect, _EXPECT):
        yield f".expect.{key}", f"is not known here; there are {', '.join(_EXPECT)}"
    if expect.get("stop_reason", "completed") not in list(StopReason):
        yield ".expect.stop_reason", f"must be one of {', '.join(StopReason)}"
    for key in ("tools", "asked"):
        named = expect.get(key, [])
        if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
            yield f".expect.{key}", "must be a list of names of tools; an empty one for none"
    contract = expect.get("contract", {})
    try:
        if not isinstance(contract, dict):
            raise SchemaError("an object is needed")
        jsonschema.Draft202012Validator.check_schema(contract)
    except SchemaError as error:
        yield ".expect.contract", f"is no JSON schema: {error.message[:300]}"


def _strange(value: Mapping[str, Json], known: tuple[str, ...]) -> list[str]:
    return [key for key in value if key not in known]


def catalogued(body: Mapping[str, Json]) -> dict[str, str]:
    """The catalogue's names of a kept body's tools, by the names that the team has for them."""
    tools = [outline.config(tool) for tool in outline.nodes(body.get("team"), "tool")]
    return {str(tool.get("name")): str(tool["catalogue"]) for tool in tools if tool.get("catalogue")}


def case_for(test_id: UUID, name: str) -> dict[str, Json]:
    """The case of a test that a run was started for. Call inside any scope; raises LookupError when it is gone."""
    test = SmokeTest.objects.get(pk=test_id)
    found = next((case for case in cases(test) if case["name"] == name), None)
    if found is None:
        raise LookupError(f"The smoke test has no case {name!r}.")
    return found
