"""The teams that live through it: a sequence with a gate, an idempotent call without one, two branches, a question, and
one where every message is read. What each agent does is said in its system message; see ``world.answer``."""

from __future__ import annotations

from typing import Any

from console.bench.chaos.world import CLOSING, IDEMPOTENT, READING
from console.bench.tenant import workflow_of
from console.demo.documents import assistant, component, tool, until
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope
from console.workflows import tool_actions

Json = dict[str, Any]

PAYING = "chaos_pay"
TOOLS = (PAYING, IDEMPOTENT, READING)
EFFECTS = {PAYING: "neither", IDEMPOTENT: "idempotent", READING: "read_only"}
LARGE = 1000.0  # an amount above it takes two people

_DEED = {
    "type": "object",
    "properties": {"deed": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["deed", "amount"],
}
_LOOK = {"type": "object", "properties": {"ticket": {"type": "string"}}, "required": ["ticket"]}


def register(actor: Actor, world: str, tool_timeout: int) -> None:
    """Put the world's tools into the tenant's catalogue. ``tool_timeout`` in seconds."""
    for name in TOOLS:
        body = {
            "kind": "http", "url": f"{world}/tools/{name}", "effect": EFFECTS[name], "risk": "medium",
            "schema": _LOOK if name == READING else _DEED, "description": f"Does {name}.", "timeout": f"PT{tool_timeout}S",
            "approval": "require" if name == PAYING else "allow",
        }  # fmt: skip
        with tenant_scope(actor.tenant):
            tool_actions.put_tool(actor, name, body)


def make(actor: Actor, tool_timeout: int) -> list[str]:
    """Make the workflows; returns their slugs."""
    for slug, body in bodies(tool_timeout).items():
        workflow_of(actor, slug, body)
    return list(bodies(tool_timeout))


def bodies(tool_timeout: int) -> dict[str, Json]:
    """Revision bodies by the slug of their workflow."""
    return {
        "chaos-pay": _body(
            _round_robin(_agent("clerk", READING), _agent("payer", PAYING, closes=True)), tool_timeout, mode="TERMINATE"
        ),
        "chaos-post": _body(_round_robin(_agent("poster", IDEMPOTENT), _agent("closer", closes=True)), tool_timeout),
        "chaos-graph": _body(_graph(), tool_timeout, gated=IDEMPOTENT),
        "chaos-ask": _body(
            _round_robin(_agent("clerk", READING), _person(), _agent("payer", PAYING, closes=True)), tool_timeout
        ),
        "chaos-always": _body(
            _round_robin(_agent("poster", IDEMPOTENT), _agent("payer", PAYING, closes=True)),
            tool_timeout,
            mode="ALWAYS",
        ),
    }


def _body(team: Json, tool_timeout: int, mode: str = "NEVER", gated: str = "") -> Json:
    large = {"name": "large payments", "match": {"tool": PAYING}, "when": f"arguments.amount > {LARGE}",
             "effect": "require", "approvers": 2}  # fmt: skip
    rules = [large, *([{"name": "gated", "match": {"tool": gated}, "effect": "require"}] if gated else [])]
    return {
        "team": team,
        "credential": "default",
        "tools": {name: name for name in TOOLS if f'"{name}"' in _text(team)},
        "oversight": {"mode": mode},
        "rules": rules,
        "limits": {
            "max_turns": 40, "max_tokens": 10**9, "model_timeout": "PT5S", "run_timeout": "PT10M",
            "tool_timeout": f"PT{tool_timeout}S",
        },
        "output_contract": {"type": "string", "minLength": 1},
    }  # fmt: skip


def _text(value: Any) -> str:
    return repr(value).replace("'", '"')


def _agent(name: str, does: str = "", closes: bool = False) -> Json:
    words = f"You are {name}." + (f" Your tool is {does}." if does else "") + (" You close the case." if closes else "")
    return assistant(name, f"The {name} of the team.", words, [tool(does, f"Does {does}.")] if does else [])


def _person() -> Json:
    return component(
        "agent", "autogen_agentchat.agents.UserProxyAgent", {"name": "colleague", "description": "A person who knows."}
    )


def _round_robin(*participants: Json) -> Json:
    config = {
        "participants": list(participants),
        "termination_condition": until(CLOSING, 30),
        "emit_team_events": False,
    }
    return component("team", "autogen_agentchat.teams.RoundRobinGroupChat", config)


def _graph() -> Json:
    def node(name: str, *targets: str) -> Json:
        edges = [{"target": t, "activation_group": t, "activation_condition": "all"} for t in targets]
        return {"name": name, "edges": edges, "activation": "all"}

    agents = [_agent("advisor"), _agent("payer", PAYING), _agent("poster", IDEMPOTENT), _agent("recorder", closes=True)]
    nodes = [
        node("advisor", "payer", "poster"),
        node("payer", "recorder"),
        node("poster", "recorder"),
        node("recorder"),
    ]
    graph = {"nodes": {each["name"]: each for each in nodes}, "default_start_node": "advisor"}
    return component("team", "autogen_agentchat.teams.GraphFlow", {"participants": agents, "graph": graph})
