"""A step's tries on its page: when, how long, what was wrong, what it cost, and under which key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from console.durable.steps import Kind, Safety, Status, Step
from console.runs.templatetags.run_tags import cause_words, span

NOW = timezone.now().replace(microsecond=0)


def page(*attempts: dict[str, Any], **facts: Any) -> str:
    given = {
        "scope": "clerk/tools",
        "n": 1,
        "kind": Kind.TOOL,
        "seq": 3,
        "digest": "d" * 64,
        "request": {},
        "started_at": NOW,
    }
    step = Step(**{**given, "attempts": list(attempts), "status": Status.DONE, "safety": Safety.IDEMPOTENT, **facts})
    return render_to_string(
        "runs/_step_detail.html", {"step": step, "outcome": True, "request_json": {}, "result_json": "ok"}
    )


def tried(cause: str | None, **more: Any) -> dict[str, Any]:
    return {
        "started_at": NOW.isoformat(),
        "ended_at": (NOW + timedelta(seconds=1.5)).isoformat(),
        "cause": cause,
        **more,
    }


def test_each_try_says_when_how_long_why_and_what_it_cost() -> None:
    html = page(
        tried("timeout", cost="0.0123", reckoned=True), tried("http_503", key="run:refund 7"), tried(None, cost="0.5")
    )
    for words in (
        "no answer in time",
        "1.5 s",
        "$0.0123, as it was reckoned",
        "answered HTTP 503",
        "run:refund 7",
        "succeeded",
    ):
        assert words in html, words


def test_an_answer_of_the_ledger_leads_to_the_run_that_did_it() -> None:
    html = page(tried("ledger", run="0b7e5f4e-0000-0000-0000-000000000000", step="clerk/tools#1"))
    assert "/runs/0b7e5f4e-0000-0000-0000-000000000000/" in html and "answered from the ledger" in html


@pytest.mark.parametrize(
    "attempt", [{}, {"cause": "<b>"}, {"cause": 7, "started_at": "x", "ended_at": None}, {"cause": ["a"]}]
)
def test_an_odd_try_is_shown_and_breaks_nothing(attempt: dict[str, Any]) -> None:
    html = page(attempt)
    assert "Tries" in html and "<b>" not in html
    assert isinstance(cause_words(attempt.get("cause")), str) and span(attempt) is None
