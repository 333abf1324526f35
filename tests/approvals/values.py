"""A call with an argument of every shape, and requests about it: what tests of the card look at."""

from __future__ import annotations

from typing import Any

from console.durable.digest import digest
from console.durable.steps import Ask

PATCH = """diff --git a/app/refunds.py b/app/refunds.py
--- a/app/refunds.py
+++ b/app/refunds.py
@@ -10,4 +10,5 @@ def refund(order):
     total = order.total
-    if total > 1000:
+    if total > 1000 and not order.checked:
+        ask(order)
         return None
"""
PYTHON = '''import requests

@retry(times=3)
def notify(order: str, amount: float) -> bool:
    """Tell the customer."""
    # a comment that says why
    return requests.post(f"https://api.example/{order}", json={"amount": amount}).ok and amount > 12.5
'''
VALUES: dict[str, Any] = {
    "amount": 1250.0,
    "currency": "EUR",
    "order": "A-1001",
    "at": "2026-11-21T10:00:00+00:00",
    "day": "2026-11-23",
    "site": "https://shop.example/orders/A-1001",
    "trap": "https://bank.example@evil.example/login",
    "notify": True,
    "port": 8443,
    "note": None,
    "hidden": "pay\u202egpj.exe\u200b now",
    "account": "p\u0430yroll-7",
    "reason": "Arrived broken; photo attached to ticket 8790. " * 30,
    "query": "UPDATE orders SET status = 'refunded', total = 0 -- all\n",
    "script": "#!/bin/bash\nset -e\nrm -rf \"$HOME/cache\"  # clear it\necho 'done' && exit 0\n",
    "code": PYTHON,
    "patch": PATCH,
    "tags": ["vip", "broken on arrival"],
    "lines": [{"sku": "CM-2", "count": 1, "price": 1250.0}, {"sku": "FLT-9", "count": 2, "price": 0}],
    "metadata": {"channel": "mail", "history": [{"id": 1, "open": False, "who": None}], "score": 0.25},
    "long_token": "x" * 300,
}
MAIL: dict[str, Any] = {
    "to": ["anna@northwind.example", "someone@elsewhere.example"],
    "cc": "desk@northwind.example",
    "from": "refunds@northwind.example",
    "subject": "Your refund for order A-1001",
    "body": "Dear Anna,\n\nwe have sent €1,250.00 back to your card.\n\nKind regards\nNorthwind",
}
SWAP: dict[str, Any] = {"path": "app/refunds.py", "old_text": PYTHON, "new_text": PYTHON.replace("12.5", "20.0")}


def call(arguments: dict[str, Any], n: int = 0, **request: Any) -> Ask:
    """A call of a tool without a schema that has reached its gate."""
    shown = {
        "title": "Change the order A-1001",
        "arguments": arguments,
        "description": "Changes something.",
        "safety": "neither",
        "risk": "high",
        "approval": "require",
        **request,
    }
    return Ask("payer/tools", n, "tool", digest(arguments), shown, agent="payer", tool="change_order")
