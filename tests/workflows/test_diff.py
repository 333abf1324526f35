"""What changed between two bodies, as people read it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from console.workflows.diff import Change, diff
from tests.agents.stage import agent, at_most, mention, team


def flat(before: dict[str, object], after: dict[str, object]) -> dict[str, list[tuple[str, str, str]]]:
    return {
        section.title: [(each.what, each.before, each.after) for each in section.changes]
        for section in diff(before, after)
    }


def test_nothing_changed() -> None:
    body = {"team": team("RoundRobinGroupChat", agent("a", "dig")), "limits": {"max_turns": 3}}
    assert diff(body, body) == []


def test_members_tools_rules_and_limits() -> None:
    before = {
        "team": team("RoundRobinGroupChat", agent("a", "dig"), agent("b"), termination_condition=mention()),
        "rules": [{"name": "one", "effect": "deny"}, {"name": "two", "effect": "allow"}],
        "limits": {"max_turns": 3, "max_cost": "1"},
    }
    after = {
        "team": team("Swarm", agent("a", "dig", "fill"), agent("c"), termination_condition=at_most(3)),
        "rules": [{"name": "two", "effect": "allow"}, {"name": "one", "effect": "require"}],
        "limits": {"max_turns": 4},
    }
    found = flat(before, after)
    assert ("kind of team", "RoundRobinGroupChat", "Swarm") in found["Team"]
    assert ("members", "a, b", "a, c") in found["Team"]
    assert ("termination_condition class", "TextMentionTermination", "MaxMessageTermination") in found["Team"]
    assert [what for what, _, _ in found["Agents"]] == ["b", "c"]
    assert [what for what, _, _ in found["Tools"]] == ["fill of a"]
    assert ("one effect", "deny", "require") in found["Rules"] and ("order", "one, two", "two, one") in found["Rules"]
    assert found["Limits"] == [("max_turns", "3", "4"), ("max_cost", "1", "")]


def test_a_long_text_is_told_word_by_word() -> None:
    long = "You are a careful clerk who writes down everything that was said in the room."
    before = {"team": team("RoundRobinGroupChat", agent("a", system_message=long))}
    after = {"team": team("RoundRobinGroupChat", agent("a", system_message=long.replace("careful", "quick")))}
    [section] = diff(before, after)
    [change] = section.changes
    assert isinstance(change, Change) and ("-", "careful") in change.words and ("+", "quick") in change.words


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(values, values)
def test_any_limits_can_be_compared(before: object, after: object) -> None:
    found = diff({"limits": before}, {"limits": after})
    if json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True):  # to Python, false is 0
        assert found == []
    assert all(change.before != change.after for section in found for change in section.changes)
