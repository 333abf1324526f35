"""Rules in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from console.workflows.rule_words import rule_sentences


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"effect": "allow"}, "any tool may run without a person."),
        ({"effect": "deny", "match": {"tool": "rm_*", "agent": "ops"}}, "rm_* by ops is refused."),
        (
            {
                "effect": "require",
                "match": {"risk": ["high", "unknown"], "topic_source": "EU-*", "classification": "secret"},
            },
            "any tool of high or unknown risk in runs from EU-* in runs classified secret asks a person.",
        ),
        (
            {
                "effect": "require",
                "approvers": 2,
                "group": "finance",
                "escalation": [{"after": "PT1H30M", "group": "leads"}],
                "expires_in": "P1D",
                "on_expiry": "approve",
                "verdicts": ["approve", "edit", "reject"],
                "second_for_edit": True,
                "standing": False,
                "hours": "business",
            },
            "any tool asks 2 people of finance. They may approve, edit it or reject. An edit takes a second person."
            " No standing approval covers it. Without an answer, after 1 hour 30 minutes leads decides instead and after"
            " 1 day it goes ahead if it only reads, and is rejected if it does more. Business hours count.",
        ),
        (
            {"effect": "require", "expires_in": "P2W", "on_expiry": "terminate"},
            "any tool asks a person. Without an answer, after 2 weeks the run ends.",
        ),
    ],
)
def test_a_rule_is_a_sentence(rule: dict[str, Any], says: str) -> None:
    assert rule_sentences({"name": "r", **rule}) == says
