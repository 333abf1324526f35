"""A waiver holds for what was assessed and for less; what a team may do beyond that is reviewed until two admins agree."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from console.workflows import actions, assessed, waived
from console.workflows.errors import Conflict
from console.workflows.models import BehaviourContract, Waiver
from tests.workflows.test_waivers import REFUND, Clock, Team, clock
from tests.world import World, world

__all__ = ["clock", "world"]

LIMITS = {"max_turns": 20, "max_tokens": 100, "max_cost": "2.00", "run_timeout": "PT10M"}
THEN: dict[str, Any] = {
    "tools": {"pay": {"risk": "medium", "safety": "idempotent", "approval": "require"}},
    "limits": LIMITS,
    "contract": "a",
}


def now(**change: Any) -> dict[str, Any]:
    tools = {"pay": {**THEN["tools"]["pay"], **change.pop("pay", {})}, **change.pop("tools", {})}
    return {"tools": tools, "limits": {**LIMITS, **change.pop("limits", {})}, "contract": "a", **change}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, []),
        ({"pay": {"risk": "low", "safety": "read_only"}}, []),
        ({"limits": {"max_turns": 19, "max_cost": "1.99", "run_timeout": "PT9M"}}, []),
        ({"limits": {"max_cost": "2.0", "run_timeout": "PT600S"}}, []),
        ({"pay": {"risk": "high"}}, ["pay is of high risk, and was of medium"]),
        ({"pay": {"risk": "unheard"}}, ["pay is of unheard risk, and was of medium"]),
        ({"pay": {"safety": "neither"}}, ["pay can act, and could be repeated without harm"]),
        ({"pay": {"approval": "allow"}}, ["pay stops for nobody any more"]),
        ({"tools": {"mail": THEN["tools"]["pay"]}}, ["it may use mail, which was not assessed"]),
        ({"limits": {"max_turns": 21}}, ["its limit of turns is 21, and was 20"]),
        ({"limits": {"run_timeout": "PT1H"}}, ["its limit of machine time is PT1H, and was PT10M"]),
        ({"contract": "b"}, ["its output contract is another"]),
    ],
)
def test_what_is_beyond(change: dict[str, Any], says: list[str]) -> None:
    assert assessed.beyond(THEN, now(**change)) == says


def test_fewer_tools_are_covered() -> None:
    assert assessed.beyond(THEN, {**THEN, "tools": {}}) == []


@pytest.fixture
def team(world: World) -> Team:
    """A refund desk under NEVER, in force."""
    team = Team(world.northwind)
    team.agree(team.propose())
    return team


def without(tool: str) -> dict[str, Any]:
    """The refund desk's team without one of its tools."""

    def cut(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: cut(value) for key, value in node.items()}
        if isinstance(node, list):
            return [cut(one) for one in node if not (isinstance(one, dict) and _name(one) == tool)]
        return node

    found: dict[str, Any] = cut(copy.deepcopy(REFUND["team"]))
    return found


def _name(node: dict[str, Any]) -> Any:
    return (node.get("config") or {}).get("name") if node.get("component_type") == "tool" else None


def shown(team: Team) -> dict[str, Any]:
    found: dict[str, Any] = team.house.admin.api.get("/api/v1/workflows/desk/waivers").json()["items"][0]
    return found


def contract(team: Team) -> str:
    with team.house.scope():
        return BehaviourContract.objects.filter(workflow=team.workflow).latest("number").text


def test_a_revision_with_another_tool_falls_back_until_it_is_consented_to(world: World, clock: Clock) -> None:
    team = Team(world.northwind, team=without("issue_refund"))
    team.agree(team.propose())
    assert team.mode() == "NEVER" and "NEVER holds for the whole workflow" in contract(team)
    team.revise()  # with the tool
    assert team.mode() == "TERMINATE"
    one = shown(team)
    assert (one["state"], one["holds"]) == ("in_force", False)
    assert one["beyond"] == ["it may use issue_refund, which was not assessed"]
    assert "consented to: it may use issue_refund, which was not assessed. So TERMINATE holds" in contract(team)
    client = team.house.admin.client
    page = client.get("/workflows/desk/waivers/").content.decode()
    assert "Not for this version" in page and "goes beyond what was assessed: it may use issue_refund" in page
    assert (
        "beyond what two admins stand for: it may use issue_refund" in client.get("/workflows/desk/").content.decode()
    )
    clock.at += timedelta(hours=1)
    team.agree(team.propose())
    assert team.mode() == "NEVER" and "NEVER holds for the whole workflow" in contract(team)
    one = shown(team)
    assert (one["state"], one["holds"], one["beyond"]) == ("in_force", True, [])


def test_back_to_what_was_assessed_holds_again(team: Team) -> None:
    team.revise(output_contract={"type": "string", "minLength": 2})
    assert team.mode() == "TERMINATE" and shown(team)["beyond"] == ["its output contract is another"]
    team.revise()
    assert team.mode() == "NEVER" and shown(team)["holds"] is True


def test_less_is_covered(team: Team) -> None:
    team.revise(team=without("issue_refund"))
    assert team.mode() == "NEVER"
    with team.house.scope():
        actions.put_limits(team.ada, {"max_turns": 2})
    assert team.mode() == "NEVER"


def test_limits_raised_further_up_count(world: World) -> None:
    team = Team(world.northwind, limits=None)
    with team.house.scope():
        actions.put_limits(team.ada, {"max_turns": 5, "max_cost": "1.00"})
    team.agree(team.propose())
    assert team.mode() == "NEVER"
    with team.house.scope():
        actions.put_limits(team.ada, {"max_turns": 6, "max_cost": "1.00"})
    assert team.mode() == "TERMINATE"
    assert shown(team)["beyond"] == ["its limit of turns is 6, and was 5"]
    assert "its limit of turns is 6" in contract(team)


def test_a_stage_answers_for_its_own_tools(world: World) -> None:
    stages = {"stages": {"clerk": "NEVER"}}
    team = Team(world.northwind, team=without("issue_refund"), oversight=stages)
    team.agree(team.propose("clerk"))
    team.revise(oversight=stages)  # the payer's tool is no business of the clerk's
    assert team.run().body["oversight"]["stages"] == {"clerk": "NEVER"}


def test_a_proposal_is_consented_to_as_it_was_assessed(world: World) -> None:
    team = Team(world.northwind, team=without("issue_refund"))
    waiver = team.propose()
    team.revise()
    with pytest.raises(Conflict, match="assessed: it may use issue_refund"):
        team.agree(waiver)
    answer = team.second.api.post(f"/api/v1/workflows/desk/waivers/{waiver.pk}/consent")
    assert answer.status_code == 409
    assert "proposed" == shown(team)["state"] and team.mode() == "TERMINATE"


def test_one_from_before_is_read_from_its_revision(team: Team) -> None:
    with team.house.scope():
        Waiver.objects.update(assessed=None)
    assert team.mode() == "NEVER" and shown(team)["holds"] is True
    team.revise(output_contract={"type": "string", "minLength": 2})
    assert team.mode() == "TERMINATE"


def test_it_can_be_revoked_and_runs_out_as_any(team: Team) -> None:
    team.revise(output_contract={"type": "string", "minLength": 2})
    with team.house.scope():
        waiver = waived.of(team.workflow)[0]
    team.revoke(waiver)
    assert shown(team)["state"] == "revoked" and shown(team)["beyond"] == []
