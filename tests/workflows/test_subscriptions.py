"""Topics in a revision's body, held against AutoGen's own subscriptions."""

from __future__ import annotations

from typing import Any

import pytest
from autogen_core import TopicId, TypePrefixSubscription, TypeSubscription
from hypothesis import given
from hypothesis import strategies as st

from console.workflows import subscriptions
from console.workflows.body import examine

TYPES = st.text("ab_.:=-ü1", min_size=1, max_size=6)
TOPICS = st.one_of(TYPES, TYPES.map(lambda text: f"{text}*"), st.just("*"))


def in_autogen(topic: str, topic_type: str) -> bool:
    """Whether AutoGen's subscription of that spelling takes the topic."""
    subscription: Any = TypeSubscription(topic, "agent")
    if topic.endswith("*"):
        subscription = TypePrefixSubscription(topic[:-1], "agent")
    return bool(subscription.is_match(TopicId(topic_type, "source")))


@given(TOPICS, TYPES)
def test_a_spelling_takes_what_autogens_subscription_takes(topic: str, topic_type: str) -> None:
    assert list(subscriptions.faults([topic])) == [] and subscriptions.type_fault(topic_type) is None
    assert (topic in subscriptions.spellings(topic_type)) == in_autogen(topic, topic_type)


@given(st.text(max_size=8))
def test_a_type_is_what_autogen_takes_for_one(text: str) -> None:
    try:
        TopicId(text, "source")
    except ValueError:
        assert subscriptions.type_fault(text) is not None
    else:
        assert subscriptions.type_fault(text) is None


@pytest.mark.parametrize(
    ("topics", "path", "words"),
    [
        ("support", "$.topics", "must be a list"),
        ({}, "$.topics", "must be a list"),
        (["fine", ""], "$.topics[1]", "must be a topic type"),
        ([7], "$.topics[0]", "must be a topic type"),
        (["two words"], "$.topics[0]", "may hold letters"),
        (["line\n"], "$.topics[0]", "may hold letters"),
        (["a/b"], "$.topics[0]", "may hold letters"),
        (["a*b"], "$.topics[0]", "at its end"),
        (["a**"], "$.topics[0]", "at its end"),
        (["x" * 101], "$.topics[0]", "100 characters"),
        (["x"] * 101, "$.topics", "at most 100"),
    ],
)
def test_each_fault_has_its_path(topics: Any, path: str, words: str) -> None:
    kept, findings = examine({"team": {}, "topics": topics})
    assert kept is None
    assert [words in each.message for each in findings if each.path == path] == [True]
