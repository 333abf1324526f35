"""``bench import``: how long a document that AutoGen Studio wrote takes from its text to a validated revision.

Teams of 1, 4 and 50 agents, each agent with a tool whose source is in the document. Each round begins with the text, since
that is what is handed in. Examined: parsed, checked, normalised, and put together once for a trial. With storing: all of
what ``workflows.actions.create_revision`` does, up to the end of its transaction, on the instance's Postgres.

``cold_ms`` is the first time: that of the smallest team is this process's first import of all, those of the others the
first of their size. No other round has it in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from console import startup
from console.bench.figures import Stopwatch, middle, ms, percentile
from console.bench.tenant import bench_actor, workflow_of
from console.demo.documents import assistant, component, model, until
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope
from console.workflows import actions
from console.workflows import body as bodies
from console.workflows.models import Workflow

Json = dict[str, Any]

SIZES = {1: (300, 50), 4: (300, 50), 50: (60, 30)}  # agents: rounds, and rounds with storing
ALLOWED = 0.3  # seconds

_CALCULATOR = '''def calculator(a: float, b: float, operator: str) -> str:
    """Do one step of arithmetic."""
    results = {"+": a + b, "-": a - b, "*": a * b}
    return str(results[operator]) if operator in results else str(a / b)
'''
_SELECT = "Pick who speaks next from {participants}.\n{roles}\n\n{history}\n\nOnly return the role."


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    startup.settle()  # as a web process does
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    texts = {size: json.dumps(body(size)) for size in SIZES}
    for size, (rounds, _) in SIZES.items():
        cold, *warm = _times(partial(examined, texts[size]), rounds + 1)
        figures[f"{size}_agents"] = {"document_kb": round(len(texts[size]) / 1000, 1), **_figures(warm, cold)}
        ratios[f"{size}_agents_p50_to_300_ms"] = round(middle(warm) / ALLOWED, 4)
    actor = bench_actor()
    for size, (_, rounds) in SIZES.items():
        workflow = workflow_of(actor, f"import-{size}", body(size))
        try:
            stored = _times(partial(_store, actor, workflow, texts[size]), rounds)
        finally:
            _forget(actor, workflow)
        figures[f"{size}_agents"] |= {"with_storing_ms": ms(middle(stored)), "with_storing_p99_ms": _p99(stored)}
        ratios[f"{size}_agents_with_storing_p50_to_300_ms"] = round(middle(stored) / ALLOWED, 4)
    return figures, ratios


def examined(text: str) -> Json:
    """The body that a revision would keep. Raises RuntimeError when it is refused."""
    kept, findings = bodies.examine(json.loads(text))
    if kept is None:
        raise RuntimeError(f"a document of the benchmark is refused: {findings}")
    return kept


def body(agents: int) -> Json:
    """A revision's body around Studio's document of so many agents."""
    return {"team": document(agents), "tools": {"calculator": "calculator"}}


def document(agents: int) -> Json:
    """One agent: Studio's default team. A handful: its older files' version of agents. More: a selector's team."""
    if agents == 1:
        return _round_robin([_agent(0)])
    if agents < 10:
        return _round_robin([_older(_agent(number)) for number in range(agents)])
    config = {
        "participants": [_agent(number) for number in range(agents)],
        "model_client": model(),
        "termination_condition": until("TERMINATE", 10 * agents),
        "selector_prompt": _SELECT,
        "allow_repeated_speaker": False,
        "max_selector_attempts": 3,
        "emit_team_events": False,
        "model_client_streaming": False,
    }
    return component("team", "autogen_agentchat.teams.SelectorGroupChat", config)


def _round_robin(agents: Sequence[Json]) -> Json:
    config = {
        "participants": list(agents),
        "termination_condition": until("TERMINATE", 10),
        "emit_team_events": False,
    }
    return component("team", "autogen_agentchat.teams.RoundRobinGroupChat", config)


def _agent(number: int) -> Json:
    """An agent with Studio's calculator on a workbench."""
    about = "An agent that provides assistance with ability to use tools."
    told = "You are a helpful assistant. Solve tasks carefully. When done, say TERMINATE."
    return assistant(f"assistant_agent_{number}", about, told, [_calculator()])


def _older(agent: Json) -> Json:
    """The agent as version 1 wrote it: its tools beside it, without a workbench."""
    config = dict(agent["config"])
    benches = config.pop("workbench")
    for unknown in ("max_tool_iterations", "metadata"):
        config.pop(unknown)
    config |= {"tools": benches[0]["config"]["tools"], "handoffs": []}
    return {**agent, "version": 1, "component_version": 1, "config": config}


def _calculator() -> Json:
    config = {
        "source_code": _CALCULATOR,
        "name": "calculator",
        "description": "A simple calculator that performs basic arithmetic operations",
        "global_imports": [],
        "has_cancellation_support": False,
    }
    return component("tool", "autogen_core.tools.FunctionTool", config)


def _store(actor: Actor, workflow: Workflow, text: str) -> None:
    with tenant_scope(actor.tenant):
        actions.create_revision(actor, workflow, json.loads(text))


def _forget(actor: Actor, workflow: Workflow) -> None:
    """Leave no revisions behind."""
    with tenant_scope(actor.tenant):
        kept = Workflow.objects.filter(tenant=actor.tenant, pk=workflow.pk)
        kept.update(current=None)
        kept.delete()


def _times(work: Callable[[], object], rounds: int) -> list[float]:
    """Wall seconds of each round."""
    found = []
    for _ in range(rounds):
        with Stopwatch() as watch:
            work()
        found.append(watch.spent.wall)
    return found


def _figures(warm: Sequence[float], cold: float) -> dict[str, Any]:
    return {"rounds": len(warm), "cold_ms": ms(cold), "p50_ms": ms(middle(warm)), "p99_ms": _p99(warm)}


def _p99(times: Sequence[float]) -> float:
    return ms(percentile(times, 99))
