"""What a run has used, summed from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from console.durable.steps import Kind, Status, Step


@dataclass(frozen=True, slots=True)
class Totals:
    """Tokens, US dollars, and seconds in which at least one model (or tool) was at work."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced_steps: int = 0
    model_s: float = 0.0
    tool_s: float = 0.0
    worked_s: float | None = None  # of this turn, as its worker counted; None: by the database's clock
    resumed_s: float = 0.0  # of this turn, until the record was handed back; nothing where there was none


def of(steps: Iterable[Step]) -> Totals:
    """The totals of a journal. Inherited steps were paid for by the run that they come from, so they do not count."""
    tokens_in = tokens_out = unpriced = 0
    cost = Decimal(0)
    models: list[tuple[datetime, datetime]] = []
    tools: list[tuple[datetime, datetime]] = []
    for step in steps:
        if step.inherited:
            continue
        usage = step.usage or {}
        tokens_in += int(usage.get("input_tokens") or usage.get("prompt_tokens") or 0)
        tokens_out += int(usage.get("output_tokens") or usage.get("completion_tokens") or 0)
        if step.cost is not None:
            cost += Decimal(step.cost)
        unpriced += is_unpriced(step)
        if step.ended_at is not None:
            if step.kind == Kind.MODEL:
                models.append((step.started_at, step.ended_at))
            elif step.kind == Kind.TOOL:
                tools.append((step.started_at, step.ended_at))
    return Totals(tokens_in, tokens_out, cost, unpriced, _covered(models), _covered(tools))


def is_unpriced(step: Step) -> bool:
    """Whether a model's answer has cost something that nobody knows: ``cost`` is then of the tries before it, or None."""
    if step.kind != Kind.MODEL or step.status not in (Status.DONE, Status.FAILED) or not step.usage:
        return False
    if step.cost is None or step.usage.get("missing"):
        return True
    # A fallback without a price, after tries that had one.
    tries = step.attempts
    last = tries[-1] if tries else {}
    return last.get("cause", "") is None and "cost" not in last and any("cost" in tried for tried in tries)


def _covered(spans: list[tuple[datetime, datetime]]) -> float:
    """Seconds covered by at least one span: parallel branches do not make a run longer than it was."""
    seconds = 0.0
    end: datetime | None = None
    for start, stop in sorted(spans):
        if end is None or start > end:
            seconds += max((stop - start).total_seconds(), 0.0)
            end = stop
        elif stop > end:
            seconds += (stop - end).total_seconds()
            end = stop
    return seconds
