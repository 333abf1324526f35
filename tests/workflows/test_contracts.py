"""Behaviour contracts: one paragraph, a version for each time it changed, and the pages that show it and the oversight."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from console.tenants import access
from console.workflows import actions, contracts, tool_actions, waivers
from console.workflows.behaviour import WORDING, paragraph
from console.workflows.diff import words
from console.workflows.models import BehaviourContract, Revision, Workflow
from console.workflows.oversight import meaning
from console.workflows.registry import Registry
from tests.approvals.desk import make_desk
from tests.workflows.test_waivers import ASSESSMENT, LATER, NOW, Clock, Team, clock, team
from tests.world import World, world

__all__ = ["clock", "team", "world"]


def kept(team: Team) -> list[BehaviourContract]:
    with team.house.scope():
        return list(reversed(contracts.versions(team.workflow)))


def test_a_version_for_each_change_and_none_without(team: Team, clock: Clock) -> None:
    first = kept(team)
    assert [one.number for one in first] == [1] and first[0].because == "Admin made revision 1."
    assert first[0].sha256 == hashlib.sha256(first[0].text.encode()).hexdigest()
    team.revise()  # the same again, as revision 2
    assert len(kept(team)) == 1
    waiver = team.propose()
    assert len(kept(team)) == 1
    team.agree(waiver)
    with team.house.scope():
        actions.put_limits(team.ada, {"max_cost": "3.00"}, team.workflow)
        actions.put_limits(team.ada, {"max_cost": "9.00"})  # above the workflow's: nothing changes
        actions.put_limits(team.ada, {"max_cost": "9.00", "max_turns": 7})
        tool_actions.revoke(team.ada, "check_policy")
        tool_actions.reinstate(team.ada, "check_policy")
    team.revoke(waiver)
    assert [one.because for one in kept(team)][1:] == [
        "Ari consented to NEVER for the whole workflow.",
        "Admin changed the workflow's limits.",
        "Admin changed the organisation's limits.",
        "Admin revoked the tool check_policy.",
        "Admin reinstated the tool check_policy.",
        "Admin took NEVER for the whole workflow back: We know better now.",
    ]
    numbers = [one.number for one in kept(team)]
    assert numbers == [*range(1, 8)]
    with team.house.scope():
        assert Workflow.objects.get(pk=team.workflow.pk).contract == 7
        assert team.run().contract == 7


def test_a_canary_and_a_promotion(team: Team) -> None:
    with team.house.scope():
        body = {**Revision.objects.get(workflow=team.workflow).body, "oversight": {"mode": "ALWAYS"}}
        actions.create_revision(team.ada, team.workflow, body, promote=False)
        assert len(contracts.versions(team.workflow)) == 1
        actions.start_rollout(team.ada, team.workflow, {"revision": 2, "share": 100})
        run = team.run()
        assert (run.revision.number, run.contract, run.body["oversight"]["mode"]) == (2, 0, "ALWAYS")
        actions.end_rollout(team.ada, team.workflow, promoted=True, reason="It does well.")
        newest = contracts.versions(team.workflow)[0]
        assert (newest.number, newest.revision.number, newest.because) == (
            2,
            2,
            "Admin promoted revision 2: It does well.",
        )


def test_the_paragraph_says_it_all(team: Team) -> None:
    text = kept(team)[-1].text
    for said in (
        "stops and asks a person before each call of issue_refund",
        "Without a person it may use lookup_order and check_policy.",
        "A call of issue_refund asks 2 people of finance when arguments.amount > 1000.0.",
        "a rejection sends the team back to work with the reason, at most 3 times",
        "says NEVER for the whole workflow, which is not in force, so TERMINATE holds instead",
        "does not fit the output contract",
        "24 turns, 200,000 tokens, 20.00 US dollars or 1 h of machine time",
    ):
        assert said in text, said
    team.agree(team.propose())
    text = kept(team)[-1].text
    assert "on the risk assessment of Admin with the consent of Ari, until 2026-12-21 12:00 UTC" in text
    assert "\n" not in text and "which is not in force" not in text


def test_stages_and_kinds_of_team() -> None:
    body: dict[str, Any] = {
        "team": {"provider": "x.GraphFlow"},
        "oversight": {"stages": {"a": "ALWAYS", "b": "TERMINATE"}},
    }
    held = {"max_turns": 5, "max_tokens": 10, "max_cost": "1", "run_timeout": "PT90S"}
    text = paragraph(body, Registry([]), oversight=body["oversight"], limits=held)
    assert "a rejection ends the run as rejected" in text and "1 min 30 s" in text
    assert "Of a: a person reads each of its messages" in text and "Of b: a person reviews the last message" in text
    for mode in ("ALWAYS", "TERMINATE", "NEVER"):
        for stage in (True, False):
            for reviews in (0, 1, 3):
                assert meaning(mode, "Swarm", stage=stage, reviews=reviews).endswith(".")


def test_workflows_older_than_contracts_get_their_first(world: World, clock: Clock) -> None:
    desk = make_desk(world.northwind)
    assert contracts.catch_up() == 1 and contracts.catch_up() == 0
    with world.northwind.scope():
        assert contracts.versions(desk.workflow)[0].because == "Sayso began to write down what teams may do."


def test_new_words_are_written_down_by_the_sweep(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    assert contracts.catch_up() == 0
    monkeypatch.setattr(contracts, "WORDING", 1000)
    monkeypatch.setattr(contracts, "paragraph", lambda *_, **__: "It may do nothing.")
    assert contracts.catch_up() == 1 and contracts.catch_up() == 0
    assert [one.text for one in kept(team)][1:] == ["It may do nothing."]
    assert kept(team)[-1].because == "Sayso says the same in other words since it was updated."


def test_nobody_changes_the_words_without_raising_their_number(team: Team) -> None:
    assert (WORDING, kept(team)[-1].sha256[:16]) == (2, "74347aebf4f766e0"), (
        "raise behaviour.WORDING, and put both here"
    )


def test_what_is_too_long_is_cut_and_said_once(team: Team, clock: Clock) -> None:
    with team.house.scope():
        actions.put_limits(team.ada, {"max_turns": 3})
        assert contracts.keep(team.workflow, "x" * 900) is None
        BehaviourContract.objects.filter(workflow=team.workflow).update(sha256="0")
        made = contracts.keep(team.workflow, "x" * 900)
        assert made is not None and len(made.because) == 500


def test_over_the_api(team: Team, world: World) -> None:
    api = team.house.reviewer.api
    told = api.get("/api/v1/workflows/desk/behaviour").json()
    assert (told["number"], told["revision"], len(told["versions"])) == (1, 1, 1)
    assert told["sha256"] == hashlib.sha256(told["text"].encode()).hexdigest()
    assert told["because"] and told["since"] and told["versions"][0]["text"] == told["text"]
    assert world.fabrikam.admin.api.get("/api/v1/workflows/desk/behaviour").status_code == 404


def test_words_differ() -> None:
    assert words("a b c", "a x c") == [("", "a"), ("-", "b"), ("+", "x"), ("", "c")]


PAGES = ("", "waivers/", "behaviour/", "behaviour.txt")


def test_pages_for_every_member_and_no_other_tenant(team: Team, world: World) -> None:
    for page in PAGES:
        for member in (*team.house.members, team.second):
            assert member.client.get(f"/workflows/desk/{page}").status_code == 200, (page, member.role)
        assert world.fabrikam.admin.client.get(f"/workflows/desk/{page}").status_code == 404
    for page in ("waivers/", "oversight/"):
        for member in (team.house.operator, team.house.reviewer):
            assert member.client.post(f"/workflows/desk/{page}", {}).status_code == 403, page
        assert world.fabrikam.admin.client.post(f"/workflows/desk/{page}", {}).status_code == 404
    assert team.house.admin.client.get("/workflows/desk/oversight/").status_code == 405
    assert team.house.admin.client.get("/workflows/desk/behaviour/?from=99").status_code == 404


def test_an_admin_asks_and_another_consents(team: Team) -> None:
    ada, ari = team.house.admin.client, team.second.client
    text = ada.post("/workflows/desk/waivers/", {"risk_assessment": "short", "expires_at": "2026-12-24"})
    assert text.status_code == 422 and "The risk assessment must say" in text.content.decode()
    sent = {"stage": "", "risk_assessment": ASSESSMENT + " <b>", "expires_at": "2026-12-24"}
    assert ada.post("/workflows/desk/waivers/", sent).status_code == 302
    assert ada.post("/workflows/desk/waivers/", sent).status_code == 409
    assert "asks for your consent" in ari.get("/workflows/desk/").content.decode()
    page = ari.get("/workflows/desk/waivers/").content.decode()
    assert "asks for your consent" in page and "&lt;b&gt;" in page
    with team.house.scope():
        (waiver,) = team.workflow.waivers.all()
    one = f"/workflows/desk/waivers/{waiver.pk}/"
    assert ada.get(one).status_code == 405
    own = ada.post(one, {"do": "consent"})
    assert own.status_code == 403 and "second admin" in own.content.decode()
    assert ari.post(one, {"do": "consent"}).status_code == 302
    assert ari.post(one, {"do": "consent"}).status_code == 409
    assert "NEVER until" in ada.get("/workflows/desk/").content.decode()
    assert ada.post(one, {"do": "revoke", "why": ""}).status_code == 422
    assert ada.post(one, {"do": "revoke", "why": "Enough."}).status_code == 302
    assert "Enough." in ada.get("/workflows/desk/waivers/").content.decode()


def test_the_form_makes_a_revision_of_another_oversight_alone(team: Team) -> None:
    client, address = team.house.admin.client, "/workflows/desk/oversight/"
    always = {
        "revision": "1",
        "mode": "TERMINATE",
        "stage:payer": "ALWAYS",
        "max_reviews": "1",
        "reason": "Look closer",
    }
    assert client.post(address, always)["Location"].endswith("?saved=oversight#oversight")
    with team.house.scope():
        first, second = Revision.objects.filter(workflow=team.workflow).order_by("number")
        assert second.body["oversight"] == {"mode": "TERMINATE", "stages": {"payer": "ALWAYS"}, "max_reviews": 1}
        assert {**second.body, "oversight": 0} == {**first.body, "oversight": 0} and second.reason == "Look closer"
    again = client.post(address, {**always, "revision": "2"})
    assert again.status_code == 422 and "nothing to save" in again.content.decode()
    stale = client.post(address, always)
    assert stale.status_code == 409 and "Somebody was quicker" in stale.content.decode()
    to_never = client.post(address, {"revision": "2", "mode": "TERMINATE", "stage:clerk": "NEVER"})
    assert to_never["Location"] == "/workflows/desk/waivers/"


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "SOMETIMES"},
        {"mode": ""},
        {"mode": "ALWAYS\x00"},
        {"max_reviews": "many"},
        {"max_reviews": "-1"},
        {"max_reviews": "9" * 5000},
        {"max_reviews": "²"},
        {"stage:payer": "x" * 100_000},
        {"reason": "x" * 501},
        {"reason": "\x00"},
    ],
)
def test_what_nobody_meant_is_refused_in_place(team: Team, wrong: dict[str, str]) -> None:
    sent = {"revision": "1", "mode": "ALWAYS", **wrong}
    answer = team.house.admin.client.post("/workflows/desk/oversight/", sent)
    assert answer.status_code == 422 and 'id="oversight-error"' in answer.content.decode()
    for number in ("", "x", "9" * 30, "²"):
        answer = team.house.admin.client.post("/workflows/desk/oversight/", {**sent, "revision": number})
        assert answer.status_code == 409
    with team.house.scope():
        assert Revision.objects.filter(workflow=team.workflow).count() == 1


def test_a_new_version_of_a_tool_is_not_taken_along(world: World, clock: Clock) -> None:
    house = world.northwind
    team = Team(house)
    tool = {"kind": "http", "url": "https://sms.example.com/send", "schema": {"type": "object"}, "effect": "neither"}
    with house.scope():
        tool_actions.put_tool(team.ada, "send_sms", tool)
    body = Revision.objects
    with house.scope():
        document = body.get(workflow=team.workflow).body
    payer = next(one for one in document["team"]["config"]["participants"] if one["config"]["name"] == "payer")
    payer["config"]["workbench"][0]["config"]["tools"].append(
        {"provider": "autogen_core.tools.FunctionTool", "component_type": "tool", "config": {"name": "send_sms"}}
    )
    with house.scope():
        actions.create_revision(
            team.ada, team.workflow, {**document, "tools": {**document["tools"], "send_sms": "send_sms"}}
        )
        tool_actions.put_tool(team.ada, "send_sms", {**tool, "url": "https://sms.example.com/other"})
        workflow = access.get(Workflow, team.ada, slug="desk")
        made = actions.put_oversight(team.ada, workflow, {"mode": "ALWAYS"}, of=2)
        before = Revision.objects.get(workflow=workflow, number=2).body
        assert {**made.body, "oversight": 0} == {**before, "oversight": 0}


def test_expiry_is_said_by_the_sweep(team: Team, clock: Clock) -> None:
    team.agree(team.propose(until=NOW + timedelta(days=1)))
    clock.at = LATER
    page = team.house.admin.client.get("/workflows/desk/").content.decode()
    assert "is being written down" in page and "instead of NEVER" in page
    waivers.expire()
    page = team.house.admin.client.get("/workflows/desk/").content.decode()
    assert "is being written down" not in page and "has run out on 2026-11-22" in page
    text = team.house.reviewer.client.get("/workflows/desk/behaviour.txt")
    assert text["Content-Type"].startswith("text/plain") and "Version 3, since 2026-12-21" in text.content.decode()
