"""A tenant's own rules: versions, who may, what is refused, and that they hold for calls, edits and at dispatch."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from approvals import rule_actions, rule_sets
from approvals.errors import Invalid as DecisionInvalid
from approvals.models import RuleSet
from approvals.policy import TenantRules
from console.audit.models import AuditRecord
from console.durable.steps import Decision
from console.hosting import advancing, gates
from console.hosting.database import Database
from console.hosting.gates import HostGates
from console.tenants import group_actions
from console.tenants.access import Forbidden
from console.workflows.errors import Invalid, Refused
from tests.approvals.desk import Desk, refund
from tests.world import World

DENY = [{"name": "frozen", "effect": "deny", "match": {"tool": "issue_*"}}]
TWO = [{"name": "two of us", "effect": "require", "approvers": 2}]


def put(desk: Desk, rules: Any, reason: Any = "") -> RuleSet:
    with desk.house.scope():
        return rule_actions.put_rules(desk.house.admin.actor, rules, reason)[0]


def paths(caught: Any) -> list[str]:
    return [each.path for each in caught.value.findings if each.level == "error"]


def test_versions_are_numbered_and_the_newest_holds(desk: Desk, world: World) -> None:
    with desk.house.scope():
        assert rule_sets.current(desk.house.tenant.id) is None
    put(desk, TWO, " to be safe ")
    put(desk, DENY)
    with desk.house.scope():
        assert rule_sets.current(desk.house.tenant.id) == TenantRules(2, DENY)
        assert rule_sets.numbered(desk.house.tenant.id, 1) == TenantRules(1, TWO)
        assert [row.reason for row in RuleSet.objects.order_by("number")] == ["to be safe", ""]
        said = AuditRecord.objects.filter(action="tenant.rules").order_by("id").last()
        assert said is not None and said.detail["number"] == 2 and said.detail["names"] == ["frozen"]
    with world.fabrikam.scope():
        assert rule_sets.current(world.fabrikam.tenant.id) is None


def test_only_admins_put_them(desk: Desk) -> None:
    for who in (desk.house.operator, desk.house.reviewer):
        with desk.house.scope(), pytest.raises(Forbidden):
            rule_actions.put_rules(who.actor, TWO)


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        (None, "$.rules"),
        ({}, "$.rules"),
        ("x", "$.rules"),
        ([7], "$.rules[0]"),
        ([{"name": "a", "effect": "deny", "when": "(("}], "$.rules[0].when"),
        ([{"name": "a\x00", "effect": "deny"}], "$.rules[0].name"),
        ([{"name": "a", "effect": float("nan")}], "$.rules[0].effect"),
        ([[[[]]]] * 201, "$.rules"),
    ],
)
def test_what_is_refused_names_its_place_and_leaves_nothing(desk: Desk, rules: Any, path: str) -> None:
    with desk.house.scope():
        with pytest.raises(Refused) as caught:
            rule_actions.put_rules(desk.house.admin.actor, rules)
        assert paths(caught) == [path]
        assert not RuleSet.objects.exists()


def test_a_bad_reason_is_refused(desk: Desk) -> None:
    for reason in (None, 7, "x" * 501, "a\x00"):
        with desk.house.scope(), pytest.raises(Invalid):
            rule_actions.put_rules(desk.house.admin.actor, TWO, reason)


@pytest.fixture
def groups(desk: Desk) -> None:
    """Beside finance, a group without anybody in it."""
    with desk.house.scope():
        group_actions.put_group(desk.house.admin.actor, "leads")


def test_a_group_that_is_not_there_is_refused(desk: Desk, groups: Any) -> None:
    rule = {"name": "a", "effect": "require", "group": "finanse", "escalation": [{"after": "PT1H", "group": "boss"}]}
    with desk.house.scope(), pytest.raises(Refused) as caught:
        rule_actions.put_rules(desk.house.admin.actor, [rule])
    assert paths(caught) == ["$.rules[0].group", "$.rules[0].escalation[0].group"]
    assert "make the group under People, or name one of: finance, leads" in str(caught.value)


def test_a_group_without_anybody_is_said_and_kept(desk: Desk, groups: Any) -> None:
    with desk.house.scope():
        _, found = rule_actions.put_rules(
            desk.house.admin.actor, [{"name": "a", "effect": "require", "group": "leads"}]
        )
    assert [(each.path, each.level) for each in found] == [("$.rules[0].group", "info")]


def test_a_workflows_rules_are_checked_for_groups_too(desk: Desk, groups: Any) -> None:
    from tests.api.test_workflows import TEAM

    body = {"team": TEAM, "rules": [{"name": "a", "effect": "require", "group": "nobody"}]}
    answer = desk.house.admin.api.post("/api/v1/workflows/refund-desk/revisions", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "$.rules[0].group"


def test_what_the_claim_reads_holds_at_the_gate_and_at_dispatch(desk: Desk) -> None:
    put(desk, DENY)
    run = desk.now(desk.start())
    with desk.house.scope():
        *_, number, _ = advancing._about(run)
        held = HostGates(cast(Database, None), run, 0, None, None, rule_sets.numbered(run.tenant_id, number))
    assert asyncio.run(held.judge(refund())).effect == "deny"
    approved = replace(refund(), decision=Decision("approve"))
    assert asyncio.run(held.judge(approved)).effect == "deny"


def test_a_look_for_decisions_reads_them_anew(desk: Desk) -> None:
    run = desk.now(desk.start())
    assert gates._decisions(run, [])[2] is None
    put(desk, DENY)
    assert gates._decisions(run, [])[2] == TenantRules(1, DENY)


def test_an_edit_is_judged_by_them(desk: Desk) -> None:
    _, [request] = desk.waiting(refund())
    put(desk, [{"name": "never 99", "effect": "deny", "when": "arguments.amount == 99.0"}, *TWO])
    with pytest.raises(DecisionInvalid, match="never 99"):
        desk.decide(desk.house.reviewer, request, "edit", arguments={"order": "A-17", "amount": 99.0})
    edited = desk.decide(desk.house.reviewer, request, "edit", arguments={"order": "A-17", "amount": 98.0})
    assert (edited.status, edited.approvers) == ("pending", 2)
    assert edited.rule is not None and edited.rule["name"] == "two of us"


def test_a_workflows_rules_make_a_revision(desk: Desk) -> None:
    from tests.api.test_workflows import TEAM

    made = desk.house.admin.api.post("/api/v1/workflows/refund-desk/revisions", {"team": TEAM, "topics": ["ticket"]})
    assert made.status_code == 201
    with desk.house.scope():
        desk.workflow.refresh_from_db()
        revision, _ = rule_actions.revise_rules(desk.house.admin.actor, desk.workflow, TWO, "to be safe", of=2)
        assert (revision.number, revision.body["rules"], revision.body["topics"]) == (3, TWO, ["ticket"])
        assert revision.reason == "to be safe"
        with pytest.raises(Invalid, match="not the current one any more"):
            rule_actions.revise_rules(desk.house.admin.actor, desk.workflow, DENY, of=2)
        with pytest.raises(Forbidden):
            rule_actions.revise_rules(desk.house.operator.actor, desk.workflow, DENY)
        with pytest.raises(Refused):
            rule_actions.revise_rules(desk.house.admin.actor, desk.workflow, [{"name": "x"}])
