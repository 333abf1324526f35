"""Rules: first match wins, and an error never lets anything through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import rules


def ask(listed: Any, arguments: Any = None, tool: str = "issue_refund", agent: str = "payer", **facts: Any) -> Any:
    return rules.first_match(
        listed, tool=tool, agent=agent, arguments={} if arguments is None else arguments, facts=facts
    )


def rule(name: str = "r", effect: str = "allow", **more: Any) -> dict[str, Any]:
    return {"name": name, "effect": effect, **more}


def test_no_rules_no_match() -> None:
    assert ask([]) is None
    assert ask(None) is None


def test_the_first_match_wins() -> None:
    listed = [
        rule("other tool", "deny", match={"tool": "read_*"}),
        rule("other agent", "deny", match={"agent": "selector"}),
        rule("first", "require", match={"tool": "issue_*", "agent": "pay*"}),
        rule("second", "allow"),
    ]
    assert ask(listed).rule.name == "first"


def test_globs_know_case() -> None:
    assert ask([rule(match={"tool": "Issue_*"})]) is None


@pytest.mark.parametrize(
    ("when", "amount", "matches"),
    [
        ("arguments.amount > 1000.0", 1000, False),
        ("arguments.amount > 1000.0", 1000.01, True),
        ("arguments.amount > 1000.0", 1001, True),
        ("arguments.amount > 1000", 1000.5, True),
        ("run.topic_source == 'web' && tenant.slug == 'northwind'", 1, True),
    ],
)
def test_conditions(when: str, amount: float, matches: bool) -> None:
    found = ask([rule(when=when)], {"amount": amount}, run={"topic_source": "web"}, tenant={"slug": "northwind"})
    assert (found is not None) is matches


@pytest.mark.parametrize(
    "when",
    [
        "arguments.amont > 1000.0",  # no such argument
        "nobody > 1",  # no such variable
        "arguments.name > 1000.0",  # a text is no number
        "arguments.amount",  # not a truth
        "arguments.list[7] == 1",
        "1 +",  # does not parse
        "1 / 0 == 1",
    ],
)
def test_an_error_requires_a_person(when: str) -> None:
    match = ask([rule("loose", when=when), rule("next", "allow")], {"amount": 5, "name": "x", "list": []})
    assert match.effect == "require"
    assert match.error and match.rule.name == "loose"


def test_an_error_does_not_lower_the_quorum() -> None:
    listed = [rule("broken", when="arguments.nothing"), rule("strict", "require", approvers=3)]
    match = ask(listed)
    assert match.effect == "require"
    assert match.rule.approvers == 3


@pytest.mark.parametrize("broken", [None, 7, "x", [], {"effect": "allow"}, {"name": "x", "effect": "let it"}])
def test_a_broken_rule_requires_a_person(broken: Any) -> None:
    assert ask([broken]).effect == "require"


def test_rules_that_are_no_list_require_a_person() -> None:
    assert ask({"name": "x", "effect": "allow"}).effect == "require"


def test_a_rule_on_the_documents_name_can_tighten_but_not_loosen() -> None:
    def found(effect: str) -> Any:
        return rules.first_match(
            [rule("r", effect, match={"tool": "pay"})],
            tool="issue_refund",
            alias="pay",
            agent="a",
            arguments={},
            facts={},
        )

    assert found("deny").effect == "deny"
    assert found("require").effect == "require"
    assert found("allow") is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_stands_in_the_list_is_never_an_allow_by_accident(raw: Any) -> None:
    match = ask([raw])
    assert match is None or match.effect == "require" or rules.check([raw]) == []


@given(
    st.fixed_dictionaries(
        {"name": st.just("r"), "effect": st.just("allow"), "when": st.text(min_size=1, max_size=30)},
        optional={"approvers": st.integers(), "expires_in": st.text(max_size=8), "on_expiry": st.text(max_size=8)},
    )
)
def test_what_check_refuses_never_allows(raw: dict[str, Any]) -> None:
    match = ask([raw])
    if rules.check([raw]):
        assert match is not None and match.effect == "require"


def test_check_names_the_place() -> None:
    faults = rules.check(
        [
            rule("fine", "require", approvers=2, expires_in="PT4H", on_expiry="escalate", group="finance"),
            rule("x", "sometimes"),
            rule("x", approvers=0),
            rule("y", when="((", expires_in="4 hours", on_expiry="shrug", colour="red"),
            rule("z", match={"risk": "high"}),
        ]
    )
    assert [fault.path for fault in faults] == [
        "[1].effect",
        "[2].approvers",
        "[2].name",
        "[3].colour",
        "[3].when",
        "[3].expires_in",
        "[3].on_expiry",
        "[4].match.risk",
    ]


@pytest.mark.parametrize(("text", "seconds"), [("PT4H", 14400), ("P2D", 172800), ("P1W", 604800), ("PT1H30M", 5400)])
def test_durations(text: str, seconds: int) -> None:
    assert rules.duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "4h", "-PT4H", "PT0S", "P400D", "1:00:00", "P1Y", "PT4H\n", None, 4])
def test_no_durations(text: Any) -> None:
    with pytest.raises(ValueError):
        rules.duration(text)
