"""``bench replay``: putting each of the demo's teams together for a resume, beside AutoGen loading the same document.

    stock              ``Team.load_component`` of the document on AutoGen as it comes, with a client that costs nothing and
                       tools made beforehand: OpenAI's client alone would make any rebuild look cheap (see ``bare``)
    stock_with_source  the same, but AutoGen makes the tools of their source, as it must where nobody keeps them
    rebuild            what a worker does between the claim of a run and the first step of its team: the revision's body
                       read, with its limits and oversight, wrapped, and loaded inside a room
    first_rebuild      the same when this process has not kept the wrapped document of an earlier one

All of it takes turns in one process, inside a run of the engine. Handing the journal back is in ``bench overhead``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import cycle, permutations
from typing import Any

from autogen_agentchat.base import Team

from console import startup
from console.agents import team
from console.agents.clients import Clients
from console.bench import bare
from console.bench.figures import Spent, Stopwatch, middle, ms
from console.demo.documents import WORKFLOWS, DemoWorkflow
from console.durable.engine import advance
from console.durable.loop import new_loop
from console.durable.memory import MemoryGates, MemoryStore
from console.durable.run import Run
from console.durable.steps import Finished, Json, Verdict
from console.hosting.lending import Lent
from console.workflows import body as bodies
from console.workflows import catalogue

ROUNDS, WARM = 400, 20
PARTS = ("stock", "stock_with_source", "rebuild", "first_rebuild")


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    startup.settle((20_000, 20, 50))  # as a worker does
    figures: dict[str, Any] = {"rounds": ROUNDS}
    ratios: dict[str, float] = {}
    for workflow in WORKFLOWS:
        cpu = {}
        for part, spent in measure(workflow, ROUNDS, WARM).items():
            cpu[part] = middle([each.cpu for each in spent])
            wall = middle([each.wall for each in spent])
            figures[f"{workflow.slug}_{part}"] = {"cpu_ms": ms(cpu[part]), "wall_ms": ms(wall)}
        for ours, stock in (("rebuild", "stock"), ("rebuild", "stock_with_source"), ("first_rebuild", "stock")):
            ratios[f"{workflow.slug}_{ours}_to_{stock}"] = round(cpu[ours] / cpu[stock], 3)
    return figures, ratios


def measure(workflow: DemoWorkflow, rounds: int, warm: int = 0) -> dict[str, list[Spent]]:
    """What each part took in each of the rounds, after some that do not count."""
    tools = catalogue.all()
    specs = {name: tools[to] for name, to in workflow.body["tools"].items()}
    ready = bare.twin(workflow.body["team"], specs)
    written = bare.twin(workflow.body["team"], specs, with_source=True)
    body = revision_body(workflow)
    found: dict[str, list[Spent]] = {part: [] for part in PARTS}

    async def main(run: Run) -> Json:
        works: dict[str, Callable[[], object]] = {
            "stock": lambda: Team.load_component(ready),
            "stock_with_source": lambda: Team.load_component(written),
            "rebuild": lambda: rebuild(run, body),
            "first_rebuild": lambda: rebuild(run, body),
        }
        # Each comes after each other equally often: what one leaves in the processor's caches is there for the next.
        orders = cycle(permutations(PARTS))
        for number in range(-warm, rounds):
            for part in next(orders):
                if part == "first_rebuild":
                    team._wrapped.cache_clear()
                spent = _spent(works[part])
                if number >= 0:
                    found[part].append(spent)
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # AutoGen's, about the source that it executes
        in_a_run(main)
    return found


def revision_body(workflow: DemoWorkflow) -> Mapping[str, Any]:
    """A demo workflow's body as its revision keeps it."""
    body, findings = bodies.examine(workflow.body)
    if body is None:
        raise RuntimeError(f"{workflow.slug} is refused: {findings}")
    return body


def rebuild(run: Run, body: Mapping[str, Any]) -> Team:
    """As a worker does it. It asks for clients only when a model is called."""
    return team.rebuilt(run, body, Lent(body, {}, Clients()))[1]


def in_a_run(main: Callable[[Run], Any]) -> None:
    """Let the engine play a run with this main coroutine, on a worker's kind of loop."""
    loop = new_loop()
    journal, gates = MemoryStore().claim(), MemoryGates(lambda ask: Verdict("allow"))
    try:
        outcome = loop.run_until_complete(
            advance(main, run_id="bench", journal=journal, gates=gates, clock=lambda: datetime.now(UTC))
        )
    finally:
        loop.close()
    if not isinstance(outcome, Finished):
        raise RuntimeError(f"the run of the benchmark came to {outcome}")


def _spent(work: Callable[[], object]) -> Spent:
    with Stopwatch() as watch:
        work()
    return watch.spent
