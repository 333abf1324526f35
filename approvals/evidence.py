"""How a request came about: the messages before it with the results of tools made readable, what the proposing step
took, and which mail domains are the organisation's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from approvals.legible import exact, plain
from approvals.mails import json_of
from approvals.models import ApprovalRequest
from approvals.shapes import Row, Shape, folded, rows, shape_of
from console.runs.models import Step
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Membership

Json = Any
CALL = 400  # characters of a call on one line
_ANYBODYS = {"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "proton.me", "gmx.de", "web.de"}


@dataclass(slots=True)
class Told:
    """A result of a tool: ``call`` is how it was asked, ``rows`` or ``shape`` what it answered, ``short`` its first words."""

    tool: str
    call: str
    failed: bool
    short: str
    shape: Shape
    rows: list[Row]


def retell(messages: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """Messages of a run as the card shows them: calls as ``calls``, results of tools as ``told``, texts as ``shape``."""
    calls: dict[str, str] = {}
    result = []
    for message in messages:
        content = message.get("content")
        items = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
        if message.get("type") == "ToolCallRequestEvent" and items:
            made = [_call(one) for one in items]
            calls.update({str(one.get("id")): text for one, text in zip(items, made, strict=True)})
            result.append({**message, "calls": made})
        elif message.get("type") == "ToolCallExecutionEvent" and items:
            result.append({**message, "told": [_told(one, calls) for one in items]})
        else:
            text = content if isinstance(content, str) else exact(content)
            result.append({**message, "shape": folded(text)})
    return result


def _call(call: Mapping[str, Json]) -> str:
    arguments = call.get("arguments")
    read = json_of(arguments) if isinstance(arguments, str) else arguments
    if isinstance(read, dict):
        text = ", ".join(f"{plain(str(name))}={_inline(value)}" for name, value in read.items())
    else:
        text = plain(str(arguments))
    return f"{plain(str(call.get('name')))}({text if len(text) <= CALL else text[:CALL] + '…'})"


def _inline(value: Json) -> str:
    return " ".join(exact(value).split("\n"))


def _told(result: Mapping[str, Json], calls: Mapping[str, str]) -> Told:
    content = result.get("content")
    text = content if isinstance(content, str) else exact(content)
    read = json_of(text)
    name = str(result.get("name") or "")
    short = " ".join(plain(text[:300]).split())
    return Told(
        tool=plain(name),
        call=calls.get(str(result.get("call_id")), ""),
        failed=bool(result.get("is_error")),
        short=short if len(short) <= 140 else f"{short[:140]}…",
        shape=shape_of("result", read if isinstance(read, list) else text, {}),
        rows=rows(read, {}, "", [*read]) if isinstance(read, dict) else [],
    )


@dataclass(frozen=True, slots=True)
class Proposing:
    """The model call that proposed what the request is about. ``cost`` in US dollars, None where it is not priced."""

    model: str
    tokens: int
    cost: Decimal | None


def proposing(actor: Actor, row: ApprovalRequest) -> Proposing | None:
    """The agent's last model call before the request, None where it made none. One query."""
    if not row.agent:
        return None
    steps = access.all(Step, actor).filter(
        run=row.run_id, kind="model", agent=row.agent, started_at__lte=row.created_at
    )
    found = steps.order_by("-seq").values_list("name", "usage", "cost").first()
    if found is None:
        return None
    usage = found[1] if isinstance(found[1], dict) else {}
    return Proposing(found[0], int(usage.get("input_tokens") or 0) + int(usage.get("output_tokens") or 0), found[2])


def home_domains(actor: Actor) -> list[str]:
    """The mail domains of the tenant's people, those aside where anybody has an address."""
    rows = (
        access.all(Membership, actor).filter(active=True).exclude(user__email="").values_list("user__email", flat=True)
    )
    found = {email.rpartition("@")[2].lower() for email in rows.distinct()[:500]}
    return sorted(found - _ANYBODYS - {""})
