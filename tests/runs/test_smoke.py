"""Smoke tests: real models, no effects, nobody asked; and a revision that has not passed does not go live."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from approvals import canary
from approvals.models import ApprovalRequest
from console.audit.models import AuditRecord
from console.demo import effects
from console.demo.documents import WORKFLOWS
from console.durable.steps import Ask
from console.hosting import advancing
from console.hosting.host import Host
from console.hosting.rehearsal import BY, NO_ANSWER, NOTHING_DONE, StandIn
from console.runs import actions as runs
from console.runs import record, smoke
from console.runs.models import Run, Step
from console.tenants import actions as tenants
from console.tenants import group_actions
from console.tenants.access import Forbidden, NotFound
from console.tenants.scopes import tenant_scope
from console.workflows import actions as workflows
from console.workflows import smoke as suites
from console.workflows import waived
from console.workflows.errors import Invalid, Refused
from console.workflows.models import Revision, SmokeTest, Workflow
from console.workflows.oversight import says_never
from tests.demo.server import serving
from tests.workflows.waiving import waive

from .conftest import House

BODIES = {demo.slug: demo.body for demo in WORKFLOWS}
SMALL = "Refund order A-1001, 250 EUR, it arrived broken"
CASE: dict[str, Any] = {
    "name": "a small refund",
    "input": SMALL,
    "stubs": {"issue_refund": {"result": {"refund": "RF-STUB", "amount": 250.0, "customer": "Ingrid Olsen"}}},
    "expect": {
        "stop_reason": "completed",
        "tools": ["lookup_order", "check_policy", "issue_refund"],
        "asked": ["issue_refund"],
        "contract": {"type": "string", "pattern": "Ingrid"},
    },
}


def changed(**expect: Any) -> dict[str, Any]:
    return {**CASE, "expect": {**CASE["expect"], **expect}}


class Bench:
    """A workflow of the demo, a host that runs it, and its smoke tests."""

    def __init__(self, house: House) -> None:
        self.house = house

    def keep(self, *cases: dict[str, Any], required: bool = False) -> None:
        with tenant_scope(self.house.tenant):
            workflows.put_smoke(self.house.admin, self.house.workflow, {"required": required, "cases": list(cases)})

    def revise(self, slug: str = "refund-desk", *, promote: bool = True, **change: Any) -> int:
        with tenant_scope(self.house.tenant):
            body = {**copy.deepcopy(BODIES[slug]), **change}
            workflow = Workflow.objects.select_related("current").get(pk=self.house.workflow.pk)
            made = workflows.create_revision(self.house.admin, workflow, body, promote=promote)[0]
            if says_never(body) and not waived.in_force(workflow):
                waive(workflow, revision_id=made.pk)
            return made.number

    def start(self, number: int, **how: Any) -> SmokeTest:
        with tenant_scope(self.house.tenant):
            return smoke.start(self.house.admin, self.house.workflow, number, **how)

    def test(self, number: int, **how: Any) -> SmokeTest:
        test = self.start(number, **how)

        def over() -> SmokeTest | None:
            smoke.look()
            found = self.reload(test)
            return found if found.status != "running" else None

        return until(over)

    def reload(self, test: SmokeTest) -> SmokeTest:
        with tenant_scope(self.house.tenant):
            return SmokeTest.objects.get(pk=test.pk)

    def outcome(self, test: SmokeTest) -> dict[str, Any]:
        with tenant_scope(self.house.tenant):
            (found,) = smoke.outcomes(test)
            return found

    def current(self) -> int:
        with tenant_scope(self.house.tenant):
            found = Workflow.objects.select_related("current").get(pk=self.house.workflow.pk).current
            assert found is not None
            return found.number


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("never came true")


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    with serving() as address:
        yield f"{address}/v1"


@pytest.fixture
def bench(
    house: House, model_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> Iterator[Bench]:
    settings.SAYSO_EGRESS_ALLOW = ["127.0.0.1"]
    monkeypatch.setenv("SAYSO_DATA", str(tmp_path))
    with tenant_scope(house.tenant):
        tenants.put_credential(house.admin, "default", provider="demo", base_url=model_url, api_key="demo-key")
        group_actions.put_group(house.admin, "finance")  # the demo's rules name it
    advancing._revision.cache_clear()
    host = Host("test")
    monkeypatch.setattr(
        "console.runs.wakeups.send", lambda run_id, *, resume, queue="": host.admit(str(run_id), resume) or True
    )
    host.start()
    yield Bench(house)
    assert host.close()


def test_a_case_passes_and_nothing_happens_in_the_world(bench: Bench) -> None:
    bench.keep(CASE)
    test = bench.test(bench.revise())
    told = bench.outcome(test)
    assert (test.status, told["passed"], told["faults"]) == ("passed", True, [])
    assert (told["tools"], told["asked"]) == (CASE["expect"]["tools"], ["issue_refund"])
    assert effects.recorded() == []
    with tenant_scope(bench.house.tenant):
        run = Run.objects.get(pk=told["run"])
        assert (run.smoke_test_id, run.smoke_case, run.status) == (test.pk, "a small refund", "completed")
        assert ApprovalRequest.objects.count() == 0
        steps = {step.name: step for step in record.steps(run.id)}
        assert steps["issue_refund"].result == CASE["stubs"]["issue_refund"]["result"]
        assert steps["lookup_order"].result["customer"] == "Ingrid Olsen"  # it only reads: it was really called
        review = next(step for step in record.steps(run.id) if str(step.kind) == "review")
        assert review.verdict["effect"] == "require" and review.result["by"] == BY
        said = list(
            AuditRecord.objects.filter(action__startswith="smoke.").order_by("id").values_list("action", flat=True)
        )
        assert said == ["smoke.started", "smoke.passed"]
    assert smoke.look() == 0


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        (changed(stop_reason="rejected"), "It ended as completed, not as rejected."),
        (changed(tools=["lookup_order", "check_policy"]), "issue_refund was called, which was not expected."),
        (changed(tools=[*CASE["expect"]["tools"], "restart_service"]), "restart_service was not called."),
        (changed(asked=[]), "issue_refund was put to a person, which was not expected."),
        (changed(contract={"type": "object"}), "The result does not fit: "),
    ],
)
def test_what_is_not_as_expected_is_said(bench: Bench, case: dict[str, Any], fault: str) -> None:
    bench.keep(case)
    test = bench.test(bench.revise())
    (said,) = bench.outcome(test)["faults"]
    assert test.status == "failed" and said.startswith(fault)


def test_a_gate_that_was_taken_away_is_found(bench: Bench) -> None:
    bench.keep(CASE)
    rules = [{"name": "anything goes", "match": {"tool": "issue_*"}, "effect": "allow"}]
    test = bench.test(bench.revise(rules=rules, oversight={"mode": "NEVER"}))
    assert test.status == "failed"
    assert bench.outcome(test)["faults"] == ["issue_refund was not put to a person."]
    assert effects.recorded() == []  # allowed by the rules, and yet only a test


def test_people_say_no_and_tools_fail_as_the_case_has_it(bench: Bench) -> None:
    no = {
        **CASE,
        "name": "no",
        "decide": "reject",
        "expect": {"tools": ["lookup_order", "check_policy"], "asked": ["issue_refund"]},
    }
    fails = {**CASE, "name": "fails", "stubs": {"issue_refund": {"fails": "the bank is shut"}}, "expect": {}}
    plain = {"name": "plain", "input": SMALL}
    bench.keep(no, fails, plain)
    test = bench.test(bench.revise())
    with tenant_scope(bench.house.tenant):
        told = {one["name"]: one for one in smoke.outcomes(test)}
        results = {
            name: [step.result for step in record.steps(told[name]["run"]) if step.name == "issue_refund"]
            for name in told
        }
    assert told["no"]["passed"], told["no"]
    assert "issue_refund failed: the bank is shut" in results["fails"]
    assert NOTHING_DONE in results["plain"] and effects.recorded() == []


def test_a_question_gets_the_answer_of_the_case(bench: Bench) -> None:
    asks = {"name": "asks", "input": "I want a refund but lost the order number", "answer": "It is order A-1001."}
    bench.keep(asks)
    test = bench.test(bench.revise())
    with tenant_scope(bench.house.tenant):
        steps = record.steps(bench.outcome(test)["run"])
    assert [step.result["answer"] for step in steps if str(step.kind) == "question"] == ["It is order A-1001."]


@pytest.mark.parametrize("demo", [demo for demo in WORKFLOWS if demo.smoke], ids=lambda demo: demo.slug)
def test_the_demo_passes_its_own(bench: Bench, demo: Any) -> None:
    bench.keep(*demo.smoke)
    test = bench.test(bench.revise(demo.slug))
    with tenant_scope(bench.house.tenant):
        assert test.status == "passed", smoke.outcomes(test)


def test_a_stand_in_decides_whatever_comes() -> None:
    def decide(kind: str, case: dict[str, Any]) -> Any:
        stand_in = StandIn(case, None, None, 0)
        return stand_in._decide(Ask("a", 1, kind, "d" * 64, {}))

    assert decide("question", {}).answer == NO_ANSWER
    assert (decide("tool", {}).verdict, decide("tool", {}).digest) == ("approve", "d" * 64)
    assert decide("final", {"decide": "reject"}).verdict == "reject"
    assert decide("in_doubt", {"decide": "reject"}).answer == "did not happen"


def test_a_revision_must_pass_before_new_runs_take_it(bench: Bench) -> None:
    first = bench.revise()
    bench.keep(CASE, required=True)
    second = bench.revise(limits={"max_turns": 19})
    assert bench.current() == first
    house = bench.house
    with tenant_scope(house.tenant):
        with pytest.raises(Invalid, match="has to pass the workflow's smoke test first, which has not been run"):
            workflows.promote(house.admin, house.workflow, second)
        with pytest.raises(Invalid, match="smoke test"):
            workflows.start_rollout(
                house.admin, Workflow.objects.get(pk=house.workflow.pk), {"revision": second, "share": 5}
            )
    bench.keep(changed(stop_reason="rejected"), required=True)
    assert bench.test(second, promote=True).status == "failed" and bench.current() == first
    bench.keep(CASE, required=True)
    test = bench.test(second, promote=True)
    assert (test.status, test.note, bench.current()) == ("passed", "New runs have taken it since.", second)
    with tenant_scope(house.tenant):
        kept = AuditRecord.objects.get(action="workflow.promoted")
        assert kept.actor_name == "The smoke test" and "Ada Admin" in kept.detail["reason"]
        workflows.roll_back(house.admin, house.workflow)  # what was live may come back without a test
    assert bench.current() == first


def test_what_has_passed_other_cases_has_not_passed_these(bench: Bench) -> None:
    bench.revise()
    bench.keep(CASE, required=True)
    second = bench.revise(limits={"max_turns": 19})
    assert bench.test(second).status == "passed"
    bench.keep({**CASE, "name": "renamed"}, required=True)
    with tenant_scope(bench.house.tenant), pytest.raises(Invalid, match="smoke test"):
        workflows.promote(bench.house.admin, bench.house.workflow, second)


def test_a_promotion_that_came_too_late_is_said(bench: Bench) -> None:
    bench.revise()
    bench.keep(CASE)
    second = bench.revise(limits={"max_turns": 19}, promote=False)
    test = bench.start(second, promote=True)
    with tenant_scope(bench.house.tenant):
        workflows.promote(bench.house.admin, bench.house.workflow, second)
    until(lambda: smoke.look())
    test = bench.reload(test)
    assert test.status == "passed" and test.note.startswith("It was not promoted: the number new runs take")


def test_its_runs_are_kept_out_of_everything_else(bench: Bench) -> None:
    bench.keep(CASE)
    test = bench.test(bench.revise())
    run_id = bench.outcome(test)["run"]
    with tenant_scope(bench.house.tenant):
        run = Run.objects.select_related("revision", "workflow__current").get(pk=run_id)
        with pytest.raises(runs.Refused, match="part of a smoke test"):
            runs.retry(bench.house.operator, run)
        with pytest.raises(Invalid, match="is no test itself"):
            smoke.keep(bench.house.admin, run, "again")
        second = Revision.objects.create(
            tenant=bench.house.tenant, workflow=bench.house.workflow, number=9, body=run.revision.body
        )
        rollout = workflows.start_rollout(bench.house.admin, run.workflow, {"revision": second.number, "share": 5})
        assert canary.figures(rollout)[1].runs == 0


def test_a_run_becomes_a_case_that_its_own_revision_passes(bench: Bench) -> None:
    number = bench.revise()
    bench.keep(CASE)
    test = bench.test(number)
    with tenant_scope(bench.house.tenant):
        run = Run.objects.get(pk=bench.outcome(test)["run"])
        Run.objects.filter(pk=run.pk).update(smoke_test=None)  # as if it had been a real one
        suite = smoke.keep(bench.house.admin, Run.objects.get(pk=run.pk), "as it was then")
        with pytest.raises(Refused, match="name of another case"):
            smoke.keep(bench.house.admin, Run.objects.get(pk=run.pk), "as it was then")
    case = suite.cases[-1]
    assert case["expect"] == {"stop_reason": "completed", "tools": CASE["expect"]["tools"], "asked": ["issue_refund"]}
    assert case["input"] == SMALL and case["stubs"]["issue_refund"] == CASE["stubs"]["issue_refund"]
    bench.keep(case)
    assert bench.test(number).status == "passed"


def test_a_case_that_the_revision_does_not_take_starts_nothing(bench: Bench) -> None:
    bench.keep(CASE, {"name": "an object", "input": {"order": 7}})
    schema = {"type": "object", "properties": {"order": {"type": "string"}}}
    number = bench.revise(input_schema=schema)
    with pytest.raises(Invalid) as refused:
        bench.start(number)
    assert refused.value.field == "cases[0].input"
    with tenant_scope(bench.house.tenant):
        assert (Run.objects.count(), SmokeTest.objects.count(), Step.objects.count()) == (0, 0, 0)


def test_who_may_and_what_is_not_there(house: House) -> None:
    bench = Bench(house)
    with tenant_scope(house.tenant):
        with pytest.raises(Invalid, match="keeps no smoke test yet"):
            smoke.start(house.operator, house.workflow, 1)
    bench.keep(CASE)
    with tenant_scope(house.tenant):
        with pytest.raises(NotFound):
            smoke.start(house.operator, house.workflow, 7)
        with pytest.raises(Forbidden):
            smoke.start(house.operator, house.workflow, 1, promote=True)
        with pytest.raises(Forbidden):
            workflows.put_smoke(house.operator, house.workflow, {"cases": []})
        smoke.start(house.operator, house.workflow, 1)
        with pytest.raises(Invalid, match="still running"):
            smoke.start(house.operator, house.workflow, 1)
    assert smoke.look() == 0  # its run has not ended


@pytest.mark.parametrize(
    ("suite", "path"),
    [
        (None, "$.cases"),
        ({"cases": {}}, "$.cases"),
        ({"cases": [], "required": True}, "$.cases"),
        ({"cases": [], "required": "yes"}, "$.required"),
        ({"cases": [], "surprise": 1}, "$.surprise"),
        ({"cases": [{"name": str(n), "input": "x"} for n in range(21)]}, "$.cases"),
        ({"cases": ["x"]}, "$.cases[0]"),
        ({"cases": [{"input": "x"}]}, "$.cases[0].name"),
        ({"cases": [{"name": "a" * 81, "input": "x"}]}, "$.cases[0].name"),
        ({"cases": [{"name": "a\nb", "input": "x"}]}, "$.cases[0].name"),
        ({"cases": [CASE, CASE]}, "$.cases[1].name"),
        ({"cases": [{"name": "a"}]}, "$.cases[0].input"),
        ({"cases": [{"name": "a", "input": " "}]}, "$.cases[0].input"),
        ({"cases": [{"name": "a", "input": "x", "decide": "maybe"}]}, "$.cases[0].decide"),
        ({"cases": [{"name": "a", "input": "x", "answer": 7}]}, "$.cases[0].answer"),
        ({"cases": [{"name": "a", "input": "x", "stubs": []}]}, "$.cases[0].stubs"),
        ({"cases": [{"name": "a", "input": "x", "stubs": {"t": 7}}]}, "$.cases[0].stubs.t"),
        ({"cases": [{"name": "a", "input": "x", "stubs": {"t": {"fails": ""}}}]}, "$.cases[0].stubs.t"),
        ({"cases": [{"name": "a", "input": "x", "expect": []}]}, "$.cases[0].expect"),
        ({"cases": [changed(stop_reason="done")]}, "$.cases[0].expect.stop_reason"),
        ({"cases": [changed(stop_reason=["completed"])]}, "$.cases[0].expect.stop_reason"),
        ({"cases": [changed(tools="x")]}, "$.cases[0].expect.tools"),
        ({"cases": [changed(asked=[7])]}, "$.cases[0].expect.asked"),
        ({"cases": [changed(contract={"type": "thing"})]}, "$.cases[0].expect.contract"),
        ({"cases": [changed(contract=7)]}, "$.cases[0].expect.contract"),
        ({"cases": [changed(cost=1)]}, "$.cases[0].expect.cost"),
        ({"cases": [{"name": "a", "input": {"api_key": "sk-1234567890123456789012345"}}]}, "$.cases[0].input.api_key"),
        ({"cases": [{"name": "a", "input": "x" * 1_000_001}]}, "$"),
    ],
)
def test_each_fault_of_a_suite_has_its_path(suite: Any, path: str) -> None:
    assert path in {found.path for found in suites.faults(suite)}


def test_a_good_suite_has_no_fault() -> None:
    assert suites.faults({"required": True, "cases": [CASE, {"name": "plain", "input": {"order": "A-1"}}]}) == []
