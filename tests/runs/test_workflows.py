"""Workflows and revisions: every fault of a body is told with its path, and nothing else gets in."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from console.audit.models import AuditRecord
from console.demo.documents import WORKFLOWS
from console.tenants import access
from console.tenants.models import Credential
from console.tenants.scopes import tenant_scope
from console.workflows import actions
from console.workflows.behaviour import behaviour
from console.workflows.body import examine
from console.workflows.models import Revision
from console.workflows.registry import Registry

from .conftest import House

DEMO: dict[str, Any] = next(demo.body for demo in WORKFLOWS if demo.slug == "refund-desk")
# Without its group: this house has none.
GOOD = {**DEMO, "rules": [{key: value for key, value in rule.items() if key != "group"} for rule in DEMO["rules"]]}


def paths(body: Any) -> set[str]:
    kept, findings = examine(body)
    assert kept is None
    return {finding.path for finding in findings if finding.level == "error"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"surprise": 1}, "$.surprise"),
        ({"credential": 7}, "$.credential"),
        ({"credential": ""}, "$.credential"),
        ({"credential": {"payer": None}}, "$.credential.payer"),
        ({"tools": ["x"]}, "$.tools"),
        ({"oversight": "ALWAYS"}, "$.oversight"),
        ({"oversight": {"mode": "SOMETIMES"}}, "$.oversight.mode"),
        ({"oversight": {"stages": {"payer": "always"}}}, "$.oversight.stages.payer"),
        ({"oversight": {"stages": []}}, "$.oversight.stages"),
        ({"oversight": {"max_reviews": -1}}, "$.oversight.max_reviews"),
        ({"oversight": {"max_reviews": True}}, "$.oversight.max_reviews"),
        ({"oversight": {"level": 9}}, "$.oversight.level"),
        ({"rules": {"a": 1}}, "$.rules"),
        ({"rules": [{"name": "r", "effect": "require", "when": "arguments.amount >"}]}, "$.rules[0].when"),
        ({"rules": [{"name": "r", "effect": "maybe"}]}, "$.rules[0].effect"),
        ({"limits": []}, "$.limits"),
        ({"limits": {"max_turns": 0}}, "$.limits.max_turns"),
        ({"limits": {"max_turns": "20"}}, "$.limits.max_turns"),
        ({"limits": {"run_timeout": "10 minutes"}}, "$.limits.run_timeout"),
        ({"limits": {"model_timeout": 30}}, "$.limits.model_timeout"),
        ({"limits": {"tool_timeout": "PT0S"}}, "$.limits.tool_timeout"),
        ({"limits": {"max_cost": "a lot"}}, "$.limits.max_cost"),
        ({"limits": {"max_cost": "NaN"}}, "$.limits.max_cost"),
        ({"limits": {"max_patience": 1}}, "$.limits.max_patience"),
        ({"filters": []}, "$.filters"),
        ({"filters": {"payer": [{"source": "user", "position": "middle"}]}}, "$.filters.payer[0].position"),
        ({"filters": {"payer": [{"position": "last"}]}}, "$.filters.payer[0].source"),
        ({"filters": {"payer": [{"source": "user", "count": 0}]}}, "$.filters.payer[0].count"),
        ({"filters": {"payer": ["user"]}}, "$.filters.payer[0]"),
        ({"input_schema": {"type": "thing"}}, "$.input_schema.type"),
        ({"output_contract": "text"}, "$.output_contract"),
        ({"topics": "support"}, "$.topics"),
        ({"topics": ["ok", 7]}, "$.topics[1]"),
        ({"topics": ["a\x00b"]}, "$.topics[0]"),
        ({"limits": {"max_cost": float("inf")}}, "$.limits.max_cost"),
    ],
)
def test_each_fault_has_its_path(change: dict[str, Any], path: str) -> None:
    assert path in paths({**copy.deepcopy(GOOD), **change})


@pytest.mark.parametrize("body", [None, [], "x", 7, {}])
def test_what_is_no_body_is_refused(body: Any) -> None:
    assert paths(body) <= {"$", "$.team"}


def test_all_faults_are_told_at_once() -> None:
    body = {"team": 7, "limits": {"max_turns": 0}, "oversight": {"mode": 1}, "x": 1}
    assert paths(body) >= {"$.team", "$.limits.max_turns", "$.oversight.mode", "$.x"}


def test_everything_in_the_design_is_accepted() -> None:
    full = {
        **copy.deepcopy(GOOD),
        "credential": {"payer": "bank", "*": "default"},
        "oversight": {"mode": "TERMINATE", "stages": {"payer": "ALWAYS"}, "max_reviews": 3},
        "limits": {
            "max_turns": 20, "run_timeout": "PT10M", "model_timeout": "PT30S", "tool_timeout": "PT10S",
            "max_tokens": 100000, "max_cost": "2.00",
        },
        "filters": {"payer": [{"source": "user", "position": "last", "count": 5}]},
        "input_schema": {"type": "object", "properties": {"order": {"type": "string"}}},
        "output_contract": {"type": "object"},
        "topics": ["support_ticket"],
    }  # fmt: skip
    kept, findings = examine(full)
    assert kept is not None and not [finding for finding in findings if finding.level == "error"]
    assert set(kept) == set(full) and kept["limits"] == full["limits"]


def test_agents_that_are_not_in_the_team_are_mentioned() -> None:
    _, findings = examine({**copy.deepcopy(GOOD), "oversight": {"stages": {"nobody": "ALWAYS"}}})
    assert [(finding.path, finding.level) for finding in findings] == [("$.oversight.stages.nobody", "info")]


def test_revisions_are_numbered_and_new_runs_take_the_last(house: House) -> None:
    with tenant_scope(house.tenant):
        workflow = actions.create_workflow(house.admin, "refund-desk", "Refund desk", description="Refunds.")
        first, _ = actions.create_revision(house.admin, workflow, copy.deepcopy(GOOD))
        second, _ = actions.create_revision(house.admin, workflow, copy.deepcopy(GOOD))
        assert (first.number, second.number) == (1, 2)
        workflow.refresh_from_db()
        assert workflow.current == second and second.author_name == "Ada Admin"
        assert list(AuditRecord.objects.order_by("id").values_list("action", flat=True)) == [
            "workflow.created",
            "workflow.revised",
            "workflow.revised",
        ]


def test_a_refused_body_leaves_nothing(house: House) -> None:
    with tenant_scope(house.tenant):
        before = Revision.objects.count()
        with pytest.raises(actions.Refused) as caught:
            actions.create_revision(house.admin, house.workflow, {**copy.deepcopy(GOOD), "limits": {"max_turns": 0}})
        assert [finding.path for finding in caught.value.findings] == ["$.limits.max_turns"]
        assert Revision.objects.count() == before and not AuditRecord.objects.exists()


@pytest.mark.parametrize(
    ("named", "missing"),
    [
        (None, ["$.credential"]),
        ("house", []),
        ("other", ["$.credential"]),
        ({"payer": "house"}, ["$.credential"]),
        ({"payer": "other", "*": "house"}, ["$.credential.payer"]),
    ],
)
def test_a_credential_that_is_not_there_is_told_and_may_come_later(
    house: House, named: Any, missing: list[str]
) -> None:
    body = copy.deepcopy(GOOD)
    body.pop("credential", None)
    if named is not None:
        body["credential"] = named
    with tenant_scope(house.tenant):
        Credential.objects.create(tenant=house.tenant, name="house", provider="openai", sealed_key=b"x")
        _, findings = actions.create_revision(house.admin, house.workflow, body)
    told = [finding for finding in findings if "credential" in finding.path]
    assert [finding.path for finding in told] == missing
    assert all(finding.level == "info" and "add it under Credentials" in finding.message for finding in told)


def test_only_admins_configure(house: House) -> None:
    with tenant_scope(house.tenant):
        with pytest.raises(access.Forbidden):
            actions.create_workflow(house.operator, "x", "X")
        with pytest.raises(access.Forbidden):
            actions.create_revision(house.operator, house.workflow, copy.deepcopy(GOOD))


@pytest.mark.parametrize("slug", ["", "Refund", "a b", "-a", "a-", "ä", "x" * 81, None, "desk"])
def test_a_slug_is_checked_and_taken_once(house: House, slug: Any) -> None:
    with tenant_scope(house.tenant), pytest.raises(actions.Invalid) as caught:
        actions.create_workflow(house.admin, slug, "Name")
    assert caught.value.field == "slug"


def test_behaviour_is_said_in_plain_words() -> None:
    kept, _ = examine(copy.deepcopy(GOOD))
    assert kept is not None
    says = behaviour(kept, Registry([]))
    assert says[0] == "The team stops and asks a person before each call of issue_refund."
    assert "Without a person it may use lookup_order and check_policy." in says
    always = behaviour({**kept, "oversight": {"mode": "ALWAYS"}}, Registry([]))
    assert any("reads every message" in sentence for sentence in always)
    assert behaviour({"team": {}}, Registry([]))[0].startswith("This team has no tools")
