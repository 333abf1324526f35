"""The policy: who is asked, and with what frozen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.policy import Facts, TenantRules, judge, mode_of
from approvals.rules import check, first_match
from console.durable.steps import Decision, Verdict
from tests.approvals.desk import BODY, asking, refund


def verdict(ask: Any, body: Any = None, **facts: Any) -> Verdict:
    return judge(ask, {} if body is None else body, Facts(**facts))


@pytest.mark.parametrize(("approval", "effect"), [("allow", "allow"), ("require", "require"), ("unknown", "require")])
def test_without_a_rule_the_tool_decides(approval: str, effect: str) -> None:
    assert verdict(refund(approval=approval)).effect == effect


def test_a_tool_that_says_nothing_requires_a_person() -> None:
    ask = refund()
    silent = {key: value for key, value in ask.request.items() if key not in ("approval", "risk", "safety")}
    assert verdict(replace(ask, request=silent)).effect == "require"


def test_large_refunds_take_two() -> None:
    found = verdict(refund(1500.0), BODY)
    assert found.effect == "require"
    assert found.detail["approvers"] == 2
    assert found.detail["rule"]["name"] == "large refunds"
    assert (found.detail["expires_in"], found.detail["on_expiry"]) == ("PT4H", "reject")
    assert found.reason == "The rule “large refunds” asks for 2 people of finance when arguments.amount > 1000.0."


def test_small_refunds_take_one() -> None:
    found = verdict(refund(1000.0), BODY)
    assert (found.effect, found.detail["approvers"], found.detail["rule"]) == ("require", 1, None)


def test_a_denial_says_why() -> None:
    found = verdict(refund(6000.0), BODY)
    assert found.effect == "deny"
    assert "never above 5,000" in found.reason


ALLOW = {"rules": [{"name": "go", "effect": "allow"}]}


@pytest.mark.parametrize("arguments", ["{not json", None, [], {"order": 5, "amount": 1}, {"amount": 1}, {"order": "A"}])
def test_arguments_that_do_not_fit_never_skip_the_gate(arguments: Any) -> None:
    found = verdict(refund(arguments=arguments, approval="allow"), ALLOW)
    assert found.effect == "require"
    assert "do not fit" in found.reason


def test_a_fault_that_the_tool_found_never_skips_the_gate() -> None:
    assert verdict(refund(fault="The arguments are not valid JSON.", approval="allow"), ALLOW).effect == "require"


@pytest.mark.parametrize(
    ("body", "agent", "mode"),
    [
        ({}, "payer", "TERMINATE"),
        ({"oversight": {"mode": "NEVER"}}, "payer", "NEVER"),
        ({"oversight": {"mode": "NEVER", "stages": {"payer": "ALWAYS"}}}, "payer", "ALWAYS"),
        ({"oversight": {"mode": "ALWAYS", "stages": {"payer": "NEVER"}}}, "payer", "NEVER"),
        ({"oversight": {"mode": "SOMETIMES"}}, "payer", "ALWAYS"),
    ],
)
def test_modes(body: Any, agent: str, mode: str) -> None:
    assert mode_of(body, agent) == mode


@pytest.mark.parametrize(
    ("safety", "effect"), [("read_only", "allow"), ("idempotent", "require"), ("neither", "require")]
)
def test_always_gates_what_is_more_than_reading(safety: str, effect: str) -> None:
    always = {"oversight": {"mode": "ALWAYS"}, **ALLOW}
    assert verdict(refund(safety=safety, approval="allow"), always).effect == effect


def test_always_gates_what_says_nothing_about_itself() -> None:
    ask = refund(approval="allow")
    silent = {key: value for key, value in ask.request.items() if key != "safety"}
    assert verdict(replace(ask, request=silent), {"oversight": {"mode": "ALWAYS"}}).effect == "require"


@pytest.mark.parametrize("kind", ["question", "final", "message", "in_doubt"])
def test_other_gates_always_ask_one_person(kind: str) -> None:
    found = verdict(asking(kind, question="?"), ALLOW)
    assert (found.effect, found.detail["approvers"]) == ("require", 1)
    assert found.reason


def test_conditions_see_run_and_tenant() -> None:
    body = {"rules": [{"name": "t", "effect": "deny", "when": "tenant.slug == 'a' && run.metadata.vip == true"}]}
    assert verdict(refund(), body, tenant={"slug": "a"}, run={"metadata": {"vip": True}}).effect == "deny"
    assert verdict(refund(), body, tenant={"slug": "b"}, run={"metadata": {"vip": True}}).effect == "require"


def test_at_dispatch_the_edited_arguments_are_judged() -> None:
    edited = Decision("edit", arguments={"order": "A-17", "amount": 6000.0})
    approved = Decision("approve")
    assert verdict(replace(refund(40.0), decision=edited), BODY).effect == "deny"
    assert verdict(replace(refund(40.0), decision=approved), BODY).effect == "require"


def test_what_the_current_revision_denies_is_denied_to_runs_of_older_ones() -> None:
    barred = {"rules": [{"name": "frozen", "match": {"tool": "issue_*"}, "effect": "deny"}]}
    found = judge(refund(), BODY, Facts(), barred)
    assert (found.effect, found.detail["rule"]["name"]) == ("deny", "frozen")


def test_nothing_else_of_the_current_revision_counts() -> None:
    for effect in ("allow", "require"):
        later = {"rules": [{"name": "later", "effect": effect, **({"approvers": 3} if effect == "require" else {})}]}
        assert judge(refund(1500.0), BODY, Facts(), later) == judge(refund(1500.0), BODY, Facts())
    broken = {"rules": [{"name": "broken", "effect": "deny", "when": "arguments.nothing > 1"}]}
    assert judge(refund(), BODY, Facts(), broken).effect == "require"


def requires(name: str = "r", **more: Any) -> dict[str, Any]:
    return {"rules": [{"name": name, "effect": "require", **more}]}


def test_what_a_rule_demands_is_frozen() -> None:
    found = verdict(
        refund(),
        requires(
            escalation=[{"after": "PT1H", "group": "leads"}],
            expires_in="PT4H",
            verdicts=["approve", "reject"],
            second_for_edit=True,
            standing=False,
            hours="business",
        ),
    ).detail
    assert found["escalation"] == [{"after": "PT1H", "group": "leads"}]
    assert (found["verdicts"], found["second_for_edit"]) == (["approve", "reject"], True)
    assert (found["standing"], found["hours"], found["of"]) == (False, "business", "workflow")


def test_without_a_rule_everything_is_open() -> None:
    found = verdict(refund()).detail
    assert (found["verdicts"], found["escalation"], found["standing"], found["hours"]) == ([], [], True, "")


@pytest.mark.parametrize(("safety", "outcome"), [("read_only", "approve"), ("idempotent", "reject"), ("", "reject")])
def test_expiry_approves_only_what_reads(safety: str, outcome: str) -> None:
    body = requires(expires_in="PT1H", on_expiry="approve")
    assert verdict(refund(safety=safety), body).detail["on_expiry"] == outcome


def both(body: Any, tenant: Any, ask: Any = None) -> Verdict:
    return judge(ask or refund(), body, Facts({"revision": 3}), None, TenantRules(7, tenant["rules"]))


def of(found: Verdict) -> tuple[str, str | None, str, int | None]:
    rule = found.detail["rule"]
    return found.effect, rule and rule["name"], found.detail["of"], found.detail["version"]


def test_the_stricter_of_two_lists_holds() -> None:
    deny, allow = {"rules": [{"name": "d", "effect": "deny"}]}, {"rules": [{"name": "a", "effect": "allow"}]}
    ask = requires("q")
    assert of(both(deny, allow)) == ("deny", "d", "workflow", 3)
    assert of(both(allow, deny)) == ("deny", "d", "tenant", 7)
    assert of(both(ask, allow)) == ("require", "q", "workflow", 3)
    assert of(both(allow, ask)) == ("require", "q", "tenant", 7)
    assert of(both({"rules": []}, allow)) == ("allow", "a", "tenant", 7)
    assert of(both(allow, {"rules": []})) == ("allow", "a", "workflow", 3)
    assert of(both({"rules": []}, {"rules": []})) == ("require", None, "", None)


def test_more_approvers_win_and_on_a_tie_the_tenants() -> None:
    assert of(both(requires("w", approvers=2), requires("t")))[1:3] == ("w", "workflow")
    assert of(both(requires("w", approvers=2), requires("t", approvers=2)))[1:3] == ("t", "tenant")


def test_what_the_winner_leaves_open_the_other_list_still_demands() -> None:
    mine = requires(
        "w", group="finance", second_for_edit=True, standing=False, expires_in="PT1H", verdicts=["approve", "reject"]
    )
    found = both(mine, requires("t", approvers=2, verdicts=["approve", "edit", "reject"])).detail
    assert (found["rule"]["name"], found["approvers"], found["group"]) == ("t", 2, "finance")
    assert (found["second_for_edit"], found["standing"], found["verdicts"]) == (True, False, ["approve", "reject"])
    assert (found["expires_in"], found["on_expiry"]) == ("PT1H", "reject")


def test_a_tenants_allow_does_not_lift_always() -> None:
    always = {"oversight": {"mode": "ALWAYS"}}
    assert both({"rules": [], **always}, {"rules": [{"name": "a", "effect": "allow"}]}).effect == "require"


RULE = st.fixed_dictionaries(
    {"name": st.sampled_from("abc"), "effect": st.sampled_from(["allow", "deny", "require", "shrug"])},
    optional={
        "when": st.sampled_from(["", "arguments.amount > 20.0", "arguments.amount > 99.0", "arguments.no", "(("]),
        "match": st.sampled_from([{}, {"tool": "issue_*"}, {"tool": "other"}, {"risk": "high"}, {"risk": 7}]),
        "approvers": st.integers(0, 4),
    },
)
RANK = {"allow": 0, "require": 1, "deny": 2}


@given(st.lists(RULE, max_size=4), st.lists(RULE, max_size=4))
def test_two_lists_are_never_less_strict_than_either(mine: Any, theirs: Any) -> None:
    together = both({"rules": mine}, {"rules": theirs}, refund(approval="allow"))
    for listed in (mine, theirs):
        match = first_match(
            listed,
            tool="issue_refund",
            agent="payer",
            arguments={"order": "A-17", "amount": 40.0},
            facts={},
            risk="high",
        )
        if match is None:
            continue
        assert RANK[together.effect] >= RANK[match.effect]
        if together.effect == match.effect == "require":
            assert together.detail["approvers"] >= match.rule.approvers


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_a_broken_tenant_list_never_allows(raw: Any) -> None:
    found = judge(refund(approval="allow"), {}, Facts(), None, TenantRules(1, [raw]))
    assert found.effect != "allow" or not check([raw])
