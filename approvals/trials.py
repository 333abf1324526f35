"""What pages and API ask for when a draft of rules is tried: the draft from what was typed, and the answer as JSON."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from approvals import rule_actions, rule_sets
from approvals.actions.requests import iso
from approvals.backtest import Draft, Result, Tried
from console.tenants.access import Actor
from console.workflows.errors import Invalid
from console.workflows.models import Workflow

Json = Any
MAX_WEEKS = 52
MAX_RATE = Decimal(100_000)


def draft(actor: Actor, workflow: Workflow | None, rules: Json) -> Draft:
    """The draft, checked; ``rules`` None: those that hold now. Raises Refused."""
    listed = now(actor, workflow)[0] if rules is None else rule_actions.checked(rules)
    return Draft(actor.tenant.id, listed, workflow.pk if workflow else None)


def now(actor: Actor, workflow: Workflow | None) -> tuple[list[Json], int]:
    """The rules that hold, and the number of their version or revision; 0 while there is none."""
    if workflow is not None:
        current = workflow.current
        return (list(current.body.get("rules") or []), current.number) if current else ([], 0)
    held = rule_sets.current(actor.tenant.id)
    return (held.rules, held.number) if held else ([], 0)


def weeks(value: Json) -> int:
    """How many weeks back. Raises Invalid."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_WEEKS:
        raise Invalid("weeks", f"must be a whole number from 1 to {MAX_WEEKS}")
    return value


def rate(value: Json) -> Decimal | None:
    """What an hour of a reviewer costs, in whatever currency; None when nothing was said. Raises Invalid."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or not 0 <= found <= MAX_RATE:
        raise Invalid("hourly_rate", f"must be an amount from 0 to {MAX_RATE:,}, such as 45 or 45.50")
    return found


def tried_out(tried: Tried) -> dict[str, Json]:
    """One call under the draft."""
    past, detail = tried.past, tried.verdict.detail
    return {
        "run": str(past.run.pk),
        "workflow": past.run.workflow.slug,
        "step": past.seq,
        "at": iso(past.at),
        "agent": past.ask.agent,
        "tool": past.ask.tool,
        "arguments": past.ask.request.get("arguments"),
        "then": {
            "effect": past.effect,
            "rule": past.rule.get("name") if past.rule else None,
            "approvers": past.people,
            "decided": tried.decided,
        },
        "draft": {
            "effect": tried.verdict.effect,
            "rule": detail["rule"]["name"] if detail["rule"] else None,
            "of": detail["of"],
            "approvers": tried.people,
            "reason": tried.verdict.reason,
        },
        "change": tried.change,
    }


def result_out(result: Result) -> dict[str, Json]:
    """A backtest's figures. Times in seconds."""
    return {
        "weeks": result.weeks,
        "since": iso(result.since),
        "looked_at": result.looked_at,
        "runs": result.runs,
        "unreadable": result.unreadable,
        "cut": result.cut,
        "changed": result.changed,
        **result.counts,
        "decided": {change: _words(said) for change, said in result.decided.items()},
        "reviews_added": result.reviews_added,
        "reviews_saved": result.reviews_saved,
        "median_review_s": result.times.review_s,
        "median_wait_s": result.times.wait_s,
        "like_requests": result.times.requests,
        "counted_from": result.times.counted_from,
        "review_s": result.review_s,
        "wait_s": result.wait_s,
        "hourly_rate": None if result.hourly_rate is None else str(result.hourly_rate),
        "cost": None if result.cost is None else str(result.cost),
        "by_rule": result.by_rule,
        "affected": [tried_out(each) for each in result.affected],
    }


def _words(said: dict[str, int]) -> dict[str, int]:
    return {name.replace(" ", "_"): count for name, count in said.items()}
