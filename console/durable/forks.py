"""What of a record a fork keeps: all that came to the team before the step that is done anew, and no approval twice.

A *fork at* a step is a new run with the part of the record that does not depend on what came of that step. Because the
team is handed results one at a time, in the order in which they were settled, that part is known exactly:

- Kept is what was settled before the step was. The team had asked for the step by then, and for all of this, whatever
  branches there are; and nothing in it had seen the step's outcome. (Cutting where the step *began* would throw away
  what other branches did meanwhile, and do it a second time.)
- An effect that is not read-only has an intent, so it is known when it was asked for. Begun before the cut, it is kept
  with the outcome that it came to later, or open: an intent or a doubt is asked about, as in any run, never repeated.
- An approval is good for the one effect that it was given for. Where that effect is not kept, the gate before it is not
  either, and asks anew. The team sees nothing of such a gate, so the record fits without it.
- What ended the old run (an error, a person's last word) would end the new one as well, and is not kept. An effect in
  doubt that was given up so is in doubt again.

What is kept is numbered anew without gaps, in the same order; replayed, it leaves the team where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .run import ENDS, GATES, REVIEW
from .steps import Safety, Status, Step

NO_END = float("inf")
GIVEN_UP = "InDoubt"  # type of the error of an effect in doubt about which a person, or nobody in time, ended the run
UNKNOWN = {
    "OutcomeUnknown",
    "Timeout",
    "CancelledError",
    GIVEN_UP,
}  # error types of what may have happened all the same


@dataclass(slots=True, frozen=True)
class Kept:
    """A step of the fork, and the ``seq`` that it had in the old run."""

    step: Step
    old: int


def keep(steps: Sequence[Step], at: Step, *, answered: bool = False) -> list[Kept]:
    """What a fork at ``at``, one of ``steps`` (all of a run, with their payload), begins with: by seq.

    ``answered``: the step itself is kept too, as the last that the team is told of before it goes on live; what it says
    is the caller's business. Raises ValueError for a step that cannot be: a gate, or one that is open or not read-only.
    """
    if answered and (at.kind in GATES or at.safety is not Safety.READ_ONLY or at.settled is None):
        raise ValueError(f"{at.scope}#{at.n} cannot be answered by anybody else")
    cut = NO_END if at.settled is None else at.settled
    kept = []
    for step in steps:
        own = (step.scope, step.n) == (at.scope, at.n)
        found = (at if answered else None) if own else _before(step, cut)
        if found is not None:
            kept.append(found)
    there = {(step.scope, step.n) for step in kept}
    kept = [step for step in kept if _effect_of(step) in there | {None}]
    places = {seq for step in kept for seq in (step.seq, step.settled) if seq is not None}
    anew = {old: place for place, old in enumerate(sorted(places), 1)}
    return [
        Kept(
            replace(
                step, seq=anew[step.seq], settled=None if step.settled is None else anew[step.settled], inherited=True
            ),
            step.seq,
        )
        for step in sorted(kept, key=lambda step: step.seq)
    ]


def has_effect(step: Step) -> bool:
    """Whether doing the step once more would do something to the world once more: it is not read-only, and it happened,
    or may have."""
    if step.kind in GATES or step.safety is Safety.READ_ONLY:
        return False
    return step.status is not Status.FAILED or (step.error or {}).get("type") in UNKNOWN


def _before(step: Step, cut: float) -> Step | None:
    """The step as it is kept, or None."""
    if not (_told(step, cut) or _under_way(step, cut)):
        return None
    error = step.error or {}
    if error.get("stop"):
        if error.get("type") != GIVEN_UP:
            return None
        return replace(step, status=Status.IN_DOUBT, settled=None, error=None, result=None, ended_at=None)
    if step.kind in GATES and (step.result or {}).get("verdict") in ENDS:
        return None
    return step


def _told(step: Step, cut: float) -> bool:
    return step.settled is not None and step.settled < cut


def _under_way(step: Step, cut: float) -> bool:
    return step.kind not in GATES and step.safety is not Safety.READ_ONLY and step.seq < cut


def _effect_of(step: Step) -> tuple[str, int] | None:
    """The effect that an approval stands before; None for any other step."""
    if step.kind not in GATES or not step.scope.endswith(REVIEW):
        return None
    allowed = (step.result or {}).get("verdict") in ("approve", "edit")
    return (step.scope.removesuffix(REVIEW), step.n) if allowed else None
