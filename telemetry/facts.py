"""From a row of the journal to what it contributes to the rollups. Pure: no clock, no database, nothing is changed.

Times are seconds since 1970 as floats. What cannot be is taken as the nearest that can, and counted once as ``odd``: tokens or
money that are negative or no number, an end before the beginning, a time before the run was made or in the future.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from console.workflows.reasons import ABOUT, StopReason
from telemetry import histogram

SKEW = 60.0  # seconds that a clock may differ from another without being told of
MOST = 10**15  # of any one number: more than anything can be, and far from what a bigint holds
HOUR = 3600
GATES = ("review", "question", "final")
Json = Any
Dims = tuple[tuple[str, str], ...]  # (cut, key): see models.Rollup


class Part(NamedTuple):
    """What is added to one hour: measures, and to histograms one value each, by its bucket."""

    at: int  # when the hour begins
    part: str
    dims: Dims
    measures: dict[str, int]
    buckets: dict[str, str]

    def plain(self) -> list[Json]:
        """As JSON keeps it."""
        return [self.at, self.part, [list(pair) for pair in self.dims], self.measures, self.buckets]

    @classmethod
    def read(cls, kept: list[Json]) -> Part:
        """What ``plain`` gave."""
        at, part, dims, measures, buckets = kept
        return cls(at, part, tuple((cut, key) for cut, key in dims), measures, buckets)


@dataclass(slots=True)
class Clock:
    """When the rows are read, in seconds. A time in the future is taken as now: ``clamped`` remembers what that was, so that
    the same is found when it is read again."""

    now: float
    clamped: MutableMapping[str, float] = field(default_factory=dict)

    def at(self, name: str, when: float, low: float) -> tuple[float, int]:
        """The time to go by, and whether (0 or 1) it is another by more than clocks may differ."""
        if when > self.now + SKEW or name in self.clamped:
            when = self.clamped.setdefault(name, self.now)
            return max(when, low), 1
        return max(when, low), int(when < low - SKEW)


class RunRow(NamedTuple):
    """A run as it is now."""

    id: str
    tenant: str
    workflow: str
    revision: int
    topic: str
    unreal: bool  # of a smoke test, or behind a probe: nobody's work
    retry: bool
    fork: bool
    status: str
    reason: str
    made: float
    started: float | None
    ended: float | None
    input_tokens: int
    output_tokens: int
    cost: Decimal
    broken_off: Decimal
    unpriced: int
    queue_s: float
    model_s: float
    tool_s: float
    waiting_s: float
    resume_s: float
    active_s: float

    @property
    def dims(self) -> Dims:
        """What all its figures are cut by."""
        more = (("topic", self.topic[:200]),) if self.topic else ()
        return (("all", ""), ("revision", str(self.revision)), *more)


class StepRow(NamedTuple):
    """A step that has ended. ``asked`` and ``answered`` are the first and the last way that was tried ("" where there is one
    way only), ``model`` the model of the last, ``usage`` JSON as text."""

    run: str
    settled: int
    kind: str
    status: str
    name: str
    agent: str
    began: float
    ended: float | None
    first_token: float | None
    usage: str | None
    cost: Decimal | None
    tries: int
    asked: str
    answered: str
    model: str


class RequestRow(NamedTuple):
    """An approval request as it is now, with its votes (voter, verdict, at, voided) and who opened it when."""

    id: str
    tenant: str
    workflow: str
    unreal: bool  # of a smoke test, or behind a probe: nobody's work
    status: str
    agent: str
    tool: str
    rule: str
    group: str
    verdict: str
    standing: bool
    made: float
    escalated: float | None
    decided: float | None
    votes: list[tuple[str, str, float, bool]]
    opened: list[tuple[str, float]]


def of_run(run: RunRow, clock: Clock) -> list[Part]:
    """What a run's own row contributes: to the hour in which it was made, and once it is over to that of its end."""
    if run.unreal:
        return []
    made, odd = clock.at("made", run.made, 0.0)
    first = {"started": 1, "retries": int(run.retry), "forks": int(run.fork), "odd": odd}
    parts = [Part(_hour(made), "", run.dims, _some(first), {})]
    if run.ended is None:
        return parts
    ended, late = clock.at("ended", run.ended, made)
    counts = _Counts(late)
    about = ABOUT[StopReason(run.reason)] if run.reason in ABOUT else None
    measures = {
        "ended": 1,
        "completed": int(run.status == "completed"),
        "failed": int(run.status == "failed"),
        "cancelled": int(run.status == "cancelled"),
        "abnormal": int(about.abnormal if about else run.status == "failed"),
        "input_tokens": counts.whole(run.input_tokens),
        "output_tokens": counts.whole(run.output_tokens),
        "cost_micros": counts.micros(run.cost),
        "broken_off_micros": counts.micros(run.broken_off),
        "unpriced": counts.whole(run.unpriced),
        "queue_ms": counts.ms(run.queue_s),
        "model_ms": counts.ms(run.model_s),
        "tool_ms": counts.ms(run.tool_s),
        "waiting_ms": counts.ms(run.waiting_s),
        "resume_ms": counts.ms(run.resume_s),
        "active_ms": counts.ms(run.active_s),
        "total_ms": counts.ms(ended - made),
    }
    buckets = {"total": histogram.bucket(measures["total_ms"]), "queue": histogram.bucket(measures["queue_ms"])}
    if run.started is not None:
        buckets["machine"] = histogram.bucket(measures["active_ms"])
    if measures["waiting_ms"]:
        buckets["human"] = histogram.bucket(measures["waiting_ms"])
    measures["odd"] = counts.odd
    parts.append(Part(_hour(ended), (run.reason or run.status)[:24], run.dims, _some(measures), buckets))
    return parts


def of_step(step: StepRow, made: float, dims: Dims, clock: Clock) -> Part:
    """What a step contributes, once, to the hour in which it ended; ``made`` and ``dims`` are its run's."""
    part = step.kind if step.kind in ("model", "tool") else "gate"
    counts = _Counts(0)
    ended, counts.odd = clock.at(str(step.settled), step.began if step.ended is None else step.ended, made)
    duration = 0.0 if step.ended is None else step.ended - step.began
    measures = {"calls": 1, "failed": int(step.status == "failed"), "again": max(0, step.tries - 1)}
    measures["duration_ms"] = counts.ms(duration)
    buckets = {"duration": histogram.bucket(measures["duration_ms"])}
    more: Dims = (("agent", step.agent[:200]),) if step.agent else ()
    if part == "model":
        measures |= counts.usage(step.usage, step.status)
        measures["fallbacks"] = int(step.status == "done" and step.answered != step.asked)
        if step.cost is None:
            measures["unpriced"] = int(_used(step.usage))
        more += (("model", (step.model or step.name or "unknown")[:200]),)
        if step.first_token is not None:
            buckets["first_token"] = histogram.bucket(counts.ms(step.first_token - step.began))
    elif part == "tool":
        more += (("tool", (step.name or "unknown")[:200]),)
    if step.cost is not None:
        measures["cost_micros"] = counts.micros(step.cost)
    measures["odd"] = min(1, counts.odd)
    return Part(_hour(ended), part, dims + more, _some(measures), buckets)


def of_request(request: RequestRow, clock: Clock) -> list[Part]:
    """What an approval request contributes: when it was raised, first opened, escalated, and when it was over."""
    if request.unreal:
        return []
    made, odd = clock.at("made", request.made, 0.0)
    dims: Dims = (("all", ""), ("rule", request.rule[:200]), ("group", request.group[:200]))
    dims += tuple((cut, key[:200]) for cut, key in (("tool", request.tool), ("agent", request.agent)) if key)
    parts = [Part(_hour(made), "", dims, _some({"raised": 1, "odd": odd}), {})]
    seen: dict[str, float] = {}
    for viewer, when in request.opened:
        when, _ = clock.at(f"opened {viewer}", when, made)
        seen[viewer] = min(when, seen.get(viewer, when))
    for viewer, when in seen.items():
        mine: Dims = (("reviewer", viewer),)
        parts.append(Part(_hour(when), "", mine, {"opened": 1}, {"to_open": histogram.bucket((when - made) * 1000)}))
    first = min(seen.values(), default=None)
    if first is not None:
        parts.append(Part(_hour(first), "", dims, {"opened": 1}, {"to_open": histogram.bucket((first - made) * 1000)}))
    if request.escalated is not None:
        parts.append(Part(_hour(clock.at("escalated", request.escalated, made)[0]), "", dims, {"escalated": 1}, {}))
    looked: list[bool] = []
    for number, (voter, verdict, when, voided) in enumerate(request.votes):
        when, _ = clock.at(f"voted {number} {voter}", when, made)
        opened = voter in seen and seen[voter] <= when
        if not voided:
            looked.append(opened)
        buckets = {"wait": histogram.bucket((when - made) * 1000)}
        if opened:
            buckets["to_decide"] = histogram.bucket((when - seen[voter]) * 1000)
        told = _some({"decided": 1, "unopened": int(not opened)})
        parts.append(Part(_hour(when), verdict[:24], (("reviewer", voter),), told, buckets))
    if request.decided is not None and request.status != "pending":
        parts.append(_outcome(request, made, first, any(looked), bool(looked), dims, clock))
    return parts


def _outcome(
    request: RequestRow, made: float, first: float | None, looked: bool, voted: bool, dims: Dims, clock: Clock
) -> Part:
    assert request.decided is not None  # noqa: S101 - asked by the caller
    decided, odd = clock.at("decided", request.decided, made)
    wait = histogram.bucket((decided - made) * 1000)
    measures, buckets = {"odd": odd, request.status: 1}, {}
    if request.status in ("decided", "expired"):
        measures["wait_ms"] = min(MOST, int((decided - made) * 1000))
        buckets["wait"] = wait
    part = request.status
    if request.status == "decided":
        part = "standing" if request.standing else request.verdict
        if voted and not request.standing:
            measures["unopened"] = int(not looked)
            if first is not None and first <= decided:
                buckets["to_decide"] = histogram.bucket((decided - first) * 1000)
    return Part(_hour(decided), part[:24], dims, _some(measures), buckets)


class _Counts:
    """Reads numbers, and notes whether one was odd."""

    def __init__(self, odd: int) -> None:
        self.odd = odd

    def whole(self, value: Json) -> int:
        """A count: a number that is not negative."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST:
            self.odd = 1
            bigger = isinstance(value, (int, float)) and not isinstance(value, bool) and value > MOST
            return MOST if bigger else 0
        return int(value)

    def ms(self, seconds: float) -> int:
        """Seconds as whole milliseconds; less than nothing by a clock's difference is nothing."""
        if math.isnan(seconds) or seconds < 0:
            self.odd = 1
            return 0
        if seconds > MOST / 1000:
            self.odd = 1
            return MOST
        return round(seconds * 1000)

    def micros(self, dollars: Decimal | str) -> int:
        """US dollars as whole millionths."""
        try:
            value = Decimal(dollars) * 1_000_000
            if 0 <= value <= MOST:
                return int(value.to_integral_value())
        except InvalidOperation:
            value = Decimal(0)
        self.odd = 1
        return MOST if value > MOST else 0

    def usage(self, text: str | None, status: str) -> dict[str, int]:
        """The tokens of a model's answer. An answer without usage is odd; a failure without is not."""
        usage = _json(text)
        if not isinstance(usage, Mapping) or not usage:
            if status == "done" or (text and usage is not None):
                self.odd = 1
            return {}
        found = {}
        for name, others in _TOKENS.items():
            value = next((usage[key] for key in others if usage.get(key) is not None), 0)
            found[name] = self.whole(value)
        return found


_TOKENS = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "cached_tokens": ("cached_tokens",),
    "reasoning_tokens": ("reasoning_tokens",),
}


def _json(text: str | None) -> Json:
    return json.loads(text) if text else None


def _used(text: str | None) -> bool:
    return bool(_json(text))


def _hour(seconds: float) -> int:
    return int(seconds // HOUR) * HOUR


def _some(measures: Mapping[str, int]) -> dict[str, int]:
    """Those that are not nothing."""
    return {name: value for name, value in measures.items() if value}


def all_of(kept: Iterable[list[Json]]) -> list[Part]:
    """What was kept of a run or request."""
    return [Part.read(each) for each in kept]
