"""``bench rules``: what asking a list of rules about one call costs.

Each rule has a condition over the arguments, the run and the tenant, and none but the last matches: the whole list is
asked. ``judge`` is all that a gate does: both lists (the tenant's is as long), the schema, the verdict with its detail.
Rules are prepared once a process, as in a worker; the first call, which prepares them, is shown beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from approvals import policy, rules
from approvals.policy import Facts, TenantRules
from console.bench.figures import middle, ms, percentile
from console.durable.steps import Ask

ROUNDS = 2000
LENGTHS = (1, 10, 100)
_ARGUMENTS = {
    "order": "A-17",
    "amount": 40.0,
    "customer": "Ada",
    "items": [{"sku": f"S-{n}", "n": n} for n in range(10)],
}
_SCHEMA = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["order", "amount"]}
_FACTS = Facts(
    {"id": "r-1", "title": "Refund", "workflow": "refund-desk", "revision": 3, "topic_source": "EU-17",
     "metadata": {"vip": False, "classification": "internal"}, "classification": "internal", "started_by": "Otto"},
    {"slug": "northwind", "name": "Northwind"},
)  # fmt: skip
_REQUEST = {"tool": "issue_refund", "arguments": _ARGUMENTS, "schema": _SCHEMA, "safety": "idempotent", "risk": "high",
            "approval": "require"}  # fmt: skip
_ASK = Ask("payer/tools", 0, "tool", "d", _REQUEST, "payer", "issue_refund")


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    figures: dict[str, Any] = {}
    for length in LENGTHS:
        listed = _rules(length)
        first = _took(partial(_ask, listed), 1)["p50_ms"]
        figures[f"rules_{length}"] = _took(partial(_ask, listed), ROUNDS) | {"first_ms": first}
    body, tenant = {"rules": _rules(100)}, TenantRules(1, _rules(100))
    judge = partial(policy.judge, _ASK, body, _FACTS, None, tenant)
    figures["judge_two_lists_of_100"] = _took(judge, ROUNDS // 4)
    one, many = figures["rules_1"], figures["rules_100"]
    figures["ms_per_rule"] = round((many["p50_ms"] - one["p50_ms"]) / 99, 4)
    return figures, {
        "rules_100_cpu_p99_to_1_ms": round(many["cpu_p99_ms"] / 1.0, 3),
        "rules_100_to_100_times_1": round(many["p50_ms"] / (100 * one["p50_ms"]), 3),
    }


def _rules(length: int) -> list[dict[str, Any]]:
    """Such a list: the last rule matches."""
    asked = [
        {"name": f"rule {n}", "match": {"tool": "issue_*", "agent": "pay*"}, "effect": "require", "approvers": 2,
         "when": f"arguments.amount > {1000 + n}.0 && run.metadata.vip == false && tenant.slug == 'northwind'"}
        for n in range(length - 1)
    ]  # fmt: skip
    return [
        *asked,
        {"name": "last", "match": {"tool": "issue_*"}, "effect": "require", "when": "arguments.amount > 1.0"},
    ]


def _ask(listed: list[dict[str, Any]]) -> None:
    """One call, asked about by the whole list."""
    facts = {"run": dict(_FACTS.run), "tenant": dict(_FACTS.tenant)}
    found = rules.first_match(
        listed, tool="issue_refund", agent="payer", arguments=_ARGUMENTS, facts=facts, risk="high", safety="idempotent"
    )
    if found is None or found.error or found.rule.name != "last":
        raise RuntimeError(f"the last rule should have matched, and {found} did")


def _took(work: Callable[[], object], rounds: int) -> dict[str, float]:
    """How long a round takes; by the clock, in which others take their turns too, and of this thread's CPU."""
    wall, cpu = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.thread_time()
        work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.thread_time() - used)
    return {
        "p50_ms": ms(middle(wall)),
        "p99_ms": ms(percentile(wall, 99)),
        "cpu_p50_ms": ms(middle(cpu)),
        "cpu_p99_ms": ms(percentile(cpu, 99)),
    }
