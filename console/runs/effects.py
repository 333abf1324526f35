"""What a run has done to the world: what was done, what may have been, and what was not.

A tool that only reads is no effect. Of the others the journal has an intent before they are called; so what it does not
have was not called, and what it has without an outcome may have happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from console.durable.run import REVIEW
from console.runs import evidence
from console.runs.evidence import Heard
from console.runs.models import Run, Step, StepPayload
from console.tenants import crypto
from console.tenants.display import Display

Json = Any
CHANGING = ("idempotent", "neither")
SHOWN = 50  # of each sort, in full; the rest is counted
_WORDS = (("done", "done"), ("maybe", "may have happened"), ("failed", "failed"), ("not_done", "not done"))


@dataclass(slots=True)
class Effect:
    """One call that is more than reading, or would have been. ``why`` says how it is known, in a sentence."""

    step: Step
    sort: str  # done, failed, maybe, not_done
    why: str = ""
    arguments: Json = None
    heard: Heard | None = None


@dataclass(slots=True)
class Account:
    """The effects of a run by sort, in the order in which they were begun."""

    done: list[Effect]
    maybe: list[Effect]
    failed: list[Effect]
    not_done: list[Effect]

    def __bool__(self) -> bool:
        return bool(self.done or self.maybe or self.failed or self.not_done)

    @property
    def sentence(self) -> str:
        """``2 calls were done (issue_refund, send_mail), 1 may have happened (issue_refund)``; empty where there is
        nothing to tell."""
        parts = []
        for name, words in _WORDS:
            found: list[Effect] = getattr(self, name)
            if not found:
                continue
            tools = list(dict.fromkeys(effect.step.name or "a tool" for effect in found))
            named = ", ".join(tools[:4]) + (" and others" if len(tools) > 4 else "")
            parts.append(f"{len(found)} {words} ({named})")
        return "; ".join(parts)


def rows(run: Run, until: int | None = None) -> QuerySet[Step]:
    """The steps that an account is made of, and no others: a run of thousands of model calls has few of them.

    ``until``: only those that had begun when the journal had so many entries.
    """
    gates = Step.objects.filter(
        tenant=run.tenant_id, run=run, kind="review", scope=Concat(OuterRef("scope"), Value(REVIEW)), n=OuterRef("n")
    )
    every = Step.objects.filter(tenant=run.tenant_id, run=run).defer("usage", "verdict").order_by("seq")
    every = every if until is None else every.filter(seq__lte=until)
    return every.filter(Q(kind="review") | Q(kind="tool", safety__in=CHANGING) | Q(kind="tool") & Exists(gates))


def account(run: Run, steps: Iterable[Step], over: bool) -> Account:
    """What ``steps``, at least those that ``rows`` has, come to; in one that is ``over``, what was still asked
    about will not be done.

    One query, and only where an outcome is not known.
    """
    every = list(steps)
    own = {(step.scope, step.n) for step in every}
    calls = [step for step in every if step.kind == "tool" and step.safety in CHANGING]
    asked = [step for step in every if step.kind == "review" and step.name and step.scope.endswith(REVIEW)]
    never = [step for step in asked if (step.scope.removesuffix(REVIEW), step.n) not in own]
    unknown = [step for step in calls if step.status in ("intent", "in_doubt")]
    heard = evidence.of_steps(run.pk, [(step.scope, step.n) for step in unknown])
    found = Account([], [], [], [])
    for step in calls:
        effect = _effect(step, heard.get((step.scope, step.n)))
        getattr(found, effect.sort).append(effect)
    for step in never:
        why = "It was refused, or the run ended before it." if step.settled else "Nobody had decided about it."
        if over or step.settled:
            found.not_done.append(Effect(step, "not_done", why))
    return found


def open_up(run: Run, effects: Sequence[Effect], shown: Display) -> None:
    """Read the arguments of the calls, and what was heard of them, as a viewer may see them. One query."""
    first = {effect.step.seq: effect for effect in effects}
    rows = StepPayload.objects.filter(tenant=run.tenant_id, run=run, seq__in=list(first)).values_list("seq", "request")
    for seq, sealed in rows:
        request = crypto.unseal_json(run.tenant_id, "step.request", bytes(sealed))
        if isinstance(request, dict):
            first[seq].arguments = shown.of(request.get("arguments"))
    for effect in effects:
        effect.heard = seen(effect.heard, shown)


def seen(heard: Heard | None, shown: Display) -> Heard | None:
    """A late outcome as a viewer may see it."""
    if heard is None or shown.plain:
        return heard
    error = shown.of(heard.error)
    return replace(heard, result=shown.of(heard.result), error={"message": error} if isinstance(error, str) else error)


def as_json(found: Account, shown: Display) -> dict[str, list[dict[str, Json]]]:
    """As the API tells it."""

    def told(effect: Effect) -> dict[str, Json]:
        step, heard = effect.step, seen(effect.heard, shown)
        late = heard and {"status": heard.status, "at": heard.at, "result": heard.result, "error": heard.error}
        return {
            "seq": step.seq, "scope": step.scope, "index": step.n, "tool": step.name, "agent": step.agent,
            "key": step.key, "why": effect.why, "began_at": step.started_at, "heard": late or None,
        }  # fmt: skip

    return {
        "done": [told(one) for one in found.done],
        "may_have_happened": [told(one) for one in found.maybe],
        "failed": [told(one) for one in found.failed],
        "not_done": [told(one) for one in found.not_done],
    }


def _effect(step: Step, heard: Heard | None) -> Effect:
    if step.status == "done":
        last = step.attempts[-1] if step.attempts else {}
        told = last.get("cause") == "in_doubt" and last.get("by")
        return Effect(step, "done", f"{last['by']} says so." if told else "")
    if step.status == "failed":
        return Effect(step, "failed", "It said that it failed.")
    if heard is not None and heard.status == evidence.DONE:
        return Effect(step, "done", "Its outcome came in late, and is kept as evidence.", heard=heard)
    if heard is not None and heard.status == evidence.FAILED:
        return Effect(step, "failed", "That it failed came in late, and is kept as evidence.", heard=heard)
    return Effect(step, "maybe", "It was begun, and no outcome was recorded.", heard=heard)
