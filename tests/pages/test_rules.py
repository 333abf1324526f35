"""The pages of rules: a draft is written, moved, tried and saved; nothing is stored before."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals.models import RuleSet
from console.workflows.models import Revision
from tests.api.test_workflows import TEAM
from tests.approvals.desk import RULES, Desk, make_desk, refund
from tests.approvals.past import History
from tests.world import World

PAGE, OURS = "/workflows/refund-desk/rules/", "/rules/"
ALLOW = {"name": "small ones", "effect": "allow", "when": "arguments.amount < 100.0"}
TWO = {"name": "two of us", "effect": "require", "approvers": 2}


def post(who: Any, page: str, do: str, rules: Any = (), **more: Any) -> Any:
    text = rules if isinstance(rules, str) else json.dumps(list(rules))
    fields = {f"r:{name.removeprefix('r_')}" if name.startswith("r_") else name: value for name, value in more.items()}
    return who.client.post(page, {"do": do, "rules": text, "of": "0", **fields})


def draft(response: Any) -> Any:
    return json.loads(response.context["sheet"].text)


def test_everybody_reads_and_some_may_try(desk: Desk, world: World) -> None:
    for who in desk.house.members:
        for page in (PAGE, OURS):
            assert who.client.get(page).status_code == 200
    text = desk.house.reviewer.client.get(PAGE).content.decode()
    assert "issue_* asks 2 people of finance when arguments.amount &gt; 1000.0." in text
    assert "Without an answer, after 4 hours it is rejected." in text
    assert "Ask the past weeks" not in text and ">Save" not in text
    operator = desk.house.operator.client.get(PAGE).content.decode()
    assert "Ask the past weeks" in operator and "Save as a new revision" not in operator
    assert world.fabrikam.admin.client.get(PAGE).status_code == 404
    assert post(world.fabrikam.admin, PAGE, "show").status_code == 404
    assert post(desk.house.reviewer, PAGE, "show").status_code == 403
    assert post(desk.house.operator, OURS, "save").status_code == 403


def test_a_draft_is_written_and_nothing_is_stored(desk: Desk) -> None:
    admin = desk.house.admin
    one = post(admin, OURS, "put", [ALLOW], r_name="night", r_effect="deny", r_tool="issue_*", r_place="1")
    assert [rule["name"] for rule in draft(one)] == ["night", "small ones"]
    assert draft(one)[0] == {"name": "night", "effect": "deny", "match": {"tool": "issue_*"}}
    assert [rule["name"] for rule in draft(post(admin, OURS, "up:1", draft(one)))] == ["small ones", "night"]
    assert [rule["name"] for rule in draft(post(admin, OURS, "down:0", draft(one)))] == ["small ones", "night"]
    assert [rule["name"] for rule in draft(post(admin, OURS, "delete:0", draft(one)))] == ["small ones"]
    assert draft(post(admin, OURS, "up:7", draft(one))) == draft(one)
    empty = {"r_effect": "require", "r_on_expiry": "reject", "r_at": "", "r_name": ""}  # as a browser sends the form
    assert draft(post(admin, OURS, "delete:0", draft(one), **empty)) == [ALLOW]
    with desk.house.scope():
        assert not RuleSet.objects.exists()


def test_a_rule_is_changed_in_place_and_keeps_all_its_parts(desk: Desk) -> None:
    whole = {
        "name": "whole", "effect": "require", "match": {"tool": "issue_*", "risk": ["high"], "classification": "secret"},
        "when": "arguments.amount > 5.0", "approvers": 2, "group": "finance", "expires_in": "PT4H", "on_expiry": "terminate",
        "escalation": [{"after": "PT1H", "group": "the leads"}], "verdicts": ["approve", "reject"],
        "second_for_edit": True, "standing": False, "hours": "business",
    }  # fmt: skip
    shown = post(desk.house.admin, OURS, "edit:1", [ALLOW, whole]).context["sheet"].typed
    sent = {f"r_{name}": value for name, value in shown.items() if not isinstance(value, bool)}
    sent |= {f"r_{name}": "yes" for name, value in shown.items() if value is True}
    again = post(desk.house.admin, OURS, "put", [ALLOW, whole], **sent)
    assert draft(again) == [ALLOW, whole]
    moved = post(desk.house.admin, OURS, "put", [ALLOW, whole], **{**sent, "r_place": "1"})
    assert draft(moved) == [whole, ALLOW]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"r_name": ""}, "name"),
        ({"r_when": "(("}, "when"),
        ({"r_when": "a.all(x, a.all(y, true))"}, "when"),
        ({"r_approvers": "many"}, "approvers"),
        ({"r_approvers": "0"}, "approvers"),
        ({"r_expires_in": "soon"}, "expires_in"),
        ({"r_escalation": "PT1H"}, "escalation"),
        ({"r_verdicts": ["approve"]}, "verdicts"),
        ({"r_risk": ["huge"]}, "risk"),
        ({"r_effect": "shrug"}, "effect"),
        ({"r_tool": "x\x00"}, "tool"),
        ({"r_name": "small ones"}, "name"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_at_its_field(desk: Desk, fields: Any, field: str) -> None:
    typed = {"r_name": "x", "r_effect": "require", "r_tool": "t", **fields}
    for do in ("put", "backtest", "save"):
        response = post(desk.house.admin, OURS, do, [ALLOW], **typed)
        assert response.status_code == 422
        assert list(response.context["sheet"].errors) == [field]
        assert draft(response) == [ALLOW]
        assert response.context["sheet"].typed["tool"] == typed["r_tool"]
    with desk.house.scope():
        assert not RuleSet.objects.exists()


@pytest.mark.parametrize(
    "text", ["", "x", "{}", "[7]", "[NaN]", "[" * 5000, '["\\u0000"]', '[{"name": "a"}]', "1" * 5000]
)
def test_a_list_that_is_none_is_said_and_kept_on_the_page(desk: Desk, text: str) -> None:
    for do in ("show", "save", "up:0", "backtest"):
        response = post(desk.house.admin, OURS, do, text)
        assert response.status_code == 422
        assert "cannot be used as they are" in response.content.decode()
        assert response.context["sheet"].text == text
    with desk.house.scope():
        assert not RuleSet.objects.exists()


@pytest.mark.parametrize("digits", ["0" * 5_000, "9" * 5_000, "٣", "-1", "1.0"])
def test_a_place_that_no_list_has_is_none(desk: Desk, digits: str) -> None:
    whole = {"r_name": "x", "r_effect": "deny", "r_tool": "t"}
    for sent in ({"r_at": digits, **whole}, {"r_place": digits, **whole}):
        assert {each["name"] for each in draft(post(desk.house.admin, OURS, "put", [ALLOW], **sent))} == {
            ALLOW["name"],
            "x",
        }
    for verb in ("delete", "up", "edit"):
        response = post(desk.house.admin, OURS, f"{verb}:{digits}", [ALLOW])
        assert response.status_code == 200 and draft(response) == [ALLOW]


def test_saving_the_organisations_makes_a_version(desk: Desk) -> None:
    admin = desk.house.admin
    saved = post(admin, OURS, "save", [TWO], reason="to be safe")
    assert saved.status_code == 302 and saved["Location"] == "/rules/?saved=1"
    assert "Saved as version 1" in admin.client.get(saved["Location"]).content.decode()
    stale = post(admin, OURS, "save", [ALLOW], of="0")
    assert stale.status_code == 422 and "not the current one any more" in stale.content.decode()
    assert draft(stale) == [ALLOW]
    assert post(admin, OURS, "save", [ALLOW], of="1").status_code == 302
    assert post(admin, OURS, "save", [], of="2", reason="x\x00").status_code == 422
    with desk.house.scope():
        assert [(row.number, row.rules, row.reason) for row in RuleSet.objects.order_by("number")] == [
            (1, [TWO], "to be safe"),
            (2, [ALLOW], ""),
        ]


def test_saving_a_workflows_makes_a_revision(desk: Desk) -> None:
    admin = desk.house.admin
    made = admin.api.post("/api/v1/workflows/refund-desk/revisions", {"team": TEAM, "topics": ["ticket"]})
    assert made.status_code == 201
    saved = post(admin, PAGE, "save", [], of="2", r_name="all", r_effect="require", r_approvers="2", reason="more eyes")
    assert saved["Location"] == f"{PAGE}?saved=3"
    page = admin.client.get(saved["Location"]).content.decode()
    assert "Saved as revision 3" in page and "New runs take it" in page
    assert post(admin, PAGE, "save", [], of="2").status_code == 422
    with desk.house.scope():
        revision = Revision.objects.get(number=3)
        assert revision.body["rules"] == [{"name": "all", "effect": "require", "approvers": 2}]
        assert (revision.body["topics"], revision.reason) == (["ticket"], "more eyes")


def test_the_past_is_asked_and_a_run_is_tried(world: World) -> None:
    desk = make_desk(world.northwind, {"team": {}, "rules": [*RULES, ALLOW]})
    history, run, now = History(desk), desk.start(), timezone.now()
    history.call(run, refund(10.0), now - timedelta(days=1))
    history.call(run, refund(60.0), now - timedelta(days=2))
    asked = history.call(run, refund(200.0), now - timedelta(days=3))
    assert asked is not None
    history.decide(asked, "approve", 300, 120)
    typed = {"r_name": "from 50", "r_effect": "require", "r_when": "arguments.amount >= 50.0", "r_place": "1"}
    response = post(desk.house.operator, PAGE, "backtest", [ALLOW], weeks="4", rate="60", **typed)
    text = response.content.decode()
    result = response.context["result"]
    assert [rule["name"] for rule in draft(response)] == ["from 50", "small ones"]
    assert (result.looked_at, result.counts["newly_stopped"], str(result.cost)) == (3, 1, "2.00")
    assert "1 would have gone another way" in text and f"/runs/{run.pk}/" in text
    assert "2 min" in text and "2.00" in text
    for bad in ({"weeks": "999"}, {"rate": "much"}):
        wrong = post(desk.house.operator, PAGE, "backtest", [ALLOW], **bad)
        assert wrong.status_code == 422 and "must be" in wrong.content.decode()
    tried = post(desk.house.operator, PAGE, "try", [TWO], run=str(run.pk)).content.decode()
    assert tried.count("two of us” asks for 2 people") == 3
    assert post(desk.house.operator, PAGE, "try", [TWO]).status_code == 422
    for key in ("nonsense", "\x00"):
        assert post(desk.house.operator, PAGE, "try", [TWO], run=key).status_code == 404
    foreign = make_desk(world.fabrikam, slug="theirs").start()
    assert post(desk.house.operator, PAGE, "try", [TWO], run=str(foreign.pk)).status_code == 404


def test_an_empty_house_says_so(world: World) -> None:
    page = world.northwind.admin.client.get(OURS).content.decode()
    assert "There is no run yet to try them on." in page and "None has been made yet." in page
    nothing = post(world.northwind.admin, OURS, "backtest", []).content.decode()
    assert "No tool was called in the past 4 weeks." in nothing
