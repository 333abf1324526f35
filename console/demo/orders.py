"""The facts the demo's tools know: a few orders by name, and every other one made from its number, always the same."""

from __future__ import annotations

import hashlib
from typing import Any

_CUSTOMERS = ("Ingrid Olsen", "Marcus Hale", "Aiko Tanaka", "Lena Vogt", "Samuel Osei", "Priya Nair", "Tomas Novak")
_ITEMS = ("wireless headphones", "a standing desk", "a coffee grinder", "running shoes", "a desk lamp", "a tablet")

_KNOWN = {
    "A-1001": {"customer": "Ingrid Olsen", "item": "wireless headphones", "paid": 250.0, "delivered_days_ago": 6},
    "A-1002": {"customer": "Marcus Hale", "item": "a standing desk", "paid": 1250.0, "delivered_days_ago": 12},
    "A-1003": {"customer": "Aiko Tanaka", "item": "a coffee grinder", "paid": 89.9, "delivered_days_ago": 41},
}

POLICIES = {
    "refunds": "Refunds within 30 days of delivery are fine; later ones need a reason.",
    "privacy": "Personal data is exported or erased within 30 days of a request; a person confirms it.",
    "default": "When no policy fits, a person decides.",
}

TICKETS = (
    {
        "ticket": "T-318",
        "title": "Log-in fails after a password change",
        "fix": "Sign out everywhere, then sign in again.",
        "words": "login log password sign account",
    },
    {
        "ticket": "T-274",
        "title": "Sync stops with a timeout",
        "fix": "Update to 4.2; it retries by itself.",
        "words": "sync timeout slow stop api error",
    },
    {
        "ticket": "T-401",
        "title": "Crash when exporting a report",
        "fix": "Export as CSV until 4.3 is out.",
        "words": "crash export report bug",
    },
)


def _pick(seed: str, among: int) -> int:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") % among


def order(number: str) -> dict[str, Any]:
    """An order by its number; amounts in euros."""
    number = number.strip().upper() or "A-1001"
    facts: dict[str, Any] = _KNOWN.get(number) or {
        "customer": _CUSTOMERS[_pick(number + "customer", len(_CUSTOMERS))],
        "item": _ITEMS[_pick(number + "item", len(_ITEMS))],
        "paid": 20.0 + _pick(number + "paid", 8800) / 10,
        "delivered_days_ago": 2 + _pick(number + "days", 25),
    }
    return {"order": number, "currency": "EUR", **facts}


def invoice(said: str) -> dict[str, Any]:
    """The invoice a customer speaks of; the amount in euros."""
    number = said if any(character.isdigit() for character in said) and " " not in said else ""
    number = number or f"INV-{2000 + _pick(said, 900)}"
    twice = _pick(number, 2) == 0
    note = "The second charge was a reservation; it lapses within three days." if twice else "It was charged once."
    return {"invoice": number, "amount": 19.0 + _pick(number + "amount", 2000) / 10, "status": "paid", "note": note}


def tickets(query: str) -> list[dict[str, str]]:
    """Solved tickets, the likeliest first."""
    words = set(query.lower().split())
    ranked = sorted(TICKETS, key=lambda ticket: -len(words & set(ticket["words"].split())))
    return [{name: ticket[name] for name in ("ticket", "title", "fix")} for ticket in ranked[:2]]


def policy(topic: str) -> str:
    """The house policy on a topic, in a sentence."""
    topic = topic.lower()
    if any(word in topic for word in ("refund", "return", "money")):
        return POLICIES["refunds"]
    if any(word in topic for word in ("data", "privacy", "gdpr", "delete", "export", "consent")):
        return POLICIES["privacy"]
    return POLICIES["default"]
