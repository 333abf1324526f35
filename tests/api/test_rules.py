"""The tenant's rules over HTTP, and drafts tried on the past."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals.models import RuleSet
from tests.api.problems import problem
from tests.approvals.desk import RULES, Desk, make_desk, refund
from tests.approvals.past import History
from tests.world import World

DENY = {"name": "never", "effect": "deny", "match": {"tool": "issue_*"}}
ALLOW = {"name": "small ones", "effect": "allow", "when": "arguments.amount < 100.0"}


def test_versions_go_on(desk: Desk) -> None:
    admin, reviewer = desk.house.admin.api, desk.house.reviewer.api
    assert reviewer.get("/api/v1/rules").json()["number"] == 0
    made = admin.put("/api/v1/rules", {"rules": [DENY], "reason": "to be safe"})
    assert (made.status_code, made.json()) == (201, {"number": 1, "findings": []})
    assert admin.put("/api/v1/rules", {"rules": []}).json()["number"] == 2
    held = reviewer.get("/api/v1/rules").json()
    assert (held["number"], held["rules"], held["author"]) == (2, [], desk.house.admin.user.name)
    first = reviewer.get("/api/v1/rules/versions", limit=1).json()
    second = reviewer.get("/api/v1/rules/versions", limit=1, cursor=first["next"]).json()
    assert [each["items"][0]["number"] for each in (first, second)] == [2, 1]
    assert second["next"] is None and second["items"][0]["reason"] == "to be safe"
    for nonsense in ("x", "-1", "9" * 30):
        problem(reviewer.get("/api/v1/rules/versions", cursor=nonsense), 422, "cursor")
    assert reviewer.get("/api/v1/rules/versions", cursor="9" * 18).status_code == 200


def test_a_tenant_sees_its_own(desk: Desk, world: World) -> None:
    desk.house.admin.api.put("/api/v1/rules", {"rules": [DENY]})
    assert world.fabrikam.admin.api.get("/api/v1/rules").json()["number"] == 0
    assert world.fabrikam.admin.api.get("/api/v1/rules/versions").json()["items"] == []


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ("x", "$.rules"),
        ([7], "$.rules[0]"),
        ([{**DENY, "when": "a.all(x, a.all(y, x == y))"}], "$.rules[0].when"),
        ([DENY, DENY], "$.rules[1].name"),
        ([{**DENY, "name": "x" * 101}], "$.rules[0].name"),
        ([{**DENY, "match": {"tool": ["a"]}}], "$.rules[0].match.tool"),
    ],
)
def test_faults_are_named_wherever_rules_go(desk: Desk, rules: Any, path: str) -> None:
    admin = desk.house.admin.api
    run = str(desk.start().pk)
    problem(admin.put("/api/v1/rules", {"rules": rules}), 422, path)
    problem(admin.post("/api/v1/rules/backtest", {"rules": rules}), 422, path)
    problem(admin.post("/api/v1/rules/try", {"rules": rules, "run": run}), 422, path)
    with desk.house.scope():
        assert not RuleSet.objects.exists()


def test_other_bad_input(desk: Desk) -> None:
    admin = desk.house.admin.api
    problem(admin.put("/api/v1/rules", {"rules": [], "reason": "x" * 501}), 422, "reason")
    deep: Any = []
    for _ in range(80):
        deep = [deep]
    problem(admin.put("/api/v1/rules", {"rules": deep}), 422, "$.rules")
    for weeks in (0, 53, 1.5, "4", None, True, [4]):
        problem(admin.post("/api/v1/rules/backtest", {"weeks": weeks}), 422, "weeks")
    for rate in (-1, "much", 10**9, True, [], {}):
        problem(admin.post("/api/v1/rules/backtest", {"hourly_rate": rate}), 422, "hourly_rate")
    problem(admin.post("/api/v1/rules/backtest", {"workflow": "no-such"}), 404)
    problem(admin.post("/api/v1/rules/try", {"run": "no-such"}), 404)
    other = make_desk(desk.house, slug="other-desk")
    problem(admin.post("/api/v1/rules/try", {"run": str(other.start().pk), "workflow": "refund-desk"}), 422, "run")


def test_a_draft_is_tried_and_backtested(world: World) -> None:
    desk = make_desk(world.northwind, {"team": {}, "rules": [*RULES, ALLOW]})
    history, run, now = History(desk), desk.start(), timezone.now()
    for day, amount in ((1, 10.0), (2, 20.0), (3, 200.0)):
        history.call(run, refund(amount), now - timedelta(days=day))
    body = {"workflow": "refund-desk", "rules": [{**ALLOW, "when": "arguments.amount < 15.0"}], "hourly_rate": "60"}
    found = desk.house.operator.api.post("/api/v1/rules/backtest", body).json()
    assert (found["looked_at"], found["newly_stopped"], found["still_stopped"]) == (3, 1, 1)
    assert [each["arguments"]["amount"] for each in found["affected"]] == [20.0]
    assert found["affected"][0]["run"] == str(run.pk)
    assert (found["cost"], found["decided"]["still_stopped"]["open"]) == (None, 1)
    tried = desk.house.admin.api.post("/api/v1/rules/try", {"run": str(run.pk), "rules": [DENY]}).json()["items"]
    assert [(each["then"]["effect"], each["draft"]["effect"], each["draft"]["of"]) for each in tried] == [
        ("require", "deny", "tenant"),
        ("allow", "deny", "tenant"),
        ("allow", "deny", "tenant"),
    ]
    held = desk.house.admin.api.post("/api/v1/rules/backtest", {"workflow": "refund-desk"}).json()
    assert (held["changed"], held["weeks"]) == (0, 4)
