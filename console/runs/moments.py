"""A run as it stood at some point of its journal: what had been said, done, asked and spent by then.

A journal's entries are numbered: each step begins at one (its ``seq``) and ends at one (its ``settled``, the same where it
was recorded with its outcome). The run *at N* is what the first N entries say, and nothing else: reading only, nothing is
executed, and no later entry is looked at. Steps come as facts from the database; words only of the few that are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from console.durable.run import REVIEW
from console.runs import effects, figures, record
from console.runs.effects import Account
from console.runs.figures import Sum
from console.runs.models import Run, Step
from console.tenants.display import Display

Json = Any
SAID = 30  # of what was said, the latest
GATES = ("review", "question", "final")


@dataclass(slots=True)
class Line:
    """Something that was said: by whom, in which step. ``calls`` are (name, arguments)."""

    who: str
    kind: str
    seq: int
    text: Json = ""
    calls: list[tuple[str, Json]] = field(default_factory=list)
    failed: bool = False


@dataclass(slots=True)
class Open:
    """A person who was being asked at that point, or an effect under way. ``title`` is what about."""

    step: Step
    title: str


@dataclass(slots=True)
class Moment:
    """The run after ``entry`` of ``entries`` entries. ``step`` is whose beginning or end the last of them is."""

    entry: int
    entries: int
    step: Step | None
    ended: bool  # the last entry is (also) the end of its step
    at: datetime | None
    elapsed_s: float
    said: list[Line]
    earlier: int  # lines of ``said`` that are left out
    sums: Sum
    account: Account
    asked: list[Open]
    under_way: list[Open]


def moment(run: Run, entry: int, shown: Display) -> Moment:
    """The run as it stood after so many entries; beyond the end is the end. Ten queries at most."""
    entries = figures.extent(run.pk).entries
    entry = min(max(entry, 0), entries)
    every = Step.objects.filter(tenant=run.tenant_id, run=run)
    step = every.filter(Q(seq=entry) | Q(settled=entry)).first() if entry else None
    ended = step is not None and step.settled == entry
    at = None if step is None else step.ended_at if ended and step.ended_at else step.started_at
    began = run.started_at or run.created_at
    open_steps = list(every.filter(seq__lte=entry).exclude(settled__lte=entry).order_by("seq")[: 2 * SAID])
    lines, earlier = _said(run, entry, shown)
    return Moment(
        entry=entry, entries=entries, step=step, ended=ended, at=at,
        elapsed_s=max((at - began).total_seconds(), 0.0) if at else 0.0,
        said=lines, earlier=earlier, sums=figures.until(run.pk, entry), account=_account(run, entry, shown),
        asked=_opened(run, [one for one in open_steps if one.kind in GATES], shown),
        under_way=[Open(one, one.name or one.kind) for one in open_steps if one.kind not in GATES],
    )  # fmt: skip


def _account(run: Run, entry: int, shown: Display) -> Account:
    """The effects until then: what ended later was under way, and may have happened."""
    steps = list(effects.rows(run, entry))
    later = []
    for step in steps:
        if step.settled is None or step.settled > entry:
            step.status, step.settled, step.ended_at, step.attempts = "intent", None, None, []
            later.append(step.seq)
    found = effects.account(run, steps, over=False)
    for effect in [one for one in [*found.done, *found.failed] if one.step.seq in later]:
        # An outcome that came in late is known today, and was not then.
        (found.done if effect.sort == "done" else found.failed).remove(effect)
        found.maybe.append(effects.Effect(effect.step, "maybe"))
    found.not_done = _refused(run, entry, found.not_done)
    for effect in found.maybe:
        effect.heard, effect.why = None, "It had begun, and had not ended yet."
    effects.open_up(run, [*found.maybe, *found.done, *found.failed, *found.not_done][: effects.SHOWN], shown)
    return found


def _refused(run: Run, entry: int, never: list[effects.Effect]) -> list[effects.Effect]:
    """Of calls that had not been made, those that never were: an approved one is called an entry or two later."""
    gates = {(one.step.scope.removesuffix(REVIEW), one.step.n): one for one in never}
    if gates:
        calls = Step.objects.filter(tenant=run.tenant_id, run=run, kind="tool", seq__gt=entry)
        calls = calls.filter(scope__in={scope for scope, _ in gates}, n__in={n for _, n in gates})
        for identity in calls.values_list("scope", "n"):
            gates.pop(identity, None)
    return list(gates.values())


def _said(run: Run, entry: int, shown: Display) -> tuple[list[Line], int]:
    rows = Step.objects.filter(tenant=run.tenant_id, run=run, settled__lte=entry)
    latest = list(rows.order_by("-settled").values_list("seq", "settled")[:SAID])
    order = dict(latest)
    found = sorted(record.chosen(run.pk, list(order)), key=lambda step: order[step.seq])
    return [_line(step, shown) for step in found], max(rows.count() - len(found), 0)


def _line(step: Any, shown: Display) -> Line:
    line = Line(step.agent or step.scope.split("/", 1)[0], str(step.kind), step.seq, failed=step.error is not None)
    result = shown.of(step.error if step.error is not None else step.result)
    if not shown.shown:
        line.text = result
    elif step.kind in GATES and isinstance(result, dict):
        line.who = str(result.get("by") or "") or (
            "the rules" if result.get("verdict") in ("allow", "deny") else line.who
        )
        line.text = {name: value for name, value in result.items() if value and name in _SHOWN}
    elif step.kind == "model" and isinstance(result, dict) and "content" in result:
        content = result["content"]
        line.text = content if isinstance(content, str) else ""
        if isinstance(content, list):
            line.calls = [(str(one.get("name")), one.get("arguments")) for one in content if isinstance(one, dict)]
    else:
        line.text = result
    if step.kind == "tool":
        line.who = step.name or line.who
    return line


_SHOWN = ("verdict", "reason", "arguments", "answer", "result")


def _opened(run: Run, steps: list[Step], shown: Display) -> list[Open]:
    """What people were asked, in the words that they were asked in."""
    requests = {step.seq: step.request for step in record.chosen(run.pk, [step.seq for step in steps])} if steps else {}
    found = []
    for step in steps:
        request = requests.get(step.seq)
        title = request.get("title") or request.get("question") if isinstance(request, dict) else ""
        found.append(Open(step, str(shown.of(title) if title else step.name)))
    return found
