"""What telemetry.query answers with: plain values, in the units of the figures. The API's schemas are made from these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Three = tuple[float | None, float | None, float | None]  # p50, p95, p99


@dataclass(frozen=True, slots=True)
class Series:
    """One line. ``key`` is what a filter takes (a workflow's slug, a model, a stop reason), ``label`` what people read."""

    key: str
    label: str
    points: list[tuple[datetime, float | None]]
    rest: bool = False  # the sum of the lines that are not shown by themselves


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``key`` and ``label`` as of a Series. ``rest``: the sum of the bars that are not shown."""

    key: str
    label: str
    value: float | None
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """The headline of a window. Times are seconds; a None says that nothing ended, or nobody was asked."""

    runs: int
    ended: int
    completed: int
    failed: int
    cancelled: int
    abnormal: int
    well_share: float | None  # of those that ended: not for a reason that somebody should look at
    retries: int
    forks: int
    machine: Three  # p50, p95, p99 of the runs that ended
    human: Three  # of the runs that waited for people, and ended
    queue_p95: float | None
    wait_p95: float | None  # of requests: decided, expired, and those that still wait with their age
    pending: int  # requests that wait now
    calls: int
    tool_calls: int
    failed_calls: int
    tries_again: int
    fallbacks: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: float
    lost_cost: float
    unpriced: int
    odd: int


@dataclass(frozen=True, slots=True)
class Approvals:
    """What became of requests in a window. Percentiles are (p50, p95, p99) in seconds; ``wait`` counts the pending too."""

    raised: int
    opened: int
    decided: int
    expired: int
    escalated: int
    moot: int
    unopened: int
    verdicts: list[tuple[str, int]]  # most frequent first; "standing" is an approval in advance
    to_open: Three
    to_decide: Three
    wait: Three
    pending: int
    rejected_cost: float  # of the runs that ended as rejected
    expired_cost: float


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision beside others: of the runs that ended in the window. Times in seconds, cost in dollars."""

    number: int
    runs: int
    ended: int
    well_share: float | None
    completed: int
    failed: int
    cost_each: float | None
    tokens_each: float | None
    machine: Three
    human_p95: float | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class Queue:
    """What is ready for a worker, or held by one, right now. Ages in seconds."""

    queued: int
    oldest_s: float | None
    running: int
    waiting: int
