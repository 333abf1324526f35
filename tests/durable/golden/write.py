"""Record the golden journals that are missing. Run by hand, once for each schema version."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from console.durable import SCHEMA_VERSION, Ask, Done, EffectFailed, Finished, Json, MemoryGates, Suspended, Verdict

from ..lab import Lab
from .form import to_json
from .programs import DECISIONS, NAMES, programs, verdict


class Died(BaseException):
    """The worker, in the middle of a payment."""


def record(name: str) -> dict[str, Json]:
    """Run a program to its end; its journal and its outcome."""
    deaths = {("payer/tools", 3)}

    async def act(scope: str, n: int, arguments: Json) -> Done:
        if name == "branches":
            await lab.world.latency()
        if (scope, n) in deaths:
            deaths.remove((scope, n))
            raise Died
        if (scope, n) == ("clerk/tools", 2):
            return Done({"text": "no such order", "is_error": True}, failed=True)
        if (scope, n) == ("clerk/tools", 3):
            raise EffectFailed({"type": "Refused", "message": "try later"}, [{"cause": "429"}], {"input_tokens": 1})
        usage = {"input_tokens": 10 * n, "output_tokens": n} if scope.endswith("model") else None
        return Done({"did": [scope, n, arguments], "text": "café 🙂 \u0000"}, usage, "0.00012" if usage else None)

    def policy(ask: Ask) -> Verdict:
        return verdict(ask.n - 1) if ask.tool and not ask.decision else Verdict("require")

    lab = Lab(programs(act)[name], seed=7, gates=MemoryGates(policy))
    while True:
        try:
            outcome = lab.advance()
        except Died:
            lab.clock.forward(minutes=5)
            continue
        if isinstance(outcome, Finished):
            return {"schema": SCHEMA_VERSION, "value": outcome.value, "steps": [to_json(step) for step in lab.record]}
        assert isinstance(outcome, Suspended), outcome
        lab.clock.forward(seconds=(outcome.wake_after or timedelta(hours=1)).total_seconds())
        for ask in outcome.parked:
            lab.gates.decide(ask.scope, ask.n, DECISIONS[ask.scope, ask.n])


def main() -> None:
    for name in NAMES:
        path = Path(__file__).parent / f"v{SCHEMA_VERSION}_{name}.json"
        if not path.exists():
            path.write_text(json.dumps(record(name), indent=1) + "\n")
            print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
