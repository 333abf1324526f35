"""The demo's catalogue tools: what they ask for, how dangerous they are, and what they do.

To add a tool: write its coroutine (arguments and idempotency key in, JSON out), describe it in TOOLS, and name it
in a revision's ``tools``. Its ``safety`` decides what happens when a worker dies in the middle of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

from console.agents.tools import ToolSpec
from console.demo import effects, orders
from console.durable.steps import Safety

SLOW = "slow bank"  # in the reason of a refund: the bank pays at once and takes eight seconds to say so


def _schema(*required: str, **fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(required or fields), "additionalProperties": False}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description, "minLength": 1, "maxLength": 500}


async def lookup_order(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    return orders.order(arguments["order"])


async def check_policy(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    return {"topic": arguments["topic"], "policy": orders.policy(arguments["topic"])}


async def lookup_invoice(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    return orders.invoice(arguments["invoice"])


async def search_tickets(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    return {"tickets": orders.tickets(arguments["query"])}


async def issue_refund(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    effects.record("issue_refund", key, arguments)
    if SLOW in str(arguments.get("reason", "")).lower():
        await asyncio.sleep(8)
    number = hashlib.sha256(key.encode()).hexdigest()[:6].upper()
    paid = {name: arguments[name] for name in ("order", "customer", "amount")}
    return {"refund": f"RF-{number}", **paid, "currency": "EUR"}


async def restart_service(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    effects.record("restart_service", key, arguments)
    return {"done": f"{arguments['service']} restarted"}


async def apply_firewall_rule(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    effects.record("apply_firewall_rule", key, arguments)
    words = "{action} port {port} from {source} to {target}".format(**arguments)
    return {"done": words}


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(
        name="lookup_order",
        version=1,
        owner="Order desk",
        description="Look an order up by its number.",
        schema=_schema(order=_text("The order's number, such as A-1001")),
        safety=Safety.READ_ONLY,
        risk="low",
        approval="allow",
        title="Look up order {order}",
        call=lookup_order,
    ),
    ToolSpec(
        name="check_policy",
        version=1,
        owner="Order desk",
        description="The house policy on a topic.",
        schema=_schema(topic=_text("A word or two")),
        safety=Safety.READ_ONLY,
        risk="low",
        approval="allow",
        title="Look up the policy on {topic}",
        call=check_policy,
    ),
    ToolSpec(
        name="lookup_invoice",
        version=1,
        owner="Billing",
        description="Find an invoice by its number, or by what a customer says about it.",
        schema=_schema(invoice=_text("A number such as INV-2041, or the customer's words")),
        safety=Safety.READ_ONLY,
        risk="low",
        approval="allow",
        title="Look up invoice {invoice}",
        call=lookup_invoice,
    ),
    ToolSpec(
        name="search_tickets",
        version=1,
        owner="Support",
        description="Search solved tickets for a similar problem.",
        schema=_schema(query=_text("What the customer sees")),
        safety=Safety.READ_ONLY,
        risk="low",
        approval="allow",
        title="Search tickets for {query}",
        call=search_tickets,
    ),
    ToolSpec(
        name="issue_refund",
        version=1,
        owner="Payments",
        description="Pay money back to a customer. It cannot be taken back.",
        schema=_schema(
            order=_text("The order's number"),
            customer=_text("Who gets the money"),
            amount={"type": "number", "description": "In euros", "exclusiveMinimum": 0, "maximum": 100_000},
            reason=_text("Why, in the customer's words"),
        ),
        safety=Safety.NEITHER,
        risk="high",
        approval="require",
        title="Refund {amount} to {customer} for order {order}",
        money="amount EUR",
        timeout=timedelta(seconds=10),
        call=issue_refund,
    ),
    ToolSpec(
        name="restart_service",
        version=1,
        owner="Platform",
        description="Restart a service; it is down for about a minute.",
        schema=_schema(service=_text("The service's name"), reason=_text("Why")),
        safety=Safety.NEITHER,
        risk="medium",
        approval="require",
        title="Restart {service}",
        timeout=timedelta(seconds=10),
        call=restart_service,
    ),
    ToolSpec(
        name="apply_firewall_rule",
        version=1,
        owner="Network",
        description="Change one rule of the firewall. The same rule again changes nothing.",
        schema=_schema(
            action={"type": "string", "enum": ["allow", "deny"]},
            port={"type": "integer", "minimum": 1, "maximum": 65535},
            source=_text("A network, such as 10.20.0.0/16"),
            target=_text("The host or service"),
        ),
        safety=Safety.IDEMPOTENT,
        risk="high",
        approval="require",
        title="{action} port {port} from {source} to {target}",
        timeout=timedelta(seconds=10),
        call=apply_firewall_rule,
    ),
)
