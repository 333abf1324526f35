"""Any crash point plus resume yields the journal of the run that did not crash, and nothing is done twice."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from console.durable import (
    Ask,
    Decision,
    Finished,
    Gate,
    Json,
    Lost,
    MemoryGates,
    Run,
    Safety,
    Suspended,
    Verdict,
    failpoints,
)

from .lab import Lab, look, pay

MINUTE = timedelta(minutes=1)


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


def desk(seed: int) -> Lab:
    """Each kind of effect and gate, two branches at once."""

    async def main(run: Run) -> Json:
        async def payer() -> list[Json]:
            out = [(await look(run, lab.world, "payer/model", 1)).value]
            for amount in (1, 2):
                settled = await pay(run, lab.world, "payer/tools", {"amount": amount}, timeout=MINUTE)
                out.append([settled.value, settled.decision and settled.decision.verdict])
            return out

        async def clerk() -> list[Json]:
            out = [(await look(run, lab.world, "clerk/model", 1)).value]
            mail = pay(run, lab.world, "clerk/mail", "hi", gated=False, safety=Safety.IDEMPOTENT, timeout=MINUTE)
            out.append((await mail).value)
            out.append((await run.gate("clerk/question", Gate("question", "sure?"))).answer)
            return out

        both = await asyncio.gather(payer(), clerk())
        final = await run.gate("team/final", Gate("final", both))
        return [*both, final.verdict]

    def policy(ask: Ask) -> Verdict:
        small = ask.kind == "tool" and ask.request["arguments"]["amount"] == 1
        return Verdict("allow" if small else "require")

    lab = Lab(main, seed=seed, gates=MemoryGates(policy))
    return lab


def answer(lab: Lab, ask: Ask) -> Decision:
    """What an honest person says, who can look into the world."""
    if ask.kind == "in_doubt":
        scope = ask.scope.split("/doubt")[0]
        if not lab.world.done[scope, ask.n]:
            return Decision("respond", answer="did not happen")
        arguments = ask.decision.arguments if ask.decision else None
        return Decision("respond", answer="happened", result={"scope": scope, "n": ask.n, "arguments": arguments})
    return Decision("respond", answer="yes") if ask.kind == "question" else Decision("approve")


def to_the_end(lab: Lab) -> tuple[Any, int]:
    """Advance, decide and wait until the run is over, whatever crashes; and how often it crashed."""
    crashes = 0
    for _ in range(200):
        try:
            outcome = lab.advance()
        except Crash:
            crashes += 1
            continue
        if isinstance(outcome, Lost):  # a sibling heard of the new token before the crash came up
            crashes += 1
            continue
        if not isinstance(outcome, Suspended):
            return outcome, crashes
        for ask in outcome.parked:
            if (ask.scope, ask.n) not in lab.gates.decided:
                lab.gates.decide(ask.scope, ask.n, answer(lab, ask))
        if outcome.wake_after is not None:
            lab.clock.forward(seconds=outcome.wake_after.total_seconds())
    raise AssertionError("the run does not end")


def tale(lab: Lab) -> list[Any]:
    """The journal, without what a crash may change: places, times and attempts."""
    return sorted([step.scope, step.n, step.kind, step.status, step.digest, str(step.result)] for step in lab.record)


def crash_at(lab: Lab, *hits: int) -> list[str]:
    """Die at the given passes of failpoints, counted over all of them; the names passed are noted."""
    passed: list[str] = []

    def hook(name: str) -> None:
        passed.append(name)
        if len(passed) in hits:
            lab.store.token += 1  # dead processes write nothing
            raise Crash(name)

    failpoints.arm(hook)
    return passed


def plain(seed: int = 0) -> tuple[Lab, Any, list[str]]:
    lab = desk(seed)
    passed = crash_at(lab)
    outcome, _ = to_the_end(lab)
    assert isinstance(outcome, Finished)
    return lab, outcome, passed


def test_the_scenario_passes_every_failpoint() -> None:
    assert set(plain()[2]) == set(failpoints.NAMES)


_HITS = 42  # passes of failpoints in the scenario without a crash; checked below


def test_every_pass_is_crashed_below() -> None:
    assert len(plain()[2]) <= _HITS


def check(lab: Lab, outcome: Any) -> None:
    reference, expected, _ = plain()
    assert outcome.value[0] == expected.value[0] and outcome.value == expected.value
    assert [line[:5] for line in tale(lab)] == [line[:5] for line in tale(reference)]
    for place, times in lab.world.done.items():
        if place[0] == "payer/tools":
            assert times == 1, "a payment was made twice"
    places = sorted([step.seq for step in lab.record] + [s.settled for s in lab.record if s.settled != s.seq])  # type: ignore[misc]
    assert places == list(range(1, len(places) + 1))
    # and it is final: once more changes nothing
    record, began = lab.record, sum(lab.world.began.values())
    failpoints.arm(None)
    assert lab.advance() == outcome
    assert lab.record == record and sum(lab.world.began.values()) == began


@pytest.mark.parametrize("hit", range(1, _HITS + 1))
def test_crash_once(hit: int) -> None:
    lab = desk(seed=hit)
    passed = crash_at(lab, hit)
    outcome, crashes = to_the_end(lab)
    assert crashes == (len(passed) >= hit)
    check(lab, outcome)


@pytest.mark.parametrize("seed", range(12))
def test_crash_again_and_again(seed: int) -> None:
    # At random: a fixed rhythm may meet the same point for ever.
    hand = random.Random(seed)
    lab = desk(seed)
    crash_at(lab, *(hit for hit in range(1000) if hand.random() < 0.3))
    outcome, crashes = to_the_end(lab)
    assert crashes > 3
    check(lab, outcome)


def test_a_failpoint_kills_the_process_at_the_given_pass() -> None:
    code = "from console.durable.failpoints import hit\nfor i in range(5): print(i, flush=True); hit('after_effect')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"SAYSO_FAILPOINT": "after_effect:3"}, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL and done.stdout.split() == ["0", "1", "2"]


def test_there_is_no_such_failpoint() -> None:
    with pytest.raises(ValueError, match="before_intent"):
        failpoints.killer("somewhere")
