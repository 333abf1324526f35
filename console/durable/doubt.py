"""An effect of which nobody knows whether it happened: how it is asked about, and what is kept of the answer."""

from __future__ import annotations

from .run import IN_DOUBT
from .steps import Ask, Decision, Gate, Json, Safety, Step

UNHEARD = {"type": "WorkerLost", "message": "its worker was gone before it had recorded an outcome", "stop": None}
DID_NOT, HAPPENED = "did not happen", "happened"


def asked_about(step: Step) -> bool:
    """Whether a step in doubt is one that this run has asked a person about.

    Where the run it was kept from had ended in the middle of the call, that call may still be under way: the time it has
    is waited for first. What can safely be done again is never asked about.
    """
    return not step.inherited and step.safety is not Safety.IDEMPOTENT


def question(step: Step, gate: Gate | None, decision: Decision | None) -> Ask:
    """What a person is asked. Doubt about the same effect may come up again: each time is a request of its own."""
    times = sum(1 for attempt in step.attempts if attempt.get("cause") == IN_DOUBT)
    scope = f"{step.scope}/doubt" if not times else f"{step.scope}/doubt/{times + 1}"
    request = step.request if gate is None else gate.request
    return Ask(scope, step.n, IN_DOUBT, step.digest, request, step.agent, step.name, decision=decision)


def told(decision: Decision) -> dict[str, Json]:
    """What the attempt that was in doubt keeps of the answer; ``told`` says that the team hears whose word it is."""
    return {"answer": decision.answer, "by": decision.by, "request": decision.request, "told": True}
