"""The demo's workflows: AutoGen component documents, written out as Studio would export them, and revision bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

MODEL = "gpt-4o-mini"  # a real name: with a real provider's credential the same document runs there


@dataclass(frozen=True)
class DemoWorkflow:
    """A workflow to seed: its slug and names, the body of its revision, an input to try it with, and smoke tests."""

    slug: str
    name: str
    description: str
    body: Json
    example: str
    smoke: tuple[Json, ...] = ()


def component(kind: str, provider: str, config: Json, version: int = 1) -> Json:
    """One node of an AutoGen component document."""
    return {
        "provider": provider,
        "component_type": kind,
        "version": version,
        "component_version": version,
        "label": provider.rsplit(".", 1)[1],
        "description": None,
        "config": config,
    }


def model(name: str = MODEL) -> Json:
    """A model node. It carries no key and no address: the tenant's credential supplies them."""
    return component("model", "autogen_ext.models.openai.OpenAIChatCompletionClient", {"model": name})


def tool(name: str, description: str) -> Json:
    """A tool node without source code: the revision's ``tools`` map names the catalogue tool behind it."""
    return component(
        "tool",
        "autogen_core.tools.FunctionTool",
        {
            "source_code": "",
            "name": name,
            "description": description,
            "global_imports": [],
            "has_cancellation_support": False,
        },
    )


def assistant(
    name: str, description: str, system_message: str, tools: Sequence[Json] = (), handoffs: Sequence[str] = ()
) -> Json:
    """An AssistantAgent that streams, and puts its tools' results into words of its own."""
    config: Json = {
        "name": name,
        "description": description,
        "system_message": system_message,
        "model_client": model(),
        "workbench": [
            component("workbench", "autogen_core.tools.StaticStreamWorkbench", {"tools": list(tools)}),
        ],
        "model_context": component(
            "chat_completion_context", "autogen_core.model_context.UnboundedChatCompletionContext", {}
        ),
        "model_client_stream": True,
        "reflect_on_tool_use": bool(tools),
        "tool_call_summary_format": "{result}",
        "max_tool_iterations": 1,
        "metadata": {},
    }
    if handoffs:
        config["handoffs"] = [
            {
                "target": target,
                "name": f"transfer_to_{target}",
                "description": f"Hand the ticket over to {target}.",
                "message": f"Transferred to {target}, adopting the role of {target} immediately.",
            }
            for target in handoffs
        ]
    return component("agent", "autogen_agentchat.agents.AssistantAgent", config, version=2)


def until(text: str, messages: int) -> Json:
    """A termination condition: somebody says the words, or there have been so many messages."""
    mention = component("termination", "autogen_agentchat.conditions.TextMentionTermination", {"text": text})
    limit = component(
        "termination",
        "autogen_agentchat.conditions.MaxMessageTermination",
        {"max_messages": messages, "include_agent_event": False},
    )
    return component("termination", "autogen_agentchat.base.OrTerminationCondition", {"conditions": [mention, limit]})


SELECTOR_PROMPT = """Pick who speaks next. The following roles are available:
{roles}

Read the following conversation. Then select the next role from {participants} to play. Only return the role.

{history}

Whoever the last message is handed over to speaks next. Only return the role, from {participants}.
"""


def refund_desk() -> Json:
    """A selector team. The only thing that stops it is its one action, issue_refund."""
    team = component(
        "team",
        "autogen_agentchat.teams.SelectorGroupChat",
        {
            "participants": [
                assistant(
                    "planner",
                    "Reads the request and plans the case; speaks first, and after a colleague has answered.",
                    "You are the planner of the refund desk. Say in two steps what is to be done, and by whom. Never "
                    "guess an order number: ask the colleague. End with 'Over to clerk.' or 'Over to colleague.'",
                ),
                assistant(
                    "clerk",
                    "Looks up the order and the policy.",
                    "You are the clerk of the refund desk. Look up the order and the policy, report the facts in "
                    "one sentence, and end with 'Over to payer.'",
                    [
                        tool("lookup_order", "Look an order up by its number."),
                        tool("check_policy", "The house policy on a topic."),
                    ],
                ),
                assistant(
                    "payer",
                    "Pays refunds and reports what was paid; speaks last.",
                    "You are the payer of the refund desk. Issue the refund with the facts of the conversation, report "
                    "exactly what was paid, or why nothing was, and end with CASE CLOSED.",
                    [tool("issue_refund", "Pay money back to a customer.")],
                ),
                component(
                    "agent",
                    "autogen_agentchat.agents.UserProxyAgent",
                    {"name": "colleague", "description": "A person at the desk who knows what the customer meant."},
                ),
            ],
            "model_client": model(),
            "termination_condition": until("CASE CLOSED", 24),
            "selector_prompt": SELECTOR_PROMPT,
            "allow_repeated_speaker": False,
            "max_selector_attempts": 3,
            "emit_team_events": False,
            "model_client_streaming": False,
        },
    )
    return {
        "team": team,
        "credential": "default",
        "tools": {name: name for name in ("lookup_order", "check_policy", "issue_refund")},
        "oversight": {"mode": "NEVER"},
        "rules": [
            {
                "name": "large refunds",
                "match": {"tool": "issue_refund"},
                "when": "arguments.amount > 1000.0",
                "effect": "require",
                "approvers": 2,
                "group": "finance",
            }
        ],
        "limits": {"max_turns": 24, "max_tokens": 200_000, "model_timeout": "PT10S", "tool_timeout": "PT10S"},
        "output_contract": {"type": "string", "minLength": 1},
    }


def support_triage() -> Json:
    """A swarm that hands a ticket to a specialist; its answer is reviewed before it counts."""
    report = "Look up what you need with your tool, answer the customer in two sentences, and end with RESOLVED."
    team = component(
        "team",
        "autogen_agentchat.teams.Swarm",
        {
            "participants": [
                assistant(
                    "triage",
                    "Reads a ticket and hands it to the right desk.",
                    "You are the triage of the support team. Hand the ticket to billing, technical or compliance.",
                    handoffs=("billing", "technical", "compliance"),
                ),
                assistant(
                    "billing",
                    "Invoices, charges and refunds.",
                    f"You are the billing specialist of the support team. {report}",
                    [tool("lookup_invoice", "Find an invoice by its number, or by what a customer says about it.")],
                ),
                assistant(
                    "technical",
                    "Errors, outages and how-to.",
                    f"You are the technical specialist of the support team. {report}",
                    [tool("search_tickets", "Search solved tickets for a similar problem.")],
                ),
                assistant(
                    "compliance",
                    "Privacy, contracts and the law.",
                    f"You are the compliance specialist of the support team. {report}",
                    [tool("check_policy", "The house policy on a topic.")],
                ),
            ],
            "termination_condition": until("RESOLVED", 20),
            "emit_team_events": False,
        },
    )
    return {
        "team": team,
        "credential": "default",
        "tools": {name: name for name in ("lookup_invoice", "search_tickets", "check_policy")},
        "oversight": {"mode": "TERMINATE", "max_reviews": 3},
        "limits": {"max_turns": 20, "model_timeout": "PT10S"},
        "topics": ["support_ticket"],
    }


def change_advisory() -> Json:
    """A graph with two branches at once. Each has one action to approve, in either order, and then they join."""

    def node(name: str, *targets: str) -> Json:
        edges = [{"target": t, "activation_group": t, "activation_condition": "all"} for t in targets]
        return {"name": name, "edges": edges, "activation": "all"}

    team = component(
        "team",
        "autogen_agentchat.teams.GraphFlow",
        {
            "participants": [
                assistant(
                    "advisor",
                    "Assesses a change.",
                    "You are the advisor of the change board. Split the change into one network step and one service "
                    "step that do not depend on each other.",
                ),
                assistant(
                    "network_engineer",
                    "Changes firewalls.",
                    "You are the network engineer of the change board. Apply the one firewall rule it needs and "
                    "report it.",
                    [tool("apply_firewall_rule", "Change one rule of the firewall.")],
                ),
                assistant(
                    "service_engineer",
                    "Restarts services.",
                    "You are the service engineer of the change board. Restart the one service the change needs and "
                    "report it.",
                    [tool("restart_service", "Restart a service; it is down for about a minute.")],
                ),
                assistant(
                    "recorder",
                    "Writes the change record.",
                    "You are the recorder of the change board. Write down in two sentences what was done and what was "
                    "not.",
                ),
            ],
            "graph": {
                "nodes": {
                    "advisor": node("advisor", "network_engineer", "service_engineer"),
                    "network_engineer": node("network_engineer", "recorder"),
                    "service_engineer": node("service_engineer", "recorder"),
                    "recorder": node("recorder"),
                },
                "default_start_node": "advisor",
            },
        },
    )
    return {
        "team": team,
        "credential": "default",
        "tools": {name: name for name in ("apply_firewall_rule", "restart_service")},
        "oversight": {"mode": "NEVER"},
        "limits": {"max_turns": 12, "max_tokens": 200_000, "model_timeout": "PT10S"},
        "output_contract": {"type": "string", "minLength": 1},
    }


WORKFLOWS = (
    DemoWorkflow(
        "refund-desk",
        "Refund desk",
        "A planner, a clerk and a payer settle a refund. The payment waits for a person; above EUR 1,000 for two.",
        refund_desk(),
        "Refund order A-1001, 250 EUR, it arrived broken",
        (
            {
                "name": "a small refund asks a person, and is paid",
                "input": "Refund order A-1001, 250 EUR, it arrived broken",
                "stubs": {"issue_refund": {"result": {"refund": "RF-TEST", "amount": 250.0, "currency": "EUR"}}},
                "expect": {"tools": ["lookup_order", "check_policy", "issue_refund"], "asked": ["issue_refund"]},
            },
            {
                "name": "nothing is paid when people say no",
                "input": "Refund order A-1002, 1,250 EUR, wrong colour",
                "decide": "reject",
                "expect": {"tools": ["lookup_order", "check_policy"], "asked": ["issue_refund"]},
            },
        ),
    ),
    DemoWorkflow(
        "support-triage",
        "Support triage",
        "A ticket goes to billing, technical or compliance; the answer is reviewed before it counts.",
        support_triage(),
        "I was charged twice on invoice INV-2041",
    ),
    DemoWorkflow(
        "change-advisory",
        "Change advisory",
        "Two engineers act in parallel: a firewall rule and a restart. Each waits for its own approval.",
        change_advisory(),
        "Open port 8443 for checkout-api and restart it",
    ),
)
