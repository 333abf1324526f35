"""The policy: who is asked, and with what frozen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals.policy import Facts, judge, mode_of
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
