"""Teams of every kind, forked at each of their steps: the kept record replays, and nothing of it is done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from console.durable.forks import keep
from console.durable.run import GATES
from console.durable.steps import Safety, Step, Suspended

from .stage import World
from .test_teams import ALL, play, round_robin


def forked(build: Callable[[], World], record: list[Step], at: Step, **options: bool) -> World:
    """A new run of the same team, with what a fork of ``record`` at a step begins with."""
    world = build()
    kept = [one.step for one in keep(record, at, **options)]
    world.store.steps = {(step.scope, step.n): step for step in kept}
    world.store.seq = max((max(step.seq, step.settled or 0) for step in kept), default=0)
    return world


@pytest.mark.parametrize("build", ALL)
def test_a_team_can_be_forked_at_any_step(build: Callable[[], World]) -> None:
    whole = build()
    expected = play(whole)
    record = whole.store.snapshot()
    for at in record:
        world = forked(build, record, at)
        kept = list(world.store.steps.values())
        result = play(world)
        assert (result["stop_reason"], result["result"]) == (expected["stop_reason"], expected["result"]), at.scope
        anew = [step for step in world.store.snapshot() if not step.inherited]
        assert Counter(name for name, _ in world.done) == Counter(s.name for s in anew if s.kind == "tool"), at.scope
        assert sum(world.asked.values()) == len([step for step in anew if step.kind == "model"]), at.scope
        # Every call that was made had a gate of this run, or none anywhere.
        there = {(step.scope, step.n) for step in kept}
        for step in anew:
            gates = [s for s in record if s.kind in GATES and (s.scope, s.n) == (f"{step.scope}/review", step.n)]
            assert not gates or (f"{step.scope}/review", step.n) not in there


def test_a_model_that_is_taken_to_have_said_something_else_is_not_asked() -> None:
    whole = round_robin()
    play(whole)
    record = whole.store.snapshot()
    at = next(step for step in record if step.kind == "model")
    world = forked(round_robin, record, at, answered=True)
    said = {
        "content": "TERMINATE",
        "finish_reason": "stop",
        "usage": {"input_tokens": 0, "output_tokens": 0},
        "cost": None,
    }
    own = world.store.steps[at.scope, at.n]
    world.store.steps[at.scope, at.n] = replace(own, result=said)
    outcome = world.go()
    while isinstance(outcome, Suspended):
        world.decide(outcome.parked[0], "approve")
        outcome = world.go()
    assert ("TERMINATE") in [content for _, content in world.said()]
    assert not [step for step in world.store.snapshot() if step.safety is not Safety.READ_ONLY], "nothing was done"
