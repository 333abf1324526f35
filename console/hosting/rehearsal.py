"""The turn of a run that only tests its revision: models are asked, tools do nothing, and nobody is disturbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from console.agents.breakers import Breaker, Breakers
from console.agents.tools import ToolSpec
from console.durable.steps import Ask, Decision, Json, Safety
from console.hosting.gates import HostGates
from console.hosting.lending import Lent
from console.workflows import smoke

NOTHING_DONE: Json = {"ok": True, "note": "A smoke test: nothing was done."}
NO_ANSWER = "There is nobody to ask in a smoke test. Please go on as well as you can."
BY = "the smoke test"


class Rehearsal(Lent):
    """The Environment of a case: a tool answers with its stub. Without one, it is called if it only reads; any other
    says that it was done."""

    def __init__(self, case: Mapping[str, Any], body: Mapping[str, Any], *lent: Any) -> None:
        super().__init__(body, *lent)
        names = smoke.catalogued(body)
        self._stubs = {names.get(name, name): stub for name, stub in (case.get("stubs") or {}).items()}
        self._own = Breakers()
        self.ledger = None  # nothing is done, so nothing was done before

    def tool(self, name: str, version: int) -> ToolSpec:
        """The pinned tool without its effect. Raises KeyError."""
        spec = super().tool(name, version)
        stub = self._stubs.get(name)
        if stub is None:
            if spec.safety is Safety.READ_ONLY:
                return spec
            stub = {"result": NOTHING_DONE}

        async def call(arguments: dict[str, Any], key: str) -> Json:
            if "fails" in stub:
                raise RuntimeError(stub["fails"])
            return stub["result"]

        return replace(spec, call=call)

    def tool_breaker(self, name: str) -> Breaker:
        """One of its own: what a stub answers says nothing about the tool."""
        return self._own.get(name)


class StandIn(HostGates):
    """Oversight of a case: the policy judges as ever, and where it wants a person, the case has decided beforehand."""

    def __init__(self, case: Mapping[str, Any], *given: Any) -> None:
        super().__init__(*given)
        self._case = case

    async def announce(self, ask: Ask) -> None:
        """Nobody is told."""

    async def decisions(self, asks: Sequence[Ask]) -> list[tuple[Ask, Decision]]:
        """All of them, at once."""
        return [(ask, self._decide(ask)) for ask in asks]

    def _decide(self, ask: Ask) -> Decision:
        at = datetime.now(UTC).isoformat()
        if ask.kind == "question":
            return Decision("respond", answer=self._case.get("answer") or NO_ANSWER, by=BY, at=at)
        if ask.kind == "in_doubt":  # a worker was lost in the middle of a stub
            return Decision("respond", answer="did not happen", by=BY, at=at)
        verdict = self._case.get("decide") or "approve"
        reason = "The smoke test's case says so." if verdict == "reject" else ""
        return Decision(verdict, reason, by=BY, at=at, digest=ask.digest)
