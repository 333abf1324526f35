"""NEVER and its waivers: what they take, who may, when they hold, and what a run gets that starts then."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from console.audit.models import AuditRecord
from console.demo.documents import WORKFLOWS
from console.runs import actions as runs
from console.tenants import access
from console.tenants import actions as tenants
from console.tenants.access import Forbidden, NotFound
from console.workflows import actions, waived, waivers
from console.workflows.errors import Conflict, Invalid
from console.workflows.models import BehaviourContract, Waiver, Workflow
from console.workflows.oversight import held, lacking, says_never
from tests.api.problems import problem
from tests.workflows.waiving import ASSESSMENT
from tests.world import Api, House, Member, World, make_user, world

__all__ = ["world"]

REFUND: dict[str, Any] = next(demo.body for demo in WORKFLOWS if demo.slug == "refund-desk")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


class Clock:
    """What waived.now says."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(waived, "now", found)
    monkeypatch.setattr("console.runs.wakeups.send", lambda *_, **__: True)
    return found


class Team:
    """Northwind's refund desk under NEVER, its admin, and another."""

    def __init__(self, house: House, **change: Any) -> None:
        self.house, self.ada = house, house.admin.actor
        with house.scope():
            member = Member(house.tenant, make_user("ari.northwind"), "admin")
            tenants.add_member(access.system_actor(house.tenant), member.user, "admin")
            self.second, self.ari = member, member.actor
            self.workflow = actions.create_workflow(self.ada, "desk", "Desk")
            self.revise(**change)

    def revise(self, **change: Any) -> list[Any]:
        body = {**copy.deepcopy(REFUND), **change}
        kept = {key: value for key, value in body.items() if value is not None}
        with self.house.scope():
            return actions.create_revision(self.ada, self.workflow, kept)[1]

    def propose(self, stage: Any = "", text: Any = ASSESSMENT, until: Any = LATER, actor: Any = None) -> Waiver:
        with self.house.scope():
            return waivers.propose(actor or self.ada, self.workflow, stage, text, until)

    def agree(self, waiver: Waiver, actor: Any = None) -> Waiver:
        with self.house.scope():
            return waivers.consent(actor or self.ari, waiver)

    def revoke(self, waiver: Waiver, why: Any = "We know better now.", actor: Any = None) -> Waiver:
        with self.house.scope():
            return waivers.revoke(actor or self.ada, waiver, why)

    def run(self) -> Any:
        with self.house.scope():
            workflow = Workflow.objects.select_related("current").get(pk=self.workflow.pk)
            return runs.start(self.house.operator.actor, workflow, "Refund order 7")

    def mode(self) -> str:
        return str(self.run().body["oversight"]["mode"])

    def audited(self) -> list[str]:
        with self.house.scope():
            rows = AuditRecord.objects.filter(tenant_id=self.house.tenant.id, action__startswith="waiver.").order_by(
                "id"
            )
            return [row.action for row in rows]


@pytest.fixture
def team(world: World) -> Team:
    return Team(world.northwind)


def test_never_holds_with_two_admins_and_until_its_date(team: Team, clock: Clock) -> None:
    assert team.mode() == "TERMINATE"
    waiver = team.propose()
    assert team.mode() == "TERMINATE"  # one admin is not enough
    team.agree(waiver)
    before = team.run()
    assert before.body["oversight"] == {"mode": "NEVER"} and before.body is before.revision.body
    clock.at = LATER - timedelta(seconds=1)
    assert team.mode() == "NEVER"
    clock.at = LATER
    assert team.mode() == "TERMINATE"  # at once, without any sweep
    with team.house.scope():
        again = type(before).objects.select_related("revision").get(pk=before.pk)
        assert again.body["oversight"]["mode"] == "NEVER"  # what it was told when it started
    assert team.audited() == ["waiver.proposed", "waiver.consented"]


def test_a_run_is_governed_by_what_held_and_keeps_its_rules_themselves(team: Team) -> None:
    run = team.run()
    body, own = run.body, run.revision.body
    assert body["oversight"] == {"mode": "TERMINATE"} and own["oversight"] == {"mode": "NEVER"}
    assert body is run.body  # made once
    assert body["rules"] is own["rules"] and body["team"] is own["team"]
    run.oversight = None  # a run from before this was kept
    assert run.body is own


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"text": "It is fine."}, "risk_assessment"),
        ({"text": " " * 60}, "risk_assessment"),
        ({"text": "x" * 20_001}, "risk_assessment"),
        ({"text": "x" * 50 + "\x00"}, "risk_assessment"),
        ({"text": None}, "risk_assessment"),
        ({"text": ["x" * 50]}, "risk_assessment"),
        ({"until": NOW}, "expires_at"),
        ({"until": NOW + timedelta(days=366, seconds=1)}, "expires_at"),
        ({"until": "soon"}, "expires_at"),
        ({"until": None}, "expires_at"),
        ({"until": 7}, "expires_at"),
        ({"until": "0001-01-01T00:00:00+23:59"}, "expires_at"),
        ({"until": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"stage": "payer"}, "stage"),
        ({"stage": "nobody"}, "stage"),
        ({"stage": 7}, "stage"),
        ({"stage": "x\x00"}, "stage"),
        ({"stage": "x" * 201}, "stage"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(team: Team, wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        team.propose(**wanted)
    assert caught.value.field == field
    with team.house.scope():
        assert not Waiver.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"output_contract": None}, "output_contract"),
        ({"output_contract": {}}, "output_contract"),
        ({"limits": {"max_tokens": 5}}, "limits.max_turns"),
        ({"limits": {"max_turns": 5}}, "limits.max_tokens"),
        ({"oversight": {"mode": "TERMINATE"}}, "stage"),
    ],
)
def test_there_is_a_contract_limits_and_something_to_waive(world: World, change: dict[str, Any], field: str) -> None:
    team = Team(world.northwind, **change)
    with pytest.raises(Invalid) as caught:
        team.propose()
    assert caught.value.field == field


def test_limits_of_the_workflow_or_the_organisation_will_do(world: World) -> None:
    team = Team(world.northwind, limits={"max_turns": 9})
    with team.house.scope():
        actions.put_limits(team.ada, {"max_cost": "2.00"})
    team.agree(team.propose())
    assert team.mode() == "NEVER"
    with team.house.scope():
        actions.put_limits(team.ada, {})  # and where they go, NEVER goes
    assert team.mode() == "TERMINATE"


def test_a_revision_without_the_contract_falls_back_though_the_waiver_stands(team: Team) -> None:
    team.agree(team.propose())
    told = team.revise(output_contract=None)
    assert [finding.path for finding in told if "NEVER" in finding.message] == ["$.oversight.mode"]
    assert team.mode() == "TERMINATE"


def test_a_revision_that_says_never_is_taken_and_told(team: Team) -> None:
    said = team.revise(oversight={"mode": "TERMINATE", "stages": {"payer": "NEVER", "clerk": "ALWAYS"}})
    told = [finding for finding in said if "NEVER is not in force" in finding.message]
    assert [(finding.path, finding.level) for finding in told] == [("$.oversight.stages.payer", "info")]
    assert team.run().body["oversight"]["stages"] == {"payer": "TERMINATE", "clerk": "ALWAYS"}
    team.agree(team.propose("payer"))
    assert team.run().body["oversight"]["stages"] == {"payer": "NEVER", "clerk": "ALWAYS"}
    assert not [
        finding for finding in team.revise(oversight={"stages": {"payer": "NEVER"}}) if "NEVER" in finding.message
    ]


def test_the_proposer_cannot_consent_nor_can_a_program(team: Team) -> None:
    waiver = team.propose()
    with pytest.raises(Forbidden, match="second admin"):
        team.agree(waiver, team.ada)
    for nobody in (team.house.operator.actor, team.house.reviewer.actor):
        with pytest.raises(Forbidden):
            team.agree(waiver, nobody)
        with pytest.raises(Forbidden):
            team.propose(actor=nobody)
        with pytest.raises(Forbidden):
            team.revoke(waiver, actor=nobody)
    with pytest.raises(Forbidden, match="in person"):
        team.agree(waiver, team.house.system)
    account, token = team.house.service("robot", "admin")
    with pytest.raises(Forbidden, match="in person"):
        team.agree(waiver, access.Actor(team.house.tenant, "admin", "token", account.id, "robot"))
    with team.house.scope(), pytest.raises(IntegrityError), transaction.atomic():  # the database holds it, too
        Waiver.objects.filter(pk=waiver.pk).update(consented_by_id=team.ada.id)


def test_what_is_over_is_not_decided_again(team: Team, clock: Clock) -> None:
    waiver = team.propose()
    with pytest.raises(Conflict, match="waits for consent already"):
        team.propose()
    team.agree(waiver)
    with pytest.raises(Conflict, match="consent of Ari"):
        team.agree(waiver)
    with pytest.raises(Invalid, match="why"):
        team.revoke(waiver, "  ")
    team.revoke(waiver, actor=team.ari)
    assert team.mode() == "TERMINATE"
    for again in (team.agree, team.revoke):
        with pytest.raises(Conflict, match="was revoked"):
            again(waiver)
    declined = team.propose()
    team.revoke(declined, actor=team.ari)
    with pytest.raises(Conflict, match="was declined"):
        team.agree(declined)
    late = team.propose()
    clock.at = LATER
    with pytest.raises(Conflict, match="without consent"):
        team.agree(late)
    assert team.audited() == [
        "waiver.proposed", "waiver.consented", "waiver.revoked", "waiver.proposed", "waiver.declined", "waiver.proposed",
    ]  # fmt: skip


def test_what_was_changed_since_the_proposal_is_looked_at_again(team: Team) -> None:
    waiver = team.propose()
    team.revise(output_contract=None)
    with pytest.raises(Invalid) as caught:
        team.agree(waiver)
    assert caught.value.field == "output_contract"


def test_the_end_is_told_once(team: Team, clock: Clock) -> None:
    team.agree(team.propose())
    assert waivers.expire() == 0
    clock.at = LATER + timedelta(hours=1)
    assert waivers.expire() == 1
    assert waivers.expire() == 0
    assert team.audited()[-1:] == ["waiver.expired"] and team.audited().count("waiver.expired") == 1
    with team.house.scope():
        last = BehaviourContract.objects.filter(workflow=team.workflow).latest("number")
        assert "has run out" in last.because and "TERMINATE holds instead" in last.text


def test_another_tenants_waiver_does_not_exist(team: Team, world: World) -> None:
    waiver = team.propose()
    with world.fabrikam.scope(), pytest.raises(NotFound):
        waivers.consent(world.fabrikam.admin.actor, waiver)
    address = f"/api/v1/workflows/desk/waivers/{waiver.pk}"
    problem(world.fabrikam.admin.api.post(f"{address}/consent"), 404)
    problem(world.fabrikam.admin.api.delete(address, {"why": "Mine."}), 404)


def test_over_the_api(team: Team, clock: Clock) -> None:
    clock.at = datetime.now(UTC)
    ada, ari, address = team.house.admin.api, team.second.api, "/api/v1/workflows/desk/waivers"
    soon = (clock.at + timedelta(days=9)).isoformat()
    problem(ada.post(address, {}), 422, "risk_assessment")
    problem(ada.post(address, {"risk_assessment": ASSESSMENT}), 422, "expires_at")
    problem(ada.post(address, {"stage": {"a": 1}}), 422, "stage")
    made = ada.post(address, {"risk_assessment": ASSESSMENT, "expires_at": soon})
    assert made.status_code == 201 and made.json()["state"] == "proposed", made.content
    one = f"{address}/{made.json()['id']}"
    assert "second admin" in problem(ada.post(f"{one}/consent"), 403)["detail"]
    assert ari.post(f"{one}/consent").json()["state"] == "in_force"
    problem(ari.post(f"{one}/consent"), 409)
    assert "this is a program" in problem(team_robot(team).post(address, {}), 403)["detail"]
    assert [each["state"] for each in ada.get(address).json()["items"]] == ["in_force"]
    problem(ada.delete(one, {}), 422, "why")
    assert ada.delete(one, {"why": "An auditor asked."}).json()["state"] == "revoked"
    problem(ada.delete(one, {"why": "Again."}), 409)
    for nonsense in ("1", "x" * 3000, "%00"):
        problem(ari.post(f"{address}/{nonsense}/consent"), 404)


def team_robot(team: Team) -> Api:
    """A program with an admin's token."""
    return Api(team.house.service("robot", "admin")[1])


def test_a_retry_is_never_looser_than_its_run_or_than_today(team: Team, clock: Clock) -> None:
    strict = team.run()
    team.agree(team.propose())
    loose = team.run()
    with team.house.scope():
        type(strict).objects.all().update(status="failed", stop_reason="model_error")
        for run in (strict, loose):
            run.refresh_from_db()
        operator = team.house.operator.actor
        assert runs.retry(operator, strict).body["oversight"]["mode"] == "TERMINATE"
        assert runs.retry(operator, loose).body["oversight"]["mode"] == "NEVER"
        clock.at = LATER
        assert runs.retry(operator, loose).body["oversight"]["mode"] == "TERMINATE"


def test_a_retry_whose_stage_is_reviewed_now_does_not_fit_its_record(team: Team, clock: Clock) -> None:
    team.revise(oversight={"stages": {"clerk": "NEVER"}})
    team.agree(team.propose("clerk"))
    run = team.run()
    clock.at = LATER
    with team.house.scope():
        type(run).objects.all().update(status="failed", stop_reason="model_error")
        run.refresh_from_db()
        with pytest.raises(runs.Refused, match="reviewed clerk"):
            runs.retry(team.house.operator.actor, run)


def test_the_workflows_waiver_is_for_its_stages_too() -> None:
    body = {"oversight": {"mode": "NEVER", "stages": {"a": "NEVER", "b": "ALWAYS"}, "max_reviews": 2}}
    assert says_never(body) == ["", "a"]
    assert held(body, {""}) is body["oversight"]
    assert held(body, {"a"}) == {"mode": "TERMINATE", "stages": {"a": "NEVER", "b": "ALWAYS"}, "max_reviews": 2}
    assert held(body, ()) == {"mode": "TERMINATE", "stages": {"a": "TERMINATE", "b": "ALWAYS"}, "max_reviews": 2}
    assert held({}, ()) == {}
    assert [field for field, _ in lacking({})] == ["output_contract", "limits.max_turns", "limits.max_tokens"]
