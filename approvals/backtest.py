"""What a draft of rules would have done: on the calls of one run, and over the past weeks. Reads, and changes nothing.

A draft stands in the place of the list that it is a draft of: a workflow's, beside the tenant's rules of today; or the
tenant's, beside the rules of each run's own revision. All else is as it was then: the oversight mode of the run's
revision, what conditions see of run and tenant, what the tool had declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from time import monotonic
from typing import Any
from uuid import UUID

from approvals import history, policy, rule_sets
from approvals.history import Past
from approvals.policy import TenantRules
from console.durable.steps import Verdict

Json = Any
WEEKS = (1, 4, 13)
LIMIT = 20_000  # calls, newest first
SHOWN = 50  # of the calls that a draft changes
TIME = 20.0  # seconds after which no more calls are read
PEOPLE = ("approved", "edited", "rejected", "ended the run", "expired", "open", "moot")
_OUTCOMES = {"approve": "approved", "edit": "edited", "reject": "rejected", "terminate": "ended the run"}


@dataclass(frozen=True, slots=True)
class Draft:
    """Rules to try: a workflow's, or (``workflow_id`` None) the tenant's."""

    tenant_id: UUID
    rules: list[Json]
    workflow_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """One call under the draft."""

    past: Past
    verdict: Verdict

    @property
    def change(self) -> str:
        """newly_stopped, no_longer_stopped, newly_denied, no_longer_denied; still_... where nothing changes."""
        return _CHANGE[self.past.effect, self.verdict.effect]

    @property
    def people(self) -> int:
        """How many would have had to agree."""
        return int(self.verdict.detail["approvers"]) if self.verdict.effect == "require" else 0

    @property
    def decided(self) -> str:
        """What people did about it then, one of PEOPLE; empty where nobody was asked."""
        return outcome(self.past)


_CHANGE = {
    ("allow", "allow"): "still_alone",
    ("allow", "require"): "newly_stopped",
    ("allow", "deny"): "newly_denied",
    ("require", "allow"): "no_longer_stopped",
    ("require", "require"): "still_stopped",
    ("require", "deny"): "newly_denied",
    ("deny", "allow"): "no_longer_denied",
    ("deny", "require"): "no_longer_denied",
    ("deny", "deny"): "still_denied",
}
CHANGES = ("newly_stopped", "no_longer_stopped", "newly_denied", "no_longer_denied")
STILL = ("still_stopped", "still_alone", "still_denied")


@dataclass(slots=True)
class Times:
    """How long people took on like requests (seconds, the median), how many those were, and from when it counts:
    ``opened``, ``created``, or nothing where there were none."""

    review_s: float | None = None
    wait_s: float | None = None
    requests: int = 0
    counted_from: str = ""


@dataclass(slots=True)
class Result:
    """What a backtest found. ``reviews`` are people's looks at a call: two for a call that takes two people."""

    since: datetime
    weeks: int
    looked_at: int = 0
    runs: int = 0
    unreadable: int = 0
    cut: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*CHANGES, *STILL), 0))
    decided: dict[str, dict[str, int]] = field(default_factory=dict)  # by change, what people had said
    reviews_added: int = 0
    reviews_saved: int = 0
    times: Times = field(default_factory=Times)
    hourly_rate: Decimal | None = None
    affected: list[Tried] = field(default_factory=list)  # the newest SHOWN
    by_rule: dict[str, int] = field(default_factory=dict)  # of the draft: how many calls each would stop or deny

    @property
    def changed(self) -> int:
        """How many calls would have gone another way."""
        return sum(self.counts[change] for change in CHANGES)

    @property
    def review_s(self) -> float | None:
        """Seconds of reviewers' time that it adds; less than nothing where it saves some. None when not known."""
        reviews = self.reviews_added - self.reviews_saved
        return None if self.times.review_s is None else reviews * self.times.review_s

    @property
    def wait_s(self) -> float | None:
        """Seconds that calls would have waited more for people, all together."""
        calls = self.counts["newly_stopped"] - self.counts["no_longer_stopped"]
        return None if self.times.wait_s is None else calls * self.times.wait_s

    @property
    def cost(self) -> Decimal | None:
        """What the reviewers' time costs more at the hourly rate, or less; None when not known."""
        if self.hourly_rate is None or self.review_s is None:
            return None
        return (self.hourly_rate * Decimal(str(self.review_s)) / 3600).quantize(Decimal("0.01"))


def try_on(draft: Draft, run_id: UUID) -> list[Tried]:
    """Each tool call of a run, in order, under the draft. Call inside the tenant's scope."""
    found = history.find(draft.tenant_id, run_id=run_id, limit=1000)
    judge = _judge(draft)
    tried = [Tried(past, judge(past)) for past in history.read(draft.tenant_id, found.rows) if past is not None]
    return tried[::-1]


def run(draft: Draft, weeks: int, now: datetime, hourly_rate: Decimal | None = None, limit: int = LIMIT) -> Result:
    """The draft over the calls of the past weeks. Call inside the tenant's scope."""
    since = now - timedelta(weeks=weeks)
    found = history.find(draft.tenant_id, workflow_id=draft.workflow_id, since=since, limit=limit)
    result = Result(since, weeks, cut=found.cut, hourly_rate=hourly_rate)
    judge = _judge(draft)
    until = monotonic() + TIME
    asked: list[Past] = []
    touched: set[str] = set()
    runs: set[UUID] = set()
    for past in history.read(draft.tenant_id, found.rows):
        if monotonic() > until:
            result.cut = True
            break
        if past is None:
            result.unreadable += 1
            continue
        tried = Tried(past, judge(past))
        _count(result, tried)
        runs.add(past.run.pk)
        if past.said is not None and past.said.waited_s is not None:
            asked.append(past)
        if tried.change in CHANGES or tried.people != past.people:
            touched.add(past.ask.tool)
    result.runs = len(runs)
    result.times = _times([past for past in asked if past.ask.tool in touched] or asked)
    return result


def _judge(draft: Draft) -> Any:
    """A function from a past call to what the draft says of it."""
    beside = rule_sets.current(draft.tenant_id) if draft.workflow_id is not None else TenantRules(0, draft.rules)
    bodies: dict[UUID, dict[str, Json]] = {}

    def judge(past: Past) -> Verdict:
        body = past.body
        if draft.workflow_id is not None:
            body = bodies.setdefault(past.run.revision_id, {**past.body, "rules": draft.rules})
        return policy.judge(past.ask, body, past.facts, None, beside)

    return judge


def _count(result: Result, tried: Tried) -> None:
    past, change = tried.past, tried.change
    result.looked_at += 1
    result.counts[change] += 1
    more = tried.people - past.people
    if more > 0:
        result.reviews_added += more
    else:
        result.reviews_saved -= more
    if tried.decided:
        said = result.decided.setdefault(change, dict.fromkeys(PEOPLE, 0))
        said[tried.decided] += 1
    rule = tried.verdict.detail["rule"]
    if rule is not None and tried.verdict.effect != "allow":
        result.by_rule[rule["name"]] = result.by_rule.get(rule["name"], 0) + 1
    if change in CHANGES and len(result.affected) < SHOWN:
        result.affected.append(tried)


def outcome(past: Past) -> str:
    """What people did about a call; see PEOPLE."""
    if past.said is None:
        return ""
    if past.said.status == "decided":
        return _OUTCOMES.get(past.said.verdict, "approved")
    return {"pending": "open"}.get(past.said.status, past.said.status)


def _times(asked: Sequence[Past]) -> Times:
    """Of requests that people decided; from when they opened it, where that is known of any."""
    said = [past.said for past in asked if past.said is not None]
    waited = [each.waited_s for each in said if each.waited_s is not None]
    looked = [each.looked_s for each in said if each.looked_s is not None]
    if not waited:
        return Times()
    if looked:
        return Times(median(looked), median(waited), len(looked), "opened")
    return Times(median(waited), median(waited), len(waited), "created")
