"""What the demo model answers: a pure function of a conversation. A persona is chosen by words of the system message.

A replayed team starts anew and asks nothing twice, so an answer must depend on the messages alone, never on a counter
or on the clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from console.demo.reading import Conversation, amount_in, customer_in, money, order_in, split_result

LATEST = "A-1001"  # what is meant when no order is named
NO_ORDER = re.compile(
    r"\b(do not know|don't know|unknown|not sure|unsure|lost|forgot|cannot find|can't find|no order number)\b", re.I
)


@dataclass(frozen=True)
class Answer:
    """Text, and calls as (tool name, arguments as the model writes them: text that should be JSON)."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()


Persona = Callable[[Conversation], Answer]


def answer(conversation: Conversation) -> Answer:
    """The demo model's answer to a conversation."""
    system = conversation.system
    participants = re.search(r"from (\[[^\]]*'[^\]]*\])", system or conversation.task)
    if participants and "role" in (system or conversation.task):
        return _select(conversation, re.findall(r"'([^']+)'", participants.group(1)))
    lowered = system.lower()
    persona = next((persona for words, persona in PERSONAS.items() if words in lowered), _assistant)
    said = persona(conversation)
    return Answer("I have no tool for that here.") if said.calls and not conversation.tools else said


# --- the selector of a SelectorGroupChat ---------------------------------------------------------------------------


def _select(conversation: Conversation, candidates: list[str]) -> Answer:
    """Whoever the last speaker hands over to ("Over to payer."), otherwise the next one in the list after them."""
    prompt = conversation.system or conversation.task
    everyone = _roles(prompt, candidates)
    labels = "|".join(map(re.escape, {*everyone, "user"}))
    blocks = re.findall(rf"^({labels}): (.*?)(?=^(?:{labels}): |\Z)", prompt, re.MULTILINE | re.DOTALL)
    speaker, text = blocks[-1] if len(blocks) > len(everyone) else ("", "")
    named = [name for name in re.findall(r"\b[Oo]ver to (\w+)", text) if name in candidates]
    if named:
        return Answer(named[-1])
    start = everyone.index(speaker) + 1 if speaker in everyone else 0
    after = everyone[start:] + everyone[:start]
    return Answer(next((name for name in after if name in candidates), candidates[0]))


def _roles(prompt: str, candidates: list[str]) -> list[str]:
    """The names in the list of roles, which comes first; it ends at a name that comes again, or at the user."""
    names: list[str] = []
    for name in re.findall(r"^([A-Za-z_]\w*): ", prompt, re.MULTILINE):
        if name in names or name == "user":
            break
        names.append(name)
    return names if set(candidates) <= set(names) else candidates


# --- refund desk ---------------------------------------------------------------------------------------------------


def _planner(conversation: Conversation) -> Answer:
    heard = conversation.heard
    order, amount = order_in(heard), amount_in(heard)
    if not order and NO_ORDER.search(conversation.task):
        return Answer("The order number is missing, and I will not guess it. Which order is it? Over to colleague.")
    about = f"order {order}" if order else f"order {LATEST}, the customer's latest"
    much = f"a refund of {money(amount)}" if amount else "a refund of what was paid"
    return Answer(
        f"Plan for {about}: 1. the clerk looks the order up and checks it against the policy; "
        f"2. the payer makes {much}. Over to clerk."
    )


def _clerk(conversation: Conversation) -> Answer:
    if not conversation.results:
        order = order_in(conversation.heard) or LATEST
        calls = [("lookup_order", {"order": order})]
        if conversation.offers("check_policy"):
            calls.append(("check_policy", {"topic": "refunds"}))
        return _call(*calls)
    order_facts, policy = {}, ""
    for result in conversation.results:
        facts, words = split_result(result)
        order_facts = facts if "customer" in facts else order_facts
        policy = facts.get("policy", policy)
    if not order_facts:
        return Answer(f"I could not look the order up: {split_result(conversation.results[0])[1]} Over to payer.")
    asked = amount_in(conversation.task)
    paid = float(order_facts.get("paid", 0))
    note = " That is more than was paid; a person should look closely." if asked and asked > paid else ""
    return Answer(
        f"Order {order_facts.get('order')}: {order_facts.get('item')}, customer: {order_facts.get('customer')}, "
        f"paid {money(paid)}, delivered {order_facts.get('delivered_days_ago')} days ago. "
        f"{policy or 'Refunds within 30 days of delivery are fine.'}{note} Over to payer."
    )


def _payer(conversation: Conversation) -> Answer:
    if conversation.results:
        facts, words = split_result(conversation.results[-1])
        if facts.get("refund"):
            return Answer(
                f"Refund {facts['refund']} of {money(facts.get('amount', 0), facts.get('currency', 'EUR'))} to "
                f"{facts.get('customer')} for order {facts.get('order')} is on its way. CASE CLOSED"
            )
        if "it was done" in words:  # a call in doubt: the word of whoever looked stands for the bank's
            told = re.sub(r"</?reviewer>", "", words.partition("it was done:")[2]).strip()
            return Answer(f"The refund was made, says a person who looked: {told or json.dumps(facts)} CASE CLOSED")
        return Answer(f"The refund was not made. {words or json.dumps(facts)} CASE CLOSED")
    if conversation.called and conversation.feedback:
        return Answer("I have read the note; the refund stands as reported above. CASE CLOSED")
    heard = conversation.heard
    said_paid = re.search(r"paid (EUR [\d.,]*\d)", heard)
    asked = amount_in(conversation.task)
    amount = asked if asked is not None else amount_in(said_paid.group(1)) if said_paid else 100.0
    found = re.search(r"customer: ([^,;]+)", heard)
    customer = customer_in(conversation.task) or (found.group(1) if found else "the customer")
    reason = " ".join(conversation.task.split())[:160]
    arguments = {"order": order_in(heard) or LATEST, "customer": customer, "amount": amount, "reason": reason}
    return _act(conversation, "issue_refund", arguments)


# --- support triage ------------------------------------------------------------------------------------------------

DESKS = (
    ("compliance", r"gdpr|privacy|personal data|delete my|legal|lawyer|complian|regulat|export my|consent|audit"),
    ("billing", r"invoice|bill|charge|paid|payment|refund|price|subscription|card|twice|double"),
    ("technical", r"error|crash|slow|login|log in|password|bug|fail|down|broken|api|sync|install|timeout"),
)


def _triage(conversation: Conversation) -> Answer:
    heard = conversation.heard
    desk = next((name for name, words in DESKS if re.search(words, heard, re.I)), "technical")
    if conversation.offers(f"transfer_to_{desk}"):
        return _call((f"transfer_to_{desk}", {}))
    return Answer(f"This belongs to {desk}.")


def _specialist(lookup: str, argument: str, finding: Callable[[Mapping[str, Any]], str]) -> Persona:
    """A specialist who looks one thing up and then answers the customer; a reviewer's note makes a new answer."""

    def persona(conversation: Conversation) -> Answer:
        if conversation.results and not conversation.results[-1].startswith("Transferred to"):
            facts, words = split_result(conversation.results[-1])
            return Answer(f"{finding(facts) if facts else words} RESOLVED")
        if conversation.called:
            note = " ".join(conversation.feedback.split())
            said = "Thank you for the note. " if note else ""
            return Answer(
                f"{said}Here is the answer again, in plainer words: we have looked into it, it is put right, "
                "and nothing more is needed from your side. RESOLVED"
            )
        value = order_in(conversation.task) or " ".join(conversation.task.split())[:80]
        return _call((lookup, {argument: value}))

    return persona


def _billing(facts: Mapping[str, Any]) -> str:
    return (
        f"Invoice {facts.get('invoice')} over {money(facts.get('amount', 0))} is {facts.get('status')}. "
        f"{facts.get('note', '')}".strip()
    )


def _technical(facts: Mapping[str, Any]) -> str:
    tickets = facts.get("tickets") or [{}]
    return (
        f"This looks like {tickets[0].get('ticket')} ({tickets[0].get('title')}). {tickets[0].get('fix', '')}".strip()
    )


def _compliance(facts: Mapping[str, Any]) -> str:
    return f"{facts.get('policy', 'Our policy covers this.')} Your request is logged and will be answered in writing."


# --- change advisory -----------------------------------------------------------------------------------------------


def _advisor(conversation: Conversation) -> Answer:
    task = " ".join(conversation.task.split())[:200]
    return Answer(
        f"Change: {task.rstrip('.')}. Assessment: two independent steps. The network engineer opens the port; the "
        "service engineer restarts the service. Each step waits for a person's approval, and neither waits for the other."
    )


def _network(conversation: Conversation) -> Answer:
    if conversation.results:
        return _engineer_report(conversation, "Firewall rule")
    port = re.search(r"\b(?:port|open|allow) (\d{2,5})\b", conversation.task, re.IGNORECASE)
    source = re.search(r"\bfrom ((?:\d+\.){3}\d+(?:/\d+)?|[A-Z]{2,12})\b", conversation.task)
    host = _service(conversation.task)
    arguments = {
        "action": "allow",
        "port": int(port.group(1)) if port else 8443,
        "source": source.group(1) if source else "10.20.0.0/16",
        "target": host,
    }
    return _act(conversation, "apply_firewall_rule", arguments)


def _service_engineer(conversation: Conversation) -> Answer:
    if conversation.results:
        return _engineer_report(conversation, "Restart")
    arguments = {"service": _service(conversation.task), "reason": " ".join(conversation.task.split())[:160]}
    return _act(conversation, "restart_service", arguments)


def _service(task: str) -> str:
    found = re.search(r"\b([a-z][a-z0-9]*(?:-[a-z0-9]+)+)\b", task) or re.search(
        r"\b(?:restart|of|for) (?:the )?([a-z]{3,})\b", task
    )
    return found.group(1) if found else "checkout-api"


def _engineer_report(conversation: Conversation, what: str) -> Answer:
    facts, words = split_result(conversation.results[-1])
    if facts.get("done"):
        return Answer(f"{what} done: {facts['done']}.")
    return Answer(f"{what} not done. {words or json.dumps(facts)}")


def _recorder(conversation: Conversation) -> Answer:
    reports = [line.text for line in conversation.said if re.search(r"\b(?:not )?done[:.]", line.text)]
    return Answer("Change record. " + " ".join(reports) + " The change is closed.")


# --- bench resume --------------------------------------------------------------------------------------------------


def _bench_clerk(conversation: Conversation) -> Answer:
    wanted = int(next(iter(re.findall(r"(\d+) look-ups", conversation.system)), "1"))
    done = sum(line.role == "tool" for line in conversation.said)
    if done < wanted:
        return _call(("lookup_order", {"order": f"A-{done}"}))
    return _call(("calculator", {"a": 1, "b": 1, "operator": "+"})) if done == wanted else Answer("TERMINATE")


# --- anybody else --------------------------------------------------------------------------------------------------

_END = re.compile(r"(?:say|write|(?:reply|respond|end|answer) with|the word)\s+[\"'`]?([A-Z][A-Z_]{2,})")


def _assistant(conversation: Conversation) -> Answer:
    """An agent the demo knows nothing about: calls its first fitting tool once, then says what came of it."""
    end = _END.search(conversation.system)
    closing = f" {end.group(1)}" if end else ""
    if conversation.results:
        return Answer(
            f"The answer is {' and '.join(' '.join(text.split()) for text in conversation.results)}.{closing}"
        )
    if not conversation.called:
        for tool in _by_mention(conversation):
            arguments = _arguments(tool, conversation.task)
            if arguments is not None:
                return _act(conversation, tool["name"], arguments)
        for tool in conversation.tools:
            if tool["name"].startswith("transfer_to_") and tool["name"][12:].lower() in conversation.last.text.lower():
                return _call((tool["name"], {}))
    asked = " ".join(conversation.task.split())[:120]
    others = [line for line in conversation.said if line.role == "user" and line.text != conversation.task]
    if others:
        return Answer(f'On "{asked}": I agree with {others[-1].name or "the others"} and have nothing to add.{closing}')
    return Answer(f'On "{asked}": here is my short answer, from a demo model that knows nothing of the world.{closing}')


def _by_mention(conversation: Conversation) -> list[Mapping[str, Any]]:
    """The tools offered, those first whose name is mentioned in the task; handoffs left out."""
    task = conversation.task.lower()
    tools = [tool for tool in conversation.tools if not tool["name"].startswith("transfer_to_")]
    return sorted(
        tools, key=lambda tool: not any(word in task for word in (tool["name"], tool["name"].replace("_", " ")))
    )


_PLAIN = r"-?(?:0|[1-9]\d*)(?:\.\d+)?"  # a number as JSON has it


def _arguments(tool: Mapping[str, Any], task: str) -> dict[str, Any] | None:
    """Arguments for a tool from a sentence: JSON in it, ``name=value`` pairs, arithmetic, numbers in order, the text.

    None when the tool does arithmetic and the sentence has none.
    """
    given, _ = split_result(task)
    schema = tool.get("parameters") or {}
    properties: Mapping[str, Any] = schema.get("properties") or {}
    if given and set(given) <= set(properties):
        return given
    sum_ = re.search(rf"({_PLAIN})\s*([-+*/x×÷])\s*({_PLAIN})", task)
    if {"a", "b", "operator"} <= set(properties):
        if not sum_:
            return None
        sign = {"x": "*", "×": "*", "÷": "/"}.get(sum_.group(2), sum_.group(2))
        return {"a": json.loads(sum_.group(1)), "b": json.loads(sum_.group(3)), "operator": sign}
    numbers = iter(re.findall(r"-?\d+(?:\.\d+)?", task))
    arguments: dict[str, Any] = {}
    for name, field in properties.items():
        pair = re.search(rf"\b{re.escape(name)}\s*[=:]\s*(\"[^\"]*\"|[^\s,;]+)", task)
        if pair:
            arguments[name] = _typed(field, pair.group(1).strip('"'))
        elif name in (schema.get("required") or properties):
            arguments[name] = _default(field, numbers, task)
    return arguments


def _typed(field: Mapping[str, Any], text: str) -> Any:
    try:
        if field.get("type") == "integer":
            return int(float(text))
        if field.get("type") == "number":
            return float(text)
    except ValueError:
        return text
    return text.lower() in ("true", "yes", "1") if field.get("type") == "boolean" else text


def _default(field: Mapping[str, Any], numbers: Any, task: str) -> Any:
    if field.get("enum"):
        return field["enum"][0]
    kind = field.get("type")
    if kind in ("integer", "number"):
        return _typed(field, next(numbers, "1"))
    return {"boolean": True, "array": [], "object": {}}.get(str(kind), " ".join(task.split())[:120])


def _call(*calls: tuple[str, Mapping[str, Any]]) -> Answer:
    return Answer(calls=tuple((name, json.dumps(arguments)) for name, arguments in calls))


def _act(conversation: Conversation, name: str, arguments: Mapping[str, Any]) -> Answer:
    """Call a tool that does something; the task may ask for the faults a model makes here."""
    task = conversation.task.lower()
    if "simulate bad arguments" in task:
        return Answer(calls=((name, '{"amount": twelve'),))
    if "simulate schema fault" in task:
        return Answer(calls=((name, json.dumps({"unexpected": "nothing of what the schema asks for"})),))
    if "simulate unknown tool" in task:
        return Answer(calls=((f"{name}_of_another_house", json.dumps(arguments)),))
    return Answer(calls=((name, json.dumps(arguments)),))


PERSONAS: dict[str, Persona] = {
    "planner of the refund desk": _planner,
    "clerk of the refund desk": _clerk,
    "payer of the refund desk": _payer,
    "triage of the support team": _triage,
    "billing specialist of the support team": _specialist("lookup_invoice", "invoice", _billing),
    "technical specialist of the support team": _specialist("search_tickets", "query", _technical),
    "compliance specialist of the support team": _specialist("check_policy", "topic", _compliance),
    "advisor of the change board": _advisor,
    "network engineer of the change board": _network,
    "service engineer of the change board": _service_engineer,
    "recorder of the change board": _recorder,
    "clerk of the benchmark": _bench_clerk,
}
