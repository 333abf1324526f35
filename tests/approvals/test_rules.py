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
            rule("z", match={"risk": "huge"}),
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


@pytest.mark.parametrize(
    "when",
    [
        "arguments.items.all(x, arguments.items.all(y, x == y))",
        "arguments.items.all ( x, [1].exists(y, y == x) )",
        "arguments.a.map(x, x + 'it\\'s (' ).filter(y, [1].map(z, z) == [y]).size() > 0",
        "a.all(x, x) && a.all(x, x) && a.all(x, x) && a.all(x, x)",
        "arguments.text.matches(arguments.pattern)",
        "arguments.text.matches('[a-z]{1,900}{1,4}x')",
        "matches(arguments.text, '((a{10}){10})')",
        "true || " * 150 + "true",
        "arguments.items.all(x, x.matches('^a'))",
    ],
)
def test_what_could_take_for_ever_is_refused_and_requires(when: str) -> None:
    assert [fault.path for fault in rules.check([rule(when=when)])] == ["[0].when"]
    assert ask([rule(when=when)], {"items": [1], "a": [1], "text": "x", "pattern": "x"}).effect == "require"


@pytest.mark.parametrize(
    "when",
    [
        "arguments.to.exists(x, !x.endsWith('@northwind.example'))",
        "arguments.to.all(x, x != '.all(') && arguments.cc.all(x, x.startsWith('a') || x.endsWith('.matches('))",
        "arguments.cc == [] && arguments.sql.matches('^[a-z]{2,10} ')",
        "arguments.sql.matches(r'(?i)^\\s*select\\b') // reads only .all(x, .all(",
        "arguments.to.filter(x, x != '').map(x, x.size()).size() > 0",
    ],
)
def test_one_loop_and_a_written_pattern_are_fine(when: str) -> None:
    assert rules.check([rule(when=when)]) == []
    found = ask([rule(when=when)], {"to": ["a@b"], "cc": [], "sql": "select 1"})
    assert found is not None and not found.error


@pytest.mark.parametrize(
    ("when", "arguments"),
    [
        ("arguments.items.all(x, x > 0)", {"items": [1] * 501}),
        ("(arguments.items + arguments.items).all(x, x > 0)", {"items": [1] * 251}),
        ("arguments.items.all(x, arguments.text.contains('y'))", {"items": [1] * 300, "text": "x" * 100_000}),
        ("arguments.text.matches('^x')", {"text": "x" * 64_001}),
        ("arguments.items.map(x, arguments.items).size() > 0", {"items": list(range(100))}),
        ("arguments.items.map(x, [x, x, x, x, x, x, x, x, x]).size() > 0", {"items": list(range(60))}),
        ("arguments.items.filter(x, x > 1).size() > 0", {"items": list(range(200))}),
        (" + ".join(["arguments.text"] * 20) + " != ''", {"text": "x" * 500_000}),
        (" + ".join(["arguments.items"] * 20) + " != []", {"items": list(range(9_000))}),
        ("arguments.items.all(x, arguments.other[0] == x)", {"items": [1] * 400, "other": [[1] * 400] * 20}),
        ("arguments.text != ''", {"text": "x" * 1_000_001}),
        ("arguments.items != []", {"items": list(range(10_001))}),
    ],
)
def test_arguments_that_are_too_large_for_a_condition_require(when: str, arguments: Any) -> None:
    found = ask([rule(when=when)], arguments)
    assert (found.effect, "could not be evaluated" in found.error) == ("require", True)


def test_a_list_of_slow_conditions_ends_in_requiring(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr("approvals.conditions.time.thread_time", lambda: 0.1 * next(ticks))
    found = ask([rule(str(n), when="arguments.n == 1") for n in range(9)], {"n": 2})
    assert (found.rule.name, found.effect) == ("3", "require")
    assert "too long" in found.error


@pytest.mark.parametrize(
    ("match", "risk", "run", "matches"),
    [
        ({"risk": "high"}, "high", {}, True),
        ({"risk": ["medium", "high"]}, "low", {}, False),
        ({"risk": "unknown"}, "", {}, True),
        ({"risk": "unknown"}, "enormous", {}, True),
        ({"topic_source": "EU-*"}, "low", {"topic_source": "EU-17"}, True),
        ({"topic_source": "EU-*"}, "low", {}, False),
        ({"topic_source": ""}, "low", {}, True),
        ({"classification": "confidential"}, "low", {"classification": "confidential"}, True),
        ({"classification": "conf*"}, "low", {"classification": "public"}, False),
    ],
)
def test_what_rules_match_on(match: Any, risk: str, run: Any, matches: bool) -> None:
    found = rules.first_match(
        [rule(match=match)], tool="t", agent="a", arguments={}, facts={"run": run}, risk=risk, safety="neither"
    )
    assert (found is not None) is matches


def test_a_classification_that_is_no_text_requires() -> None:
    assert ask([rule(match={"classification": "public"})], run={"classification": ["public"]}).effect == "require"


def test_conditions_see_the_risk_and_the_safety_of_the_tool() -> None:
    listed = [rule(when="risk == 'high' && safety == 'read_only'")]
    seen = {"tool": "t", "agent": "a", "arguments": {}, "facts": {}}
    assert rules.first_match(listed, **seen, risk="high", safety="read_only") is not None
    assert rules.first_match(listed, **seen, risk="high") is None


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"escalation": [{"after": "PT1H", "group": "a"}] * 2}, ".escalation[1].after"),
        ({"escalation": [{"after": "PT4H", "group": "a"}], "expires_in": "PT4H"}, ".escalation[0].after"),
        ({"escalation": [{"after": "soon", "group": "a"}]}, ".escalation[0].after"),
        ({"escalation": [{"after": "PT1H", "group": ""}]}, ".escalation[0].group"),
        ({"escalation": [{"after": "PT1H"}]}, ".escalation[0]"),
        ({"escalation": [{"after": f"PT{n}H", "group": "a"} for n in range(1, 7)]}, ".escalation"),
        ({"verdicts": []}, ".verdicts"),
        ({"verdicts": ["approve"]}, ".verdicts"),
        ({"verdicts": ["reject", "escalate"]}, ".verdicts"),
        ({"verdicts": ["reject", "approve", "approve"]}, ".verdicts"),
        ({"verdicts": ["reject", {}]}, ".verdicts"),
        ({"second_for_edit": "yes"}, ".second_for_edit"),
        ({"standing": 0}, ".standing"),
        ({"hours": "night"}, ".hours"),
        ({"match": {"risk": []}}, ".match.risk"),
        ({"match": {"risk": [["high"]]}}, ".match.risk"),
        ({"match": {"classification": 7}}, ".match.classification"),
        ({"group": "a\x00b"}, ".group"),
    ],
)
def test_new_parts_are_checked(part: Any, path: str) -> None:
    assert [fault.path for fault in rules.check([rule(effect="require", **part)])] == [f"[0]{path}"]


def test_a_broken_rule_keeps_what_it_demands() -> None:
    raw = rule("x", "require", approvers=2, group="finance", second_for_edit=True, verdicts=["approve", "reject"])
    found = ask([{**raw, "when": "(("}]).rule
    assert (found.approvers, found.group, found.second_for_edit) == (2, "finance", True)
    assert (found.verdicts, found.standing) == (("approve", "reject"), False)


def test_a_frozen_rule_reads_back_as_itself() -> None:
    raw = rule(
        "x",
        "require",
        match={"tool": "a*", "risk": "high", "topic_source": "EU-*", "classification": "secret"},
        escalation=[{"after": "PT1H", "group": "leads"}],
        expires_in="PT4H",
        on_expiry="approve",
        verdicts=["edit", "reject"],
        second_for_edit=True,
        standing=False,
        hours="business",
    )
    assert rules.check([raw]) == []
    read = rules.read(raw)
    assert rules.read(read.frozen()) == read
    assert rules.check([read.frozen()]) == []
