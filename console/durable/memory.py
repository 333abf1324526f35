"""A journal and gates that live in memory: for tests, and as the plainest statement of what the protocols mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from .errors import Fenced
from .steps import Ask, Decision, Step, Verdict


def _copy(step: Step) -> Step:
    """The step with its JSON through JSON: what comes back is what a database would give back."""
    parts = (step.request, step.verdict, step.result, step.error, step.attempts, step.usage)
    request, verdict, result, error, attempts, usage = json.loads(json.dumps(parts))
    return replace(step, request=request, verdict=verdict, result=result, error=error, attempts=attempts, usage=usage)


class MemoryStore:
    """What outlives a worker: the steps of one run, and the token of whoever may write."""

    def __init__(self) -> None:
        self.token = 0
        self.seq = 0  # the last place taken
        self.steps: dict[tuple[str, int], Step] = {}
        self.late: list[Step] = []

    def claim(self) -> MemoryJournal:
        """A journal under a new token; every older one is fenced from now on."""
        self.token += 1
        return MemoryJournal(self, self.token)

    def snapshot(self) -> list[Step]:
        """Copies of the steps, by seq."""
        return sorted((_copy(step) for step in self.steps.values()), key=lambda step: step.seq)


class MemoryJournal:
    """See ``steps.Journal``."""

    def __init__(self, store: MemoryStore, token: int) -> None:
        self._store = store
        self._token = token

    def _take(self, place: int) -> None:
        if self._token != self._store.token:
            raise Fenced(f"token {self._token} is stale")
        if place != self._store.seq + 1:
            raise Fenced(f"place {place} is taken" if place <= self._store.seq else f"place {place} leaves a gap")

    async def load(self) -> list[Step]:
        if self._token != self._store.token:
            raise Fenced(f"token {self._token} is stale")
        return self._store.snapshot()

    async def append(self, step: Step) -> None:
        self._take(step.seq)
        if (step.scope, step.n) in self._store.steps:
            raise ValueError(f"{step.scope}#{step.n} is recorded already")
        self._store.steps[step.scope, step.n] = _copy(step)
        self._store.seq = step.seq

    async def settle(self, step: Step) -> None:
        if self._token != self._store.token:
            raise Fenced(f"token {self._token} is stale")
        ours = self._store.steps[step.scope, step.n]
        if ours.settled is not None:
            raise Fenced(f"{step.scope}#{step.n} is settled already")
        if step.settled is not None:
            self._take(step.settled)
            self._store.seq = step.settled
        self._store.steps[step.scope, step.n] = _copy(step)

    async def keep_late(self, step: Step) -> None:
        self._store.late.append(_copy(step))


class MemoryGates:
    """Requires a person at every gate unless ``policy`` says otherwise."""

    def __init__(self, policy: Callable[[Ask], Verdict] | None = None) -> None:
        self.policy = policy or (lambda ask: Verdict("require"))
        self.judged: list[Ask] = []
        self.announced: dict[tuple[str, int], Ask] = {}
        self.decided: dict[tuple[str, int], Decision] = {}  # in the order of decision

    def decide(self, scope: str, n: int, decision: Decision) -> None:
        """What a person says. Raises KeyError when nothing was announced there, ValueError the second time."""
        ask = self.announced[scope, n]
        if (scope, n) in self.decided:
            raise ValueError(f"{scope}#{n} is decided already")
        if decision.verdict == "approve" and not decision.digest:
            decision = replace(decision, digest=ask.digest)
        self.decided[scope, n] = decision

    async def judge(self, ask: Ask) -> Verdict:
        self.judged.append(ask)
        return self.policy(ask)

    async def announce(self, ask: Ask) -> None:
        self.announced.setdefault((ask.scope, ask.n), ask)

    async def decisions(self, asks: Sequence[Ask]) -> list[tuple[Ask, Decision]]:
        wanted = {(ask.scope, ask.n): ask for ask in asks}
        return [(wanted[place], decision) for place, decision in self.decided.items() if place in wanted]
